"""A newly installed model beside the one that serves: compared, put in its place, watched, and taken back.

    candidate ──► loaded, proved ──► shadow ──► watch ──► kept
                       │               │          │ fails, drifts, or answers otherwise than the one before it
                       ▼ cannot        ▼ fails,   ▼
                    rejected         rejected   rolled back: the one before it serves again, at once

A sample is one picture that both answer for, without smoothing. They are asked on the accelerator's thread between
batches, and read on a thread of its own: what serves waits for two inferences in two seconds at most.
"""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, Literal, Protocol

import numpy as np

from edge.errors import EdgeError, EngineError
from edge.inference.accelerator import Accelerator
from edge.inference.base import Arrays
from edge.inference.installed import InstalledModels
from edge.inference.manifest import Manifest
from edge.inference.proving import not_finite
from edge.inference.serving import ServingBackend
from edge.inference.store import StoredModel
from edge.mqtt.trial_message import ModelTrial
from edge.perception.difference import difference
from edge.perception.readers import Reader, Value
from edge.pipeline.batches import Engine
from edge.pipeline.pipeline import Result
from edge.scene import RoomLayout, Task

_log = logging.getLogger(__name__)

_EVERY_S = 2.0
"""Between two samples of a camera's task."""
_ANSWER_S = 60.0
_LEAST_SAMPLES = 5
_RECENT = 5
"""Samples that tell, while it is watched, that it answers otherwise."""
_STRIKES = 3
_LEAST_WATCH_S = 60.0
_FAILING_S = 10.0
"""A task that fails for so long is the new model's doing; single pictures fail at any time."""

Tell = Callable[[str, str, dict[str, Any]], None]
"""An event: its type, its message and its data."""
ReaderFor = Callable[[str, Task, Manifest], Reader]
"""A reader for a camera's task by another model's manifest."""


class Engines(Protocol):
    """What of the daemon's engines a trial needs."""

    def names(self) -> dict[str, tuple[Task, ...]]:
        """Of the models that serve, with their tasks."""
        ...

    def load_other(self, root: Path, name: str, tasks: tuple[Task, ...]) -> tuple[StoredModel, ServingBackend]:
        """Another model for these tasks, loaded and proved beside what serves."""
        ...

    def replace(self, name: str, model: StoredModel, serving: ServingBackend) -> tuple[StoredModel, ServingBackend]:
        """It serves from now on; what served until now."""
        ...


@dataclass(eq=False)
class _Trial:
    """One model and, beside it, another: while it is the shadow the one that serves, then the one before it."""

    name: str
    tasks: tuple[Task, ...]
    new: StoredModel
    model: StoredModel
    """Of what is asked beside what serves."""
    beside: ServingBackend
    began_s: float
    stage: Literal["shadow", "watch"] = "shadow"
    differences: dict[tuple[str, Task], deque[float]] = field(default_factory=dict)
    readers: dict[tuple[str, Task, str], Reader] = field(default_factory=dict)
    sampled_s: dict[tuple[str, Task], float] = field(default_factory=dict)
    worker: Accelerator = field(default_factory=lambda: Accelerator("edge-trial"))
    samples: int = 0
    strikes: int = 0
    trouble: str | None = None
    failed_before: frozenset[tuple[str, Task]] = frozenset()
    """What failed with the model before it: not its doing."""
    failing_since_s: float | None = None

    def watch(self, model: StoredModel, beside: ServingBackend, now_s: float) -> None:
        """The next stage, with nothing counted yet: it serves, and the one before it runs beside it."""
        self.stage, self.model, self.beside, self.began_s = "watch", model, beside, now_s
        self.differences, self.readers, self.samples, self.strikes = {}, {}, 0, 0

    def medians(self, last: int | None = None) -> dict[tuple[str, Task], float]:
        """By camera and task, of the last so many samples where there are as many."""
        held = {key: list(values) for key, values in self.differences.items()}
        return {k: float(np.median(v[-last:] if last else v)) for k, v in held.items() if len(v) >= (last or 1)}


class ModelTrials:
    """Tries what was installed, one at a time. `take` is for the thread of inference, all else for the supervisor's."""

    def __init__(
        self,
        engines: Engines,
        installed: InstalledModels,
        accelerator: Accelerator,
        *,
        limits: Mapping[Task, float],
        shadow_s: float,
        reader_for: ReaderFor,
        on_switch: Callable[[], None],
        tell: Tell,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Nothing is tried yet.

        Args:
            engines: what serves.
            installed: where candidates come from.
            accelerator: whose thread runs networks.
            limits: by noun, the difference to the old model that is taken.
            shadow_s: how long a new one runs beside the old one before it serves.
            reader_for: makes what prepares pictures for the other model and reads its answers.
            on_switch: called when another model serves: the cameras' tasks are to begin anew.
            tell: told what happens.
            clock: monotonic, s.
        """
        self._engines, self._installed, self._accelerator = engines, installed, accelerator
        self._limits, self._shadow_s, self._reader_for = limits, shadow_s, reader_for
        self._on_switch, self._tell, self._clock = on_switch, tell, clock
        self._least_samples = _LEAST_SAMPLES if shadow_s else 0
        self._trial: _Trial | None = None
        self._layouts: dict[str, RoomLayout] = {}
        self._busy, self._anew_due = threading.Event(), False

    # On the thread of inference ---------------------------------------------------------------------------------------

    def take(self, result: Result) -> None:
        """What serves answered; asks the other one about the same picture, now and then."""
        trial, camera = self._trial, result.frame.camera
        if isinstance(result.value, RoomLayout):
            self._layouts[camera] = result.value
        if trial is None or result.task not in trial.tasks or self._busy.is_set():
            return
        key, now_s = (camera, result.task), self._clock()
        if now_s - trial.sampled_s.get(key, -np.inf) < _EVERY_S:
            return
        trial.sampled_s[key] = now_s
        self._busy.set()
        trial.worker.submit(partial(self._sample, trial, result, self._layouts.get(camera)))

    # On a thread of its own -------------------------------------------------------------------------------------------

    def _sample(self, trial: _Trial, result: Result, layout: RoomLayout | None) -> None:
        beside, key = trial.beside, (result.frame.camera, result.task)
        try:
            apart = self._apart(trial, result, layout)
        except Exception as error:  # noqa: BLE001 - of a model that is only tried: counted, and the trial ends by it
            if beside is trial.beside:
                trial.strikes += 1
                trial.trouble = str(error) if isinstance(error, EdgeError) else f"{type(error).__name__}: {error}"
                _log.warning("trial of %s: %s", trial.name, trial.trouble)
        else:
            if beside is trial.beside:
                trial.strikes, trial.samples = 0, trial.samples + 1
                trial.differences.setdefault(key, deque(maxlen=512)).append(apart)
        finally:
            self._busy.clear()

    def _apart(self, trial: _Trial, result: Result, layout: RoomLayout | None) -> float:
        """How far their answers to this one picture are apart: both as they are, without the past."""
        beside = Engine(trial.model.manifest, trial.beside)
        one, other = (self._answer(trial, engine, result, layout) for engine in (result.engine, beside))
        return difference(one, other)

    def _answer(self, trial: _Trial, engine: Engine, result: Result, layout: RoomLayout | None) -> Value:
        key = (result.frame.camera, result.task, engine.manifest.onnx.sha256)
        reader = trial.readers.get(key)
        if reader is None:
            reader = trial.readers[key] = self._reader_for(key[0], key[1], engine.manifest)
        tensor = reader.prepare(result.frame.image)

        def run() -> Arrays:
            return {name: array.copy() for name, array in engine.backend.run(tensor).items()}

        outputs: Arrays = self._accelerator.submit(run).result(_ANSWER_S)
        what = not_finite(outputs)
        if what is not None:
            raise EngineError(what)
        return reader.read(outputs, result.frame.captured_monotonic_s, layout)

    # On the supervisor's ----------------------------------------------------------------------------------------------

    def look(self, failing: Mapping[tuple[str, Task], object]) -> None:
        """Begin a trial, or judge the one that goes on; `failing`: the error of each task that fails."""
        trial = self._trial
        if self._anew_due:
            self._begin_anew()
        elif trial is None:
            self._begin()
        elif trial.stage == "shadow":
            self._judge_shadow(trial, frozenset(failing))
        else:
            self._judge_watched(trial, failing)

    def note_drift(self, camera: str, message: str) -> None:
        """What a camera gives has changed; while a new model is watched, that is taken for its doing."""
        if self._trial is not None and self._trial.stage == "watch":
            self._trial.trouble = f"{camera}: {message}"
            self._trial.strikes = _STRIKES

    def status(self) -> ModelTrial | None:
        """For `bridge/health`."""
        trial = self._trial
        if trial is None:
            return None
        return ModelTrial(
            engine=trial.name,
            sha256=trial.new.manifest.onnx.sha256,
            stage=trial.stage,
            age_s=round(self._clock() - trial.began_s, 1),
            samples=trial.samples,
            differences=_by_name(trial.medians()),
        )

    def stop(self) -> None:
        """Ask nothing more, and free what is loaded beside what serves."""
        trial = self._trial
        if trial is not None:
            self._free(trial)

    def _begin(self) -> None:
        for name, tasks in self._engines.names().items():
            if (folder := self._installed.candidate(name)) is None:
                continue
            try:
                model, serving = self._engines.load_other(folder.parent, name, tasks)
            except EdgeError as error:
                self._keep(partial(self._installed.reject, name, str(error)))
                self._tell("model_rejected", f"{name}: not tried: {error}", {"engine": name})
                return
            self._trial = trial = _Trial(name, tasks, model, model, serving, self._clock())
            text = f"{name}: {_said(model)} runs beside what serves for {self._shadow_s:g} s"
            self._tell("model_trial_started", text, self._data(trial))
            return

    def _judge_shadow(self, trial: _Trial, failing: frozenset[tuple[str, Task]]) -> None:
        if self._installed.candidate(trial.name) != trial.new.folder:
            self._end(trial, "model_rejected", "another was installed meanwhile, or it was withdrawn")
        elif trial.strikes >= _STRIKES:
            self._reject(trial, f"it failed {_STRIKES} times in a row: {trial.trouble}")
        elif self._clock() - trial.began_s >= self._shadow_s and trial.samples >= self._least_samples:
            apart = self._too_far(trial.medians())
            if apart is None:
                trial.failed_before = failing
                self._switch(trial)
            else:
                self._reject(trial, f"its answers are unlike those of the model before it: {apart}")

    def _judge_watched(self, trial: _Trial, failing: Mapping[tuple[str, Task], object]) -> None:
        fails = [
            f"{key[0]}/{key[1]}: {error}"
            for key, error in failing.items()
            if key[1] in trial.tasks and key not in trial.failed_before
        ]
        now_s, apart = self._clock(), self._too_far(trial.medians(_RECENT))
        trial.failing_since_s = (trial.failing_since_s or now_s) if fails else None
        if trial.failing_since_s is not None and now_s - trial.failing_since_s >= _FAILING_S:
            self._roll_back(trial, f"it fails: {fails[0]}")
        elif apart is not None:
            self._roll_back(trial, f"its answers have become unlike those of the model before it: {apart}")
        elif trial.strikes >= _STRIKES and trial.trouble is not None:
            self._roll_back(trial, trial.trouble)
        elif self._clock() - trial.began_s >= max(self._shadow_s, _LEAST_WATCH_S):
            self._end(trial, "model_kept", f"{_said(trial.new)} is kept")

    def _too_far(self, medians: Mapping[tuple[str, Task], float]) -> str | None:
        """Which camera's task differs by more than is taken, in words."""
        for (camera, task), apart in medians.items():
            if apart > self._limits[task]:
                return f"{camera}/{task} by {apart:.3g}, {self._limits[task]:g} is taken"
        return None

    def _switch(self, trial: _Trial) -> None:
        data = self._data(trial)
        before = self._engines.replace(trial.name, trial.new, trial.beside)
        trial.watch(*before, self._clock())
        self._keep(lambda: self._installed.promote(trial.name))
        self._begin_anew()
        self._tell("model_switched", f"{trial.name}: {_said(trial.new)} serves from now on", data)

    def _roll_back(self, trial: _Trial, why: str) -> None:
        data = self._data(trial)
        _, failed = self._engines.replace(trial.name, trial.model, trial.beside)
        trial.beside = failed
        self._keep(lambda: self._installed.take_back(trial.name, why))
        self._begin_anew()
        self._free(trial)
        self._tell("model_rolled_back", f"{trial.name}: the model before it serves again: {why}", data)

    def _reject(self, trial: _Trial, why: str) -> None:
        self._keep(lambda: self._installed.reject(trial.name, why))
        self._end(trial, "model_rejected", f"{_said(trial.new)} will not serve: {why}")

    def _begin_anew(self) -> None:
        """The cameras' tasks run on what serves now; where inference is too busy for it, at the next look."""
        self._anew_due = True
        try:
            self._on_switch()
        except EdgeError as error:
            _log.warning("another model serves, and its tasks do not begin yet: %s", error)
        else:
            self._anew_due = False

    def _keep(self, change: Callable[[], None]) -> None:
        """Write what was decided; on a full disk it holds until the next start."""
        try:
            change()
        except EdgeError as error:
            _log.error("what was decided of a model holds until the next start: %s", error)

    def _end(self, trial: _Trial, kind: str, text: str) -> None:
        data = self._data(trial)
        self._free(trial)
        self._tell(kind, f"{trial.name}: {text}", data)

    def _free(self, trial: _Trial) -> None:
        self._trial = None
        trial.worker.stop(0.0)
        self._accelerator.submit(trial.beside.close)

    def _data(self, trial: _Trial) -> dict[str, Any]:
        return {
            "engine": trial.name,
            "sha256": trial.new.manifest.onnx.sha256,
            "samples": trial.samples,
            "differences": _by_name(trial.medians()),
        }


def _by_name(medians: Mapping[tuple[str, Task], float]) -> dict[str, float]:
    return {f"{camera}/{task}": round(apart, 4) for (camera, task), apart in medians.items()}


def _said(model: StoredModel) -> str:
    return f"version {model.manifest.version} ({model.manifest.onnx.sha256[:12]})"
