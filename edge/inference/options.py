"""How networks are run: what the configuration's `inference` section asks for, as plain values."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, get_args

BackendName = Literal["auto", "tensorrt", "ort", "ort-tensorrt", "ort-cuda", "ort-cpu"]
"""What may be asked for. `auto` tries tensorrt, then ONNX Runtime with TensorRT, with CUDA, and on the CPU, in that
order; `ort` leaves out the first. The others ask for one, and fall back to those after it, loudly."""

BACKENDS: tuple[BackendName, ...] = get_args(BackendName)

NamedPrecision = Literal["fp32", "fp16", "int8"]
"""`int8`: in the form that what serves runs best, see `edge.inference.choosing.form_of`."""

PrecisionChoice = Literal["auto", NamedPrecision]
"""`auto`: the fastest that was measured to be so for what serves: see `Manifest.choose`. `int8-cpu` is also timed
on the CPU that it is to serve on."""

Compatibility = Literal["none", "ampere_plus", "same_compute_capability"]


@dataclass(frozen=True, slots=True)
class BuildOptions:
    """How TensorRT builds a plan. All but the timeout are part of the plan's key."""

    level: int = 3
    """TensorRT's builder_optimization_level, 0..5: more time to build, a faster plan."""
    workspace_mib: int = 1024
    """Largest scratch memory a layer may use, MiB."""
    max_batch: int = 8
    """Largest batch of a model with a dynamic one."""
    opt_batch: int = 1
    """The batch that kernels are chosen for."""
    dla_core: int | None = None
    """Run what can be run on this deep-learning accelerator (Orin), the rest on the GPU."""
    compatibility: Compatibility = "none"
    """Other GPUs that the plan may run on; costs speed, and is not for Jetsons."""
    timeout_s: float = 1800.0
    """A build that takes longer is ended, and counts as failed."""


@dataclass(frozen=True, slots=True)
class InferenceOptions:
    """What runs the networks and how."""

    backend: BackendName = "auto"
    precision: PrecisionChoice = "auto"
    threads: int = 0
    """CPU threads of a network; 0 = one per core, but one core is left to cameras, reading and publishing."""
    plans: Path | None = None
    """Folder of TensorRT plans; None = beside the models."""
    plan_key: Path | None = None
    """File with the device's key that signs plans; None = `device.key` in the folder of plans, made when missing."""
    cuda_graph: bool = True
    """Capture the work of a fixed shape once and replay it, where cuda-bindings is installed."""
    build: BuildOptions = field(default_factory=BuildOptions)
