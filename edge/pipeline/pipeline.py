"""Frames to scenes: which (camera, task) is due, on which frame, and what came of it.

One thread runs `Pipeline.step` in a loop, the accelerator's thread runs networks. Two batches are with the accelerator,
one running and one waiting. When the first is done, a step prepares the next one and hands it over, and only then reads
the answers to the first. So the accelerator waits for nobody, and what a network is fed is two batches old at most.

The most overdue (camera, task) whose camera has a frame it has not seen goes next, and with it those due on the same
engine, as many as fit a batch. Cameras overwrite their latest frame, so a slow network skips frames and never queues
them; what was skipped is counted, and so is a frame that has become too old to be worth it.

A network that answers for several nouns runs once a frame: with the most overdue task, every other one of its camera
that it answers for and that is due reads the same answer.
"""

from __future__ import annotations

import logging
import time
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from edge.errors import EdgeError
from edge.inference.accelerator import at_once
from edge.inference.base import Arrays
from edge.monitor.metrics import Metrics
from edge.perception.canvas import CanvasInput
from edge.perception.readers import Value, reader_of
from edge.perception.smoothing import SceneCut
from edge.pipeline.batches import Batch, Engine, Feed, FrameSource, Inputs, Job, Part
from edge.pipeline.demands import Answer, Changes, Demand
from edge.pipeline.schedule import Cadence, Schedule, Turn
from edge.scene import CameraModel, Frame, RoomLayout, Task

_log = logging.getLogger(__name__)

_IN_FLIGHT = 2
"""Batches with the accelerator: one that runs, one that it can go on with."""
_GLANCE_S = 0.002
"""How long to wait for a running batch before looking whether something else is due."""

Submit = Callable[[Callable[[], Any]], Future[Any]]
"""Runs something on the accelerator's thread."""


@dataclass(frozen=True, slots=True)
class Result:
    """One inferred value with what it was inferred from and what it took."""

    frame: Frame
    task: Task
    value: Value
    engine: Engine
    stage_s: dict[str, float]
    """Seconds per stage: capture (age of the frame when taken), preprocess, queue (for the accelerator), inference
    (this frame's share of its batch), postprocess.

    Without preprocess, queue and inference: the network ran for another noun of this frame, whose result has them.
    """
    scene_cut: bool = False
    """Whether it is the first of a new scene."""


class Pipeline:
    """Schedules and runs every (camera, task) on one accelerator."""

    def __init__(
        self,
        *,
        on_result: Callable[[Result], None],
        on_error: Callable[[str, Task, EdgeError], None],
        scene_cut_threshold: float = 0.15,
        submit: Submit = at_once,
        clock: Callable[[], float] = time.monotonic,
        counters: Metrics | None = None,
    ) -> None:
        """Callbacks run on the thread that calls `step` and must return at once; `submit` runs the networks."""
        self._on_result, self._on_error, self._submit, self._clock = on_result, on_error, submit, clock
        self.scene_cut_threshold = scene_cut_threshold
        """Of cameras that are added from now on."""
        self.changes = Changes()
        """Actions to carry out between two turns, for who is not on the thread that calls `step`."""
        self._schedule: Schedule[Job] = Schedule()
        self._feeds: list[Feed] = []
        self._inputs: dict[int, Inputs] = {}
        self._cuts: dict[str, SceneCut] = {}
        self._cuts_at: dict[str, deque[int]] = {}
        """By camera, frames that began a scene, until an answer to it is read."""
        self._frames: dict[str, Frame] = {}
        self._layouts: dict[str, RoomLayout] = {}
        self._flight: deque[Batch] = deque()
        self._demands: list[Demand[Result]] = []
        self._answering: Demand[Result] | None = None
        self.counters = counters or Metrics()

    def add(
        self,
        camera: FrameSource,
        model: CameraModel,
        task: Task,
        engine: Engine,
        cadence: Cadence,
        *,
        deadline_s: float = np.inf,
        **options: Any,
    ) -> None:
        """Run `task` on `camera` with `engine`, one of whose parts it must be.

        A frame older than `deadline_s` is not inferred any more; `options` are the noun's reader's own.
        """
        feed = self._feed(camera.name, engine, model)
        part = engine.manifest.part(task)
        reader = reader_of(task, part, model, canvas=feed.canvas, **options)
        turn = Turn(lambda: camera.sequence, cadence, self._clock())
        job = Job(camera, task, feed, reader, part.output_names, turn, deadline_s)
        feed.jobs.append(job)
        self._schedule.add(turn, job)
        self._cuts.setdefault(camera.name, SceneCut(self.scene_cut_threshold))
        rows = max(feed.rows, engine.backend.max_batch)
        inputs = self._inputs.setdefault(id(engine), Inputs())
        self._submit(lambda: inputs.reserve(rows, engine.backend.allocate)).result()

    def remove(self, camera: str) -> None:
        """Run nothing on that camera any more; what is running is read first."""
        self.finish()
        for job in self._jobs_of(camera):
            self._schedule.remove(job.turn)
        self._feeds = [feed for feed in self._feeds if feed.jobs[0].camera.name != camera]
        used = {id(feed.engine) for feed in self._feeds}
        self._inputs = {key: inputs for key, inputs in self._inputs.items() if key in used}
        self._frames.pop(camera, None)
        self._layouts.pop(camera, None)
        self._cuts.pop(camera, None)
        self._cuts_at.pop(camera, None)

    def change(self, camera: str, task: Task, cadence: Cadence, *, paused: bool) -> None:
        """Another cadence for that task from now on, or none while it is paused."""
        for job in self._jobs_of(camera):
            if job.task == task:
                job.turn.change(cadence, paused=paused, now_s=self._clock())

    def demand(self, camera: FrameSource) -> Future[Answer[Result]]:
        """Everything about the camera's next frame, also tasks that are paused; callable from any thread.

        The results go to `on_result` too. Cancel it if the frame does not come.
        """
        demand: Demand[Result] = Demand(camera.name, camera.sequence)

        def register() -> None:
            held = self._frames.get(camera.name)
            demand.after = max(demand.after, held.sequence if held else 0)
            self._demands.append(demand)

        self.changes.put(register)
        return demand.future

    def recover(self) -> None:
        """After `step` raised what nobody foresaw: forget what was running, and begin anew."""
        answering, self._answering = self._answering, None
        if answering is not None:
            answering.future.set_exception(EdgeError("inference died and was started again; ask again"))
        while self._flight:
            self._flight.popleft().wait(None)

    def _jobs_of(self, camera: str) -> list[Job]:
        return [job for feed in self._feeds for job in feed.jobs if job.camera.name == camera]

    def _feed(self, camera: str, engine: Engine, model: CameraModel) -> Feed:
        """The feed of a camera into an engine: the one there is, or a new one."""
        for feed in self._feeds:
            if feed.engine is engine and feed.jobs[0].camera.name == camera:
                return feed
        spec = engine.manifest.input
        feed = Feed(engine, CanvasInput(spec, model) if spec.projection == "equirectangular" else None)
        self._feeds.append(feed)
        return feed

    def infer(self, engine: Engine, tensor: npt.NDArray[np.float32]) -> Future[Arrays]:
        """One inference beside the jobs', between two turns, after all that runs was read; the arrays are its caller's.

        The future has the runtime's error, if it failed.
        """

        def now() -> Arrays:
            self.finish()
            answers: Future[Arrays] = self._submit(lambda: {n: a.copy() for n, a in engine.backend.run(tensor).items()})
            return answers.result()

        return self.changes.put(now)

    def step(self) -> bool:
        """Hand the accelerator its next batch, then read the answers to the last one.

        Returns:
            False if nothing is due and nothing was running.
        """
        self.changes.carry_out()
        if self._demands:
            self._answer_demands()
        if len(self._flight) == _IN_FLIGHT:
            self._flight[0].wait(None)
        batch, served = self._gather()
        if batch is not None:
            self._keep_answers_of(batch.engine)
            self._start(batch)
        elif self._flight and not self._flight[0].wait(_GLANCE_S):
            return True  # meanwhile something else may fall due
        if self._flight and (len(self._flight) > _IN_FLIGHT or self._flight[0].done):
            self._read_oldest()
            served = True
        if not served:
            self.counters.idle.add()
        return served

    def _keep_answers_of(self, engine: Engine) -> None:
        """Before an engine runs again, have at most one of its runs unread: the second run after overwrites answers."""
        if sum(batch.engine is engine for batch in self._flight) == _IN_FLIGHT:
            self._read_oldest()

    def finish(self) -> None:
        """Wait for all that is running, and read its answers."""
        while self._flight:
            self._read_oldest()

    def prepared(self) -> dict[tuple[str, Task], tuple[Engine, npt.NDArray[np.float32]]]:
        """For each job whose camera has sent a frame: its engine and the tensor that frame becomes."""
        out = {}
        for job in (j for feed in self._feeds for j in feed.jobs if j.camera.name in self._frames):
            tensor = np.empty((job.feed.rows, *job.feed.engine.manifest.input.shape[1:]), np.float32)
            frame = self._frames[job.camera.name]
            job.reader.prepare(frame.image, tensor, frame.seen)
            out[job.key] = (job.feed.engine, tensor)
        return out

    # What was asked for ----------------------------------------------------------------------------------------------

    def _answer_demands(self) -> None:
        for demand in self._demands.copy():
            jobs = self._jobs_of(demand.camera)
            frame = self._newest(jobs[0].camera) if jobs else None
            gone = not jobs or demand.future.cancelled()
            if not gone and (frame is None or frame.sequence <= demand.after):
                continue  # it has not come yet
            self._demands.remove(demand)
            if demand.future.set_running_or_notify_cancel():
                self._answer(demand, frame)

    def _answer(self, demand: Demand[Result], frame: Frame | None) -> None:
        """Infer everything from one frame, the layout first, and nothing else meanwhile."""
        if frame is None:
            demand.future.set_exception(EdgeError(f"{demand.camera}: no such camera any more"))
            return
        self.finish()
        feeds = [feed for feed in self._feeds if feed.jobs[0].camera.name == demand.camera]
        self._answering = demand
        for feed in sorted(feeds, key=lambda f: all(job.task != "layout" for job in f.jobs)):
            batch = Batch(feed.engine, self._inputs[id(feed.engine)].next())
            self._prepare(batch, feed, frame, self._take(feed.jobs, frame))
            if batch.parts:
                self._start(batch)
            self.finish()
        self._answering = None
        demand.future.set_result(Answer(frame, demand.results, demand.errors))

    # What goes next --------------------------------------------------------------------------------------------------

    def _gather(self) -> tuple[Batch | None, bool]:
        """The most overdue job's frame, and with it those due on the same engine, prepared; and whether any was due."""
        batch: Batch | None = None
        served: list[Feed] = []
        due = self._schedule.due(self._clock())
        for job in due:
            if any(job.feed is feed for feed in served) or (batch is not None and not batch.room_for(job.feed)):
                continue  # a newer frame may have come since: what it is due for, the next step sees
            frame = self._fresh(job)
            if frame is None:
                continue
            served.append(job.feed)
            jobs = self._take([j for j in due if j.feed is job.feed], frame)
            if self._is_running(job.feed, frame):
                self.finish()
            if job.feed.sequence == frame.sequence:  # another noun had it answered
                self._read_all(jobs, frame, job.feed.outputs, {})
                continue
            if batch is None:
                batch = Batch(job.feed.engine, self._inputs[id(job.feed.engine)].next())
            self._prepare(batch, job.feed, frame, jobs)
        return (batch if batch is not None and batch.parts else None), bool(served)

    def _fresh(self, job: Job) -> Frame | None:
        """The camera's newest frame, if this job has not seen it and it is not too old."""
        if any(demand.camera == job.camera.name for demand in self._demands):
            return None  # its next frame is for that
        frame = self._newest(job.camera)
        if frame is None or frame.sequence <= job.turn.seen:
            return None
        if self._clock() - frame.captured_monotonic_s > job.deadline_s:
            job.turn.skip(frame.sequence)
            self.counters.stale.add(*job.key)
            return None
        return frame

    def _take(self, jobs: list[Job], frame: Frame) -> list[Job]:
        """Those that have not seen the frame, noted as served; layout first, which depth is aligned to."""
        now_s = self._clock()
        taken = sorted((j for j in jobs if frame.sequence > j.turn.seen), key=lambda j: j.task != "layout")
        for job in taken:
            self.counters.missed.add(*job.key, by=job.turn.take(frame.sequence, now_s))
        return taken

    def _is_running(self, feed: Feed, frame: Frame) -> bool:
        parts = (part for batch in self._flight for part in batch.parts)
        return any(part.feed is feed and part.frame.sequence == frame.sequence for part in parts)

    def _newest(self, camera: FrameSource) -> Frame | None:
        """The camera's newest frame; notes where the scene is cut."""
        held = self._frames.get(camera.name)
        frame = camera.latest(held.sequence if held else 0)
        if frame is None:
            return held
        self._frames[camera.name] = frame
        if self._cuts[camera.name].update(frame.image):
            self._cuts_at.setdefault(camera.name, deque(maxlen=_IN_FLIGHT + 1)).append(frame.sequence)
        return frame

    def _prepare(self, batch: Batch, feed: Feed, frame: Frame, jobs: list[Job]) -> None:
        """Write the frame into the batch's tensor; a frame that cannot be is reported and left out."""
        if frame.image.shape != feed.shape or frame.seen is not feed.seen:
            self.finish()  # readers know one size, and one part of what is around, at a time
            feed.shape, feed.seen = frame.image.shape, frame.seen
        taken_s = self._clock()
        stage_s = {"capture": max(0.0, taken_s - frame.captured_monotonic_s)}
        part = Part(feed, frame, jobs, batch.rows, stage_s)
        try:
            jobs[0].reader.prepare(frame.image, batch.tensor[part.first_row : part.end_row], frame.seen)
        except Exception as e:  # noqa: BLE001 - one camera must not end the others; reported and counted
            self._failed(jobs, e)
            return
        stage_s["preprocess"] = self._clock() - taken_s
        batch.parts.append(part)

    # What came of it -------------------------------------------------------------------------------------------------

    def _start(self, batch: Batch) -> None:
        rows, run, clock = batch.tensor[: batch.rows], batch.engine.backend.run, self._clock

        def timed() -> tuple[Arrays, float, float]:
            begun_s = clock()
            return run(rows), begun_s, clock()

        self.counters.batches.add(str(batch.rows))
        batch.submitted_s = clock()
        self._inputs[id(batch.engine)].used()
        batch.future = self._submit(timed)
        self._flight.append(batch)

    def _read_oldest(self) -> None:
        """Read the answers to the batch that was handed over first, waiting for it if need be."""
        batch = self._flight.popleft()
        assert batch.future is not None
        try:
            outputs, begun_s, ended_s = batch.future.result()
        except Exception as e:  # noqa: BLE001 - one engine must not end the others; reported and counted
            for part in batch.parts:
                self._failed(part.jobs, e)
            return
        for part in batch.parts:
            own = {name: array[part.first_row : part.end_row] for name, array in outputs.items()}
            part.stage_s["queue"] = max(0.0, begun_s - batch.submitted_s)
            part.stage_s["inference"] = (ended_s - begun_s) * part.feed.rows / batch.rows
            part.feed.keep(part.frame.sequence, own)
            self._read_all(part.jobs, part.frame, own, part.stage_s)

    def _read_all(self, jobs: list[Job], frame: Frame, outputs: Arrays, stage_s: dict[str, float]) -> None:
        """Every job's value from one answer; the first one's result has the stages."""
        cuts = self._cuts_at.get(frame.camera, ())
        is_cut = any(cut <= frame.sequence for cut in cuts)
        if is_cut:
            self._forget(frame)
        for job in jobs:
            begun_s = self._clock()
            try:
                value = self._read(job, outputs, frame)
            except Exception as e:  # noqa: BLE001 - one noun must not end the others; reported and counted
                self._failed([job], e)
                continue
            now_s = self._clock()
            stages = stage_s or {"capture": max(0.0, begun_s - frame.captured_monotonic_s)}
            self.counters.done.add(*job.key)
            self.counters.late.add(*job.key, by=now_s - frame.captured_monotonic_s > job.deadline_s)
            stages = stages | {"postprocess": now_s - begun_s}
            result = Result(frame, job.task, value, job.feed.engine, stages, scene_cut=is_cut)
            is_cut = False
            if self._answering is not None:
                self._answering.results[job.task] = result
            self._on_result(result)
            stage_s = {}

    def _read(self, job: Job, outputs: Arrays, frame: Frame) -> Value:
        layout = self._layouts.get(frame.camera)
        if job.task == "layout":
            self._layouts.pop(frame.camera, None)  # a layout that is refused must not go on scaling depth
        _check_finite(outputs, job.outputs)
        value = job.reader.read(outputs, frame.captured_monotonic_s, layout)
        if isinstance(value, RoomLayout):
            self._layouts[frame.camera] = value
        return value

    def _forget(self, frame: Frame) -> None:
        """The camera's scene was cut: nothing before counts."""
        cuts = self._cuts_at[frame.camera]
        while cuts and cuts[0] <= frame.sequence:
            cuts.popleft()
        self._layouts.pop(frame.camera, None)
        for job in (j for feed in self._feeds for j in feed.jobs if j.camera.name == frame.camera):
            job.reader.reset()

    def _failed(self, jobs: list[Job], error: Exception) -> None:
        known = error if isinstance(error, EdgeError) else _unexpected(error)
        for job in jobs:
            self.counters.errors.add(*job.key)
            if self._answering is not None:
                self._answering.errors[job.task] = known
            self._on_error(job.camera.name, job.task, known)


def _unexpected(error: Exception) -> EdgeError:
    """An error that nobody foresaw, with where it came from in the log."""
    _log.error("unexpected error in inference", exc_info=error)
    return EdgeError(f"internal error ({type(error).__name__}: {error}); please report it with the log")


def _check_finite(outputs: Arrays, names: tuple[str, ...]) -> None:
    for name in names:
        if not np.isfinite(outputs[name]).all():
            raise EdgeError(f"the network's output {name!r} is not finite; check the engine with `edge check`")
