"""Which runtimes may serve a model, in which precision and order, and what is said when less serves than asked for."""

from __future__ import annotations

import importlib.util
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal, get_args

from edge.errors import EngineError
from edge.inference.manifest import Manifest, Precision
from edge.inference.options import InferenceOptions, NamedPrecision, PrecisionChoice
from edge.inference.ort import PROVIDER_NAMES, OrtProvider, unavailable
from edge.inference.store import StoredModel
from edge.inference.trt.gpu import has_nvidia_gpu

Runtime = Literal["tensorrt", "ort-tensorrt", "ort-cuda", "ort-cpu"]
RUNTIMES: tuple[Runtime, ...] = get_args(Runtime)
"""The fastest first."""
ORT_PROVIDERS: dict[Runtime, OrtProvider] = {"ort-tensorrt": "tensorrt", "ort-cuda": "cuda", "ort-cpu": "cpu"}


@dataclass(frozen=True, slots=True)
class Candidate:
    """One way to run a model."""

    runtime: Runtime
    precision: Precision

    def __str__(self) -> str:
        """For people."""
        return f"{self.runtime} {self.precision}"


def candidates(manifest: Manifest, options: InferenceOptions) -> list[Candidate]:
    """What may serve, the best first: the runtime asked for and those after it, each also in float32."""
    asked = options.backend
    first = {"auto": 0, "ort": 1}.get(asked, 0)
    if asked in RUNTIMES:
        first = RUNTIMES.index(asked)
    return [
        Candidate(runtime, precision)
        for runtime in RUNTIMES[first:]
        for precision in dict.fromkeys((preferred_precision(manifest, runtime, options.precision), "fp32"))
        if precision in manifest.precisions
    ]


def preferred_precision(manifest: Manifest, runtime: Runtime, asked: PrecisionChoice) -> Precision:
    """The precision to try first on a runtime: the one asked for, or float32 if the model has no such file."""
    if asked == "auto":
        return manifest.choose(PROVIDER_NAMES[ORT_PROVIDERS[runtime]] if runtime in ORT_PROVIDERS else "TensorRT")
    return form_of(manifest, runtime, asked) or "fp32"


def form_of(manifest: Manifest, runtime: Runtime, asked: NamedPrecision) -> Precision | None:
    """Which of the model's files a runtime takes for what was asked for by name; None if there is none."""
    forms: tuple[Precision, ...] = ("int8-cpu", "int8") if (runtime, asked) == ("ort-cpu", "int8") else (asked,)
    return next((form for form in forms if form in manifest.precisions), None)


def precision_to_build(model: StoredModel, asked: PrecisionChoice | None, configured: PrecisionChoice) -> Precision:
    """The precision of the plan to build: the one asked for by hand, else the one that will be tried first.

    Raises:
        EngineError: the model has no file of what was asked for by hand.
    """
    have = model.manifest.precisions
    if asked not in (None, "auto", *have):
        raise EngineError(
            f"{model.folder.name} has no {asked} file (it has {', '.join(have)}); choose one of these, or export the "
            "model in that precision"
        )
    return preferred_precision(model.manifest, "tensorrt", asked or configured)


def why_absent(runtime: Runtime, *, with_plans: bool) -> str | None:
    """Why a runtime cannot be tried on this machine, with the remedy where there is one; None if it can."""
    if runtime == "ort-cpu":
        return None
    if not has_nvidia_gpu():
        return "no NVIDIA GPU here (no /dev/nvidia* or /dev/nvhost*)"
    if runtime != "tensorrt":
        return unavailable(ORT_PROVIDERS[runtime])
    if not with_plans:
        return "not asked to look after plans"
    missing = [
        names
        for names in ("tensorrt or tensorrt_rtx_bindings", "pycuda")
        if not any(importlib.util.find_spec(name) for name in names.split(" or "))
    ]
    return f"{' and '.join(missing)} not installed; see docs/gpu.md" if missing else None


def shortfall(
    manifest: Manifest,
    asked: InferenceOptions,
    runtime: Runtime,
    serves: str,
    *,
    failed: Iterable[str],
    absent: Iterable[str],
    own: Iterable[str],
    has_gpu: bool,
) -> str | None:
    """What was asked for, what serves and why, with the remedy; None if nothing less serves than was asked for.

    Args:
        manifest: the model's.
        asked: what was asked for.
        runtime: what serves.
        serves: the same in words.
        failed: why those that were tried before it do not serve.
        absent: why others could not be tried here; that is a shortfall only where one of them was asked for by name,
            or a GPU has nothing to do.
        own: what the one that serves has to say.
        has_gpu: whether this machine has one.
    """
    reasons = list(failed)
    idle_gpu = runtime == "ort-cpu" and asked.backend != "ort-cpu" and has_gpu
    if idle_gpu or asked.backend not in ("auto", "ort", runtime):
        reasons += absent
        if not has_gpu:
            reasons.append("load NVIDIA's driver, or set inference.backend to auto")
    if asked.precision != "auto" and form_of(manifest, runtime, asked.precision) is None:
        reasons.append(
            f"the model has no {asked.precision} file (it has {', '.join(manifest.precisions)}); "
            "export it with one, or set inference.precision to auto"
        )
    reasons += own
    if not reasons:
        return None
    wanted = asked.backend if asked.precision == "auto" else f"{asked.backend} {asked.precision}"
    return f"asked for {wanted}, serves {serves}: {'; '.join(reasons)}"
