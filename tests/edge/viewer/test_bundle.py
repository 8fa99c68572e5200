"""The bundle that is committed is what its sources and its lock file make."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest

from edge.derive.glb import room_glb
from edge.derive.gltf import y_up
from tests.edge.derive.rooms import L_SHAPE, model

READ = """
import { readFileSync } from "node:fs";
import { Vector3 } from "three";
import { GLTFLoader } from "three/addons/loaders/GLTFLoader.js";
import { modelOf } from "./src/model.js";
globalThis.self = globalThis;
const bytes = new Uint8Array(readFileSync("room.glb"));
const three = async () => (await new GLTFLoader().parseAsync(bytes.slice().buffer, "")).scene;
const ours = () => modelOf(bytes);
const scene = await READER();
scene.updateMatrixWorld(true);
const found = {};
scene.traverse((node) => {
  if (!node.isMesh) return;
  const { position } = node.geometry.attributes;
  const at = (i) => new Vector3().fromBufferAttribute(position, i).applyMatrix4(node.matrixWorld).toArray();
  found[node.name] = Array.from({ length: position.count }, (_, i) => at(i));
});
console.log(JSON.stringify(found));
"""
needs_npm = pytest.mark.skipif(shutil.which("npm") is None, reason="needs npm, and its registry")
VIEWER = Path(__file__).parents[3] / "edge" / "viewer"


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The page's folder elsewhere, with its packages installed and its bundle built beside it."""
    folder = tmp_path_factory.mktemp("bundle")
    shutil.copytree(VIEWER / "page", folder / "page", ignore=shutil.ignore_patterns("node_modules"))
    (folder / "static").mkdir()
    for command in (["npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund"], ["npm", "run", "build"]):
        subprocess.run(command, cwd=folder / "page", check=True, capture_output=True, timeout=240)
    return folder / "page"


@pytest.mark.slow
@needs_npm
def test_the_bundle_is_built_from_its_sources(page: Path) -> None:
    """`make page` in an empty folder gives the same bytes."""
    built = page.parent / "static" / "app.js"
    assert built.read_bytes() == (VIEWER / "static" / "app.js").read_bytes(), "run make page"


@pytest.mark.slow
@needs_npm
@pytest.mark.parametrize("reader", ["three", "ours"])
def test_three_has_every_corner_of_the_room_s_model(page: Path, reader: str) -> None:
    """By three.js' own loader and by the page's: each surface by its name, its corners to a tenth of a millimetre."""
    bare = model(L_SHAPE, textured=False)
    (page / "room.glb").write_bytes(room_glb(bare))
    (page / "read.mjs").write_text(READ.replace("READER", reader), encoding="utf-8")
    said = subprocess.run(["node", "read.mjs"], cwd=page, check=True, capture_output=True, text=True, timeout=60)
    found = json.loads(said.stdout)
    for surface in bare.surfaces:
        assert np.allclose(found[surface.name], y_up(surface.vertices), atol=1e-4), surface.name
    assert {"door-0", "window-1"} <= set(found)


def test_the_page_is_small_and_its_licences_are_with_it() -> None:
    """At most 700 kB for both pages; what packages the lock file puts in are named with licences; no foreign host."""
    static = VIEWER / "static"
    assert sum(path.stat().st_size for path in static.glob("*.js")) <= 700_000
    third_party = (static / "THIRD_PARTY.txt").read_text(encoding="utf-8")
    packages = json.loads((VIEWER / "page" / "package.json").read_text(encoding="utf-8"))["devDependencies"]
    assert set(packages) - {"esbuild"} == {"three"}
    assert "three.js" in third_party
    assert "The MIT License" in third_party
    for name in ("index.html", "review.html", "style.css", "review.css"):
        assert "//" not in (static / name).read_text(encoding="utf-8").replace("<!--", "")
