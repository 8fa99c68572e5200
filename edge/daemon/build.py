"""The parts of a daemon from its configuration; nothing runs yet."""

from __future__ import annotations

import threading
from collections.abc import Callable

from edge.cameras.process import CameraProcess
from edge.config.sections import CameraConfig, Config
from edge.inference.accelerator import Accelerator
from edge.mqtt.broker import EmbeddedBroker
from edge.mqtt.link import Endpoint
from edge.mqtt.topics import Topics
from edge.pipeline.engines import LoadedEngines
from edge.pipeline.pipeline import Pipeline
from edge.pipeline.schedule import Cadence
from edge.scene import CameraModel, Frame


def load_engines(
    config: Config, accelerator: Accelerator, on_progress: Callable[[str], None], stop: threading.Event
) -> LoadedEngines:
    """An engine for every task of the configured cameras, loaded on the accelerator's thread.

    Raises:
        ConfigError: there is no such model, or it is for another task.
        EngineError: one cannot serve, or `stop` was set.
    """
    return LoadedEngines(
        config.inference.engines,
        config.models(),
        config.inference.options(),
        accelerator,
        on_progress=on_progress,
        stop=stop,
    )


class CameraFrames:
    """A camera process as the pipeline sees it."""

    def __init__(self, process: CameraProcess, model: CameraModel) -> None:
        self.name, self._process, self._model = process.name, process, model

    @property
    def sequence(self) -> int:
        """Number of the newest frame; 0 before the first."""
        return self._process.sequence

    def latest(self, after_sequence: int) -> Frame | None:
        """The newest frame if it is newer than `after_sequence`."""
        got = self._process.latest(after_sequence)
        if got is None:
            return None
        return Frame(self.name, got.sequence, got.captured_at, got.captured_monotonic_s, got.image, self._model)


def make_camera(camera: CameraConfig) -> CameraProcess:
    """The capture process of a camera."""
    return CameraProcess(
        camera.name,
        camera.source.spec,
        stall_timeout_s=camera.stall_timeout_s,
        frozen_after_s=camera.frozen_after_s,
    )


def add_tasks(
    pipeline: Pipeline, process: CameraProcess, camera: CameraConfig, config: Config, engines: LoadedEngines
) -> None:
    """Every task of one camera, on the engine that answers for it."""
    frames = CameraFrames(process, camera.model)
    for task in camera.tasks:
        settings = config.tasks[task]
        pipeline.add(
            frames,
            camera.model,
            task,
            engines.by_task[task],
            Cadence(settings.every_s, settings.every_frames),
            deadline_s=settings.deadline_s,
            **settings.reader_options(),
        )


def make_broker(config: Config) -> EmbeddedBroker | None:
    """The embedded broker, where no other is configured."""
    own = config.mqtt.embedded
    return EmbeddedBroker(own.port, own.websocket_port) if config.mqtt.host is None else None


def endpoint_of(config: Config, broker: EmbeddedBroker | None) -> Callable[[], Endpoint]:
    """Where to publish, asked at every attempt: a corrected password file is read then."""
    return config.mqtt.endpoint if broker is None else lambda: broker.endpoint


def topics_of(config: Config) -> Topics:
    """The topics of this device."""
    return Topics(config.device.name, config.device.base_topic)
