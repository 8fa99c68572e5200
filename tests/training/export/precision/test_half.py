"""float16 files: what is rounded, what stays float32, and that both are so on hardware that really rounds."""

from __future__ import annotations

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper, numpy_helper

from training.arrays import Floats
from training.export.graph import head_nodes, largest_values
from training.export.precision.half import islands, to_half


def _model(nodes: list[onnx.NodeProto], weights: dict[str, Floats], outputs: tuple[str, ...]) -> onnx.ModelProto:
    """Input `image` (N, 3, 8, 8); outputs of any shape."""
    graph = helper.make_graph(
        nodes,
        "g",
        [helper.make_tensor_value_info("image", TensorProto.FLOAT, ["batch", 3, 8, 8])],
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in outputs],
        [numpy_helper.from_array(value, name) for name, value in weights.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
    return onnx.shape_inference.infer_shapes(model)


def _conv(i: int, given: str, made: str) -> onnx.NodeProto:
    return helper.make_node("Conv", [given, f"w{i}"], [made], name=f"Conv_{i}", pads=[1, 1, 1, 1])


def _kernels(count: int, scale: float = 0.2) -> dict[str, Floats]:
    rng = np.random.default_rng(0)
    return {f"w{i}": rng.normal(0, scale, (3, 3, 3, 3)).astype(np.float32) for i in range(count)}


def _run(model: onnx.ModelProto, x: Floats) -> list[Floats]:
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    return [np.asarray(value) for value in session.run(None, {"image": x})]


def _types(model: onnx.ModelProto) -> dict[str, int]:
    inferred = onnx.shape_inference.infer_shapes(model, check_type=True, strict_mode=True).graph
    return {v.name: v.type.tensor_type.elem_type for v in [*inferred.value_info, *inferred.input, *inferred.output]}


@pytest.fixture
def image() -> Floats:
    """Two pictures of noise."""
    return np.random.default_rng(1).random((2, 3, 8, 8), np.float32)


def _plain() -> onnx.ModelProto:
    relu = helper.make_node("Relu", ["a"], ["b"], name="Relu_1")
    return _model([_conv(0, "image", "a"), relu, _conv(1, "b", "c"), _conv(2, "c", "y")], _kernels(3), ("y",))


def test_half_takes_and_gives_float32(image: Floats) -> None:
    """Inputs and outputs are float32; weights and activations are half but for the last layer; answers stay near."""
    model = _plain()
    kept = islands(model, image)
    assert kept == {"Conv_2"} == head_nodes(model)
    half = to_half(model, kept)
    types = _types(half)
    assert (types["image"], types["y"]) == (TensorProto.FLOAT, TensorProto.FLOAT)
    assert (types["a"], types["b"], types["c"]) == (TensorProto.FLOAT16,) * 3
    weights = {t.name: t.data_type for t in half.graph.initializer}
    assert sorted(weights.values()) == [TensorProto.FLOAT, TensorProto.FLOAT16, TensorProto.FLOAT16]
    (exact,), (found,) = _run(model, image), _run(half, image)
    assert 0 < np.abs(exact - found).max() < 2e-3 * np.ptp(exact)


def test_everything_kept_changes_nothing(image: Floats) -> None:
    """With every node in float32 the file answers to the last bit as before, without a cast."""
    model = _plain()
    same = to_half(model, {node.name for node in model.graph.node})
    assert [node.op_type for node in same.graph.node] == [node.op_type for node in model.graph.node]
    np.testing.assert_array_equal(_run(model, image)[0], _run(same, image)[0])


def test_emulation_rounds_as_numpy_does(image: Floats) -> None:
    """The emulating float32 graph gives exactly what numpy's float16 gives where each step is rounded once."""
    twice = helper.make_node("Mul", ["image", "k"], ["a"], name="Mul_0")
    plus = helper.make_node("Add", ["a", "s"], ["b"], name="Add_1")
    out = helper.make_node("Identity", ["b"], ["y"], name="Identity_2")
    model = _model([twice, plus, out], {"k": np.float32([0.1]), "s": np.float32([1000.0])}, ("y",))
    emulated = to_half(model, set(), emulate=True)
    assert TensorProto.FLOAT16 not in {t.data_type for t in emulated.graph.initializer}
    half = np.float16
    product = (image.astype(half).astype(np.float32) * np.float32(half(0.1))).astype(half)
    expected = (product.astype(np.float32) + np.float32(1000.0)).astype(half)
    np.testing.assert_array_equal(_run(emulated, image)[0], expected.astype(np.float32))


def test_neighbours_that_are_kept_pass_float32_on(image: Floats) -> None:
    """Between two kept nodes nothing is rounded, and a weight that both sides read is rounded for one of them only."""
    model = _plain()
    for node in model.graph.node:
        if node.name == "Conv_2":
            node.input[1] = "w0"
    half = to_half(model, {"Conv_0", "Relu_1"})
    types = _types(half)
    assert (types["a"], types["b"], types["c"]) == (TensorProto.FLOAT, TensorProto.FLOAT, TensorProto.FLOAT16)
    assert sum(node.op_type == "Cast" for node in half.graph.node) == 2  # into Conv_1, and out of the last
    named = {t.name: numpy_helper.to_array(t) for t in half.graph.initializer}
    first = next(node for node in half.graph.node if node.name == "Conv_0")
    last = next(node for node in half.graph.node if node.name == "Conv_2")
    assert named[first.input[1]].dtype == np.float32
    assert named[last.input[1]].dtype == np.float16


def test_values_beyond_half_stay_float32(image: Floats) -> None:
    """What would be infinite in float16 is found by running: the answer stays finite and right, also where rounded."""
    big = helper.make_node("Mul", ["a", "big"], ["b"], name="Mul_1")
    small = helper.make_node("Div", ["b", "big"], ["c"], name="Div_2")
    weights = {**_kernels(2, 0.5), "big": np.float32([6e4])}
    model = _model([_conv(0, "image", "a"), big, small, _conv(1, "c", "y")], weights, ("y",))
    assert largest_values(model, image)["b"] > 7e4
    kept = islands(model, image)
    assert {"Mul_1", "Div_2"} <= kept
    assert "Conv_0" not in kept
    (exact,), (found,) = _run(model, image), _run(to_half(model, kept, emulate=True), image)
    assert np.abs(exact - found).max() < 2e-3 * np.ptp(exact)
    assert not np.isfinite(_run(to_half(model, {"Conv_1"}, emulate=True), image)[0]).all()


@pytest.mark.parametrize("scale", [1e-7, 1e6])
def test_weights_that_half_cannot_hold_stay_float32(scale: float, image: Floats) -> None:
    """Weights that would vanish or overflow are found, and their layer is kept; weights of ordinary size are not."""
    weights = _kernels(3)
    weights["w1"] *= np.float32(scale)
    model = _model([_conv(0, "image", "a"), _conv(1, "a", "b"), _conv(2, "b", "y")], weights, ("y",))
    kept = islands(model, image)
    assert "Conv_1" in kept
    assert "Conv_0" not in kept


def test_an_exponential_is_kept_until_it_is_weighted(image: Floats) -> None:
    """Exp may be large on a picture nobody measured: it and what it reaches, up to the next weighted layer, stay."""
    exp = helper.make_node("Exp", ["a"], ["e"], name="Exp_1")
    add = helper.make_node("Add", ["e", "a"], ["s"], name="Add_2")
    tail = [_conv(1, "s", "b"), _conv(2, "b", "c"), _conv(3, "c", "y")]
    model = _model([_conv(0, "image", "a"), exp, add, *tail], _kernels(4), ("y",))
    assert islands(model, image) == {"Exp_1", "Add_2", "Conv_1", "Conv_3"}
