"""From a film without labels to an engine: trained, measured, exported, and read by the device's code."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np
import pytest
import yaml
from typer.testing import CliRunner

from edge.inference.manifest import read_manifest
from edge.inference.ort import OrtBackend
from edge.perception.depth import DepthReader
from edge.scene import CameraModel, Intrinsics
from tests.training.conftest import RECIPES
from tests.training.textured_room import LENS, pose, seen_from, speckled
from training.__main__ import app

SIZE_PX = (320, 240)
FILM_LENS = tuple(2.5 * x for x in LENS)


def _film(folder: Path, frames: int) -> None:
    """A folder of frames of a camera that walks, as the owner of a home has it, and one measured picture."""
    folder.mkdir()
    for i in range(frames):
        image = speckled(pose(0.05 * i - 0.5, 0.0, 0.02 * i, 0.4 * i), FILM_LENS, SIZE_PX)
        cv2.imwrite(str(folder / f"{i:03d}.png"), image[..., ::-1])
    names = ("fx_px", "fy_px", "cx_px", "cy_px")
    (folder / "camera.json").write_text(json.dumps(dict(zip(names, FILM_LENS, strict=True))))


def _measured(folder: Path) -> None:
    """Pictures with depth, in the format of one's own sensor."""
    for name in ("rgb", "depth"):
        (folder / name).mkdir(parents=True)
    for i in range(2):
        T = pose(0.1 * i, 0.0, 0.1)
        depth = seen_from(T, FILM_LENS, SIZE_PX)[1]
        cv2.imwrite(str(folder / "rgb" / f"{i}.png"), speckled(T, FILM_LENS, SIZE_PX, None)[..., ::-1])
        cv2.imwrite(str(folder / "depth" / f"{i}.png"), np.rint(depth * 1000).astype(np.uint16))
    fx, fy, cx, cy = FILM_LENS
    np.savetxt(folder / "K.txt", [[fx, 0, cx], [0, fy, cy], [0, 0, 1]])


@pytest.mark.slow
def test_a_film_becomes_an_engine_that_the_device_reads(tmp_path: Path) -> None:
    """`fit`, `evaluate`, `export` from a film alone: a depth engine whose answer is the network's, in metres.

    Nothing in its folder tells of poses; its card says what it learnt from, and its manifest is a depth model's.
    """
    film, data, out, engine = (tmp_path / name for name in ("film", "measured", "run", "engine"))
    _film(film, 24)
    _measured(data)
    recipe = yaml.safe_load((RECIPES / "depth_self.yaml").read_text())
    recipe["optim"] |= {"steps": 2, "batch_size": 2, "validate_every": 1, "warmup_steps": 1, "freeze_blocks": 0}
    recipe["loss"]["settle_steps"] = 0
    recipe["input"] |= {"width_px": 64, "height_px": 64}
    (tmp_path / "recipe.yaml").write_text(yaml.safe_dump(recipe))

    def run(*arguments: object) -> None:
        found = CliRunner().invoke(app, [str(a) for a in arguments])
        assert found.exit_code == 0, found.output

    run("fit", tmp_path / "recipe.yaml", "--video", film, "--out", out, "--workers", 0, "--no-progress")
    run("evaluate", out / "final.ckpt", "--source", f"rgbd={data}", "--json", out / "metrics.json")
    run("export", out / "final.ckpt", "--out", engine, "--metrics", out / "metrics.json", "--precisions", "fp32")
    manifest = read_manifest(engine)
    assert manifest.task == "depth" and manifest.provenance.data
    with OrtBackend(engine / "model.onnx", manifest, threads=1) as backend:
        lens = Intrinsics(*SIZE_PX, *FILM_LENS)
        reader = DepthReader(manifest, CameraModel("perspective", intrinsics=lens), smoothing_s=0.0)
        found = reader.read(backend.run(reader.prepare(speckled(pose(), FILM_LENS, SIZE_PX))), 0.0)
    assert np.isfinite(found.depth).all() and (found.depth > 0).all()
    card = (engine / "card.md").read_text()
    assert "own footage" in card
    assert {m.data for m in manifest.provenance.metrics} == {"rgbd: measured, test (2 pictures)"}
