"""The daemon: its parts started, watched, and taken down in order.

Threads: inference (one, which prepares pictures and reads answers), the accelerator's (which runs networks), publishing
(its own), requests (its own), the embedded broker (its own), and the caller's, which supervises: it looks after the
cameras, publishes states and health, and feeds systemd's watchdog.
"""

from __future__ import annotations

import logging
import sys
import threading
import time
import uuid
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import cv2

from edge.cameras.process import CameraProcess, stop_together
from edge.config.sections import Config
from edge.daemon import build, reports
from edge.daemon.answers import health as health_answer
from edge.daemon.answers import info as info_answer
from edge.daemon.failing import Failing
from edge.errors import EdgeError
from edge.inference.accelerator import Accelerator
from edge.monitor.clock import Periodic, WallClock
from edge.monitor.metrics import Metrics
from edge.monitor.throughput import Throughput
from edge.monitor.watchdog import Watchdog, notify
from edge.mqtt.link import Endpoint
from edge.mqtt.messages import BridgeHealth, BridgeInfo
from edge.pipeline.pipeline import Pipeline, Result
from edge.processes import renice_thread
from edge.publish.compose import Source
from edge.publish.publisher import Publisher
from edge.publish.results import ResultMessages
from edge.scene import Task

_log = logging.getLogger(__name__)

_POLL_S = 0.1
_IDLE_S = 0.002
_LAST_INFERENCE_S = 2.0
_CLOSE_S = 1.0
_UNSENT = ("refused", "held_back", "too_large", "invalid", "unsendable")
"""Reasons for which messages are dropped that do not pass by themselves."""
_SWITCH_S = 0.0005
"""How long one thread of Python may keep another waiting: the accelerator's has its next batch to hand over."""

Progress = Callable[[str], None]


@dataclass(slots=True)
class Tally:
    """What a run came to."""

    published: Counter[Task] = field(default_factory=Counter)
    dropped: int = 0
    unsent: Counter[str] = field(default_factory=Counter)
    """Of these, what could not be sent or was not taken, by reason."""
    errors: int = 0
    silent: tuple[tuple[str, Task], ...] = ()
    """Every configured (camera, task) that published nothing."""


class Daemon:
    """One run of the whole device package."""

    def __init__(
        self,
        config: Config,
        *,
        on_progress: Progress = _log.info,
        on_result: Callable[[Result], None] | None = None,
        stop: threading.Event | None = None,
    ) -> None:
        """Build every part; nothing runs yet.

        Args:
            config: what to run.
            on_progress: called with what is being done, for people.
            on_result: also given every result, on the inference thread.
            stop: ends `supervise` when set, from a signal handler for instance; made here when None.

        Raises:
            EngineError: a model cannot serve.
        """
        self.config = config
        self._say, self._also = on_progress, on_result
        self._stop = stop or threading.Event()
        self._thread = threading.Thread(target=self._infer, name="edge-inference", daemon=True)
        self._clock, self._started_s, self._run = WallClock(), time.monotonic(), uuid.uuid4().hex[:12]
        self._failing = Failing()
        self._fatal: BaseException | None = None
        self.metrics = Metrics()
        self.accelerator = Accelerator()
        self.engines = build.load_engines(config, self.accelerator, on_progress, self._stop)
        self.throughput = Throughput([(c.name, t) for c in config.cameras for t in c.tasks])
        self.pipeline = Pipeline(
            on_result=self._publish_result,
            on_error=self._task_failed,
            scene_cut_threshold=config.scene_cut.threshold,
            submit=self.accelerator.submit,
            counters=self.metrics,
        )
        self.cameras: list[CameraProcess] = []
        for camera in config.cameras:
            process = build.make_camera(camera)
            build.add_tasks(self.pipeline, process, camera, config, self.engines)
            self.cameras.append(process)
        self.broker = build.make_broker(config)
        self._endpoint = build.endpoint_of(config, self.broker)
        topics = build.topics_of(config)
        self._messages = ResultMessages(topics, depth_image=config.tasks.depth.image)
        self.publisher = Publisher(
            self._endpoint,
            topics,
            client_id=config.mqtt.client_id,
            handlers={
                "info": partial(info_answer.answer, info=partial(self._info, whole=True)),
                "health": partial(health_answer.answer, health=partial(self._health, window=False)),
            },
            max_packet_bytes=config.mqtt.max_packet_bytes,
            response_prefix=config.mqtt.response_prefix,
            retained=build.retained_topics(config),
            run=self._run,
            metrics=self.metrics,
        )

    @property
    def endpoint(self) -> Endpoint:
        """Where it publishes, for who wants to subscribe there; the embedded broker's once that runs."""
        return self._endpoint()

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
        self.publisher.publish("bridge_info", self._info())
        for camera in self.cameras:
            self._publish_state(camera)
            camera.start()
        if infer:
            self._thread.start()
        sys.setswitchinterval(_SWITCH_S)
        cv2.setNumThreads(1)  # pictures are small, and OpenCV's own threads would take the network's cores
        for thread in threading.enumerate():
            if thread is not self.accelerator.thread:
                renice_thread(thread)
        notify("READY=1", f"STATUS={len(self.cameras)} cameras")

    def supervise(self, for_s: float | None = None) -> None:
        """Look after everything until `request_stop`, or for so many seconds.

        Raises:
            EdgeError: the inference thread died of an unexpected error.
        """
        until_s = None if for_s is None else time.monotonic() + for_s
        watchdog = Watchdog()
        health = Periodic(self.config.health.every_s)
        while not self._stop.wait(_POLL_S):
            if until_s is not None and time.monotonic() >= until_s:
                return
            self._look_after_cameras()
            self._look_after_engines()
            self._look_after_clock()
            if not self.publisher.alive:
                raise EdgeError("publishing died; see the log, and please report it")
            if self._fatal is not None:
                raise EdgeError(
                    f"inference died ({type(self._fatal).__name__}: {self._fatal}); see the log"
                ) from self._fatal
            if health.due():
                self._publish_health()
            down = all(c.state != "online" for c in self.cameras)
            watchdog.look((self.metrics.done.total, self.metrics.idle.total), excused=down)

    def request_stop(self) -> None:
        """End `supervise`; callable from a signal handler."""
        self._stop.set()

    def stop(self) -> Tally:
        """Take everything down; returns what the run came to. Harmless when called twice."""
        notify("STOPPING=1")
        self._stop.set()
        for camera in self.cameras:
            camera.request_stop()
        if self._thread.is_alive():
            self._thread.join(_LAST_INFERENCE_S)
        for camera in self.cameras:
            self._publish_state(camera)
        self.publisher.stop()  # before what may hang, so that nobody waits for a daemon that is gone
        stop_together(self.cameras)
        tally = self._tally()
        if self.broker is not None:
            self.broker.stop()
        self.engines.close()
        # A network that hangs is left to the end of the process.
        self.accelerator.stop(0.0 if self._thread.is_alive() else _CLOSE_S)
        return tally

    def _infer(self) -> None:
        """The inference thread. Its broad except is the supervisor's: whatever ends this thread ends the daemon."""
        try:
            while not self._stop.is_set():
                if not self.pipeline.step():
                    time.sleep(_IDLE_S)
        except Exception as error:  # noqa: BLE001 - the supervisor's: reported, and ends the daemon
            _log.exception("inference died")
            self._fatal = error

    def _tally(self) -> Tally:
        statistics = self.publisher.statistics()
        published: Counter[Task] = Counter()
        silent = []
        for camera in self.config.cameras:
            for task in camera.tasks:
                count = statistics.published.get((task, camera.name), 0)
                published[task] += count
                if not count:
                    silent.append((camera.name, task))
        # A retained message that a newer one replaced before it went out is no loss.
        lost = sum(statistics.dropped.values()) - statistics.dropped.get("superseded", 0) + statistics.queued
        dropped = lost + sum(reports.passed_over(self.metrics).values())
        unsent = Counter({reason: n for reason in _UNSENT if (n := statistics.dropped.get(reason, 0))})
        never_connected = statistics.protocol is None
        errors = self.metrics.errors.total + self.metrics.camera_errors.total + never_connected
        return Tally(published, dropped, unsent, errors, tuple(silent))

    # Results ----------------------------------------------------------------------------------------------------------

    def _publish_result(self, result: Result) -> None:
        """On the inference thread: hand over; encoding happens on the publishing thread."""
        frame = result.frame
        if self._also is not None:
            self._also(result)
        latency_s = time.monotonic() - frame.captured_monotonic_s
        self.throughput.note(frame.camera, result.task, latency_s)
        self._failing.succeeded((frame.camera, result.task))
        manifest, shortfall = result.engine.manifest, result.engine.backend.degraded
        degraded = () if shortfall is None else (shortfall,)
        source = Source(self.config.device.name, manifest.name, manifest.onnx.sha256, degraded)
        for kind, make in self._messages.of(result.value, frame, source, latency_s):
            self.publisher.publish(kind, make, camera=frame.camera)

    def _task_failed(self, camera: str, task: Task, error: EdgeError) -> None:
        if self._failing.failed((camera, task), error):
            _log.error("%s/%s: %s", camera, task, error)
            self._event("task_failed", str(error), camera=camera, data={"task": task})

    # Reports ----------------------------------------------------------------------------------------------------------

    def _event(self, kind: str, message: str, *, camera: str | None = None, data: dict[str, Any] | None = None) -> None:
        self.publisher.publish(
            "bridge_event",
            reports.event(self.config.device.name, self._clock.now(), kind, message, camera, data or {}),
        )

    def _look_after_cameras(self) -> None:
        for camera in self.cameras:
            camera.poll()
            for event in camera.take_events():
                if event.kind == "error":
                    self.metrics.camera_errors.add(camera.name)
                    _log.error("camera %s: %s", camera.name, event.message)
                else:
                    _log.info("camera %s: %s", camera.name, event.message)
                self._event(f"camera_{event.kind}", event.message, camera=camera.name)
                if event.kind == "state":
                    self._publish_state(camera)

    def _look_after_engines(self) -> None:
        for name, event in self.engines.take_events():
            self._event(event.kind, event.message, data={"engine": name})
            self.publisher.publish("bridge_info", self._info())

    def _look_after_clock(self) -> None:
        """What is retained carries times of day: said again when the clock was set."""
        by_s = self._clock.stepped()
        if by_s is None:
            return
        _log.warning("the clock was set by %+.1f s", by_s)
        self._event("clock_set", f"the clock was set by {by_s:+.1f} s", data={"seconds": round(by_s, 3)})
        self._messages.send_rooms_again()
        self.publisher.publish("bridge_info", self._info())
        for camera in self.cameras:
            self._publish_state(camera)

    def _publish_state(self, camera: CameraProcess) -> None:
        self.publisher.publish(
            "camera_state",
            reports.camera_state(self.config.device.name, camera, self._clock),
            camera=camera.name,
        )

    def _publish_health(self) -> None:
        self.publisher.publish("bridge_health", partial(self._health, window=True))

    def _health(self, window: bool) -> BridgeHealth:
        """`window`: with the rates since the last time, and start the next window."""
        return reports.health(
            self.config.device.name,
            self._clock.now(),
            time.monotonic() - self._started_s,
            self.throughput.window() if window else [],
            self.publisher.statistics(),
            self.metrics,
            reports.degraded(self.cameras, self.engines.degraded(), self._failing.errors(), self.publisher.degraded()),
        )

    def _info(self, *, whole: bool = False) -> BridgeInfo:
        return reports.info(
            self.config,
            self._run,
            self._clock.at(self._started_s),
            self.engines.models,
            self.engines.by_task,
            build.configured_settings(self.config),
            whole=whole,
        )
