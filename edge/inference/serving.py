"""A model that is served: by the best runtime that is proved, and by another when that fails.

What is loaded goes through these states, named as the methods are:

    open_next ──► each candidate in order (`choosing.candidates`): absent here, or loaded and proved, or the next
        │             TensorRT: the model's plan, built if there is none ──► accepted
        │                       not proved, or not to be had ──► rejected ──► an earlier accepted plan (rolled back)
        ▼
    serving ◄── a good answer: no strikes
        │  ▲
        │  └─── a failure: one more strike
        │ three strikes
        ▼
    replace ──► an earlier plan, if a plan failed (`open_previous_plan`), else `open_next`; nothing is built ──► serving
        └─────► nothing is left: what failed goes on serving, aloud

Nothing slower than asked for serves silently: `ServingBackend.degraded` says what was asked for, what serves, why, and
what to do about it.
"""

from __future__ import annotations

import logging
import threading
from pathlib import Path
from types import TracebackType

from edge.errors import EngineError
from edge.inference.base import Arrays
from edge.inference.choosing import shortfall
from edge.inference.opening import Lineup, Opened, Opener, ServingEvent, close_quietly
from edge.inference.options import BACKENDS, InferenceOptions
from edge.inference.proving import GoldenResult, not_finite
from edge.inference.store import StoredModel
from edge.inference.trt.build_process import OnProgress, ignore_progress
from edge.inference.trt.gpu import Float32, has_nvidia_gpu
from edge.inference.trt.plans import Plan, PlanStore

_log = logging.getLogger(__name__)

_STRIKES = 3
"""Failures in a row until another runtime serves: one can be a passing lack of memory, three are the engine's."""


class ServingBackend:
    """The best runtime there is for a model, and the next best when it fails; a `Backend` itself. See `load`."""

    def __init__(self, lineup: Lineup, first: Opened) -> None:
        """`first`: what serves until it fails; `lineup`: what it came from."""
        self._lineup, self._opener = lineup, lineup.opener
        self._name = lineup.opener.model.manifest.name
        self._strikes = 0
        self.degraded: str | None = None
        self._serve(first)

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
        return self._lineup.absent

    def take_events(self) -> list[ServingEvent]:
        """What happened since the last time; callable from any thread."""
        taken, events = [], self._opener.events
        while events:
            taken.append(events.popleft())
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
            what = not_finite(outputs)
        except EngineError as e:
            error, what = e, str(e)
        if what is None:
            self._strikes = 0
            return outputs
        self._strikes += 1
        if self._strikes >= _STRIKES and self._replace(what):
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

    def _replace(self, why: str) -> bool:
        """Put an earlier plan or the next candidate in the place of what failed; False if there is none."""
        failed = self._serving
        self._lineup.failed.append(f"{failed.candidate}: {why}")
        _log.error("%s: %s failed %d times in a row: %s", self._name, failed.backend.provider, _STRIKES, why)
        try:
            self._serve(self._opener.open_previous_plan(failed, why) or self._lineup.open_next())
        except EngineError as e:
            _log.error("%s: nothing else serves: %s", self._name, e)
            return False
        close_quietly(failed.backend)
        self._strikes = 0
        return True

    def _serve(self, opened: Opened) -> None:
        """Let it serve; an event if there is more to complain of than before."""
        self._serving, backend = opened, opened.backend
        self.provider, self.precision, self.max_batch = backend.provider, backend.precision, backend.max_batch
        degraded = shortfall(
            self._opener.model.manifest,
            self._opener.options,
            opened.candidate.runtime,
            f"{backend.provider} {backend.precision}",
            failed=self._lineup.failed,
            absent=self._lineup.absent,
            own=[why for why in (opened.rolled_back, backend.degraded) if why],
            has_gpu=has_nvidia_gpu(),
        )
        if degraded is not None and degraded != self.degraded:
            _log.warning("%s: %s", self._name, degraded)
            self._opener.events.append(ServingEvent("engine_degraded", f"{self._name}: {degraded}"))
        self.degraded = degraded


def load(
    model: StoredModel,
    options: InferenceOptions | None = None,
    *,
    plans: PlanStore | None = None,
    on_progress: OnProgress = ignore_progress,
    stop: threading.Event | None = None,
    may_build: bool = True,
) -> ServingBackend:
    """Load a verified model into the best runtime that reproduces its golden output; building a plan takes minutes.

    Args:
        model: from `ModelStore.find`.
        options: what is asked for; default: the best there is.
        plans: TensorRT's plans; without them TensorRT is not tried.
        on_progress: told while a plan is built.
        stop: set it to give up building.
        may_build: whether to build a plan that is missing; else what needs none serves, and says so.

    Raises:
        EngineError: no such backend, or none loads the model and reproduces its golden output.
        ManifestError: the model is not what its manifest says.
    """
    options = options or InferenceOptions()
    if options.backend not in BACKENDS:
        raise EngineError(f"no backend {options.backend!r}; choose one of {', '.join(BACKENDS)}")
    opener = Opener(model, options, plans=plans, on_progress=on_progress, stop=stop)
    opener.may_build = may_build
    lineup = Lineup.of(opener)
    serving = ServingBackend(lineup, lineup.open_next())
    opener.may_build = False
    absent = "".join(f"; {why}" for why in lineup.absent)
    _log.info("%s: %s in %s%s", model.manifest.name, serving.provider, serving.precision, absent)
    return serving


def plans_of(options: InferenceOptions, engines: Path) -> PlanStore:
    """Where plans are: as the options say, else beside the models."""
    return PlanStore(options.plans or engines, options.plan_key)
