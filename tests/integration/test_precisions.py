"""Every shipped network in every precision, whether it ships in it or not, parses and builds in TensorRT."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
from PIL import Image

from edge.inference.manifest import read_manifest
from edge.inference.options import BuildOptions
from edge.inference.trt.build_process import run_builder
from edge.perception.preprocess import Tensor, resize, tensor_from_image
from tests.plans import REPOSITORY, needs_rtx, request_for
from training.export.graph import read_graph
from training.export.precision.half import islands, to_half
from training.export.precision.quantize import calibrate, prepared, quantized

SHIPPED = sorted(path.parent for path in (REPOSITORY / "engines").glob("*/manifest.json"))

pytestmark = needs_rtx


def pictures(folder: Path) -> Tensor:
    """(4, C, H, W): pictures of the demonstration clips as this model takes them."""
    spec = read_manifest(folder).input
    clip = "panorama" if spec.projection == "equirectangular" else "perspective"
    files = sorted((REPOSITORY / "edge" / "demo" / clip).glob("*.jpg"))[::8]
    images = [resize(np.asarray(Image.open(file)), spec.width_px, spec.height_px) for file in files]
    return np.stack([tensor_from_image(image, spec) for image in images])


def built(model: onnx.ModelProto, folder: Path) -> int:
    """Size of the plan with batches of 1 to 8, bytes."""
    folder.mkdir()
    onnx.save(model, folder / "model.onnx")
    options = BuildOptions(workspace_mib=256, max_batch=8)
    run_builder(request_for(folder / "model.onnx", folder / "plan", options=options))
    return (folder / "plan").stat().st_size


@pytest.mark.parametrize("folder", SHIPPED, ids=lambda folder: folder.name)
def test_in_half_precision(folder: Path, tmp_path: Path) -> None:
    """Strongly typed, with its float32 islands, it builds, into less than the float32 plan."""
    model = read_graph(folder / "model.onnx")
    half = to_half(model, islands(model, pictures(folder)))
    assert built(half, tmp_path / "fp16") < built(model, tmp_path / "fp32")


@pytest.mark.slow
@pytest.mark.parametrize("folder", SHIPPED, ids=lambda folder: folder.name)
def test_in_eight_bit_integers(folder: Path, tmp_path: Path) -> None:
    """Quantised on real pictures, in the only form that TensorRT takes, it builds."""
    calibrated = calibrate(prepared(read_graph(folder / "model.onnx")), pictures(folder), "minmax")
    model = quantized(calibrated)
    kinds = [node.op_type for node in model.graph.node]
    assert kinds.count("QuantizeLinear") > 10
    assert built(model, tmp_path / "int8") > 10_000
