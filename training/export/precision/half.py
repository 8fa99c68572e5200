"""The same network in float16, with islands of float32 where half would lose what matters.

Inputs and outputs stay float32. ONNX Runtime's own converter (transformers.float16) is not used: between two
neighbouring nodes that it is told to keep, values still pass through float16 and back, and a constant shared by a kept
and a converted node is rounded for both.
"""

from __future__ import annotations

from collections.abc import Collection

import numpy as np
import numpy.typing as npt
import onnx
from onnx import TensorProto, helper, numpy_helper

from training.export.graph import (
    MOVES,
    consumers,
    head_nodes,
    largest_values,
    nodes_after,
    producers,
    weights_of,
)

KEPT_OPERATORS = frozenset(
    {
        *("LSTM", "GRU", "RNN"),  # a state that is fed back gathers its errors
        *("LayerNormalization", "InstanceNormalization", "GroupNormalization", "BatchNormalization"),  # differences
        *("Softmax", "LogSoftmax", "Softplus", "Exp", "Log", "Pow", "Sqrt", "Reciprocal"),  # steep
        *(
            "ReduceSum",
            "ReduceMean",
            "ReduceL2",
            "GlobalAveragePool",
            "AveragePool",
            "MatMul",
            "Gemm",
            "CumSum",
        ),  # sums
        *("Constant", "ConstantOfShape", "Cast", "CastLike", "Range", "If", "Loop", "Scan"),  # have types of their own
        *("QuantizeLinear", "DequantizeLinear", "NonMaxSuppression", "TopK", "RoiAlign"),
    }
)
"""Operators that stay float32: cheap beside convolutions, and half's 11 bits are felt in them."""
UNBOUNDED = ("Exp", "Pow", "Reciprocal")
"""What may be large on a picture that nobody measured: float32 from there to the next weighted layer."""
LARGEST_HALF = float(np.finfo(np.float16).max)
_HEADROOM = 8.0
"""A picture not measured may give values so many times as large."""
_LARGEST_ROUNDING = 2.0**-9
"""Of an output channel's weights: four times what float16 does to normal numbers, so only underflow is more."""
_FLOAT_INPUTS = {"Resize": (1, 2), "Upsample": (1,)}
"""Inputs that ONNX defines as float32 whatever the picture is."""


def _unfit_weights(model: onnx.ModelProto) -> set[str]:
    """Names of weights that overflow float16, or of which a channel loses more than rounding by underflow."""
    found = set()
    for name, weight in weights_of(model).items():
        flat = weight.reshape(len(weight), -1).astype(np.float64) if weight.ndim else weight.reshape(1, 1)
        with np.errstate(over="ignore"):
            lost = np.linalg.norm(flat - flat.astype(np.float16), axis=1)
        if (np.abs(flat) > LARGEST_HALF).any() or (lost > _LARGEST_ROUNDING * np.linalg.norm(flat, axis=1)).any():
            found.add(name)
    return found


def islands(model: onnx.ModelProto, inputs: npt.NDArray[np.float32]) -> set[str]:
    """Names of the nodes that stay float32, as far as the graph and inputs (N, C, H, W) say so.

    They are: operators of `KEPT_OPERATORS`, the last layers of every output, what follows an unbounded operator, what
    writes or reads values beyond half's range, and what has weights that half cannot hold.
    """
    wide = {name for name, value in largest_values(model, inputs).items() if value * _HEADROOM > LARGEST_HALF}
    kept = {node.name for node in model.graph.node if node.op_type in KEPT_OPERATORS or wide.intersection(node.output)}
    kept |= head_nodes(model) | nodes_after(model, UNBOUNDED) | consumers(model, wide | _unfit_weights(model))
    return kept | _moves_between(model, kept)


def _moves_between(model: onnx.ModelProto, kept: Collection[str]) -> set[str]:
    """Names of the nodes that only move what kept nodes computed: casting it to half and back would gain nothing.

    (And ONNX Runtime 1.31.1 crashes on it: its CPU layout pass, in a network with an LSTM between two such casts.)
    """
    made_by, found = producers(model), set[str]()
    for node in model.graph.node:
        makers = [made_by[name] for name in node.input if name in made_by]
        if node.op_type in (*MOVES, "Concat") and makers and all(m.name in found or m.name in kept for m in makers):
            found.add(node.name)
    return found


class _Converter:
    """Rewrites one graph; each tensor is cast once in each direction."""

    def __init__(self, model: onnx.ModelProto, keep: Collection[str], *, emulate: bool) -> None:
        """`emulate`: stay float32, but round every value that would be half."""
        typed = onnx.shape_inference.infer_shapes(model)
        values = [*typed.graph.value_info, *typed.graph.input, *typed.graph.output]
        self.floats = {v.name for v in values if v.type.tensor_type.elem_type == TensorProto.FLOAT}
        self.weights = weights_of(model)
        self.keep, self.emulate = keep, emulate
        self.outputs = {output.name for output in model.graph.output}
        self.half: set[str] = set()
        self.nodes: list[onnx.NodeProto] = []
        self.constants: dict[str, npt.NDArray[np.float16] | npt.NDArray[np.float32]] = {}
        self._made: set[str] = set()

    def _cast(self, given: str, made: str, to: int) -> None:
        self.nodes.append(helper.make_node("Cast", [given], [made], name=f"Cast_{made}", to=to))

    def _round(self, given: str, made: str) -> None:
        """`made` = `given` in float16, or, emulated, rounded to it."""
        if not self.emulate:
            self._cast(given, made, TensorProto.FLOAT16)
            return
        self._cast(given, f"{made}/16", TensorProto.FLOAT16)
        self._cast(f"{made}/16", made, TensorProto.FLOAT)

    def _as_half(self, name: str) -> str:
        if name in self.half:
            return name
        made = f"{name}/half"
        if name in self.weights:
            half = self.weights[name].astype(np.float16)
            self.constants[made] = half.astype(np.float32) if self.emulate else half
        elif made not in self._made:
            self._round(name, made)
        self._made.add(made)
        return made

    def _as_float(self, name: str) -> str:
        if self.emulate or name not in self.half:
            return name
        made = f"{name}/float"
        if made not in self._made:
            self._cast(name, made, TensorProto.FLOAT)
            self._made.add(made)
        return made

    def add(self, node: onnx.NodeProto) -> None:
        """Convert one node, whose producers have been added before."""
        kept = node.name in self.keep
        always = _FLOAT_INPUTS.get(node.op_type, ())
        for i, name in enumerate(node.input):
            if name in self.half or name in self.floats or name in self.weights:
                node.input[i] = self._as_float(name) if kept or i in always else self._as_half(name)
        self.nodes.append(node)
        if kept:
            return
        for i, name in enumerate(node.output):
            if name not in self.floats:
                continue
            if self.emulate or name in self.outputs:
                node.output[i] = f"{name}/raw"
            if self.emulate:
                self._round(node.output[i], name)
            elif name in self.outputs:
                self._cast(node.output[i], name, TensorProto.FLOAT)
                continue
            self.half.add(name)


def to_half(model: onnx.ModelProto, keep: Collection[str], *, emulate: bool = False) -> onnx.ModelProto:
    """The model in float16 but for the nodes named in `keep`.

    With `emulate`, a float32 model that rounds every value as the float16 one does: ONNX Runtime's CPU provider runs
    float16 convolutions in float32 and leaves the roundings between them out, GPUs do not.
    """
    out = onnx.ModelProto()
    out.CopyFrom(model)
    converter = _Converter(model, keep, emulate=emulate)
    for node in out.graph.node:
        copy = onnx.NodeProto()
        copy.CopyFrom(node)
        converter.add(copy)
    used = {name for node in converter.nodes for name in node.input}
    tensors = [t for t in out.graph.initializer if t.name in used]
    tensors += [numpy_helper.from_array(value, name) for name, value in converter.constants.items()]
    del out.graph.node[:], out.graph.initializer[:], out.graph.value_info[:]
    out.graph.node.extend(converter.nodes)
    out.graph.initializer.extend(tensors)
    onnx.checker.check_model(out, full_check=True)
    return out
