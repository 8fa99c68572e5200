"""Multiply-adds counted from ONNX files are those of the definitions."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from edge.errors import DataError
from training.export.macs import multiply_adds


def _write(path: Path, nodes: list[onnx.NodeProto], weights: dict[str, tuple[int, ...]], taken: list[object]) -> Path:
    """A model of one input `x` and one output `y` of unknown shape."""
    graph = helper.make_graph(
        nodes,
        "one",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, taken)],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, None)],
        [numpy_helper.from_array(np.zeros(shape, np.float32), name) for name, shape in weights.items()],
    )
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)]), path)
    return path


@pytest.mark.parametrize(
    ("node", "weight", "taken", "expected"),
    [
        (("Conv", {"pads": [1, 1, 1, 1]}), (8, 3, 3, 3), (1, 3, 10, 12), 10 * 12 * 8 * 3 * 9),
        (("Conv", {"strides": [2, 2], "group": 4}), (8, 1, 2, 2), (1, 4, 10, 12), 5 * 6 * 8 * 4),
        (("Conv", {}), (2, 5, 1, 1), ("batch", 5, 4, 4), 4 * 4 * 2 * 5),
        (("ConvTranspose", {"strides": [2, 2]}), (3, 8, 2, 2), (1, 3, 5, 6), 5 * 6 * 3 * 8 * 4),
        (("MatMul", {}), (7, 11), (1, 4, 7), 4 * 7 * 11),
        (("Gemm", {"transB": 1}), (11, 7), (1, 7), 7 * 11),
    ],
    ids=["conv", "grouped", "dynamic batch", "transposed", "matmul", "gemm"],
)
def test_each_sums_what_it_is_defined_to_sum(
    tmp_path: Path,
    node: tuple[str, dict[str, object]],
    weight: tuple[int, ...],
    taken: tuple[object, ...],
    expected: int,
) -> None:
    """Outputs times products summed in each; a dynamic batch is one picture; a ReLU is not counted."""
    nodes = [
        helper.make_node(node[0], ["x", "w"], ["z"], **node[1]),  # type: ignore[arg-type]
        helper.make_node("Relu", ["z"], ["y"]),
    ]
    assert multiply_adds(_write(tmp_path / "m.onnx", nodes, {"w": weight}, list(taken))) == expected


def test_a_recurrent_layer_multiplies_inputs_and_states_at_every_step(tmp_path: Path) -> None:
    """LSTM of 5 inputs and 6 states, both directions, 9 steps: four gates, each of (5 + 6) x 6."""
    node = helper.make_node("LSTM", ["x", "w", "r"], ["y"], hidden_size=6, direction="bidirectional")
    path = _write(tmp_path / "m.onnx", [node], {"w": (2, 24, 5), "r": (2, 24, 6)}, [9, 1, 5])
    assert multiply_adds(path) == 9 * 2 * 4 * (5 + 6) * 6


def test_unknown_shapes_are_said(tmp_path: Path) -> None:
    """A convolution of a picture of any size has no number."""
    node = helper.make_node("Conv", ["x", "w"], ["y"])
    path = _write(tmp_path / "m.onnx", [node], {"w": (8, 3, 1, 1)}, [1, 3, "height", "width"])
    with pytest.raises(DataError, match="Conv"):
        multiply_adds(path)
