"""The bundle that is committed is what its sources and its lock file make."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path

import pytest

VIEWER = Path(__file__).parents[3] / "edge" / "viewer"


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("npm") is None, reason="needs npm, and its registry")
def test_the_bundle_is_built_from_its_sources(tmp_path: Path) -> None:
    """`make page` in an empty folder gives the same bytes."""
    ours = VIEWER / "page"
    shutil.copytree(ours, tmp_path / "page", ignore=shutil.ignore_patterns("node_modules"))
    (tmp_path / "static").mkdir()
    for command in (["npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund"], ["npm", "run", "build"]):
        subprocess.run(command, cwd=tmp_path / "page", check=True, capture_output=True, timeout=240)
    assert (tmp_path / "static" / "app.js").read_bytes() == (VIEWER / "static" / "app.js").read_bytes(), "run make page"


def test_the_page_is_small_and_its_licences_are_with_it() -> None:
    """At most 720 kB for both pages; what packages the lock file puts in are named with licences; no foreign host."""
    static = VIEWER / "static"
    assert sum(path.stat().st_size for path in static.glob("*.js")) <= 720_000
    third_party = (static / "THIRD_PARTY.txt").read_text(encoding="utf-8")
    packages = json.loads((VIEWER / "page" / "package.json").read_text(encoding="utf-8"))["devDependencies"]
    assert set(packages) - {"esbuild"} == {"three"}
    assert "three.js" in third_party
    assert "The MIT License" in third_party
    for name in ("index.html", "review.html", "style.css", "review.css"):
        assert "//" not in (static / name).read_text(encoding="utf-8").replace("<!--", "")
