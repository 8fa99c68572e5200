"""Which runtime serves a model: tried in order, each proved before it serves, and replaced when it fails.

Nothing slower than asked for serves silently: `ServingBackend.degraded` says what was asked for, what serves, why, and
what to do about it.
"""

from __future__ import annotations

import importlib.util
import logging
import threading
from collections import deque
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Literal

import numpy as np

from edge.errors import EngineError, ManifestError, PlanError
from edge.inference.base import Arrays, Backend
from edge.inference.manifest import Manifest, Precision
from edge.inference.options import BACKENDS, BackendName, InferenceOptions
from edge.inference.ort import PROVIDER_NAMES, OrtBackend, OrtProvider, cores, unavailable
from edge.inference.store import GoldenResult, StoredModel, check_golden, check_outputs
from edge.inference.trt.backend import TrtBackend
from edge.inference.trt.build_process import OnProgress, ignore_progress
from edge.inference.trt.gpu import Float32, has_nvidia_gpu
from edge.inference.trt.plans import Plan, PlanStore
from edge.inference.trt.platform import platform

_log = logging.getLogger(__name__)

Runtime = Literal["tensorrt", "ort-tensorrt", "ort-cuda", "ort-cpu"]
_ORT: dict[Runtime, OrtProvider] = {"ort-tensorrt": "tensorrt", "ort-cuda": "cuda", "ort-cpu": "cpu"}
_ORDER: tuple[Runtime, ...] = ("tensorrt", *_ORT)
"""The fastest first."""

_STRIKES = 3
"""Failures in a row until another runtime serves: one can be a passing lack of memory, three are the engine's."""
_CACHE_FOLDER = "onnxruntime"
"""Below a model's plans: what ONNX Runtime's own TensorRT provider keeps."""


@dataclass(frozen=True, slots=True)
class ServingEvent:
    """What happened to an engine, for `bridge/event`."""

    kind: Literal["engine_built", "engine_degraded", "engine_rolled_back"]
    message: str


@dataclass(frozen=True, slots=True)
class _Candidate:
    runtime: Runtime
    precision: Precision


@dataclass(slots=True)
class _Serving:
    """A backend that was proved."""

    candidate: _Candidate
    backend: Backend
    golden: GoldenResult | None
    plan: Plan | None = None
    rolled_back: str = ""
    """Why an earlier plan serves, if one does."""


class _NotProved(EngineError):
    """A backend does not reproduce the golden output."""


def prove(model: StoredModel, backend: Backend, *, golden: bool = True) -> GoldenResult | None:
    """See that outputs have the right shapes, then run the recorded input, if there is one, and compare.

    Args:
        model: what `backend` runs.
        backend: a loaded one.
        golden: compare; an earlier version of the model has another golden output, and need only give numbers.

    Raises:
        EngineError: it does not run, or gives other numbers.
        ManifestError: the outputs are not what the manifest says.
    """
    check_outputs(model, backend.run(np.zeros(model.manifest.input.shape, np.float32)))
    result = check_golden(model, backend)
    if result is not None and not (result.passed if golden else np.isfinite(list(result.difference.values())).all()):
        raise _NotProved(
            f"{model.manifest.name} does not reproduce its golden output on {backend.provider} in {backend.precision} "
            f"(off by {result.difference}, allowed {result.tolerance}); restore the engine's folder, or export the "
            "model again"
        )
    return result if golden else None


class ServingBackend:
    """The best runtime there is for a model, and the next best when it fails; a `Backend` itself."""

    def __init__(
        self,
        model: StoredModel,
        options: InferenceOptions,
        *,
        plans: PlanStore | None,
        on_progress: OnProgress,
        stop: threading.Event | None,
    ) -> None:
        """Load: see `load`."""
        self._model, self._options, self._plans = model, options, plans
        self._on_progress, self._stop = on_progress, stop
        self._name = model.manifest.name
        self._strikes = 0
        self._events: deque[ServingEvent] = deque()
        self._absent: dict[str, list[Runtime]] = {}
        """Why runtimes could not be tried here, and which."""
        self._failed: list[str] = []
        """Why those that were did not serve."""
        self._candidates = deque(_candidates(model.manifest, options))
        self.degraded: str | None = None
        self._may_build = True
        self._adopt(self._next())
        self._may_build = False  # it takes minutes, in which nothing would be served and the watchdog would bite
        _log.info("%s: %s in %s%s", self._name, self.provider, self.precision, "".join(f"; {w}" for w in self.not_here))

    @property
    def golden(self) -> GoldenResult | None:
        """What the recorded input gave when what serves was loaded; None if it was not compared."""
        return self._serving.golden

    @property
    def plan(self) -> Plan | None:
        """The TensorRT plan that serves; None if none does."""
        return self._serving.plan

    @property
    def not_here(self) -> tuple[str, ...]:
        """Why faster runtimes could not be tried on this machine."""
        return tuple(f"{', '.join(runtimes)}: {why}" for why, runtimes in self._absent.items())

    def take_events(self) -> list[ServingEvent]:
        """What happened since the last time; callable from any thread."""
        taken = []
        while self._events:
            taken.append(self._events.popleft())
        return taken

    def allocate(self, rows: int) -> Float32:
        """See `Backend`; memory stays good to read from when another runtime takes over."""
        return self._serving.backend.allocate(rows)

    def run(self, batch: Float32) -> Arrays:
        """See `Backend`.

        After three failures in a row another runtime takes over and answers. Numbers that are not finite are a failure
        too, but are handed on: a batch has rows of several cameras, and outputs of several nouns.

        Raises:
            EngineError: it failed.
        """
        error: EngineError | None = None
        outputs: Arrays = {}
        try:
            outputs = self._serving.backend.run(batch)
            what = _not_finite(outputs)
        except EngineError as e:
            error, what = e, str(e)
        else:
            if what is None:
                self._strikes = 0
                return outputs
        self._strikes += 1
        if self._strikes >= _STRIKES and self._replaced(str(what)):
            return self._serving.backend.run(batch)
        if error is not None:
            raise error
        return outputs

    def close(self) -> None:
        """See `Backend`."""
        self._serving.backend.close()

    def __enter__(self) -> ServingBackend:
        """Context manager that closes."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close."""
        self.close()

    # Choosing ---------------------------------------------------------------------------------------------------------

    def _next(self) -> _Serving:
        """The next candidate that loads and is proved.

        Raises:
            EngineError: the last one's error, as none does.
        """
        error = EngineError(f"{self._name}: no other runtime is left; see the log")
        while self._candidates:
            candidate = self._candidates.popleft()
            if (absent := _absence(candidate.runtime, self._plans)) is not None:
                if candidate.runtime not in (those := self._absent.setdefault(absent, [])):
                    those.append(candidate.runtime)
                continue
            try:
                return self._open(candidate)
            except EngineError as e:
                if self._stop is not None and self._stop.is_set():
                    raise
                error = e
                self._failed.append(f"{candidate.runtime} {candidate.precision}: {e}")
                _log.warning("%s: %s", self._name, self._failed[-1])
        raise error

    def _open(self, candidate: _Candidate) -> _Serving:
        if candidate.runtime == "tensorrt":
            return self._open_plan(candidate)
        if candidate.runtime == "ort-tensorrt" and not self._may_build:
            raise EngineError("it may build for minutes, so it is not tried while serving; restart edge to try it")
        model, options = self._model, self._options
        backend = OrtBackend(
            model.folder / model.manifest.file_of(candidate.precision).file,
            model.manifest,
            provider=_ORT[candidate.runtime],
            precision=candidate.precision,
            threads=options.threads or serving_threads(),
            build=options.build,
            cache=(options.plans or model.folder.parent) / model.folder.name / _CACHE_FOLDER,
        )
        return _Serving(candidate, backend, self._proved(backend))

    def _proved(self, backend: Backend, *, golden: bool = True) -> GoldenResult | None:
        try:
            return prove(self._model, backend, golden=golden)
        except BaseException:
            _close_quietly(backend)
            raise

    def _open_plan(self, candidate: _Candidate) -> _Serving:
        """TensorRT: the plan of this model, built if there is none; else an earlier one that was accepted."""
        assert self._plans is not None
        here, build = platform(), self._options.build
        try:
            plan = self._plan(self._plans, candidate.precision)
        except EngineError as e:
            if self._stop is not None and self._stop.is_set():
                raise
            return self._earlier(candidate, self._plans.previous(self._model, candidate.precision, here, build), e)
        built = plan.record.state == "built"
        try:
            serving = self._open_trt(candidate, plan)
        except (PlanError, ManifestError, _NotProved) as e:  # the plan's own fault
            return self._earlier(candidate, self._plans.reject(plan, str(e)), e)
        serving.plan = self._plans.accept(plan, serving.golden)
        if built:
            record = plan.record
            self._happened(
                "engine_built",
                f"{self._name}: {candidate.precision} plan of {record.plan_bytes / 2**20:.1f} MiB built in "
                f"{record.seconds:.0f} s for {record.key.platform}, and proved",
            )
        return serving

    def _plan(self, plans: PlanStore, precision: Precision) -> Plan:
        """The plan of this machine, built if there is none and there is time for it."""
        here, build = platform(), self._options.build
        if not self._may_build:
            return plans.find(self._model, precision, here, build)
        return plans.ensure(self._model, precision, here, build, on_progress=self._on_progress, stop=self._stop)

    def _open_trt(self, candidate: _Candidate, plan: Plan) -> _Serving:
        backend = TrtBackend(
            plan.data, self._model.manifest, precision=candidate.precision, cuda_graph=self._options.cuda_graph
        )
        same = plan.record.key.onnx_sha256 == self._model.manifest.file_of(candidate.precision).sha256
        return _Serving(candidate, backend, self._proved(backend, golden=same), plan)

    def _earlier(self, candidate: _Candidate, plan: Plan | None, why: EngineError) -> _Serving:
        """Roll back to an earlier plan.

        Raises:
            EngineError: `why`, as there is none that loads.
        """
        assert self._plans is not None
        while plan is not None:
            try:
                serving = self._open_trt(candidate, plan)
            except (PlanError, ManifestError, _NotProved) as e:
                plan = self._plans.reject(plan, str(e))
                continue
            version = plan.record.model_version
            serving.rolled_back = f"the plan of version {version} built at {plan.record.built_at} serves: {why}"
            self._happened("engine_rolled_back", f"{self._name}: {serving.rolled_back}")
            return serving
        raise why

    # While running ----------------------------------------------------------------------------------------------------

    def _replaced(self, why: str) -> bool:
        """Put another runtime, or an earlier plan, in the place of what failed; False if there is none."""
        failed = self._serving
        self._failed.append(f"{failed.candidate.runtime} {failed.candidate.precision}: {why}")
        _log.error("%s: %s failed %d times in a row: %s", self._name, failed.backend.provider, _STRIKES, why)
        try:
            self._adopt(self._rolled_back(failed, why) or self._next())
        except EngineError as e:
            _log.error("%s: nothing else serves: %s", self._name, e)
            return False
        _close_quietly(failed.backend)
        self._strikes = 0
        return True

    def _rolled_back(self, failed: _Serving, why: str) -> _Serving | None:
        """The plan before the one that failed. Without one, the plan stays good: the GPU may be at fault."""
        if failed.plan is None or failed.rolled_back or self._plans is None:
            return None
        try:
            candidate, build = failed.candidate, self._options.build
            if self._plans.previous(self._model, candidate.precision, platform(), build) is None:
                return None
            return self._earlier(candidate, self._plans.reject(failed.plan, why), EngineError(why))
        except EngineError as e:
            _log.error("%s: cannot roll back: %s", self._name, e)
            return None

    def _adopt(self, serving: _Serving) -> None:
        """Let it serve; an event if there is more to complain of than before."""
        self._serving, backend = serving, serving.backend
        self.provider, self.precision, self.max_batch = backend.provider, backend.precision, backend.max_batch
        told = self._shortfall()
        if told is not None and told != self.degraded:
            _log.warning("%s: %s", self._name, told)
            self._happened("engine_degraded", f"{self._name}: {told}")
        self.degraded = told

    def _shortfall(self) -> str | None:
        serving, asked = self._serving, self._options
        runtime, reasons = serving.candidate.runtime, list(self._failed)
        idle_gpu = runtime == "ort-cpu" and asked.backend != "ort-cpu" and has_nvidia_gpu()
        if idle_gpu or asked.backend not in ("auto", "ort", runtime):
            reasons += self.not_here
            if not has_nvidia_gpu():
                reasons.append("load NVIDIA's driver, or set inference.backend to auto")
        if asked.precision not in ("auto", *self._model.manifest.precisions):
            reasons.append(
                f"the model has no {asked.precision} file (it has {', '.join(self._model.manifest.precisions)}); "
                "export it with one, or set inference.precision to auto"
            )
        reasons += [why for why in (serving.rolled_back, serving.backend.degraded) if why]
        if not reasons:
            return None
        wanted = asked.backend if asked.precision == "auto" else f"{asked.backend} {asked.precision}"
        return f"asked for {wanted}, serves {self.provider} {self.precision}: {'; '.join(reasons)}"

    def _happened(self, kind: Literal["engine_built", "engine_degraded", "engine_rolled_back"], message: str) -> None:
        self._events.append(ServingEvent(kind, message))


def load(
    model: StoredModel,
    options: InferenceOptions | None = None,
    *,
    plans: PlanStore | None = None,
    on_progress: OnProgress = ignore_progress,
    stop: threading.Event | None = None,
) -> ServingBackend:
    """Load a verified model into the best runtime that reproduces its golden output.

    Args:
        model: from `ModelStore.find`.
        options: what is asked for; default: the best there is.
        plans: TensorRT's plans; without them TensorRT is not tried.
        on_progress: told while a plan is built.
        stop: set it to give up building.

    Raises:
        EngineError: no such backend, or none loads the model and reproduces its golden output.
        ManifestError: the model is not what its manifest says.
    """
    options = options or InferenceOptions()
    if options.backend not in BACKENDS:
        raise EngineError(f"no backend {options.backend!r}; choose one of {', '.join(BACKENDS)}")
    return ServingBackend(model, options, plans=plans, on_progress=on_progress, stop=stop)


def serving_threads() -> int:
    """Threads of a network on the CPU when the configuration says 0: all cores but one.

    Threads of a network wait for each other. Where cameras, reading and publishing have no core of their own, they
    delay one of them, and that one all others.
    """
    return max(1, cores() - 1)


def plans_of(options: InferenceOptions, engines: Path) -> PlanStore:
    """Where plans are: as the options say, else beside the models."""
    return PlanStore(options.plans or engines, options.plan_key)


def _runtimes(asked: BackendName) -> tuple[Runtime, ...]:
    """What may serve, the best first: what was asked for, then what comes after it."""
    if asked in ("auto", "ort"):
        return _ORDER[asked == "ort" :]
    return _ORDER[[str(runtime) for runtime in _ORDER].index(asked) :]


def _candidates(manifest: Manifest, options: InferenceOptions) -> list[_Candidate]:
    """Every runtime with the precision that is best on it or asked for, and after that with float32."""
    found: list[_Candidate] = []
    for runtime in _runtimes(options.backend):
        provider = PROVIDER_NAMES[_ORT[runtime]] if runtime in _ORT else "TensorRT"
        wanted = manifest.choose(provider) if options.precision == "auto" else options.precision
        for precision in dict.fromkeys((wanted, "fp32")):
            if precision in manifest.precisions:
                found.append(_Candidate(runtime, precision))
    return found


def _absence(runtime: Runtime, plans: PlanStore | None) -> str | None:
    """Why a runtime cannot be tried on this machine, with the remedy where there is one; None if it can."""
    if runtime == "ort-cpu":
        return None
    if not has_nvidia_gpu():
        return "no NVIDIA GPU here (no /dev/nvidia* or /dev/nvhost*)"
    if runtime != "tensorrt":
        return unavailable(_ORT[runtime])
    if plans is None:
        return "not asked to look after plans"
    missing = [
        names
        for names in ("tensorrt or tensorrt_rtx_bindings", "pycuda")
        if not any(importlib.util.find_spec(name) for name in names.split(" or "))
    ]
    return f"{' and '.join(missing)} not installed; see docs/gpu.md" if missing else None


def _not_finite(outputs: Arrays) -> str | None:
    """Which output is not finite, without making an array to find out."""
    for name, array in outputs.items():
        if not (np.isfinite(array.min()) and np.isfinite(array.max())):
            return f"the network's output {name!r} is not finite; check the engine with `edge check`"
    return None


def _close_quietly(backend: Backend) -> None:
    """Close what failed, which may fail too."""
    try:
        backend.close()
    except EngineError as e:
        _log.warning("%s could not be closed: %s", backend.provider, e)
