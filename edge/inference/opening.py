"""Candidates loaded and proved, one after the other; TensorRT's plans built, accepted, rejected and rolled back."""

from __future__ import annotations

import logging
import threading
from collections import deque
from dataclasses import dataclass, field
from typing import Literal

import numpy as np

from edge.errors import EngineError, ManifestError, PlanError
from edge.inference.base import Backend
from edge.inference.choosing import ORT_PROVIDERS, Candidate, Runtime, candidates, why_absent
from edge.inference.manifest import Precision
from edge.inference.options import InferenceOptions
from edge.inference.ort import OrtBackend, cores
from edge.inference.proving import GoldenResult, NotProvedError, prove
from edge.inference.store import StoredModel
from edge.inference.timing import FASTER, ratio_here
from edge.inference.trt.backend import TrtBackend
from edge.inference.trt.build_process import OnProgress, ignore_progress
from edge.inference.trt.building import ensure_plan
from edge.inference.trt.plans import Plan, PlanStore
from edge.inference.trt.platform import platform

_log = logging.getLogger(__name__)

_CACHE_FOLDER = "onnxruntime"
"""Below a model's plans: what ONNX Runtime's own TensorRT provider keeps."""
_PLANS_OWN_FAULT = (PlanError, ManifestError, NotProvedError)
"""Errors that another plan of the same model need not have; others are the GPU's or the machine's."""


@dataclass(frozen=True, slots=True)
class ServingEvent:
    """What happened to an engine, for `bridge/event`."""

    kind: Literal["engine_built", "engine_degraded", "engine_rolled_back", "model_rolled_back"]
    message: str


@dataclass(slots=True)
class Opened:
    """A candidate that is loaded and was proved."""

    candidate: Candidate
    backend: Backend
    golden: GoldenResult | None
    """None if it was not compared."""
    plan: Plan | None = None
    rolled_back: str = ""
    """Why an earlier plan serves, if one does."""


def serving_threads() -> int:
    """Threads of a network on the CPU when the configuration says 0: all cores but one.

    Threads of a network wait for each other. Where cameras, reading and publishing have no core of their own, they
    delay one of them, and that one all others.
    """
    return max(1, cores() - 1)


class Opener:
    """Opens candidates of one model.

    Args:
        model: from `ModelStore.find`.
        options: what is asked for.
        plans: TensorRT's plans.
        on_progress: told while a plan is built.
        stop: set it to give up building.
    """

    def __init__(
        self,
        model: StoredModel,
        options: InferenceOptions,
        *,
        plans: PlanStore | None = None,
        on_progress: OnProgress = ignore_progress,
        stop: threading.Event | None = None,
    ) -> None:
        self.model, self.options, self.plans = model, options, plans
        self._on_progress, self._stop = on_progress, stop
        self.may_build = True
        """Building takes minutes, in which nothing would be served and the watchdog would bite."""
        self.events: deque[ServingEvent] = deque()

    @property
    def stopped(self) -> bool:
        """Whether to give up."""
        return self._stop is not None and self._stop.is_set()

    def open(self, candidate: Candidate) -> Opened:
        """Load and prove it; of TensorRT's plans the model's own, built if need be, else an earlier accepted one.

        Raises:
            EngineError: it cannot be loaded, or is not proved.
        """
        if candidate.runtime == "tensorrt":
            return self._open_current_plan(candidate)
        if candidate.runtime == "ort-tensorrt" and not self.may_build:
            raise EngineError("it may build for minutes, so it is not tried while serving; restart edge to try it")
        if candidate.precision == "int8-cpu" and self.options.precision == "auto":
            return self._open_faster_on_this_cpu()
        backend = self._loaded(candidate)
        return Opened(candidate, backend, self._proved(backend))

    def _loaded(self, candidate: Candidate) -> OrtBackend:
        """A model file in ONNX Runtime, not proved yet."""
        model, options = self.model, self.options
        return OrtBackend(
            model.folder / model.manifest.file_of(candidate.precision).file,
            model.manifest,
            provider=ORT_PROVIDERS[candidate.runtime],
            precision=candidate.precision,
            threads=options.threads or serving_threads(),
            build=options.build,
            cache=(options.plans or model.folder.parent) / model.folder.name / _CACHE_FOLDER,
        )

    def _open_faster_on_this_cpu(self) -> Opened:
        """float32, or int8 where this CPU runs it faster and it reproduces the golden output here.

        Processors differ: without integer dot products int8 is slower, and some saturate between two products. So it is
        tried where it will run. Nothing is timed while serving: then it is float32.
        """
        candidate = Candidate("ort-cpu", "fp32")
        reference = self._loaded(candidate)
        golden = self._proved(reference)
        if not self.may_build:
            return Opened(candidate, reference, golden)
        faster = Candidate("ort-cpu", "int8-cpu")
        try:
            backend = self._loaded(faster)
            proof = self._proved(backend)
        except EngineError as e:
            _log.info("%s: %s is not for this CPU: %s", self.model.manifest.name, faster, e)
            return Opened(candidate, reference, golden)
        given = np.zeros(self.model.manifest.input.shape, np.float32)
        ratio = ratio_here(lambda: backend.run(given), lambda: reference.run(given))
        _log.info("%s: int8 takes %.2f of float32's time on this CPU", self.model.manifest.name, ratio)
        if ratio > FASTER:
            close_quietly(backend)
            return Opened(candidate, reference, golden)
        close_quietly(reference)
        return Opened(faster, backend, proof)

    def open_previous_plan(self, failed: Opened, why: str) -> Opened | None:
        """Reject the plan that failed while serving and open the one before it.

        None without one: the failed plan then stays good, as the GPU may be at fault.
        """
        if failed.plan is None or failed.rolled_back or self.plans is None:
            return None
        try:
            precision = failed.candidate.precision
            if self.plans.previous(self.model, precision, platform(), self.options.build) is None:
                return None
            return self._roll_back(failed.candidate, self.plans.reject(failed.plan, why), EngineError(why))
        except EngineError as e:
            _log.error("%s: cannot roll back: %s", self.model.manifest.name, e)
            return None

    def _proved(self, backend: Backend, *, golden: bool = True) -> GoldenResult | None:
        try:
            return prove(self.model, backend, golden=golden)
        except BaseException:
            close_quietly(backend)
            raise

    def _open_current_plan(self, candidate: Candidate) -> Opened:
        assert self.plans is not None
        here, build, precision = platform(), self.options.build, candidate.precision
        try:
            plan = self._find_or_build(self.plans, precision)
        except EngineError as e:
            if self.stopped:
                raise
            return self._roll_back(candidate, self.plans.previous(self.model, precision, here, build), e)
        new = plan.record.state == "built"
        try:
            opened = self._open_plan(candidate, plan)
        except _PLANS_OWN_FAULT as e:
            return self._roll_back(candidate, self.plans.reject(plan, str(e)), e)
        opened.plan = self.plans.accept(plan, opened.golden)
        if new:
            record, name = plan.record, self.model.manifest.name
            message = (
                f"{name}: {precision} plan of {record.plan_bytes / 2**20:.1f} MiB built in {record.seconds:.0f} s for "
                f"{record.key.platform}, and proved"
            )
            self.events.append(ServingEvent("engine_built", message))
        return opened

    def _find_or_build(self, plans: PlanStore, precision: Precision) -> Plan:
        """The plan of this machine, built if there is none and there is time for it."""
        here, build = platform(), self.options.build
        if not self.may_build:
            return plans.find(self.model, precision, here, build)
        return ensure_plan(plans, self.model, precision, here, build, on_progress=self._on_progress, stop=self._stop)

    def _open_plan(self, candidate: Candidate, plan: Plan) -> Opened:
        manifest = self.model.manifest
        backend = TrtBackend(plan.data, manifest, precision=candidate.precision, cuda_graph=self.options.cuda_graph)
        same = plan.record.key.onnx_sha256 == manifest.file_of(candidate.precision).sha256
        return Opened(candidate, backend, self._proved(backend, golden=same), plan)

    def _roll_back(self, candidate: Candidate, earlier: Plan | None, why: EngineError) -> Opened:
        """Open an earlier plan, or the one before that.

        Raises:
            EngineError: `why`, as there is none that loads.
        """
        assert self.plans is not None
        while earlier is not None:
            try:
                opened = self._open_plan(candidate, earlier)
            except _PLANS_OWN_FAULT as e:
                earlier = self.plans.reject(earlier, str(e))
                continue
            record = earlier.record
            opened.rolled_back = f"the plan of version {record.model_version} built at {record.built_at} serves: {why}"
            message = f"{self.model.manifest.name}: {opened.rolled_back}"
            self.events.append(ServingEvent("engine_rolled_back", message))
            return opened
        raise why


@dataclass(slots=True)
class Lineup:
    """The candidates that are left, in order, and why those before them do not serve."""

    opener: Opener
    left: deque[Candidate]
    failed: list[str] = field(default_factory=list)
    """Why those that were tried do not serve."""
    _absent: dict[str, list[Runtime]] = field(default_factory=dict)
    """Why runtimes could not be tried here, and which."""

    @classmethod
    def of(cls, opener: Opener) -> Lineup:
        """All candidates of the opener's model."""
        return cls(opener, deque(candidates(opener.model.manifest, opener.options)))

    @property
    def absent(self) -> tuple[str, ...]:
        """Why faster runtimes could not be tried on this machine."""
        return tuple(f"{', '.join(runtimes)}: {why}" for why, runtimes in self._absent.items())

    def open_next(self) -> Opened:
        """The next candidate that loads and is proved.

        Raises:
            EngineError: the last one's error, as none does.
        """
        name = self.opener.model.manifest.name
        error = EngineError(f"{name}: no other runtime is left; see the log")
        while self.left:
            candidate = self.left.popleft()
            absent = why_absent(candidate.runtime, with_plans=self.opener.plans is not None)
            if absent is not None:
                if candidate.runtime not in (those := self._absent.setdefault(absent, [])):
                    those.append(candidate.runtime)
                continue
            try:
                return self.opener.open(candidate)
            except EngineError as e:
                if self.opener.stopped:
                    raise
                error = e
                self.failed.append(f"{candidate}: {e}")
                _log.warning("%s: %s", name, self.failed[-1])
        raise error


def close_quietly(backend: Backend) -> None:
    """Close what failed, which may fail too."""
    try:
        backend.close()
    except EngineError as e:
        _log.warning("%s could not be closed: %s", backend.provider, e)
