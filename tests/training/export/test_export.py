"""Exported models compute what was trained, and their folders are what the device loads."""

from __future__ import annotations

import functools
import json
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnx.numpy_helper
import pytest
import torch

from edge.errors import DataError, EngineError
from edge.inference.manifest import Metric, read_manifest, sha256_of
from edge.inference.ort import OrtBackend
from edge.scene import CameraModel
from training.config.recipe import Recipe
from training.export.engine import Files, read_metrics, write_engine
from training.export.proof.runners import manifest_of
from training.export.proof.views import View, tensors
from training.export.reference import Known
from training.provenance import Origin, origin_of
from training.tasks.base import NounTask
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
    "horizon-depth": ("layout", {"net": {"head": "horizon_depth", "hidden": 16}}),
    "mobile-sh": ("lighting", {"net": {"net": "mobilenet_sh", "width": 0.5}}),
    "joint": ("joint", {}),
}
SHIPPED = {task: (task, {}) for task in ("depth", "layout", "lighting")}


def _views(recipe: Recipe) -> list[View]:
    """Two pictures of noise; on a canvas, one of a panorama and one of a camera that sees a quarter of it."""
    rng = np.random.default_rng(0)
    around = CameraModel("equirectangular", camera_height_m=1.5)
    ahead = CameraModel("perspective", hfov_rad=1.5, camera_height_m=1.5)
    cameras = [ahead, ahead] if recipe.input.projection == "perspective" else [around, ahead]
    sizes = [(64, 128) if c.projection == "equirectangular" else (48, 64) for c in cameras]
    return [View(rng.integers(0, 256, (*wh, 3), np.uint8), c) for wh, c in zip(sizes, cameras, strict=True)]


def _inputs(recipe: Recipe) -> np.ndarray:
    return tensors(manifest_of(recipe), _views(recipe))


def _recipe(make: Callable[..., Recipe], task: str, change: dict[str, Any]) -> Recipe:
    full = make(task).model_dump(mode="json")
    if "net" in change.get("net", {}):
        return Recipe.model_validate({**full, **change})
    if "head" in change.get("net", {}):  # another head has another loss
        return Recipe.model_validate({**full, "net": full["net"] | change["net"], "loss": {}})
    return make(task, **change)


def _learner(recipe: Recipe) -> NounTask:
    """A network whose every layer has a say: normalised by its own statistics, no answer that starts at zero."""
    learner = build_task(recipe)
    for module in learner.net.modules():
        if isinstance(module, torch.nn.BatchNorm2d | torch.nn.BatchNorm1d):
            module.momentum = 1.0
    with torch.no_grad():
        learner.net.train()(torch.from_numpy(_inputs(recipe)))
    net: Any = learner.net
    if recipe.task == "lighting" and hasattr(net, "answer"):
        torch.nn.init.normal_(net.answer.weight, std=0.3)
    if getattr(recipe.net, "head", "") == "horizon_depth":
        torch.nn.init.uniform_(net.answer.bias, 0.0, 3.0)  # walls far and near, as a room has them
    learner.averaged = None
    return learner.eval()


def _differences(folder: Path) -> dict[str, float]:
    """By output: the largest difference from the recorded one, over all recorded rows, as a share of the tolerance."""
    manifest = read_manifest(folder)
    assert manifest.golden is not None
    with np.load(folder / "golden.npz") as golden, OrtBackend(folder / "model.onnx", manifest, threads=1) as model:
        out = model.run(golden[f"input:{manifest.input.name}"])
        return {
            name: float(np.abs(out[name] - golden[f"output:{name}"]).max() / tolerance)
            for name, tolerance in manifest.golden.tolerance.items()
        }


@dataclass(frozen=True)
class Exported:
    """A network, and the folder that it was exported to."""

    learner: NounTask
    folder: Path


@pytest.fixture(scope="module")
def exported(
    tmp_path_factory: pytest.TempPathFactory, small_recipe: Callable[..., Recipe]
) -> Callable[[str], Exported]:
    """A network of SHIPPED or PUBLISHED, exported once for all tests that only read its folder."""

    @functools.cache
    def export(name: str) -> Exported:
        task, change = {**SHIPPED, **PUBLISHED}[name]
        learner = _learner(_recipe(small_recipe, task, change))
        metric = Metric(name="m", value=0.5, data="nothing", baseline=1.0, baseline_name="b")
        folder = tmp_path_factory.mktemp(name)
        known = [Known(f"room {level}", np.full((32, 64, 3), level, np.uint8)) for level in range(0, 200, 10)]
        _write(learner, folder, metrics=(metric,), notes="A test.", known=known)
        return Exported(learner, folder)

    return export


def _write(learner: NounTask, folder: Path, **more: Any) -> None:
    write_engine(learner, folder, _views(learner.recipe), origin=Origin("abc1234", ("- Run 1.",)), **more)


@pytest.mark.parametrize("name", [*SHIPPED, *(pytest.param(name, marks=pytest.mark.slow) for name in PUBLISHED)])
def test_onnx_equals_torch(name: str, exported: Callable[[str], Exported]) -> None:
    """Every network exports, and from the folder alone ONNX Runtime gives torch's answer to 1e-4 of its range."""
    learner, folder = exported(name).learner, exported(name).folder
    recipe = learner.recipe
    inputs = _inputs(recipe)
    manifest = read_manifest(folder)
    assert manifest.onnx.sha256 == sha256_of(folder / "model.onnx")
    assert manifest.golden is not None
    assert manifest.golden.sha256 == sha256_of(folder / "golden.npz")
    assert manifest.provenance.commit == "abc1234"
    assert manifest.reference is not None
    assert manifest.reference.pictures == 20
    rows = 2 if recipe.input.mask_channel else 1
    with np.load(folder / "golden.npz") as golden, OrtBackend(folder / "model.onnx", manifest, threads=1) as model:
        given = golden[f"input:{manifest.input.name}"]
        np.testing.assert_array_equal(given, inputs[:rows])
        out = model.run(given)
        with torch.no_grad():
            found = learner.net(torch.from_numpy(given))
        tensors = found if isinstance(found, tuple) else (found,)
        for output, expected in zip(manifest.output_names, tensors, strict=True):
            for mine, theirs in zip(out[output], expected.numpy(), strict=True):
                span = np.ptp(theirs) if theirs.size > 1 else np.abs(theirs).max()
                assert np.abs(mine - theirs).max() <= 1e-4 * span
                assert manifest.golden.tolerance[output] <= 0.005 * span * (1 + 1e-6)
    assert "| nothing | 0.500 / 1.000 |" in (folder / "card.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("task", ["depth", "layout", "lighting"])
def test_a_changed_weight_fails_the_golden_pair(task: str, tmp_path: Path, exported: Callable[[str], Exported]) -> None:
    """The first layer made 20 % stronger is noticed: the golden pair proves more than that the file runs."""
    folder = tmp_path / task
    shutil.copytree(exported(task).folder, folder)
    assert max(_differences(folder).values()) < 0.05
    path = folder / "model.onnx"
    model = onnx.load(path)
    first = next(node.input[1] for node in model.graph.node if node.op_type == "Conv")
    kernel = next(t for t in model.graph.initializer if t.name == first)
    stronger = onnx.numpy_helper.to_array(kernel) * np.float32(1.2)
    kernel.CopyFrom(onnx.numpy_helper.from_array(stronger, kernel.name))
    path.write_bytes(model.SerializeToString())
    assert max(_differences(folder).values()) > 1.0


def test_a_failed_export_leaves_the_folder_as_it_was(
    tmp_path: Path, small_recipe: Callable[..., Recipe], exported: Callable[[str], Exported]
) -> None:
    """Without pictures to calibrate int8 on nothing is written, though float32 is ready; nothing half-made stays."""
    folder = tmp_path / "engines" / "lighting"
    shutil.copytree(exported("lighting").folder, folder)
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    other = _learner(_recipe(small_recipe, *PUBLISHED["mobile-sh"]))
    with pytest.raises(DataError, match="calibrate int8"):
        _write(other, folder, files=Files(("fp32", "int8")))
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before
    assert [path.name for path in folder.parent.iterdir()] == ["lighting"]


def test_an_answer_that_differs_is_refused(tmp_path: Path, small_recipe: Callable[..., Recipe]) -> None:
    """A network that answers otherwise each time it is asked cannot be proved: no folder, and the error says what."""
    learner = _learner(small_recipe("lighting"))
    net: Any = learner.net
    net.answer = torch.nn.Sequential(net.answer, _Restless())
    with pytest.raises(EngineError, match="differs from torch"):
        _write(learner, tmp_path / "lighting")
    assert list(tmp_path.iterdir()) == []


class _Restless(torch.nn.Module):
    """Adds another number with every call; what was exported is one of them."""

    calls = 0

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        self.calls += 1
        return x + 0.01 * self.calls


@pytest.mark.parametrize("batch", ["dynamic", 1])
def test_the_file_says_what_it_is(batch: Any, tmp_path: Path, exported: Callable[[str], Exported]) -> None:
    """Name, version, task, precision, licence, commit and recipe stand in the ONNX itself; its batch is as asked."""
    folder = exported("lighting").folder if batch == "dynamic" else tmp_path
    if batch != "dynamic":
        _write(exported("lighting").learner, folder, files=Files(batch=batch))
    model = onnx.load(folder / "model.onnx")
    assert {p.key: p.value for p in model.metadata_props} == {
        "name": "lighting",
        "version": read_manifest(folder).version,
        "task": "lighting",
        "precision": "fp32",
        "licence": "Apache-2.0",
        "commit": "abc1234",
        "source": "training/recipes/lighting_edge.yaml",
    }
    first = model.graph.input[0].type.tensor_type.shape.dim[0]
    assert (first.dim_param, first.dim_value) == (("batch", 0) if batch == "dynamic" else ("", 1))
    assert not any(node.doc_string or node.metadata_props for node in model.graph.node)


def test_the_card_says_how_it_was_trained() -> None:
    """Every run with its own length and data; what no checkpoint recorded is said to be missing."""
    first = {"steps": 100, "minutes": 25.0}
    second = {"steps": 150, "minutes": 45.0, "commit": "abc1234", "dirty": True, "rooms": 7, "environments": 3}
    origin = origin_of([first, second], counts={"rooms": 99})
    assert origin.commit == "abc1234-dirty"
    assert "100 steps in 25 minutes" in origin.lines[0]
    assert "not recorded" in origin.lines[0]
    assert "50 steps in 20 minutes; from run 1; 7 rooms to learn from, 3 HDRIs to learn from" in origin.lines[1]
    assert not any("99" in line for line in origin.lines)
    said = origin_of([first], counts={"rooms": 99}, said_commit="def5678")
    assert said.commit == "def5678"
    assert any("99 rooms" in line for line in said.lines)
    assert any("that of the exporter" in line for line in origin_of([first], counts={}).lines)


def test_metrics_files_are_checked(tmp_path: Path) -> None:
    """What evaluate did not write is refused."""
    path = tmp_path / "metrics.json"
    with pytest.raises(DataError, match="evaluate"):
        read_metrics(path)
    path.write_text(json.dumps({"metrics": [{"value": 1}]}))
    with pytest.raises(DataError, match="evaluate"):
        read_metrics(path)
    assert read_metrics(None) == ()
