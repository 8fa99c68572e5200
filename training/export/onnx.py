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
_RELATIVE_TOLERANCE = 0.005
"""Golden tolerance as a share of the largest output: room for FP16 and other processors, none for wrong weights."""
_LARGEST_DIFFERENCE = 2e-4
"""Relative difference between torch and ONNX Runtime above which an export is refused."""
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


def largest_differences(
    net: nn.Module, onnx_path: Path, manifest: Manifest, inputs: npt.NDArray[np.float32]
) -> dict[str, tuple[float, float]]:
    """For each output: the largest |torch - ONNX Runtime| over the inputs (N, C, H, W), and the largest |torch|."""
    reference = TorchBackend(net, manifest.output_names)
    found = dict.fromkeys(manifest.output_names, (0.0, 0.0))
    with OrtBackend(onnx_path, manifest, threads=1) as device:
        for row in inputs:
            a, b = reference.run(row[None]), device.run(row[None])
            for name, (difference, size) in found.items():
                d = float(np.abs(a[name] - b[name]).max())
                found[name] = (max(difference, d), max(size, float(np.abs(a[name]).max())))
    return found


def checked_tolerances(differences: dict[str, tuple[float, float]]) -> dict[str, float]:
    """Golden tolerances by output, from measured differences.

    Raises:
        EngineError: torch and ONNX Runtime disagree.
    """
    out = {}
    for name, (difference, size) in differences.items():
        if difference > _LARGEST_DIFFERENCE * max(size, 1.0):
            raise EngineError(
                f"output {name}: ONNX Runtime differs from torch by {difference:.2g} (values up to {size:.2g}); "
                "the export is wrong: try another version of torch or onnxruntime"
            )
        _LOG.info("parity of %s: largest difference %.2g of %.3g", name, difference, size)
        out[name] = max(20 * difference, _RELATIVE_TOLERANCE * size)
    return out
