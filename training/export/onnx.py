"""From a network to an ONNX file that ONNX Runtime and TensorRT take."""

from __future__ import annotations

import contextlib
import io
import logging
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Literal, TypeAlias

import numpy as np
import onnx
import onnxslim
import torch
from torch import nn

from edge.errors import EngineError
from edge.inference.manifest import Manifest, Precision
from training.export.graph import MOVES, name_nodes, producers, weights_of

OPSET = 18
BATCH_NAME = "batch"
BatchSize: TypeAlias = int | Literal["dynamic"]


def properties_of(manifest: Manifest, precision: Precision) -> dict[str, str]:
    """What an ONNX file says of itself: enough to find its manifest, recipe and licence."""
    origin = manifest.provenance
    model = {"name": manifest.name, "version": manifest.version, "task": manifest.task, "precision": precision}
    return model | {"licence": origin.licence, "commit": origin.commit, "source": origin.recipe}


def write_onnx(
    net: nn.Module,
    path: Path,
    shape: tuple[int, int, int, int],
    input_name: str,
    outputs: tuple[str, ...],
    *,
    batch: BatchSize = "dynamic",
    properties: Mapping[str, str] | None = None,
) -> None:
    """Export and simplify.

    Args:
        net: the network.
        path: the file to write.
        shape: (1, C, H, W) of its input.
        input_name: name of the ONNX input.
        outputs: names of the ONNX outputs in order.
        batch: rows of the input; `dynamic`: any number, a dimension named `batch`.
        properties: written into the file as its metadata.

    Raises:
        EngineError: the exporter failed.
    """
    rows = 2 if batch == "dynamic" else batch  # one row would be taken for a constant
    free = ({0: torch.export.Dim(BATCH_NAME)},) if batch == "dynamic" else None
    for chatty in ("onnxscript", "onnx_ir"):
        logging.getLogger(chatty).setLevel(logging.WARNING)
    with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
        warnings.simplefilter("ignore")
        program = torch.onnx.export(
            net.eval().to(memory_format=torch.contiguous_format),
            (torch.zeros(rows, *shape[1:]),),
            input_names=[input_name],
            output_names=list(outputs),
            opset_version=OPSET,
            dynamo=True,
            dynamic_shapes=free,
            optimize=True,
            verbose=False,
        )
        if program is None:
            raise EngineError(f"{path}: torch's exporter gave no model; export with another version of torch")
        model = program.model_proto
        _drop_zero_states(model)
        model = onnxslim.slim(model)
    assert isinstance(model, onnx.ModelProto)
    path.write_bytes(finished(model, properties or {}))


def _drop_zero_states(model: onnx.ModelProto) -> None:
    """Leave out initial states of recurrent layers that are zeros: that is what ONNX takes where none are given.

    With a dynamic batch, torch spells them as zeros expanded to the picture's batch; TensorRT would have to compute
    shapes for that.
    """
    weights, made_by = weights_of(model), producers(model)
    for node in model.graph.node:
        if node.op_type not in ("LSTM", "GRU", "RNN"):
            continue
        for i in range(5, min(len(node.input), 7)):
            source = node.input[i]
            while (maker := made_by.get(source)) is not None and maker.op_type in MOVES:
                source = maker.input[0]
            if source in weights and not np.any(weights[source]):
                node.input[i] = ""
        while node.input and not node.input[-1]:
            node.input.pop()


def finished(model: onnx.ModelProto, properties: Mapping[str, str]) -> bytes:
    """The bytes of a checked model without the exporter's notes, with these properties and short node names."""
    name_nodes(model)
    for node in [*model.graph.node]:
        node.doc_string = ""
        del node.metadata_props[:]
    for value in [*model.graph.value_info, *model.graph.input, *model.graph.output]:
        value.doc_string = ""
        del value.metadata_props[:]
    model.producer_name, model.doc_string, model.graph.doc_string = "edge-train", "", ""
    onnx.helper.set_model_props(model, dict(properties))
    onnx.checker.check_model(model, full_check=True)
    return bytes(model.SerializeToString())
