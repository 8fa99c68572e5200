"""What tests of TensorRT plans share: a builder that needs no GPU, and a machine to build for."""

from __future__ import annotations

import importlib.util
import platform as machine
import sys
from pathlib import Path

import pytest

from edge.inference.manifest import sha256_of
from edge.inference.options import BuildOptions
from edge.inference.trt.builder import BuildRequest
from edge.inference.trt.platform import Platform, platform

REPOSITORY = Path(__file__).resolve().parents[1]
RTX_EXISTS_HERE = sys.platform == "linux" and machine.machine() == "x86_64"
"""Whether NVIDIA makes TensorRT-RTX, which the `dev` extra names, for this machine."""

needs_rtx = pytest.mark.skipif(
    not RTX_EXISTS_HERE and importlib.util.find_spec("tensorrt_rtx_bindings") is None,
    reason="TensorRT-RTX is made for x86-64 alone",
)


def here() -> Platform:
    """TensorRT-RTX of this machine, building ahead for any GPU."""
    found = platform()
    return Platform("tensorrt_rtx", found.version, "none", "none", "none")


def request_for(onnx: Path, output: Path, *, options: BuildOptions | None = None, gpu: str = "none") -> BuildRequest:
    """Build this file with these options."""
    return BuildRequest(
        onnx.parent.name, str(onnx), sha256_of(onnx), str(output), "", gpu, options or BuildOptions(workspace_mib=64)
    )
