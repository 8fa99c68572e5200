"""The parts of a daemon from its configuration; nothing runs yet."""

from __future__ import annotations

import threading
from collections.abc import Callable

from edge.cameras.process import CameraProcess
from edge.config.cameras import CameraConfig
from edge.config.sections import Config
from edge.inference.accelerator import Accelerator
from edge.mqtt.broker import EmbeddedBroker
from edge.mqtt.link import Endpoint
from edge.mqtt.messages import TaskSettings
from edge.mqtt.topics import CHANNELS, Topics
from edge.pipeline.engines import LoadedEngines
from edge.pipeline.pipeline import Pipeline
from edge.pipeline.schedule import Cadence
from edge.publish.results import KINDS
from edge.scene import Task


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


def make_camera(camera: CameraConfig) -> CameraProcess:
    """The capture process of a camera."""
    return CameraProcess(
        camera.name,
        camera.source.spec,
        camera.model,
        stall_timeout_s=camera.stall_timeout_s,
        frozen_after_s=camera.frozen_after_s,
    )


def add_tasks(
    pipeline: Pipeline, process: CameraProcess, camera: CameraConfig, config: Config, engines: LoadedEngines
) -> None:
    """Every task of one camera, on the engine that answers for it."""
    for task in camera.tasks:
        settings = config.tasks[task]
        pipeline.add(
            process,
            camera.model,
            task,
            engines.by_task[task],
            Cadence(settings.every_s, settings.every_frames),
            deadline_s=settings.deadline_s,
            **settings.reader_options(),
        )


def configured_settings(config: Config) -> dict[tuple[str, Task], TaskSettings]:
    """How each task of each camera runs, by (camera, task)."""
    return {
        (camera.name, task): TaskSettings(
            enabled=True, every_s=config.tasks[task].every_s, every_frames=config.tasks[task].every_frames
        )
        for camera in config.cameras
        for task in camera.tasks
    }


def make_broker(config: Config) -> EmbeddedBroker | None:
    """The embedded broker, where no other is configured."""
    own = config.mqtt.embedded
    return EmbeddedBroker(own.port, own.websocket_port) if config.mqtt.host is None else None


def endpoint_of(config: Config, broker: EmbeddedBroker | None) -> Callable[[], Endpoint]:
    """Where to publish, asked at every attempt: a corrected password file is read then."""
    return config.mqtt.endpoint if broker is None else lambda: broker.endpoint


def retained_topics(config: Config) -> frozenset[str]:
    """Every retained topic that the configured cameras and tasks have."""
    topics = topics_of(config)
    return frozenset(
        topics.of(kind, camera=camera.name)
        for camera in config.cameras
        for kind in ("camera_state", *(kind for task in camera.tasks for kind in KINDS[task]))
        if CHANNELS[kind].retain
    )


def topics_of(config: Config) -> Topics:
    """The topics of this device."""
    return Topics(config.device.name, config.device.base_topic)
