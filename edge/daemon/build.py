"""The parts of a daemon from its configuration; nothing runs yet."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future
from functools import partial
from typing import Any

from edge.cameras.process import CameraProcess
from edge.config.broker import MqttConfig
from edge.config.cameras import CameraConfig
from edge.config.sections import Config, TasksConfig
from edge.daemon.answers.snapshot import look
from edge.daemon.drift import DriftWatch, Tell
from edge.daemon.heat import HeatWatch
from edge.daemon.heat import Tell as TellHeat
from edge.daemon.home_assistant import discovery_topics
from edge.daemon.objects import ObjectWatch
from edge.daemon.review import Infer, ReviewWatch, Said
from edge.daemon.trial import ModelTrials
from edge.daemon.trial import Tell as TellTrial
from edge.errors import EdgeError, EngineError
from edge.inference.accelerator import Accelerator
from edge.inference.installed import InstalledModels
from edge.inference.manifest import Manifest
from edge.keep.recordings import Recordings
from edge.keep.review import Bounds, Review
from edge.keep.spool import Spool
from edge.monitor.machine import Machine
from edge.monitor.metrics import Metrics
from edge.mqtt.broker import EmbeddedBroker
from edge.mqtt.endpoint import Endpoint
from edge.mqtt.messages import TaskSettings
from edge.mqtt.topics import CHANNELS, Kind, Topics
from edge.perception.canvas import CanvasInput
from edge.perception.readers import Reader, reader_of
from edge.pipeline.engines import LoadedEngines
from edge.pipeline.pipeline import Pipeline
from edge.pipeline.schedule import Cadence
from edge.publish.compose import Source
from edge.publish.objects import objects_message, objects_model
from edge.publish.pictures import CameraPictures, PictureOptions
from edge.publish.results import KINDS, Messages, ResultMessages
from edge.publish.rooms import SceneOptions
from edge.scene import FoundObject, Task

_OF_OBJECTS: tuple[Kind, ...] = ("objects", "objects_model")

_log = logging.getLogger(__name__)


def load_engines(
    config: Config, accelerator: Accelerator, on_progress: Callable[[str], None], stop: threading.Event
) -> LoadedEngines:
    """An engine for every task of the configured cameras, loaded on the accelerator's thread.

    Raises:
        ConfigError: there is no such model, or it is for another task.
        EngineError: one cannot serve, or `stop` was set.
    """
    engines = LoadedEngines(
        config.inference.engines,
        config.engines(),
        config.inference.options(),
        accelerator,
        on_progress=on_progress,
        stop=stop,
        installed=InstalledModels(config.models.folder),
    )
    if config.tasks.objects.engine is not None:
        engines.load_objects(config.tasks.objects.engine, may_build=True)
    return engines


def make_trials(
    config: Config,
    engines: LoadedEngines,
    accelerator: Accelerator,
    running: Callable[[], Config],
    on_switch: Callable[[], None],
    tell: TellTrial,
) -> ModelTrials:
    """What tries newly installed models beside those that serve; `running`: the configuration as it is then."""

    def reader_for(camera: str, task: Task, manifest: Manifest) -> Reader:
        found = next((c for c in running().cameras if c.name == camera), None)
        if found is None:
            raise EngineError(f"{camera}: no such camera any more")
        spec, given = manifest.input, running().tasks[task].reader_options()
        options = {name: 0.0 if name.endswith("smoothing_s") else value for name, value in given.items()}
        canvas = CanvasInput(spec, found.model) if spec.projection == "equirectangular" else None
        return reader_of(task, manifest.part(task), found.model, canvas=canvas, **options)

    own = config.models
    return ModelTrials(
        engines,
        InstalledModels(own.folder),
        accelerator,
        limits={
            "depth": own.most_depth_difference,
            "layout": own.most_layout_difference,
            "lighting": own.most_lighting_difference,
        },
        shadow_s=own.shadow_s,
        reader_for=reader_for,
        on_switch=on_switch,
        tell=tell,
    )


def make_camera(camera: CameraConfig) -> CameraProcess:
    """The capture process of a camera."""
    return CameraProcess(
        camera.name,
        camera.spec,
        camera.model,
        stall_timeout_s=camera.stall_timeout_s,
        frozen_after_s=camera.frozen_s,
        most_megapixels=camera.most_megapixels,
    )


def add_tasks(
    pipeline: Pipeline,
    process: CameraProcess,
    camera: CameraConfig,
    tasks: TasksConfig,
    engines: LoadedEngines,
    settings: Mapping[Task, TaskSettings],
    slowdown: int = 1,
) -> None:
    """Every task of one camera, on the engine that answers for it.

    Args:
        pipeline: where they are to run.
        process: the camera.
        camera: its configuration.
        tasks: that of all tasks.
        engines: what answers.
        settings: how often each runs, if at all.
        slowdown: they run so many times as rarely, for the heat.
    """
    for task in camera.tasks:
        configured, runs = tasks[task], settings[task]
        cadence = Cadence(runs.every_s, runs.every_frames).slower(slowdown)
        pipeline.add(
            process,
            camera.model,
            task,
            engines.by_task[task],
            cadence,
            deadline_s=configured.deadline_s,
            **configured.reader_options(),
        )
        pipeline.change(camera.name, task, cadence, paused=not runs.enabled)


def trial_pipeline() -> Pipeline:
    """One that only shows whether tasks can be added: it reserves nothing, and never runs."""

    def not_run(_: Callable[[], Any]) -> Future[Any]:
        future: Future[Any] = Future()
        future.set_result(None)
        return future

    return Pipeline(on_result=lambda _: None, on_error=lambda *_: None, submit=not_run)


def messages_depend_on(config: Config) -> tuple[object, ...]:
    """What `messages_of` reads: another value of it needs other messages."""
    heat_losses = [(c.name, c.heat_loss) for c in config.cameras]
    return config.tasks.depth, config.home_assistant, config.scene, heat_losses


def messages_of(config: Config, objects: Callable[[str], Sequence[FoundObject]]) -> ResultMessages:
    """What turns results into messages."""
    home = config.home_assistant
    view_every_s = home.depth_view_every_s if home.enabled else None
    return ResultMessages(
        topics_of(config),
        depth_image=config.tasks.depth.image,
        depth_view_every_s=view_every_s,
        heat_losses={c.name: c.heat_loss.settings for c in config.cameras if c.heat_loss is not None},
        scene=SceneOptions(**config.scene.model_dump()),
        objects=objects,
    )


def object_watch(
    config: Config,
    engines: LoadedEngines,
    find: Callable[[str], CameraProcess],
    pipeline: Pipeline,
    tell: Callable[[str, Messages], None],
    stop: threading.Event,
) -> ObjectWatch:
    """What reconstructs objects, on request and as configured; `tell`: publishes what is known of a camera's."""

    def said(camera: str, found: Sequence[FoundObject], at: float) -> None:
        if engines.what_reconstructs is None:
            return
        manifest = engines.what_reconstructs[0].manifest
        source = Source(config.device.name, manifest.name, manifest.onnx.sha256)
        tell(
            camera,
            [
                ("objects", partial(objects_message, camera, found, source, at)),
                ("objects_model", partial(objects_model, camera, found, source, at)),
            ],
        )

    return ObjectWatch(
        lambda: engines.objects,
        pipeline.infer,
        lambda camera: look(find(camera), pipeline.demand),
        said,
        stop,
    )


def drift_of(config: Config, tell: Tell) -> DriftWatch | None:
    """What follows whether cameras see what they used to; None: nobody asked for it."""
    if not config.drift.enabled:
        return None
    return DriftWatch(config.device.name, {c.name: c.tasks for c in config.cameras}, tell, config.drift.folder)


def heat_of(config: Config, machine: Machine, slow_down: Callable[[int], None], tell: TellHeat) -> HeatWatch:
    """What has tasks run more rarely while the machine is hot, or only looks where nobody asked for it."""
    return HeatWatch(machine, config.heat.limits() if config.heat.enabled else None, slow_down, tell)


def pictures_of(config: Config) -> CameraPictures:
    """What publishes pictures of the cameras that have it configured."""
    options = {c.name: PictureOptions(**c.picture.model_dump()) for c in config.cameras if c.picture is not None}
    return CameraPictures(config.device.name, options)


def make_broker(config: Config) -> EmbeddedBroker | None:
    """The embedded broker, where no other is configured."""
    own = config.mqtt.embedded
    return EmbeddedBroker(own.port, own.websocket_port) if config.mqtt.host is None else None


def endpoint_of(config: Config, broker: EmbeddedBroker | None) -> Endpoint:
    """Where to publish, to be asked at every attempt: a corrected password file is read then."""
    return config.mqtt.endpoint() if broker is None else broker.endpoint


def make_spool(config: Config) -> Spool | None:
    """Where messages wait for the broker; none for the embedded one, which is there whenever the daemon is."""
    own = config.mqtt.spool
    if config.mqtt.host is None or not own.enabled:
        return None
    return Spool(own.folder_of(config.device.name), max_bytes=own.max_bytes, max_age_s=own.max_age_s)


def kept_for_review(config: Config, metrics: Metrics | None = None) -> Review | None:
    """Where pictures are kept for review, if anywhere; `metrics`: where those that are lost are counted."""
    kept = config.review
    if kept.folder is None:
        return None
    bounds = Bounds(kept.most_mib * 2**20, kept.most_entries, kept.most_days * 86400.0)
    lost = None if metrics is None else lambda reason, count: metrics.review_dropped.add(reason, by=count)
    return Review(kept.folder, bounds, lost)


def review_of(config: Config, said: Said, infer: Infer, metrics: Metrics) -> ReviewWatch | None:
    """What puts pictures aside for review, if anything."""
    review, kept = kept_for_review(config, metrics), config.review
    if review is None:
        return None
    return ReviewWatch(review, people=kept.people, automatic=kept.automatic, said=said, infer=infer)


def recordings_of(config: Config) -> Recordings | None:
    """Where `edge record` keeps pictures, if anywhere."""
    kept = config.record
    if kept.folder is None:
        return None
    return Recordings(kept.folder, most_bytes=kept.most_mib * 2**20, most_age_s=kept.most_days * 86400.0)


def expire_recordings(config: Config) -> None:
    """Remove those that are too old."""
    recordings = recordings_of(config)
    try:
        if recordings is not None and (count := recordings.expire()):
            _log.info("%d recordings older than %g days were removed", count, config.record.most_days)
    except EdgeError as error:
        _log.warning("%s", error)


def connection_of(config: Config) -> MqttConfig:
    """What of the configuration a connection to the broker depends on."""
    return config.mqtt.model_copy(update={"max_packet_bytes": None, "response_prefix": None})


def retained_topics(config: Config) -> frozenset[str]:
    """Every retained topic that the configured cameras and tasks have."""
    topics = topics_of(config)
    of_cameras = frozenset(
        topics.of(kind, camera=camera.name)
        for camera in config.cameras
        for kind in ("camera_state", *(kind for task in camera.tasks for kind in KINDS[task]))
        if CHANNELS[kind].retain
    )
    heat_losses = {topics.of("heat_loss", camera=c.name) for c in config.cameras if c.heat_loss is not None}
    drifts = {topics.of("drift", camera=c.name) for c in config.cameras if config.drift.enabled}
    objects = {
        topics.of(kind, camera=c.name)
        for c in config.cameras
        for kind in _OF_OBJECTS
        if config.tasks.objects.engine is not None
    }
    return of_cameras | heat_losses | drifts | objects | discovery_topics(config, topics)


def topics_of(config: Config) -> Topics:
    """The topics of this device."""
    return Topics(config.device.name, config.device.base_topic, config.home_assistant.discovery_prefix)
