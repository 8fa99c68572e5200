"""The cameras of a run: built, looked after, restarted; added, changed and removed while it runs."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping
from concurrent import futures
from typing import Any

from edge.cameras.process import CameraProcess, stop_together
from edge.config.cameras import CameraConfig
from edge.config.sections import Config
from edge.daemon import build
from edge.daemon.overrides import Overrides
from edge.errors import EdgeError
from edge.monitor.metrics import Metrics
from edge.mqtt.messages import TaskSettings
from edge.pipeline.engines import LoadedEngines
from edge.pipeline.pipeline import Pipeline
from edge.pipeline.schedule import Cadence
from edge.scene import Task

_log = logging.getLogger(__name__)

_PIPELINE_S = 5.0

OnEvent = Callable[[str, str, str], None]
"""Told what happened: kind, message, camera."""
OnState = Callable[[CameraProcess], None]


class Cameras:
    """Every configured camera with its tasks in the pipeline. For the supervisor's thread."""

    def __init__(
        self,
        config: Config,
        pipeline: Pipeline,
        engines: LoadedEngines,
        overrides: Overrides,
        metrics: Metrics,
        *,
        on_event: OnEvent,
        on_state: OnState,
    ) -> None:
        """Build them; none captures yet.

        Args:
            config: which cameras, and how their tasks run.
            pipeline: where their tasks run.
            engines: what answers for a task.
            overrides: what was set over the configuration.
            metrics: where failures are counted.
            on_event: called with what happened to one.
            on_state: called with one whose state is to be said.
        """
        self._config, self._pipeline, self._engines, self._overrides = config, pipeline, engines, overrides
        self._metrics, self._on_event, self._on_state = metrics, on_event, on_state
        self._running = False
        self.slowdown = 1
        """Every task runs so many times as rarely as is set, for the heat."""
        self._processes: dict[str, CameraProcess] = {}
        for camera in config.cameras:
            self._processes[camera.name] = build.make_camera(camera)
            self._add_tasks(pipeline, self._processes[camera.name], camera, config)

    def __iter__(self) -> Iterator[CameraProcess]:
        """The capture processes."""
        return iter(tuple(self._processes.values()))

    def __len__(self) -> int:
        """How many there are."""
        return len(self._processes)

    def find(self, name: str) -> CameraProcess:
        """The one of that name.

        Raises:
            EdgeError: there is none.
        """
        try:
            return self._processes[name]
        except KeyError:
            raise EdgeError(f"no camera {name!r}; there are {', '.join(self._processes)}") from None

    def start(self) -> None:
        """Begin to capture."""
        self._running = True
        for process in self:
            self._on_state(process)
            process.start()

    def look_after(self) -> None:
        """Restart what failed, and tell what happened."""
        for process in self:
            process.poll()
            for event in process.take_events():
                if event.kind == "error":
                    self._metrics.camera_errors.add(process.name)
                    _log.error("camera %s: %s", process.name, event.message)
                else:
                    _log.info("camera %s: %s", process.name, event.message)
                self._on_event(f"camera_{event.kind}", event.message, process.name)
                if event.kind == "state":
                    self._on_state(process)

    def restart(self, name: str) -> None:
        """End its capture process and start another.

        Raises:
            EdgeError: there is no such camera.
        """
        process = self.find(name)
        process.stop()
        process.start()

    def stop(self, within_s: float) -> None:
        """End all capture processes; they are killed then, or sooner."""
        stop_together(list(self), within_s)

    # Tasks -----------------------------------------------------------------------------------------------------------

    def settings(self) -> Mapping[tuple[str, Task], TaskSettings]:
        """How each task of each camera is set to run, by (camera, task); for the heat it may run more rarely."""
        return {(camera.name, task): self._settings(camera.name, task) for camera, task in self._tasks()}

    def periods_s(self) -> Mapping[tuple[str, Task], float | None]:
        """The time between two results of each task now; None where pictures are counted."""
        every_s = {key: settings.every_s for key, settings in self.settings().items()}
        return {key: None if seconds is None else seconds * self.slowdown for key, seconds in every_s.items()}

    def _tasks(self) -> Iterator[tuple[CameraConfig, Task]]:
        return ((camera, task) for camera in self._config.cameras for task in camera.tasks)

    def _settings(self, camera: str, task: Task, config: Config | None = None) -> TaskSettings:
        configured = (config or self._config).tasks[task]
        return self._overrides.settings(camera, task, configured.every_s, configured.every_frames)

    def set(self, camera: str, task: Task, changes: Mapping[str, bool | float | None]) -> TaskSettings:
        """Change how a task runs, over restarts too.

        Raises:
            EdgeError: there is no such camera or task, it cannot be kept, or inference does not answer.
        """
        self.find(camera)
        tasks = next(c.tasks for c in self._config.cameras if c.name == camera)
        if task not in tasks:
            raise EdgeError(f"camera {camera} has {', '.join(tasks)}; add {task} to its tasks in the configuration")
        self._overrides.change(camera, task, changes, self._processes)
        settings = self._settings(camera, task)
        self._between_turns(lambda: self._change(camera, task, settings))
        return settings

    def _change(self, camera: str, task: Task, settings: TaskSettings) -> None:
        cadence = Cadence(settings.every_s, settings.every_frames).slower(self.slowdown)
        self._pipeline.change(camera, task, cadence, paused=not settings.enabled)

    def slow_down(self, by: int) -> None:
        """Run every task so many times as rarely as is set, from now on.

        Raises:
            EdgeError: inference does not answer.
        """
        settings, self.slowdown = self.settings(), by

        def change_all() -> None:
            for (camera, task), runs in settings.items():
                self._change(camera, task, runs)

        self._between_turns(change_all)

    def _add_tasks(self, pipeline: Pipeline, process: CameraProcess, camera: CameraConfig, config: Config) -> None:
        settings = {task: self._settings(camera.name, task, config) for task in camera.tasks}
        build.add_tasks(pipeline, process, camera, config.tasks, self._engines, settings, self.slowdown)

    def infer_anew(self) -> None:
        """Every task begins anew, on the engine that answers for it now.

        Raises:
            EdgeError: inference does not answer.
        """

        def add_again() -> None:
            for camera in self._config.cameras:
                self._pipeline.remove(camera.name)
            for camera in self._config.cameras:
                self._add_tasks(self._pipeline, self._processes[camera.name], camera, self._config)

        self._between_turns(add_again)

    def _between_turns(self, action: Callable[[], Any]) -> None:
        """On the thread of inference while that runs; here before.

        Raises:
            EdgeError: it does not answer.
        """
        if not self._running:
            action()
            return
        future = self._pipeline.changes.put(action)
        try:
            future.result(_PIPELINE_S)
        except futures.TimeoutError as error:
            future.cancel()
            raise EdgeError(f"inference did not answer within {_PIPELINE_S:g} s; send it again later") from error

    # Another configuration -------------------------------------------------------------------------------------------

    def apply(self, config: Config) -> None:
        """Run what that configuration says from now on; what did not change goes on undisturbed.

        Raises:
            EdgeError: a task cannot run as it says, or inference does not answer; all stays as it was.
        """
        before, after = {c.name: c for c in self._config.cameras}, {c.name: c for c in config.cameras}
        tasks_differ = (config.tasks, config.scene_cut) != (self._config.tasks, self._config.scene_cut)
        gone = [name for name in before if name not in after]
        captured_anew = [name for name, c in after.items() if name in before and _capture(before[name]) != _capture(c)]
        inferred_anew = [name for name, c in after.items() if tasks_differ or before.get(name) != c]
        kept = {name: self._processes[name] for name in after if name in before and name not in captured_anew}
        processes = {name: kept.get(name) or build.make_camera(c) for name, c in after.items()}

        def add_to(pipeline: Pipeline) -> None:
            pipeline.scene_cut_threshold = config.scene_cut.threshold
            for name in inferred_anew:
                self._add_tasks(pipeline, processes[name], after[name], config)

        def change_tasks() -> None:
            for name in (*gone, *(n for n in inferred_anew if n in before)):
                self._pipeline.remove(name)
            add_to(self._pipeline)

        add_to(build.trial_pipeline())
        self._between_turns(change_tasks)
        ended = [self._processes[name] for name in (*gone, *captured_anew)]
        self._config, self._processes = config, processes
        stop_together(ended)
        for name in (*captured_anew, *(n for n in after if n not in before)):
            self._on_state(processes[name])
            processes[name].start()


def _capture(camera: CameraConfig) -> CameraConfig:
    """All of a camera's configuration but what is done with its pictures."""
    return camera.model_copy(update={"tasks": ()})
