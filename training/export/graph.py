"""Reading ONNX graphs: names, producers, where a network's head begins, and the size of what flows through it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
import onnx
import onnxruntime
from google.protobuf.message import DecodeError

from edge.errors import DataError

WEIGHTED = ("Conv", "ConvTranspose", "Gemm", "MatMul", "LSTM", "GRU", "RNN")
"""Operators with weights of their own, or that sum over many terms as those do."""

MOVES = ("Expand", "Slice", "Reshape", "Transpose", "Identity", "Unsqueeze", "Squeeze", "Flatten")
"""Operators whose values are those of their first input."""


def read_graph(path: Path) -> onnx.ModelProto:
    """The model, every node with a name of its own.

    Raises:
        DataError: the file is no ONNX.
    """
    try:
        model = onnx.load(path)
    except (OSError, DecodeError) as e:
        raise DataError(f"{path}: no ONNX ({e}); export the model again") from e
    if len({node.name for node in model.graph.node} - {""}) < len(model.graph.node):
        name_nodes(model)
    return model


def name_nodes(model: onnx.ModelProto) -> None:
    """Name every node by its operator and place, e.g. `Conv_12`."""
    for i, node in enumerate(model.graph.node):
        node.name = f"{node.op_type}_{i}"


def weights_of(model: onnx.ModelProto) -> dict[str, npt.NDArray[np.float32]]:
    """The float32 initializers, by name."""
    return {
        tensor.name: onnx.numpy_helper.to_array(tensor)
        for tensor in model.graph.initializer
        if tensor.data_type == onnx.TensorProto.FLOAT
    }


def producers(model: onnx.ModelProto) -> dict[str, onnx.NodeProto]:
    """The node that computes each tensor, by the tensor's name."""
    return {output: node for node in model.graph.node for output in node.output if output}


def head_nodes(model: onnx.ModelProto) -> set[str]:
    """Names of the nodes from the last weighted layer before each output, itself included, to the output."""
    made_by, found = producers(model), set[str]()
    waiting = [output.name for output in model.graph.output]
    while waiting:
        node = made_by.get(waiting.pop())
        if node is None or node.name in found:
            continue
        found.add(node.name)
        if node.op_type not in WEIGHTED:
            waiting += node.input
    return found


def nodes_after(model: onnx.ModelProto, op_types: Sequence[str]) -> set[str]:
    """Names of the nodes that such operators' values reach, up to the next weighted layer, itself included."""
    reached: set[str] = set()
    found: set[str] = set()
    for node in model.graph.node:  # ONNX keeps nodes in an order in which producers come first
        if node.op_type in op_types or any(name in reached for name in node.input):
            found.add(node.name)
            if node.op_type not in WEIGHTED:
                reached.update(node.output)
    return found


def consumers(model: onnx.ModelProto, tensors: Iterable[str]) -> set[str]:
    """Names of the nodes that read any of these tensors."""
    wanted = set(tensors)
    return {node.name for node in model.graph.node if wanted.intersection(node.input)}


def in_blocks(names: Sequence[str], most: int) -> list[tuple[str, ...]]:
    """The names, in order, in at most so many blocks of nearly the same length."""
    parts = np.array_split(np.arange(len(names)), min(most, len(names))) if names else []
    return [tuple(names[i] for i in part) for part in parts]


def largest_values(model: onnx.ModelProto, inputs: npt.NDArray[np.float32]) -> Mapping[str, float]:
    """Largest absolute value of every float32 tensor that is computed from inputs (N, C, H, W), one at a time."""
    typed = onnx.shape_inference.infer_shapes(model)
    outputs = {output.name for output in model.graph.output}
    floats = [v for v in typed.graph.value_info if v.type.tensor_type.elem_type == onnx.TensorProto.FLOAT]
    watched = onnx.ModelProto()
    watched.CopyFrom(model)
    watched.graph.output.extend(v for v in floats if v.name not in outputs)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(watched.SerializeToString(), options, providers=["CPUExecutionProvider"])
    names = [output.name for output in watched.graph.output]
    largest = dict.fromkeys(names, 0.0)
    given = session.get_inputs()[0].name
    for row in inputs:
        for name, value in zip(names, session.run(names, {given: row[None]}), strict=True):
            largest[name] = max(largest[name], float(np.abs(value).max(initial=0.0)))
    return largest
