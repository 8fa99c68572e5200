"""The same network in 8-bit integers, explicit (Q/DQ), weights by channel, in two forms.

`int8`, for TensorRT, which takes no other: symmetric, zero points of 0, biases left in float32, and residual additions
with both inputs quantised. What an operator reads is quantised, not what it gives: between a convolution and its
activation nothing is rounded, so that TensorRT fuses them, and no step is spent on what the activation cuts off.

`int8-cpu`, for ONNX Runtime on CPUs: activations 0..255 with a zero point, so that a step is not spent on a sign that
they do not have, biases in 32 bits, and everything between two convolutions quantised too, so that nothing goes back to
float32 on the way. What is large is measured on real pictures.
"""

from __future__ import annotations

import contextlib
import io
import logging
import tempfile
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np
import numpy.typing as npt
import onnx
from onnxruntime.quantization import (
    CalibrationDataReader,
    CalibrationMethod,
    QDQQuantizer,
    QuantType,
    create_calibrator,
)
from onnxruntime.quantization.shape_inference import quant_pre_process

from edge.errors import DataError
from training.export.graph import head_nodes, name_nodes, nodes_after, producers, weights_of
from training.export.precision.half import UNBOUNDED

Calibration = Literal["minmax", "percentile"]
Form = Literal["int8", "int8-cpu"]
FORMS: tuple[Form, ...] = get_args(Form)
_METHODS: Mapping[Calibration, tuple[CalibrationMethod, dict[str, Any]]] = {
    "minmax": (CalibrationMethod.MinMax, {}),
    "percentile": (CalibrationMethod.Percentile, {"percentile": 99.99}),
}
CALIBRATIONS: tuple[Calibration, ...] = ("minmax", "percentile")
LEAST_PICTURES = 2
_AT_ONCE = 4
"""Pictures whose intermediate values are in memory together."""
_SYMMETRIC_OPERATORS = ("Conv", "Add")
_OPERATORS: Mapping[Form, tuple[str, ...]] = {
    "int8": _SYMMETRIC_OPERATORS,
    "int8-cpu": (*_SYMMETRIC_OPERATORS, "Clip", "MatMul", "Gemm"),
}
_OPTIONS: Mapping[Form, dict[str, Any]] = {
    "int8": {
        "ActivationSymmetric": True,
        "WeightSymmetric": True,
        "QuantizeBias": False,  # TensorRT refuses biases in 32-bit integers
        # what reads them is quantised: after the activation, not before it
        "OpTypesToExcludeOutputQuantization": list(_SYMMETRIC_OPERATORS),
    },
    "int8-cpu": {"ActivationSymmetric": False, "WeightSymmetric": True},
}


class _Pictures(CalibrationDataReader):  # type: ignore[misc]
    """Rows of a tensor, one at a time."""

    def __init__(self, name: str, rows: npt.NDArray[np.float32]) -> None:
        self._rows: Iterator[dict[str, npt.NDArray[np.float32]]] = iter([{name: row[None]} for row in rows])

    def get_next(self) -> dict[str, npt.NDArray[np.float32]] | None:
        """The next input, None after the last."""
        return next(self._rows, None)


@dataclass(frozen=True)
class Calibrated:
    """A simplified float32 graph, and the range of each of its tensors on real pictures."""

    form: Form
    model: onnx.ModelProto
    ranges: Any
    """ONNX Runtime's TensorsData."""
    nodes: tuple[str, ...]
    """Names of the nodes that may be quantised, in order."""


def prepared(model: onnx.ModelProto) -> onnx.ModelProto:
    """The graph simplified as ONNX Runtime's quantiser wants it, nodes named anew."""
    with tempfile.TemporaryDirectory(prefix="quantize.") as folder:
        given, made = Path(folder) / "given.onnx", Path(folder) / "made.onnx"
        given.write_bytes(model.SerializeToString())
        quant_pre_process(given, made, skip_symbolic_shape=True)
        out = onnx.load(made)
    name_nodes(out)
    return out


def quantisable(model: onnx.ModelProto, form: Form) -> tuple[str, ...]:
    """Names of the layers that a form has in int8; heads, and what may be of any size, left out."""
    weights, made_by = weights_of(model), producers(model)
    left_out = head_nodes(model) | nodes_after(model, UNBOUNDED)
    found = []
    for node in model.graph.node:
        if node.name in left_out or node.op_type not in _OPERATORS[form]:
            continue
        constant = any(name in weights or name not in made_by for name in node.input)
        if node.op_type == "Clip" or (node.input[1] in weights if node.op_type != "Add" else not constant):
            found.append(node.name)
    return tuple(found)


def calibrate(
    model: onnx.ModelProto, inputs: npt.NDArray[np.float32], how: Calibration, form: Form = "int8"
) -> Calibrated:
    """Measure the ranges of a `prepared` graph on real pictures' tensors (N, C, H, W).

    Raises:
        DataError: there are too few.
    """
    if len(inputs) < LEAST_PICTURES:
        raise DataError(
            f"{len(inputs)} pictures to calibrate int8 on: give --calibration and --rooms or --source with at least "
            f"{LEAST_PICTURES} to learn from, or leave int8 out of --precisions; ranges are never made up"
        )
    method, options = _METHODS[how]
    if form == "int8":
        options = options | {"symmetric": True}
    name = model.graph.input[0].name
    with tempfile.TemporaryDirectory(prefix="calibrate.") as folder:
        path = Path(folder) / "model.onnx"
        path.write_bytes(model.SerializeToString())
        calibrator = create_calibrator(
            path, _OPERATORS[form], str(Path(folder) / "watched.onnx"), method, extra_options=options
        )
        calibrator.set_execution_providers(["CPUExecutionProvider"])
        with contextlib.redirect_stdout(io.StringIO()):  # it prints what it does
            for start in range(0, len(inputs), _AT_ONCE):
                calibrator.collect_data(_Pictures(name, inputs[start : start + _AT_ONCE]))
            ranges = calibrator.compute_data()
    return Calibrated(form, model, ranges, quantisable(model, form))


def quantized(calibrated: Calibrated, keep: Collection[str] = ()) -> onnx.ModelProto:
    """The graph with all its quantisable nodes in int8 but those named in `keep`."""
    nodes = [name for name in calibrated.nodes if name not in keep]
    model = onnx.ModelProto()
    model.CopyFrom(calibrated.model)
    if not nodes:
        return model
    level = logging.root.level
    logging.root.setLevel(logging.ERROR)  # it says by each tensor of the head that it has no range
    try:
        form, activations = calibrated.form, QuantType.QInt8 if calibrated.form == "int8" else QuantType.QUInt8
        quantizer = QDQQuantizer(
            model, True, False, QuantType.QInt8, activations, calibrated.ranges, nodes, [], list(_OPERATORS[form]),
            dict(_OPTIONS[form]),
        )  # fmt: skip
        quantizer.quantize_model()
    finally:
        logging.root.setLevel(level)
    quantizer.model.topological_sort()
    out = quantizer.model.model
    assert isinstance(out, onnx.ModelProto)
    del out.graph.value_info[:]
    domains = {node.domain for node in out.graph.node}
    imports = [imported for imported in out.opset_import if imported.domain in domains]
    del out.opset_import[:]
    out.opset_import.extend(imports)
    return out
