"""The daemon: every part built from the configuration, watched, and taken down in order.

Threads: inference (one, which prepares pictures and reads answers), the accelerator's (which runs networks), publishing
(its own), the embedded broker (its own), and the caller's, which supervises: it looks after the cameras, publishes
states and health, and feeds systemd's watchdog.
"""

from __future__ import annotations

import logging
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import cv2

import edge
from edge.cameras.base import CsiSpec, ReplaySpec, RtspSpec, SourceSpec, V4l2Spec
from edge.cameras.process import CameraProcess
from edge.config.sections import (
    CameraConfig,
    Config,
    CsiConfig,
    LayoutConfig,
    ReplayConfig,
    RtspConfig,
    config_schema,
)
from edge.errors import EdgeError
from edge.inference.accelerator import Accelerator
from edge.monitor.process import memory_bytes, temperature_celsius
from edge.monitor.throughput import Throughput
from edge.monitor.watchdog import Watchdog, notify
from edge.mqtt.broker import EmbeddedBroker
from edge.mqtt.link import Endpoint, TlsOptions
from edge.mqtt.messages import (
    BridgeEvent,
    BridgeHealth,
    BridgeInfo,
    BrokerHealth,
    CameraInfo,
    CameraState,
    Percentiles,
    TaskHealth,
    timestamp,
)
from edge.mqtt.topics import Topics
from edge.pipeline.engines import LoadedEngines
from edge.pipeline.pipeline import Pipeline, Result
from edge.pipeline.schedule import Cadence
from edge.processes import stand_behind
from edge.publish import compose
from edge.publish.publisher import Publisher
from edge.scene import CameraModel, DepthMap, Frame, RoomLayout, Task

_log = logging.getLogger(__name__)

_POLL_S = 0.1
_IDLE_S = 0.002
_LAST_INFERENCE_S = 2.0
_CLOSE_S = 1.0
_SWITCH_S = 0.0005
"""How long one thread of Python may keep another waiting: the accelerator's has its next batch to hand over."""

Progress = Callable[[str], None]


@dataclass(slots=True)
class Tally:
    """What a run came to."""

    published: Counter[Task] = field(default_factory=Counter)
    dropped: int = 0
    errors: int = 0
    silent: tuple[tuple[str, Task], ...] = ()
    """Every configured (camera, task) that published nothing."""


def spec_from_config(camera: CameraConfig) -> SourceSpec:
    """The camera's source as the capture process takes it."""
    source = camera.source
    if isinstance(source, ReplayConfig):
        return ReplaySpec(source.path, source.loop, source.pace, source.fps)
    if isinstance(source, RtspConfig):
        return RtspSpec(source.url, source.transport, source.open_timeout_s, source.read_timeout_s)
    if isinstance(source, CsiConfig):
        return CsiSpec(source.sensor_id, source.width_px, source.height_px, source.fps, source.flip)
    return V4l2Spec(source.device, source.width_px, source.height_px, source.fps, source.fourcc)


def endpoint_from_config(config: Config, broker: EmbeddedBroker | None) -> Endpoint:
    """Where to publish: the configured broker, or the embedded one once it runs."""
    if broker is not None:
        return broker.endpoint
    m = config.mqtt
    tls = None if m.tls is None else TlsOptions(m.tls.ca, m.tls.cert, m.tls.key, m.tls.insecure)
    protocol = "auto" if m.protocol == "auto" else ("5" if m.protocol == 5 else "3.1.1")
    assert m.host is not None
    return Endpoint(m.host, m.port, m.username, m.read_password(), tls, m.transport, m.keepalive_s, protocol)  # type: ignore[arg-type]


class _CameraFrames:
    """A camera process as the pipeline sees it."""

    def __init__(self, process: CameraProcess, model: CameraModel) -> None:
        self.name, self._process, self._model = process.name, process, model

    @property
    def sequence(self) -> int:
        return self._process.sequence

    def latest(self, after_sequence: int) -> Frame | None:
        got = self._process.latest(after_sequence)
        if got is None:
            return None
        return Frame(self.name, got.sequence, got.captured_at, got.captured_monotonic_s, got.image, self._model)


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
            on_progress: told what is being done, for people.
            on_result: also given every result, on the inference thread.
            stop: ends `supervise` when set, from a signal handler for instance; made here when None.

        Raises:
            EngineError: a model cannot serve.
        """
        self.config = config
        self._say, self._also = on_progress, on_result
        self._stop = stop or threading.Event()
        self._thread = threading.Thread(target=self._infer, name="edge-inference", daemon=True)
        self._started_at, self._started_s = time.time(), time.monotonic()
        self.accelerator = Accelerator()
        self._errors: Counter[str] = Counter()
        self._last_error: dict[tuple[str, Task], str] = {}
        self._rooms: dict[str, RoomLayout] = {}
        self._fatal: BaseException | None = None
        self.engines = LoadedEngines(
            config.inference.engines,
            {t: getattr(config.tasks, t).engine for c in config.cameras for t in c.tasks},
            config.inference.options(),
            self.accelerator,
            on_progress=on_progress,
            stop=self._stop,
        )
        keys: list[tuple[str, str]] = [(c.name, t) for c in config.cameras for t in c.tasks]
        self.throughput = Throughput(keys)
        self.pipeline = Pipeline(
            on_result=self._publish_result,
            on_error=self._task_failed,
            scene_cut_threshold=config.scene_cut.threshold,
            submit=self.accelerator.submit,
        )
        self.cameras = [self._add_camera(c) for c in config.cameras]
        own = config.mqtt.embedded
        self.broker = EmbeddedBroker(own.port, own.websocket_port) if config.mqtt.host is None else None
        self.publisher: Publisher | None = None
        self.endpoint: Endpoint | None = None

    # Building ---------------------------------------------------------------------------------------------------------

    def _add_camera(self, camera: CameraConfig) -> CameraProcess:
        process = CameraProcess(
            camera.name,
            spec_from_config(camera),
            stall_timeout_s=camera.stall_timeout_s,
            frozen_after_s=camera.frozen_after_s,
        )
        frames = _CameraFrames(process, camera.model)
        for task in camera.tasks:
            settings = getattr(self.config.tasks, task)
            fit = settings.fit if isinstance(settings, LayoutConfig) else "auto"
            cadence = Cadence(settings.every_s, settings.every_frames)
            self.pipeline.add(
                frames,
                camera.model,
                task,
                self.engines.by_task[task],
                cadence,
                smoothing_s=settings.smoothing_s,
                fit=fit,
                deadline_s=settings.deadline_s,
            )
        return process

    # Running ----------------------------------------------------------------------------------------------------------

    def start(self, *, infer: bool = True) -> None:
        """Start broker, publisher, cameras and, unless the caller steps the pipeline itself, inference.

        Raises:
            PublishError: the embedded broker cannot start.
        """
        if self.broker is not None:
            self.broker.start()
            self._say(f"embedded broker on {self.broker.endpoint}, WebSocket port {self.broker.ws_port}")
        self.endpoint = endpoint_from_config(self.config, self.broker)
        device = self.config.device
        self.publisher = Publisher(
            self.endpoint,
            Topics(device.name, device.base_topic),
            client_id=self.config.mqtt.client_id,
            handlers={
                "info": lambda _: self._info().model_dump(mode="json", by_alias=True),
                "health": self._answer_health,
            },
        )
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
                stand_behind(thread)
        notify("READY=1", f"STATUS={len(self.cameras)} cameras")

    def supervise(self, for_s: float | None = None) -> None:
        """Look after everything until `request_stop`, or for so many seconds.

        Raises:
            EdgeError: the inference thread died of an unexpected error.
        """
        until_s = None if for_s is None else time.monotonic() + for_s
        watchdog = Watchdog()
        health_due_s = time.monotonic() + self.config.health.every_s
        while not self._stop.wait(_POLL_S):
            now_s = time.monotonic()
            if until_s is not None and now_s >= until_s:
                return
            self._look_after_cameras()
            self._look_after_engines()
            if self._fatal is not None:
                raise EdgeError(
                    f"inference died ({type(self._fatal).__name__}: {self._fatal}); see the log"
                ) from self._fatal
            if now_s >= health_due_s:
                health_due_s += self.config.health.every_s
                self._publish_health()
            down = all(c.state != "online" for c in self.cameras)
            counters = self.pipeline.counters
            watchdog.look((sum(counters.done.values()), counters.idle), excused=down)

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
            camera.stop()
            if self.publisher is not None:
                self._publish_state(camera)
        if self.publisher is not None:
            self.publisher.stop()
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
        published: Counter[Task] = Counter()
        silent = []
        statistics = self.publisher.statistics() if self.publisher is not None else None
        for camera in self.config.cameras:
            for task in camera.tasks:
                count = statistics.published.get((task, camera.name), 0) if statistics else 0
                published[task] += count
                if not count:
                    silent.append((camera.name, task))
        dropped, errors = sum(self._passed_over().values()), sum(self._errors.values())
        if statistics is not None:
            # A retained message that a newer one replaced before it went out is no loss.
            dropped += sum(statistics.dropped.values()) - statistics.dropped.get("superseded", 0) + statistics.queued
            errors += statistics.protocol is None  # never connected
        return Tally(published, dropped, errors, tuple(silent))

    # Results ----------------------------------------------------------------------------------------------------------

    def _publish_result(self, result: Result) -> None:
        """On the inference thread: hand over; encoding happens on the publishing thread."""
        assert self.publisher is not None
        frame, task = result.frame, result.task
        if self._also is not None:
            self._also(result)
        latency_s = time.monotonic() - frame.captured_monotonic_s
        self.throughput.note(frame.camera, task, latency_s)
        self._last_error.pop((frame.camera, task), None)
        manifest = result.engine.manifest
        shortfall = result.engine.backend.degraded
        source = compose.Source(
            self.config.device.name, manifest.name, manifest.onnx.sha256, () if shortfall is None else (shortfall,)
        )
        value = result.value
        if isinstance(value, DepthMap):
            topic = self.publisher.topics.depth_image(frame.camera) if self.config.tasks.depth.image else None
            self.publisher.publish(
                "depth", partial(compose.depth_message, frame, value, source, latency_s, topic), camera=frame.camera
            )
            if topic:
                self.publisher.publish(
                    "depth_image", partial(compose.depth_picture, frame, value, source), camera=frame.camera
                )
        elif isinstance(value, RoomLayout):
            self.publisher.publish(
                "layout", partial(compose.layout_message, frame, value, source, latency_s), camera=frame.camera
            )
            if not compose.same_room(self._rooms.get(frame.camera), value):
                self._rooms[frame.camera] = value
                self.publisher.publish("room", partial(compose.room_model, frame, value, source), camera=frame.camera)
        else:
            self.publisher.publish(
                "lighting", partial(compose.lighting_message, frame, value, source, latency_s), camera=frame.camera
            )

    def _task_failed(self, camera: str, task: Task, error: EdgeError) -> None:
        self._errors[f"{camera}/{task}"] += 1
        if self._last_error.get((camera, task)) != str(error):
            self._last_error[camera, task] = str(error)
            _log.error("%s/%s: %s", camera, task, error)
            self._event("task_failed", str(error), camera=camera, data={"task": task})

    # State, health, events --------------------------------------------------------------------------------------------

    def _event(self, kind: str, message: str, *, camera: str | None = None, data: dict[str, Any] | None = None) -> None:
        assert self.publisher is not None
        event = BridgeEvent(
            device=self.config.device.name,
            at=timestamp(time.time()),
            type=kind,
            camera=camera,
            message=message,
            data=data or {},
        )
        self.publisher.publish("bridge_event", event)

    def _look_after_cameras(self) -> None:
        for camera in self.cameras:
            camera.poll()
            for event in camera.take_events():
                if event.kind == "error":
                    self._errors[camera.name] += 1
                    _log.error("camera %s: %s", camera.name, event.message)
                else:
                    _log.info("camera %s: %s", camera.name, event.message)
                self._event(f"camera_{event.kind}", event.message, camera=camera.name)
                if event.kind == "state":
                    self._publish_state(camera)

    def _look_after_engines(self) -> None:
        for name, event in self.engines.take_events():
            self._event(event.kind, event.message, data={"engine": name})
            assert self.publisher is not None
            self.publisher.publish("bridge_info", self._info())

    def _publish_state(self, camera: CameraProcess) -> None:
        assert self.publisher is not None
        state = CameraState(
            device=self.config.device.name,
            camera=camera.name,
            state=camera.state,
            since=timestamp(camera.since),
            error=camera.last_error,
        )
        self.publisher.publish("camera_state", state, camera=camera.name)

    def _degraded(self) -> tuple[str, ...]:
        """Everything that is worse than configured, in words."""
        down = [c for c in self.cameras if c.state != "online"]
        cameras = [f"camera {c.name} is {c.state}" + (f": {c.last_error}" if c.last_error else "") for c in down]
        tasks = [f"{camera}/{task} fails: {error}" for (camera, task), error in self._last_error.copy().items()]
        return (*cameras, *self.engines.degraded(), *tasks)

    def _health(self, window: bool) -> BridgeHealth:
        assert self.publisher is not None
        statistics = self.publisher.statistics()
        tasks = [
            TaskHealth(
                camera=r.camera,
                task=r.task,
                rate_hz=round(r.rate_hz, 3),
                latency_ms=None if r.latency_ms is None else Percentiles(p50=r.latency_ms[0], p99=r.latency_ms[1]),
            )
            for r in (self.throughput.window() if window else [])
        ]
        return BridgeHealth(
            device=self.config.device.name,
            at=timestamp(time.time()),
            uptime_s=time.monotonic() - self._started_s,
            tasks=tuple(tasks),
            broker=BrokerHealth(
                protocol=statistics.protocol,
                reconnects=statistics.reconnects,
                published=sum(statistics.published.values()),
                published_bytes=statistics.published_bytes,
                queued=statistics.queued,
            ),
            dropped=statistics.dropped | self._passed_over(),
            memory_bytes=memory_bytes(),
            temperature_celsius=temperature_celsius(),
            degraded=self._degraded(),
        )

    def _passed_over(self) -> dict[str, int]:
        """Frames that were asked for and not inferred, by reason."""
        counters = self.pipeline.counters
        return {"inference too slow": sum(counters.missed.values()), "stale": sum(counters.stale.values())}

    def _publish_health(self) -> None:
        assert self.publisher is not None
        self.publisher.publish("bridge_health", partial(self._health, window=True))

    def _answer_health(self, _: dict[str, Any]) -> dict[str, Any]:
        return self._health(window=False).model_dump(mode="json", by_alias=True)

    def _info(self) -> BridgeInfo:
        cameras = tuple(
            CameraInfo(
                name=c.name,
                source=c.source.type,
                projection=c.projection,
                camera_height_m=c.camera_height_m,
                tasks=c.tasks,
            )
            for c in self.config.cameras
        )
        return BridgeInfo(
            device=self.config.device.name,
            version=edge.__version__,
            started_at=timestamp(self._started_at),
            cameras=cameras,
            tasks=tuple(self.engines.by_task),
            engines=self.engines.describe(),
            config_schema=config_schema(),
        )
