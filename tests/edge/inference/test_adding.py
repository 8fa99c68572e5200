"""Other people's networks become engines: files of the published signatures, with random weights."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper
from typer.testing import CliRunner

from edge.__main__ import app
from edge.errors import EngineError, ManifestError
from edge.inference.adding import add, fitting
from edge.inference.manifest import InputSpec
from edge.inference.presets import PRESETS
from edge.inference.serving import load
from edge.inference.store import ModelStore

Shape = Sequence[int | str]


def noise(spec: InputSpec) -> np.ndarray:
    """A picture as the network takes it."""
    return np.random.default_rng(0).uniform(0, 1, spec.shape).astype(np.float32)


def network(
    path: Path,
    outputs: dict[str, Shape],
    *,
    takes: Shape = (1, 3, "height", "width"),
    through: Sequence[str] = ("Relu",),
    normalises: bool = False,
) -> Path:
    """A file whose outputs have these shapes: a random mixture of the channels, through these operators, resampled."""
    draw = np.random.default_rng(1)
    nodes: list[onnx.NodeProto] = []
    values: list[onnx.TensorProto] = []
    picture = "x"
    if normalises:
        values.append(numpy_helper.from_array(np.full((1, 3, 1, 1), 0.45, np.float32), "mean"))
        nodes.append(helper.make_node("Sub", ["x", "mean"], ["normalised"]))
        picture = "normalised"
    values.append(numpy_helper.from_array(draw.uniform(0.1, 1, (1, 3, 1, 1)).astype(np.float32), "mixture"))
    nodes.append(helper.make_node("Conv", [picture, "mixture"], ["mixed"]))
    last = "mixed"
    for i, operator in enumerate(through):
        nodes.append(
            helper.make_node(operator, [last], [f"through{i}"], **({"axis": 3} if operator == "Softmax" else {}))
        )
        last = f"through{i}"
    for name, shape in outputs.items():
        if any(isinstance(n, str) for n in shape):
            nodes.append(helper.make_node("Squeeze", [last, f"{name}_axes"], [name]))
            values.append(numpy_helper.from_array(np.array([1]), f"{name}_axes"))
            continue
        numbers = [int(n) for n in shape]
        values.append(numpy_helper.from_array(np.array([1, 1, 1, int(np.prod(numbers))]), f"{name}_size"))
        values.append(numpy_helper.from_array(np.array(numbers), f"{name}_shape"))
        nodes.append(helper.make_node("Resize", [last, "", "", f"{name}_size"], [f"{name}_row"], mode="nearest"))
        nodes.append(helper.make_node("Reshape", [f"{name}_row", f"{name}_shape"], [name]))
    info = [helper.make_tensor_value_info(name, TensorProto.FLOAT, list(shape)) for name, shape in outputs.items()]
    given = helper.make_tensor_value_info("x", TensorProto.FLOAT, list(takes))
    model = helper.make_model(
        helper.make_graph(nodes, "published", [given], info, values),
        opset_imports=[helper.make_opsetid("", 17)],
        ir_version=8,
    )
    onnx.save(model, path)
    return path


MAP: dict[str, Shape] = {"depth": (1, "height", "width")}
PUBLISHED: dict[str, Callable[[Path], Path]] = {
    "depth-anything-v2-small": lambda p: network(p, MAP, through=("Softmax", "Relu")),
    "depth-anything-v2-metric-indoor-small": lambda p: network(p, MAP, through=("Softmax", "Sigmoid")),
    "midas-v2.1-small": lambda p: network(p, {"d": (1, 256, 256)}, takes=(1, 3, 256, 256)),
    "midas-dpt": lambda p: network(p, {"d": (1, 384, 384)}, takes=(1, 3, 384, 384), through=("Softmax", "Relu")),
    "fastdepth": lambda p: network(p, {"d": (1, 1, 224, 224)}, takes=(1, 3, 224, 224)),
    "horizonnet": lambda p: network(p, {"bon": (1, 2, 1024), "cor": (1, 1, 1024)}, takes=(1, 3, 512, 1024)),
    "lgt-net": lambda p: network(p, {"depth": (1, 256), "ratio": (1, 1)}, takes=(1, 3, 512, 1024)),
    "spherical-harmonic-inference": lambda p: network(p, {"466": (1, 27)}, takes=(1, 3, 128, 256)),
}


@pytest.mark.parametrize("name", PUBLISHED)
def test_a_file_of_the_published_signature_serves(name: str, tmp_path: Path) -> None:
    """It is recognised, recorded with its publisher's licence, verified by the store, and proved when it is loaded."""
    preset = PRESETS[name]
    path = PUBLISHED[name](tmp_path / "file.onnx")
    assert name in fitting(path)
    manifest = add(path, tmp_path / "theirs", preset, noise)
    assert (manifest.task, manifest.output.kind) == (preset.task, preset.answer)
    assert manifest.input.mean == pytest.approx(preset.normalisation[0])
    assert manifest.provenance.licence == preset.licence
    with load(ModelStore(tmp_path).find("theirs")) as served:
        assert served.golden is not None
        assert served.golden.passed
    card = (tmp_path / "theirs" / "card.md").read_text(encoding="utf-8")
    assert preset.licence in card
    assert ("Not for commercial use" in card) == preset.non_commercial


def test_small_and_base_are_told_apart_by_their_size(tmp_path: Path) -> None:
    """The larger one's licence forbids commercial use, so neither passes for the other."""
    small = PUBLISHED["depth-anything-v2-small"](tmp_path / "small.onnx")
    with pytest.raises(ManifestError, match="Small"):
        add(small, tmp_path / "a", PRESETS["depth-anything-v2-base"], noise)
    preset = dataclasses.replace(PRESETS["depth-anything-v2-small"], most_bytes=100)
    with pytest.raises(ManifestError, match="non-commercial"):
        add(small, tmp_path / "a", preset, noise)
    assert PRESETS["depth-anything-v2-base"].non_commercial
    assert not PRESETS["depth-anything-v2-small"].non_commercial


@pytest.mark.parametrize(
    ("said", "really", "reason"),
    [
        ("depth-anything-v2-small", "depth-anything-v2-metric-indoor-small", "metric-indoor-small"),
        ("depth-anything-v2-metric-indoor-small", "depth-anything-v2-small", "relative"),
        ("midas-v2.1-small", "midas-dpt", "midas-dpt"),
        ("midas-dpt", "midas-v2.1-small", "attention"),
        ("horizonnet", "lgt-net", r"boundaries \(1, 2, 1024\)"),
        ("lgt-net", "horizonnet", r"distances \(1, 256\)"),
        ("spherical-harmonic-inference", "fastdepth", "224x224"),
        ("fastdepth", "horizonnet", "picture's size"),
    ],
)
def test_another_network_is_refused_with_the_reason(said: str, really: str, reason: str, tmp_path: Path) -> None:
    """And nothing is left behind."""
    path = PUBLISHED[really](tmp_path / "file.onnx")
    assert said not in fitting(path)
    with pytest.raises(ManifestError, match=reason):
        add(path, tmp_path / "theirs", PRESETS[said], noise)
    assert [p.name for p in tmp_path.iterdir()] == ["file.onnx"]


def test_a_network_that_normalises_for_itself_gets_plain_pictures(tmp_path: Path) -> None:
    """MiDaS publishes such ONNX; exports by its users do not. The file says which it is."""
    path = network(tmp_path / "file.onnx", {"d": (1, 256, 256)}, takes=(1, 3, 256, 256), normalises=True)
    manifest = add(path, tmp_path / "theirs", PRESETS["midas-v2.1-small"], noise)
    assert (manifest.input.mean, manifest.input.std) == ((0, 0, 0), (1, 1, 1))


@pytest.mark.parametrize(("size", "fits"), [((280, 224), True), ((300, 224), False)])
def test_an_open_size_is_chosen(size: tuple[int, int], fits: bool, tmp_path: Path) -> None:
    """In multiples of what the network's patches are."""
    path = PUBLISHED["depth-anything-v2-small"](tmp_path / "file.onnx")
    if not fits:
        with pytest.raises(ManifestError, match="multiples of 14"):
            add(path, tmp_path / "theirs", PRESETS["depth-anything-v2-small"], noise, size_wh=size)
        return
    manifest = add(path, tmp_path / "theirs", PRESETS["depth-anything-v2-small"], noise, size_wh=size)
    assert (manifest.input.width_px, manifest.input.height_px) == size


def test_an_export_without_weights_is_refused(tmp_path: Path) -> None:
    """An answer that is the same everywhere says that nothing was learnt."""
    path = network(
        tmp_path / "file.onnx", {"d": (1, 1, 224, 224)}, takes=(1, 3, 224, 224), through=("Relu", "Neg", "Relu")
    )
    with pytest.raises(EngineError, match="without its weights"):
        add(path, tmp_path / "theirs", PRESETS["fastdepth"], noise)
    assert not (tmp_path / "theirs").exists()


def test_the_command_shows_the_licence(tmp_path: Path) -> None:
    """With which network it is; without being told, it names those that fit."""
    path = PUBLISHED["spherical-harmonic-inference"](tmp_path / "file.onnx")
    engines = tmp_path / "engines"
    engines.mkdir()
    run, common = CliRunner(), ["engines", "add", "theirs", str(path), "--engines", str(engines)]
    asked = run.invoke(app, common)
    assert asked.exit_code == 1
    assert "spherical-harmonic-inference" in asked.output
    done = run.invoke(app, [*common, "--preset", "spherical-harmonic-inference"])
    assert done.exit_code == 0, done.output
    assert "NOT for commercial use" in done.output
    assert "tasks.lighting.engine to theirs" in done.output
    again = run.invoke(app, [*common, "--preset", "spherical-harmonic-inference"])
    assert again.exit_code == 1
    assert "there already" in again.output
    listed = json.loads(run.invoke(app, ["engines", "presets", "--json"]).output)
    assert {row["preset"] for row in listed} == set(PRESETS)
    assert all(row["source"].startswith("https://") for row in listed)
