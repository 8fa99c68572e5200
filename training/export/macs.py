"""How much a network computes for one picture, counted from its ONNX file."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path

import onnx

from edge.errors import DataError

_RECURRENT = ("LSTM", "GRU", "RNN")


def _shapes(model: onnx.ModelProto) -> dict[str, tuple[int, ...]]:
    """Shape of every tensor whose shape is known."""
    graph = model.graph
    shapes = {t.name: tuple(t.dims) for t in graph.initializer}
    for value in [*graph.input, *graph.output, *graph.value_info]:
        dims = value.type.tensor_type.shape.dim
        if all(d.HasField("dim_value") for d in dims):
            shapes[value.name] = tuple(d.dim_value for d in dims)
    return shapes


def _of_node(node: onnx.NodeProto, shapes: Mapping[str, tuple[int, ...]]) -> int:
    if node.op_type in ("Conv", "ConvTranspose"):
        weight = shapes[node.input[1]]
        # A convolution sums over a kernel for each output; a transposed one spreads a kernel from each input.
        over = shapes[node.output[0] if node.op_type == "Conv" else node.input[0]]
        return math.prod(over) * math.prod(weight[1:])
    if node.op_type in ("MatMul", "Gemm"):
        first = shapes[node.input[0]]
        turned = any(a.name == "transA" and a.i for a in node.attribute)
        return math.prod(shapes[node.output[0]]) * first[0 if turned else -1]
    if node.op_type in _RECURRENT:
        steps, rows, _ = shapes[node.input[0]]
        return steps * rows * (math.prod(shapes[node.input[1]]) + math.prod(shapes[node.input[2]]))
    return 0


def multiply_adds(path: Path) -> int:
    """Multiply-adds of convolutions, matrix products and recurrent layers in one run; the rest is not counted.

    A dynamic batch is one picture.

    Raises:
        DataError: the shape of what such a node works on cannot be inferred.
    """
    model = onnx.load(path)
    weights = {t.name for t in model.graph.initializer}  # old files list them among the inputs
    for value in (v for v in model.graph.input if v.name not in weights):
        batch = value.type.tensor_type.shape.dim[0]
        if not batch.HasField("dim_value"):
            batch.ClearField("dim_param")
            batch.dim_value = 1
    del model.graph.value_info[:]  # a dynamic batch is written there too
    shapes = _shapes(onnx.shape_inference.infer_shapes(model, data_prop=True))
    total = 0
    for node in model.graph.node:
        try:
            counted = _of_node(node, shapes)
        except (KeyError, IndexError, ValueError) as e:
            raise DataError(
                f"{path}: the shapes at {node.op_type} {node.name!r} are not known ({e!r}); export it with a batch of 1"
            ) from e
        total += counted
    return total
