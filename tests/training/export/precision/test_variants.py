"""Other precisions are written where they deserve it, and the card says so either way."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch

from edge.inference.base import Backend
from edge.inference.manifest import Manifest, Metric, read_manifest, sha256_of
from edge.inference.ort import OrtBackend
from training.config.recipe import Recipe
from training.export.engine import Files, write_engine
from training.export.precision import variants
from training.export.proof import parity
from training.export.proof.parity import QUANTITIES
from training.export.proof.runners import TorchBackend, manifest_of
from training.export.proof.views import tensors, views_of
from training.measure.headline import headline_of
from training.provenance import Origin
from training.tasks.base import NounTask
from training.tasks.build import build_task

pytestmark = pytest.mark.slow


@pytest.fixture
def learner(box_rooms: Path, small_recipe: Callable[..., Recipe]) -> NounTask:
    """A small depth network, normalised by the statistics of box rooms; not trained."""
    torch.manual_seed(0)
    task = build_task(small_recipe("depth", data={"rooms": box_rooms}))
    for module in task.net.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.momentum = 1.0
    with torch.no_grad():
        task.net.train()(torch.from_numpy(tensors(manifest_of(task.recipe), views_of(task.recipe, "train", 8))))
    task.averaged = None
    return task.eval()


def _score(backend: Backend) -> tuple[Metric, ...]:
    """A number that needs no data."""
    out = backend.run(np.zeros((1, 3, 64, 64), np.float32))
    return (Metric(name="mean", value=float(out["depth"].mean()), data="black"),)


def _written(task: NounTask, folder: Path) -> Manifest:
    recipe = task.recipe
    files = Files(("fp32", "fp16", "int8"), "dynamic", views_of(recipe, "train", 8), _score)
    return write_engine(task, folder, views_of(recipe, "val", 4), origin=Origin("abc1234", ()), files=files)


def test_what_ships_is_proved_and_what_does_not_is_said(
    learner: NounTask, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """float16 ships for its parity; int8 only where it also counts as faster: then with the ratio that was measured.

    Exported again where it does not, its file is gone, and the card says what was measured and why not.
    """
    monkeypatch.setattr(variants, "FASTER", 1e9)
    manifest = _written(learner, tmp_path)
    assert read_manifest(tmp_path) == manifest
    assert manifest.precisions == ("fp32", "fp16", "int8")
    assert manifest.choose("CUDAExecutionProvider") == "fp16" or manifest.variants["int8"].speed[0].ratio < 1
    with np.load(tmp_path / "golden.npz") as golden:
        given, expected = golden["input:image"], golden["output:depth"]
    for precision in manifest.precisions:
        file = manifest.file_of(precision)
        path = tmp_path / file.file
        assert file.sha256 == sha256_of(path)
        assert {p.key: p.value for p in onnx.load(path).metadata_props}["precision"] == precision
        shown = manifest.parity if precision == "fp32" else manifest.variants[precision].parity
        assert shown
        assert all(p.difference <= p.tolerance and p.pictures == 4 for p in shown)
        with OrtBackend(path, manifest, threads=1) as model:
            off = float(np.abs(model.run(given)["depth"] - expected).max())
        assert off <= manifest.tolerance_of(precision)["depth"]
    (speed,) = manifest.variants["int8"].speed
    assert speed.provider == "CPUExecutionProvider"
    assert speed.ratio > 0
    assert "one thread" in speed.machine
    card = (tmp_path / "card.md").read_text(encoding="utf-8")
    assert f"| {speed.ratio:.2f} (" in card
    assert "int8 against float32: mean" in card
    assert (tmp_path / "model.fp16.onnx").stat().st_size < (tmp_path / "model.onnx").stat().st_size

    monkeypatch.setattr(variants, "FASTER", 0.0)
    again = _written(learner, tmp_path)
    assert again.precisions == ("fp32", "fp16")
    assert not (tmp_path / "model.int8.onnx").exists()
    card = (tmp_path / "card.md").read_text(encoding="utf-8")
    row = next(line for line in card.splitlines() if line.startswith("| `model.int8.onnx`"))
    assert "not written: not faster" in row
    assert "All of them in int8: depth" in card


def test_the_headline_is_that_of_the_whole_measurement(learner: NounTask, box_rooms: Path) -> None:
    """One number for each noun, on pictures of the test split, the same for the same network."""
    manifest = manifest_of(learner.recipe)
    network = TorchBackend(learner.inference_net, manifest)
    score = headline_of(manifest, box_rooms, 0, most=1)
    (found,), (again,) = score(network), score(network)
    assert found.name == "metric absrel"
    assert "1 pictures" in found.data
    assert found == again


def test_half_that_is_all_float32_is_not_written(
    learner: NounTask, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where no layer is close enough in float16, there is no such file, and the card says why."""
    nothing = {
        task: tuple(replace(q, tolerances={**q.tolerances, "fp16": 1e-7}) for q in qs)
        for task, qs in QUANTITIES.items()
    }
    monkeypatch.setattr(parity, "QUANTITIES", nothing)
    views = views_of(learner.recipe, "val", 2)
    manifest = write_engine(learner, tmp_path, views, origin=Origin("abc1234", ()), files=Files(("fp32", "fp16")))
    assert manifest.precisions == ("fp32",)
    assert not (tmp_path / "model.fp16.onnx").exists()
    assert "not written: no layer in it is close enough" in (tmp_path / "card.md").read_text(encoding="utf-8")
