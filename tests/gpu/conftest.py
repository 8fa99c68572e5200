"""Tests that need an NVIDIA GPU: skipped, with the reason, where it or what speaks to it is missing."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest

from edge.inference.manifest import Precision
from edge.inference.options import BuildOptions
from edge.inference.ort import OrtProvider, unavailable
from edge.inference.store import ModelStore, StoredModel
from edge.inference.trt.building import ensure_plan
from edge.inference.trt.gpu import has_nvidia_gpu
from edge.inference.trt.plans import Plan, PlanStore
from edge.inference.trt.platform import Platform, platform

ENGINES = ModelStore(Path(__file__).parents[2] / "engines")
BUILD = BuildOptions(level=2, max_batch=4)

FILES: list[tuple[str, Precision]] = [
    (name, precision) for name in ENGINES.names() for precision in ENGINES.find(name).manifest.precisions
]
"""Every file that is shipped: model and precision."""


@pytest.fixture(autouse=True, scope="session")
def _gpu() -> None:
    """Skip everything without a GPU."""
    if not has_nvidia_gpu():
        pytest.skip("no NVIDIA GPU here (no /dev/nvidia* or /dev/nvhost*)")


@pytest.fixture(scope="session")
def here() -> Platform:
    """This machine's TensorRT and GPU."""
    for names in ("tensorrt or tensorrt_rtx_bindings", "pycuda"):
        if not any(importlib.util.find_spec(name) for name in names.split(" or ")):
            pytest.skip(f"{names} is not installed: see docs/gpu.md")
    found = platform()
    assert found.has_gpu, "the kernel shows a GPU and CUDA finds none: is the driver loaded, and of a version with it?"
    return found


@pytest.fixture(scope="session")
def plans(tmp_path_factory: pytest.TempPathFactory) -> PlanStore:
    """A folder of plans for this run."""
    return PlanStore(tmp_path_factory.mktemp("plans"))


@pytest.fixture(params=FILES, ids="-".join)
def file(request: pytest.FixtureRequest) -> tuple[StoredModel, Precision]:
    """Each shipped file in turn."""
    name, precision = request.param
    return ENGINES.find(name), precision


@pytest.fixture
def plan(file: tuple[StoredModel, Precision], plans: PlanStore, here: Platform) -> Plan:
    """Its plan, built the first time that it is asked for."""
    return ensure_plan(plans, *file, here, BUILD)


def need(provider: OrtProvider) -> None:
    """Skip where ONNX Runtime was built without it."""
    if (why := unavailable(provider)) is not None:
        pytest.skip(why)
