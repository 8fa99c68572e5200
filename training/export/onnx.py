"""From a network to an ONNX file that ONNX Runtime and TensorRT take, and the proof that it computes the same."""

from __future__ import annotations

import contextlib
import io
import logging
import warnings
from pathlib import Path

import numpy as np
import numpy.typing as npt
import onnx
import onnxslim
import torch
from torch import nn

from edge.errors import EngineError
from edge.inference.manifest import Manifest
from edge.inference.ort import OrtBackend
from training.export.runners import TorchBackend

OPSET = 18
GOLDEN_SHARE = 0.005
"""Golden tolerance as a share of an output's range: room for FP16 and other processors, none for wrong weights."""
LARGEST_DIFFERENCE = 1e-4
"""Difference between torch and ONNX Runtime, as a share of the output's range, above which an export is refused."""
_LOG = logging.getLogger(__name__)


def write_onnx(
    net: nn.Module, path: Path, shape: tuple[int, int, int, int], input_name: str, outputs: tuple[str, ...]
) -> None:
    """Export with a fixed shape and simplify.

    Raises:
        EngineError: the exporter failed.
    """
    example = torch.zeros(shape)
    for chatty in ("onnxscript", "onnx_ir"):
        logging.getLogger(chatty).setLevel(logging.WARNING)
    with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
        warnings.simplefilter("ignore")
        program = torch.onnx.export(
            net.eval().to(memory_format=torch.contiguous_format),
            (example,),
            input_names=[input_name],
            output_names=list(outputs),
            opset_version=OPSET,
            dynamo=True,
            optimize=True,
            verbose=False,
        )
        if program is None:
            raise EngineError(f"{path}: torch's exporter gave no model; export with another version of torch")
        model = onnxslim.slim(program.model_proto)
    assert isinstance(model, onnx.ModelProto)
    for node in [*model.graph.node]:
        node.doc_string = ""
        del node.metadata_props[:]
    for value in [*model.graph.value_info, *model.graph.input, *model.graph.output]:
        del value.metadata_props[:]
    model.producer_name, model.doc_string = "edge-train", ""
    onnx.checker.check_model(model, full_check=True)
    path.write_bytes(model.SerializeToString())


def check_parity(net: nn.Module, onnx_path: Path, manifest: Manifest, inputs: npt.NDArray[np.float32]) -> None:
    """Compare the file with the network on every input (N, C, H, W), each by the range of its own output.

    Raises:
        EngineError: torch and ONNX Runtime disagree.
    """
    reference = TorchBackend(net, manifest.output_names)
    with OrtBackend(onnx_path, manifest, threads=1) as device:
        for row in inputs:
            a, b = reference.run(row[None]), device.run(row[None])
            for name in manifest.output_names:
                check_difference(name, a[name], b[name])


def check_difference(name: str, expected: npt.NDArray[np.float32], found: npt.NDArray[np.float32]) -> None:
    """Refuse an output that differs by more than rounding.

    Raises:
        EngineError: it does.
    """
    difference, span = float(np.abs(expected - found).max()), _span(expected)
    _LOG.info("parity of %s: largest difference %.2g in a range of %.3g", name, difference, span)
    if not difference <= LARGEST_DIFFERENCE * span:
        raise EngineError(
            f"output {name}: ONNX Runtime differs from torch by {difference:.2g} (its range is {span:.2g}); "
            "the export is wrong: try another version of torch or onnxruntime"
        )


def golden_tolerances(expected: dict[str, npt.NDArray[np.float32]]) -> dict[str, float]:
    """By output: `GOLDEN_SHARE` of the smallest range that a recorded row (N, ...) spans."""
    return {name: GOLDEN_SHARE * min(_span(row) for row in rows) for name, rows in expected.items()}


def _span(values: npt.NDArray[np.float32]) -> float:
    """What differences are measured by: the range of the values, or the size of a single one."""
    return float(np.ptp(values)) if values.size > 1 else float(np.abs(values).max())
