"""The daemon: its parts started, watched, and taken down in order.

Threads: inference (one, which prepares pictures and reads answers), the accelerator's (which runs networks), publishing
(its own), requests (their own), the embedded broker (its own), and the caller's, which supervises: it looks after the
cameras, publishes states and health, carries out what changes the daemon, starts threads again that died, and feeds
systemd's watchdog.
"""

from __future__ import annotations

import logging
import sys
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from functools import partial
from pathlib import Path
from typing import Any

import cv2

from edge.cameras.process import CameraProcess
from edge.config.sections import Config
from edge.daemon import alive, build, readings, reports
from edge.daemon.cameras import Cameras
from edge.daemon.control import Control
from edge.daemon.engine_jobs import EngineJobs
from edge.daemon.failing import Failing
from edge.daemon.handlers import handlers_of
from edge.daemon.home_assistant import HomeAssistant
from edge.daemon.inference_thread import InferenceThread
from edge.daemon.overrides import Overrides
from edge.daemon.revival import Revival
from edge.daemon.tally import Tally, tally
from edge.errors import EdgeError
from edge.inference.accelerator import Accelerator
from edge.monitor.clock import Deadline, Periodic, WallClock
from edge.monitor.machine import Machine
from edge.monitor.metrics import Metrics, Reading
from edge.monitor.process import memory_bytes
from edge.monitor.throughput import Throughput
from edge.monitor.watchdog import Watchdog, notify
from edge.mqtt.endpoint import Endpoint
from edge.mqtt.messages import BridgeHealth, BridgeInfo, Message
from edge.pipeline.demands import Answer
from edge.pipeline.pipeline import Pipeline, Result
from edge.processes import renice_thread
from edge.publish import compose
from edge.publish.publisher import Publisher
from edge.publish.requests import Handler
from edge.publish.results import Messages
from edge.scene import Task

_log = logging.getLogger(__name__)

_POLL_S, _DRIFT_EVERY_S = 0.1, 60.0
_STOP_S = 4.0
"""In which all is stopped, and of that what a part may take that hangs:"""
_LAST_INFERENCE_S, _PUBLISH_S, _BUILD_S, _CLOSE_S = 1.0, 3.0, 0.3, 1.0
_SWITCH_S = 0.0005
"""How long one thread of Python may keep another waiting: the accelerator's has its next batch to hand over."""

Progress = Callable[[str], None]


class Daemon:
    """One run of the whole device package."""

    def __init__(
        self,
        config: Config,
        *,
        path: Path | None = None,
        on_progress: Progress = _log.info,
        on_result: Callable[[Result], None] | None = None,
        stop: threading.Event | None = None,
        reread: threading.Event | None = None,
    ) -> None:
        """Build every part; nothing runs yet.

        Args:
            config: what to run.
            path: the file that it was read from, to be read again; None: what was set by request does not hold either.
            on_progress: called with what is being done, for people.
            on_result: also given every result, on the inference thread.
            stop: ends `supervise` when set, from a signal handler for instance; made here when None.
            reread: has the configuration read again when set; made here when None.

        Raises:
            EngineError: a model cannot serve.
        """
        self._say, self._also = on_progress, on_result
        self._stop = stop or threading.Event()
        self._clock, self._started_s, self._run = WallClock(), time.monotonic(), uuid.uuid4().hex[:12]
        self._failing, self._revival = Failing(), Revival()
        self.metrics, self.machine, self._pulse = Metrics(), Machine(), alive.Pulse()
        self.metrics.expose(self._readings)
        self.accelerator = Accelerator()
        self.engines = build.load_engines(config, self.accelerator, on_progress, self._stop)
        self.pipeline = Pipeline(
            on_result=self._publish_result,
            on_error=self._task_failed,
            scene_cut_threshold=config.scene_cut.threshold,
            submit=self.accelerator.submit,
            counters=self.metrics,
        )
        self._inference = InferenceThread(self.pipeline, self._stop)
        self._overrides = Overrides(None if path is None else config.requests.overrides)
        self.cameras = Cameras(
            config,
            self.pipeline,
            self.engines,
            self._overrides,
            self.metrics,
            on_event=self._event,
            on_state=self._publish_state,
        )
        self._heat = build.heat_of(config, self.machine, self.cameras.slow_down, self._event)
        self.control = Control(
            config,
            path,
            self.cameras,
            self.engines,
            reread or threading.Event(),
            on_event=self._event,
            on_config=self._apply,
            on_changed=self._publish_info,
        )
        self.throughput = Throughput(list(self.cameras.settings()))
        self.broker = build.make_broker(config)
        self._topics = build.topics_of(config)
        self.objects = build.object_watch(
            config, self.engines, self.cameras.find, self.pipeline, self._tell_objects, self._stop
        )
        self._messages, self._pictures = build.messages_of(config, self.objects.of), build.pictures_of(config)
        self._home = HomeAssistant(self._topics)
        self._drift = build.drift_of(config, self._drift_told)
        self._review = build.review_of(config, self.said, self.pipeline.infer, self.metrics)
        self._drift_due = Periodic(_DRIFT_EVERY_S)
        self.trials = build.make_trials(
            config, self.engines, self.accelerator, lambda: self.config, self._model_switched, self._tell_trial
        )
        self._health_due = Periodic(config.health.every_s)
        self.engine_jobs = EngineJobs(path)
        self.publisher = Publisher(
            lambda: self.endpoint,
            self._topics,
            client_id=config.mqtt.client_id,
            handlers=self._handlers(),
            max_packet_bytes=config.mqtt.max_packet_bytes,
            response_prefix=config.mqtt.response_prefix,
            allowed=config.requests.allow,
            retained=build.retained_topics(config),
            listeners=self._home.listeners,
            run=self._run,
            metrics=self.metrics,
            spool=build.make_spool(config),
            all_results=config.mqtt.spool.results == "all",
            replay_per_s=config.mqtt.spool.replay_per_s,
        )

    def _handlers(self) -> dict[str, Handler]:
        return handlers_of(
            lambda: self.config,
            self.cameras,
            self.control,
            self.engine_jobs,
            self.objects,
            now=self._clock.now,
            uptime_s=self.uptime_s,
            whole_info=partial(self.info, whole=True),
            health_now=partial(self.health, window=False),
            demand=self.pipeline.demand,
            demand_shown=self._demand,
            said=self.said,
            largest_bytes=lambda: self.publisher.largest_bytes,
            review=lambda: self._review,
            drift=lambda: self._drift,
        )

    def _demand(self, camera: CameraProcess) -> Future[Answer[Result]]:
        """Everything about the camera's next frame; its pictures for people are published too."""
        self._pictures.ask(camera.name)
        self._messages.ask_for_view(camera.name)
        return self.pipeline.demand(camera)

    @property
    def config(self) -> Config:
        """What it runs by."""
        return self.control.config

    @property
    def endpoint(self) -> Endpoint:
        """Where it publishes, for who wants to subscribe there; the embedded broker's once that runs."""
        return build.endpoint_of(self.config, self.broker)

    # Running ----------------------------------------------------------------------------------------------------------

    def start(self, *, infer: bool = True) -> None:
        """Start broker, publisher, cameras and, unless the caller steps the pipeline itself, inference.

        Raises:
            PublishError: the embedded broker cannot start.
        """
        if self.broker is not None:
            self.broker.start()
            self._say(f"embedded broker on {self.broker.endpoint}, WebSocket port {self.broker.ws_port}")
        self.publisher.start()
        self._publish_info()
        self.cameras.start()
        if infer:
            self._inference.start()
        sys.setswitchinterval(_SWITCH_S)
        cv2.setNumThreads(1)  # pictures are small, and OpenCV's own threads would take the network's cores
        for thread in threading.enumerate():
            if thread is not self.accelerator.thread:
                renice_thread(thread)
        notify("READY=1", f"STATUS={len(self.cameras)} cameras")

    def supervise(self, for_s: float | None = None) -> None:
        """Look after everything until `request_stop`, or for so many seconds.

        Raises:
            EdgeError: a thread died once more than is forgiven.
        """
        until_s = None if for_s is None else time.monotonic() + for_s
        watchdog, every_second = Watchdog(), Periodic(1.0)
        while not self._stop.wait(_POLL_S):
            if until_s is not None and time.monotonic() >= until_s:
                return
            self.control.carry_out()
            self.cameras.look_after()
            self._look_after_engines()
            self._look_after_clock()
            self._look_after_threads()
            self._look_after_home_assistant()
            self._publish_pictures()
            self._look_after_drift()
            self.objects.look_again({c.name: c.objects for c in self.config.cameras}, self.config.tasks.objects.every_s)
            if self._heat.look():
                self._publish_info()
                self._publish_health()
            if self._health_due.due():
                self._publish_health()
            down = all(c.state != "online" for c in self.cameras)
            progress = self.metrics.done.total, self.metrics.idle.total
            watchdog.look(progress, excused=down)
            self._pulse.note(progress, excused=down)
            if every_second.due():
                notify(f"STATUS={reports.status_line(self.cameras, self.metrics.done.total)}")
                self.trials.look(self._failing.errors())

    def request_stop(self) -> None:
        """End `supervise`; callable from a signal handler."""
        self._stop.set()

    def stop(self) -> Tally:
        """Take everything down, in 4 s however much hangs; returns what the run came to. Harmless when called twice."""
        until = Deadline(_STOP_S)
        notify("STOPPING=1")
        self._stop.set()
        for camera in self.cameras:
            camera.request_stop()
        inferred = self._inference.join(until.left_s(_LAST_INFERENCE_S))
        for camera in self.cameras:
            self._publish_state(camera)
        self.publisher.stop(until.left_s(_PUBLISH_S))  # before what may hang: nobody waits for a daemon that is gone
        self.engine_jobs.stop(until.left_s(_BUILD_S))
        self.trials.stop()
        self.cameras.stop(until.left_s())
        came_to = tally(self.publisher.statistics(), self.metrics, self.cameras.settings())
        if self.broker is not None:
            self.broker.stop(until.left_s())
        self.engines.close()
        # A network that hangs is left to the end of the process.
        self.accelerator.stop(until.left_s(_CLOSE_S) if inferred else 0.0)
        return came_to

    def _look_after_threads(self) -> None:
        """Start again what died.

        Raises:
            EdgeError: that is more than is forgiven.
        """
        error = self._inference.take_death()
        if error is not None:
            said = self._revival.allow("inference", f"{type(error).__name__}: {error}")
            self._inference.start()
            self._event("part_restarted", said, data={"part": "inference"})
        if not self.publisher.alive and (part := self.publisher.revive()) is not None:
            said = self._revival.allow(part, "see the log")
            _log.error("%s", said)
            self._event("part_restarted", said, data={"part": part})

    # Results ----------------------------------------------------------------------------------------------------------

    def _publish_result(self, result: Result) -> None:
        """On the inference thread: hand over; encoding happens on the publishing thread."""
        frame = result.frame
        if self._also is not None:
            self._also(result)
        latency_s = time.monotonic() - frame.captured_monotonic_s
        self.throughput.note(frame.camera, result.task, latency_s)
        self.metrics.latency.labels(frame.camera, result.task).observe(latency_s)
        self._failing.succeeded((frame.camera, result.task))
        source = reports.source_of(self.config.device.name, result)
        for watch in (self._drift, self._review, self.trials):
            if watch is not None:
                watch.take(result)
        for kind, make in self._messages.of(result.value, frame, source, latency_s):
            self.publisher.publish(kind, make, camera=frame.camera)

    def _tell_objects(self, camera: str, messages: Messages) -> None:
        for kind, make in messages:
            self.publisher.publish(kind, make, camera=camera)
        self._messages.send_room_again(camera)

    def _task_failed(self, camera: str, task: Task, error: EdgeError) -> None:
        if self._failing.failed((camera, task), error):
            _log.error("%s/%s: %s", camera, task, error)
            self._event("task_failed", str(error), camera=camera, data={"task": task})

    # Reports ----------------------------------------------------------------------------------------------------------

    def _event(self, kind: str, message: str, camera: str | None = None, data: dict[str, Any] | None = None) -> None:
        self.publisher.publish(
            "bridge_event",
            reports.event(self.config.device.name, self._clock.now(), kind, message, camera, data or {}),
        )

    def _look_after_engines(self) -> None:
        for name, event in self.engines.take_events():
            self._event(event.kind, event.message, data={"engine": name})
            self._publish_info()
        if (end := self.engine_jobs.take_end()) is not None:
            self._event(end.kind, end.message, data=end.data)

    def _model_switched(self) -> None:
        """Another model serves: its readers begin anew, and what failed with the other one is forgotten."""
        self._failing.forget(())
        self.cameras.infer_anew()
        self._publish_info()

    def _tell_trial(self, kind: str, message: str, data: dict[str, Any]) -> None:
        _log.info("%s: %s", kind, message)
        self._event(kind, message, data=data)

    def _look_after_clock(self) -> None:
        """What is retained carries times of day: said again when the clock was set."""
        by_s = self._clock.stepped()
        if by_s is None:
            return
        _log.warning("the clock was set by %+.1f s", by_s)
        self._event("clock_set", f"the clock was set by {by_s:+.1f} s", data={"seconds": round(by_s, 3)})
        self._messages.send_rooms_again()
        self._publish_info()
        for camera in self.cameras:
            self._publish_state(camera)

    def _look_after_drift(self) -> None:
        if self._review is not None:
            self._review.look(time.monotonic())
        if not self._drift_due.due():
            return
        build.expire_recordings(self.config)
        for camera, message in ({} if self._drift is None else self._drift.look(self._clock.now())).items():
            self.publisher.publish("drift", message, camera=camera)

    def _drift_told(self, kind: str, message: str, camera: str, data: dict[str, Any]) -> None:
        if kind == "drift_started" and self._review is not None:
            self._review.drifted(camera)
        if kind in ("drift_started", "out_of_training"):
            self.trials.note_drift(camera, message)
        self._event(kind, message, camera, data)

    def _look_after_home_assistant(self) -> None:
        """It has started: say again all that it may have missed."""
        if self._home.has_started():
            self.publisher.announce_again()
            self._publish_health()

    def _publish_pictures(self) -> None:
        for camera in self.cameras:
            picture = self._pictures.due(camera)
            if picture is not None:
                self.publisher.publish("picture", picture, camera=camera.name)

    def _publish_state(self, camera: CameraProcess) -> None:
        self.publisher.publish(
            "camera_state",
            reports.camera_state(self.config.device.name, camera, self._clock),
            camera=camera.name,
        )

    def _publish_info(self) -> None:
        self.publisher.publish("bridge_info", self.info())
        for camera, device in self._home.changed(self.config, self.cameras.periods_s()).items():
            self.publisher.publish("discovery", device, camera=camera)

    def _publish_health(self) -> None:
        self.publisher.publish("bridge_health", partial(self.health, window=True))

    def health(self, *, window: bool) -> BridgeHealth:
        """How it is now; `window`: with the rates since the last time, and start the next window."""
        return reports.health(
            self.config.device.name,
            self._clock.now(),
            self.uptime_s(),
            self.throughput.window() if window else [],
            self.publisher.statistics(),
            self.metrics,
            reports.machine_health(self.machine.read(), self.cameras.slowdown),
            self.degraded(),
            self.trials.status(),
        )

    def degraded(self) -> tuple[str, ...]:
        """What is worse than configured."""
        kept = () if self._overrides.problem is None else (self._overrides.problem,)
        parts = (self.engines, self.publisher, self._revival, self._heat)
        engines, *others = (part.degraded() for part in parts)
        return reports.degraded(self.cameras, engines, self._failing.errors(), *others, kept)

    def info(self, *, whole: bool = False) -> BridgeInfo:
        """What it runs; `whole`: with all that was measured of its models."""
        return reports.info(
            self.config,
            self._run,
            self._clock.at(self._started_s),
            self.engines.models,
            self.engines.by_task,
            self.cameras.settings(),
            objects=self.engines.what_reconstructs,
            whole=whole,
            restart_required=self.control.restart_required,
        )

    # Seen from outside, on any thread ---------------------------------------------------------------------------------

    def dead(self) -> str | None:
        """Why it does not live, if it does not."""
        return self._pulse.dead()

    def not_ready(self) -> tuple[str, ...]:
        """What keeps it from serving."""
        return alive.not_ready(
            self.cameras,
            self.engines.by_task,
            connected=self.publisher.wait_connected(0.0),
            infers=self._inference.runs and not self._stop.is_set(),
        )

    def _readings(self) -> Iterator[Reading]:
        """What metrics show beside what is counted."""
        slowdown, ready = self.cameras.slowdown, not self.not_ready()
        yield from readings.of_daemon(self.uptime_s(), len(self.degraded()), ready, slowdown, memory_bytes())
        yield from readings.of_machine(self.machine.read())
        yield from readings.of_cameras(self.cameras)
        yield from readings.of_engines(self.engines.by_task)
        yield from readings.of_broker(self.publisher.statistics())

    # What is asked of it, on threads of requests ----------------------------------------------------------------------

    def uptime_s(self) -> float:
        """Since it was built."""
        return time.monotonic() - self._started_s

    def said(self, result: Result, latency_s: float) -> Message:
        """The message of a result."""
        source = reports.source_of(self.config.device.name, result)
        topic = self._topics.of("depth_image", camera=result.frame.camera) if self.config.tasks.depth.image else None
        return compose.message_of(result.value, result.frame, source, latency_s, topic)

    def _apply(self, before: Config, config: Config) -> None:
        """Another configuration holds: what it changes beside the cameras."""
        self._failing.forget(self.cameras.settings())
        self.throughput.expect(list(self.cameras.settings()))
        if build.messages_depend_on(config) != build.messages_depend_on(before):
            self._messages = build.messages_of(config, self.objects.of)
        if config.cameras != before.cameras:
            self._pictures = build.pictures_of(config)
            self.objects.keep_only([c.name for c in config.cameras])
        if (config.drift, config.cameras) != (before.drift, before.cameras):
            self._drift = build.drift_of(config, self._drift_told)
        if (config.review, config.cameras) != (before.review, before.cameras):
            self._review = build.review_of(config, self.said, self.pipeline.infer, self.metrics)
        if config.health != before.health:
            self._health_due = Periodic(config.health.every_s)
        logging.getLogger().setLevel(config.log.level.upper())
        self.publisher.configure(
            max_packet_bytes=config.mqtt.max_packet_bytes,
            response_prefix=config.mqtt.response_prefix,
            allowed=config.requests.allow,
            retained=build.retained_topics(config),
        )
        if self.broker is None and build.connection_of(config) != build.connection_of(before):
            self.publisher.connect_anew()
