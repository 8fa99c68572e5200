"""Exported models compute what was trained, and their folders are what the device loads."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edge.errors import DataError, EngineError
from edge.inference.manifest import Metric, read_manifest, sha256_of
from edge.inference.ort import OrtBackend
from training.config import Recipe
from training.export.engine import read_metrics, write_engine
from training.export.onnx import checked_tolerances
from training.tasks.build import build_task

PUBLISHED: dict[str, tuple[str, dict[str, Any]]] = {
    f"fcrn-{decoder}": (
        "depth",
        {"net": {"encoder": "resnet18", "decoder": decoder, "channels": [16, 12, 8, 8, 8], "skips": False}},
    )
    for decoder in ("deconv2", "deconv3", "upconv", "upproj")
}
PUBLISHED |= {
    "horizonnet-resnet18": ("layout", {"net": {"encoder": "resnet18", "squeeze": "published", "hidden": 16}}),
    "mobile-sh": ("lighting", {"net": {"net": "mobilenet_sh", "width": 0.5}}),
}
SHIPPED = {task: (task, {}) for task in ("depth", "layout", "lighting")}


def _inputs(recipe: Recipe) -> np.ndarray:
    rng = np.random.default_rng(0)
    x = rng.random((2, *recipe.input.shape[1:]), np.float32)
    if recipe.input.mask_channel:
        x[:, 3] = 1
        x[1, :, :, :40] = 0
    return x


def _recipe(make: Callable[..., Recipe], task: str, change: dict[str, Any]) -> Recipe:
    if change.get("net", {}).get("net") == "mobilenet_sh":
        full = make(task).model_dump(mode="json")
        return Recipe.model_validate({**full, **change})
    return make(task, **change)


@pytest.mark.parametrize("name", [*SHIPPED, *PUBLISHED])
def test_onnx_equals_torch(name: str, tmp_path: Path, small_recipe: Callable[..., Recipe]) -> None:
    """Every network exports, ONNX Runtime agrees with torch, and the golden pair proves it from the folder alone."""
    task, change = {**SHIPPED, **PUBLISHED}[name]
    recipe = _recipe(small_recipe, task, change)
    learner = build_task(recipe).eval()
    inputs = _inputs(recipe)
    metric = Metric(name="m", value=0.5, data="nothing", baseline=1.0, baseline_name="b")
    write_engine(learner, tmp_path, inputs, metrics=(metric,), notes="A test.")

    manifest = read_manifest(tmp_path)
    assert manifest.onnx.sha256 == sha256_of(tmp_path / "model.onnx")
    assert manifest.golden is not None
    assert manifest.golden.sha256 == sha256_of(tmp_path / "golden.npz")
    with np.load(tmp_path / "golden.npz") as golden, OrtBackend(tmp_path / "model.onnx", manifest, threads=1) as model:
        out = model.run(golden[f"input:{manifest.input.name}"])
        for output, tolerance in manifest.golden.tolerance.items():
            assert np.abs(out[output] - golden[f"output:{output}"]).max() <= tolerance
    assert "| m | nothing | 0.500 | 1.000 | b |" in (tmp_path / "card.md").read_text(encoding="utf-8")


def test_a_wrong_export_is_refused() -> None:
    """A difference beyond rounding is an error, not a tolerance."""
    assert checked_tolerances({"depth": (1e-6, 4.0)})["depth"] == pytest.approx(0.02)
    with pytest.raises(EngineError, match="differs from torch"):
        checked_tolerances({"depth": (0.1, 4.0)})


def test_metrics_files_are_checked(tmp_path: Path) -> None:
    """What evaluate did not write is refused."""
    path = tmp_path / "metrics.json"
    with pytest.raises(DataError, match="evaluate"):
        read_metrics(path)
    path.write_text(json.dumps({"metrics": [{"value": 1}]}))
    with pytest.raises(DataError, match="evaluate"):
        read_metrics(path)
    assert read_metrics(None) == ()
