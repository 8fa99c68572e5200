"""int8 files are what TensorRT takes: symmetric, by channel, biases in float32, ranges of real pictures."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from onnx import TensorProto, helper, numpy_helper
from torch import nn

from edge.errors import DataError
from training.arrays import Floats
from training.export.graph import head_nodes, read_graph
from training.export.onnx import write_onnx
from training.export.precision.quantize import (
    CALIBRATIONS,
    Calibrated,
    Calibration,
    calibrate,
    prepared,
    quantisable,
    quantized,
)


class _Residual(nn.Module):
    """Convolutions with a residual addition, an addition of a constant, and a head."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Sequential(nn.Conv2d(3, 8, 3, padding=1), nn.ReLU6())
        self.branch = nn.Sequential(nn.Conv2d(8, 8, 3, padding=1, groups=8), nn.ReLU6(), nn.Conv2d(8, 8, 1))
        self.head = nn.Conv2d(8, 1, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.first(x)
        return self.head(nn.functional.relu(x + self.branch(x)) + 0.5)


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The network above as ONNX, with the weights of one seed."""
    torch.manual_seed(0)
    path = tmp_path_factory.mktemp("onnx") / "model.onnx"
    write_onnx(_Residual(), path, (1, 3, 16, 16), "image", ("answer",))
    return path


@pytest.fixture(scope="module")
def pictures() -> Floats:
    """Eight smooth pictures."""
    coarse = torch.rand(8, 3, 4, 4, generator=torch.Generator().manual_seed(0))
    return nn.functional.interpolate(coarse, size=(16, 16), mode="bilinear").numpy()


@pytest.fixture(scope="module")
def calibrated(file: Path, pictures: Floats) -> Calibrated:
    """Ranges by largest value."""
    return calibrate(prepared(read_graph(file)), pictures, "minmax")


def _run(model: onnx.ModelProto, x: Floats) -> Floats:
    """As the graph says it; what ONNX Runtime makes of it may saturate on processors without integer dot products."""
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    session = onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    return np.asarray(session.run(None, {"image": x})[0])


def test_convolutions_and_residuals_may_be_quantised(file: Path) -> None:
    """Three convolutions and the residual addition; not the head, nor an addition of a constant."""
    model = prepared(read_graph(file))
    names = quantisable(model, "int8")
    assert [name.split("_")[0] for name in names] == ["Conv", "Conv", "Conv", "Add"]
    assert not head_nodes(model) & set(names)


def test_it_is_symmetric_and_by_channel(calibrated: Calibrated) -> None:
    """Every zero point is an int8 0; weights have a scale for each channel; biases and the head stay float32."""
    model = quantized(calibrated)
    onnx.checker.check_model(model, full_check=True)
    values = {t.name: numpy_helper.to_array(t) for t in model.graph.initializer}
    kinds = [node for node in model.graph.node if node.op_type in ("QuantizeLinear", "DequantizeLinear")]
    assert kinds
    for node in kinds:
        assert values[node.input[2]].dtype == np.int8
        assert not values[node.input[2]].any()
    convolutions = [node for node in model.graph.node if node.op_type == "Conv"]
    made_by = {output: node for node in model.graph.node for output in node.output}
    for node in convolutions[:-1]:
        assert made_by[node.input[0]].op_type == "DequantizeLinear"
        weight = made_by[node.input[1]]
        assert values[weight.input[0]].dtype == np.int8
        assert values[weight.input[1]].shape == values[weight.input[0]].shape[:1]
        assert values[node.input[2]].dtype == np.float32
    assert values[convolutions[-1].input[1]].dtype == np.float32
    assert TensorProto.INT32 not in {t.data_type for t in model.graph.initializer}


def test_both_inputs_of_a_residual_are_quantised(calibrated: Calibrated) -> None:
    """As TensorRT wants it to add in integers."""
    model = quantized(calibrated)
    made_by = {output: node for node in model.graph.node for output in node.output}
    added = [node for node in model.graph.node if node.op_type == "Add" and all(i in made_by for i in node.input)]
    assert len(added) == 1
    assert [made_by[name].op_type for name in added[0].input] == ["DequantizeLinear"] * 2


def test_nothing_is_rounded_between_a_convolution_and_its_activation(calibrated: Calibrated) -> None:
    """What an operator reads is quantised, what it gives is not: TensorRT fuses the two, and no step is wasted."""
    model = quantized(calibrated)
    made_by = {output: node for node in model.graph.node for output in node.output}
    activations = [node for node in model.graph.node if node.op_type in ("Clip", "Relu")]
    assert len(activations) == 3
    assert {made_by[node.input[0]].op_type for node in activations} == {"Conv", "Add"}


def test_the_form_for_cpus_leaves_nothing_in_float_between_convolutions(file: Path, pictures: Floats) -> None:
    """Activations are 0..255 with zero points, biases 32-bit, and answers are near."""
    exact = read_graph(file)
    model = quantized(calibrate(prepared(exact), pictures, "minmax", "int8-cpu"))
    onnx.checker.check_model(model, full_check=True)
    values = {t.name: numpy_helper.to_array(t) for t in model.graph.initializer}
    made_by = {output: node for node in model.graph.node for output in node.output}
    head = head_nodes(model)
    body = [node for node in model.graph.node if node.op_type == "Conv" and node.name not in head]
    assert len(body) == 3
    assert "Clip" not in {node.op_type for node in model.graph.node}  # a tensor's own range cuts off what it would
    for node in body:
        source = made_by[node.input[0]]
        assert source.op_type == "DequantizeLinear"
        assert values[source.input[2]].dtype == np.uint8
    assert {t.data_type for t in model.graph.initializer} >= {TensorProto.INT32, TensorProto.INT8}
    off = np.abs(_run(model, pictures) - _run(exact, pictures))
    assert off.max() < 0.05 * np.ptp(_run(exact, pictures))


def test_what_may_be_of_any_size_is_not_quantised() -> None:
    """An addition behind an exponential has no range that pictures could measure."""
    weight = numpy_helper.from_array(np.full((3, 3, 1, 1), 0.1, np.float32), "w")
    nodes = [
        helper.make_node("Conv", ["image", "w"], ["a"], name="Conv_0"),
        helper.make_node("Conv", ["a", "w"], ["b"], name="Conv_1"),
        helper.make_node("Exp", ["b"], ["e"], name="Exp_2"),
        helper.make_node("Add", ["e", "a"], ["s"], name="Add_3"),
        helper.make_node("Conv", ["s", "w"], ["c"], name="Conv_4"),
        helper.make_node("Conv", ["c", "w"], ["y"], name="Conv_5"),
    ]
    values = [helper.make_tensor_value_info(name, TensorProto.FLOAT, ["n", 3, 4, 4]) for name in ("image", "y")]
    graph = helper.make_graph(nodes, "g", values[:1], values[1:], [weight])
    assert quantisable(helper.make_model(graph), "int8") == ("Conv_0", "Conv_1")


@pytest.mark.parametrize("how", CALIBRATIONS)
def test_answers_stay_near(how: Calibration, file: Path, pictures: Floats) -> None:
    """Within a few steps of 1/127 of the range of what it answers, on pictures and batches of any number."""
    model = read_graph(file)
    small = quantized(calibrate(prepared(model), pictures, how))
    exact, found = _run(model, pictures), _run(small, pictures)
    assert 0 < np.abs(exact - found).mean() < 3 / 127 * np.ptp(exact)
    np.testing.assert_allclose(_run(small, pictures[2:3]), found[2:3], atol=1e-5)


def test_kept_nodes_stay_exact(calibrated: Calibrated, file: Path, pictures: Floats) -> None:
    """With everything kept the network answers as before; with one layer kept, only that one has float32 weights."""
    exact = _run(read_graph(file), pictures)
    np.testing.assert_allclose(_run(quantized(calibrated, calibrated.nodes), pictures), exact, atol=1e-5)
    first = calibrated.nodes[0]
    model = quantized(calibrated, {first})
    values = {t.name: numpy_helper.to_array(t) for t in model.graph.initializer}
    assert values[next(node for node in model.graph.node if node.op_type == "Conv").input[1]].dtype == np.float32
    assert len(model.graph.node) < len(quantized(calibrated).graph.node)


def test_ranges_are_measured_never_made_up(file: Path, pictures: Floats) -> None:
    """Without real pictures there is no int8; the message says where to get them."""
    with pytest.raises(DataError, match=r"--rooms or --source .* never made up"):
        calibrate(prepared(read_graph(file)), pictures[:1], "minmax")
    with pytest.raises(DataError, match="no ONNX"):
        read_graph(file.parent / "missing.onnx")
