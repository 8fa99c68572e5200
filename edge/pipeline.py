"""Frames to scenes: which (camera, task) is due, on which frame, and what came of it.

One inference thread per accelerator runs `Pipeline.step` in a loop. Every (camera, task) has a cadence; the most
overdue one whose camera has a frame it has not seen yet goes next. Cameras overwrite their latest frame, so a slow
network skips frames and never queues them; what was skipped is counted.

A network that answers for several nouns runs once a frame: with the most overdue task, every other one of its camera
that it answers for and that is due reads the same answer.
"""

from __future__ import annotations

import logging
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
import numpy.typing as npt

from edge.errors import EdgeError
from edge.inference.base import Arrays, Backend
from edge.inference.manifest import Manifest
from edge.perception.canvas import CanvasInput
from edge.perception.depth import DepthReader
from edge.perception.layout import FitChoice, LayoutReader
from edge.perception.lighting import LightingReader
from edge.perception.smoothing import SceneCut
from edge.scene import CameraModel, DepthMap, Frame, Lighting, RoomLayout, Task

_log = logging.getLogger(__name__)

Reader = DepthReader | LayoutReader | LightingReader
Value = DepthMap | RoomLayout | Lighting


class FrameSource(Protocol):
    """What the pipeline needs of a camera."""

    name: str

    @property
    def sequence(self) -> int:
        """Number of the newest frame; 0 before the first."""
        ...

    def latest(self, after_sequence: int) -> Frame | None:
        """The newest frame if it is newer than `after_sequence`."""
        ...


@dataclass(frozen=True, slots=True)
class Engine:
    """A loaded model and its manifest."""

    manifest: Manifest
    backend: Backend


@dataclass(frozen=True, slots=True)
class Cadence:
    """How often a task runs: every so many seconds, or every so many frames of its camera."""

    every_s: float | None = None
    every_frames: int | None = None


@dataclass(frozen=True, slots=True)
class Result:
    """One inferred value with what it was inferred from and what it took."""

    frame: Frame
    task: Task
    value: Value
    manifest: Manifest
    stage_s: dict[str, float]
    """Seconds per stage: capture (age of the frame when taken), preprocess, inference, postprocess.

    Without preprocess and inference: the network ran for another noun of this frame, whose result has them.
    """


@dataclass(slots=True)
class Counters:
    """What the pipeline did since it started, by (camera, task)."""

    done: Counter[tuple[str, Task]] = field(default_factory=Counter)
    missed: Counter[tuple[str, Task]] = field(default_factory=Counter)
    """Results that the cadence asked for and frames were there for, but inference was too slow for."""
    errors: Counter[tuple[str, Task]] = field(default_factory=Counter)
    idle: int = 0
    """How often nothing was due: with `done`, the proof that inference neither hangs nor starves."""


@dataclass(slots=True)
class _Feed:
    """One camera's pictures into one engine: the input that readers share, and the answer to the last frame."""

    engine: Engine
    canvas: CanvasInput | None
    sequence: int = 0
    outputs: Arrays = field(default_factory=dict)

    def keep(self, sequence: int, outputs: Arrays) -> None:
        """Remember an answer that other nouns may read too."""
        if len(self.engine.manifest.parts) > 1:
            self.sequence, self.outputs = sequence, outputs


@dataclass(slots=True)
class _Job:
    camera: FrameSource
    task: Task
    feed: _Feed
    reader: Reader
    cadence: Cadence
    seen_sequence: int = 0
    due_s: float = 0.0

    def overdue_s(self, now_s: float) -> float | None:
        """How late this job is, None if it is not due or has no new frame."""
        sequence = self.camera.sequence
        if sequence <= self.seen_sequence:
            return None
        if self.cadence.every_frames is not None and self.seen_sequence:
            early = sequence - self.seen_sequence < self.cadence.every_frames
            return None if early else now_s - self.due_s
        return None if now_s < self.due_s else now_s - self.due_s

    def take(self, sequence: int, now_s: float) -> int:
        """Note that this frame is being handled; returns how many results were missed since the last one.

        A job that fell behind starts its cadence afresh.
        """
        passed = sequence - self.seen_sequence - 1 if self.seen_sequence else 0
        self.seen_sequence = sequence
        if self.cadence.every_s is None:
            self.due_s = now_s
            return passed // (self.cadence.every_frames or 1)
        late = max(0.0, now_s - self.due_s)
        self.due_s = max(self.due_s + self.cadence.every_s, now_s - self.cadence.every_s)
        return min(passed, int(late / self.cadence.every_s))


class Pipeline:
    """Schedules and runs every (camera, task) on one thread."""

    def __init__(
        self,
        *,
        on_result: Callable[[Result], None],
        on_error: Callable[[str, Task, EdgeError], None],
        scene_cut_threshold: float = 0.15,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Callbacks run on the inference thread and must return at once."""
        self._on_result, self._on_error, self._clock = on_result, on_error, clock
        self._threshold = scene_cut_threshold
        self._jobs: list[_Job] = []
        self._cuts: dict[str, SceneCut] = {}
        self._frames: dict[str, Frame] = {}
        self._layouts: dict[str, RoomLayout] = {}
        self.counters = Counters()

    def add(
        self,
        camera: FrameSource,
        model: CameraModel,
        task: Task,
        engine: Engine,
        cadence: Cadence,
        *,
        smoothing_s: float = 0.0,
        fit: FitChoice = "auto",
    ) -> None:
        """Run `task` on `camera` with `engine`, one of whose parts it must be."""
        feed = self._feed(camera.name, engine, model)
        part = engine.manifest.part(task)
        reader: Reader
        if task == "depth":
            reader = DepthReader(part, model, smoothing_s=smoothing_s, canvas=feed.canvas)
        elif task == "layout":
            reader = LayoutReader(part, model, smoothing_s=smoothing_s, fit=fit, canvas=feed.canvas)
        else:
            reader = LightingReader(part, model, smoothing_s=smoothing_s, canvas=feed.canvas)
        self._jobs.append(_Job(camera, task, feed, reader, cadence, due_s=self._clock()))
        self._cuts.setdefault(camera.name, SceneCut(self._threshold))

    def _feed(self, camera: str, engine: Engine, model: CameraModel) -> _Feed:
        """The feed of a camera into an engine: the one there is, or a new one."""
        for job in self._jobs:
            if job.camera.name == camera and job.feed.engine is engine:
                return job.feed
        spec = engine.manifest.input
        return _Feed(engine, CanvasInput(spec, model) if spec.projection == "equirectangular" else None)

    def step(self) -> bool:
        """Run the most overdue job on its camera's newest frame, and those due that share its network's answer.

        Returns:
            False if nothing is due.
        """
        now_s = self._clock()
        late = [(o, j) for j in self._jobs if (o := j.overdue_s(now_s)) is not None]
        for _, job in sorted(late, key=lambda pair: pair[0], reverse=True):
            frame = self._newest(job.camera)
            if frame is not None and frame.sequence > job.seen_sequence:
                due = [j for _, j in late if j.feed is job.feed and frame.sequence > j.seen_sequence]
                for each in sorted(due, key=lambda j: j.task != "layout"):  # depth is aligned to the layout
                    self._run(each, frame, now_s)
                return True
        self.counters.idle += 1
        return False

    def _run(self, job: _Job, frame: Frame, now_s: float) -> None:
        self.counters.missed[frame.camera, job.task] += job.take(frame.sequence, now_s)
        try:
            result = self._infer(job, frame)
        except Exception as e:  # noqa: BLE001 - one camera's task must not end the others'; reported and counted
            self.counters.errors[frame.camera, job.task] += 1
            self._on_error(frame.camera, job.task, e if isinstance(e, EdgeError) else _unexpected(e))
            return
        self.counters.done[frame.camera, job.task] += 1
        self._on_result(result)

    def prepared(self) -> dict[tuple[str, Task], tuple[Engine, npt.NDArray[np.float32]]]:
        """For each job whose camera has sent a frame: its engine and the tensor that frame becomes."""
        return {
            (j.camera.name, j.task): (j.feed.engine, j.reader.prepare(self._frames[j.camera.name].image))
            for j in self._jobs
            if j.camera.name in self._frames
        }

    def _newest(self, camera: FrameSource) -> Frame | None:
        """The camera's newest frame; resets the readers of that camera when the scene is cut."""
        held = self._frames.get(camera.name)
        after = held.sequence if held else 0
        frame = camera.latest(after)
        if frame is None:
            return held
        self._frames[camera.name] = frame
        if self._cuts[camera.name].update(frame.image):
            self._layouts.pop(camera.name, None)
            for job in self._jobs:
                if job.camera.name == camera.name:
                    job.reader.reset()
        return frame

    def _infer(self, job: _Job, frame: Frame) -> Result:
        taken_s, feed = time.monotonic(), job.feed
        stage_s = {"capture": max(0.0, taken_s - frame.captured_monotonic_s)}
        if feed.sequence == frame.sequence:
            outputs = feed.outputs
        else:
            tensor = job.reader.prepare(frame.image)
            prepared_s = time.monotonic()
            outputs = feed.engine.backend.run(tensor)
            stage_s |= {"preprocess": prepared_s - taken_s, "inference": time.monotonic() - prepared_s}
            _check_finite(outputs)
            feed.keep(frame.sequence, outputs)
        inferred_s = time.monotonic()
        value = self._read(job, outputs, frame)
        stage_s["postprocess"] = time.monotonic() - inferred_s
        return Result(frame, job.task, value, feed.engine.manifest, stage_s)

    def _read(self, job: _Job, outputs: Arrays, frame: Frame) -> Value:
        at_s = frame.captured_monotonic_s
        if isinstance(job.reader, DepthReader):
            return job.reader.read(outputs, at_s, self._layouts.get(frame.camera))
        if isinstance(job.reader, LayoutReader):
            layout = job.reader.read(outputs, at_s)
            self._layouts[frame.camera] = layout
            return layout
        return job.reader.read(outputs, at_s)


def _unexpected(error: Exception) -> EdgeError:
    """An error that nobody foresaw, with where it came from in the log."""
    _log.error("unexpected error in inference", exc_info=error)
    return EdgeError(f"internal error ({type(error).__name__}: {error}); please report it with the log")


def _check_finite(outputs: dict[str, npt.NDArray[np.float32]]) -> None:
    for name, array in outputs.items():
        if not np.isfinite(array).all():
            raise EdgeError(f"the network's output {name!r} is not finite; check the engine with `edge check`")
