"""What the daemon says of itself, as messages from plain values: info, health, states, events."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import edge
from edge.cameras.process import CameraProcess
from edge.config.sections import Config, config_schema
from edge.errors import EdgeError
from edge.inference.store import StoredModel
from edge.monitor.clock import WallClock
from edge.monitor.machine import MachineState
from edge.monitor.metrics import Metrics
from edge.monitor.process import memory_bytes, temperature_celsius
from edge.monitor.throughput import Rate
from edge.mqtt.machine_message import MachineHealth
from edge.mqtt.messages import (
    BridgeEvent,
    BridgeHealth,
    BridgeInfo,
    BrokerHealth,
    CameraInfo,
    CameraState,
    EngineInfo,
    Percentiles,
    ReviewInfo,
    TaskHealth,
    TaskSettings,
    timestamp,
)
from edge.mqtt.trial_message import ModelTrial
from edge.pipeline.batches import Engine
from edge.pipeline.pipeline import Result
from edge.publish import compose
from edge.publish.compose import Source
from edge.publish.statistics import PublisherStatistics
from edge.scene import Noun, Task

_HEADLINES = 4
"""Numbers of a model on `bridge/info`: its first metric on so many sets of data."""


def info(
    config: Config,
    run: str,
    started_at: float,
    models: Mapping[Task, StoredModel],
    engines: Mapping[Task, Engine],
    settings: Mapping[tuple[str, Task], TaskSettings],
    *,
    whole: bool,
    restart_required: tuple[str, ...] = (),
    objects: tuple[StoredModel, Engine] | None = None,
) -> BridgeInfo:
    """What this device runs, for `bridge/info`.

    Args:
        config: of this run.
        run: differs with every start.
        started_at: s since the Unix epoch.
        models: by task.
        engines: by task, what the models run on.
        settings: by (camera, task), how it runs now.
        restart_required: keys of the configuration file that hold after the next start.
        objects: the model that reconstructs objects, and what it runs on.
        whole: with the configuration's schema and all that was measured of the models; else with the first few
            numbers, for a topic that every subscriber gets.
    """
    return BridgeInfo(
        device=config.device.name,
        version=edge.__version__,
        started_at=timestamp(started_at),
        run=run,
        cameras=tuple(
            CameraInfo(
                name=c.name,
                source=c.source.type,
                projection=c.projection,
                camera_height_m=c.camera_height_m,
                hfov_deg=c.hfov_deg,
                lens=compose.calibrated_lens(c.model.intrinsics),
                fisheye=compose.calibrated_fisheye(c.model.fisheye),
                pose=compose.pose(c.model),
                tasks=c.tasks,
                settings={task: settings[c.name, task] for task in c.tasks},
            )
            for c in config.cameras
        ),
        tasks=tuple(engines),
        engines=(
            *(_engine_info(task, models[task], engine, whole) for task, engine in engines.items()),
            *(() if objects is None else (_engine_info("objects", *objects, whole),)),
        ),
        objects_by_request=objects is not None and "objects" in config.requests.allow,
        restart_required=restart_required,
        review=_review_info(config),
        config_schema=config_schema() if whole else None,
    )


def _review_info(config: Config) -> ReviewInfo | None:
    kept = config.review
    if kept.folder is None:
        return None
    return ReviewInfo(
        people=kept.people,
        automatic=kept.automatic,
        by_request="flag" in config.requests.allow,
        most_days=kept.most_days,
    )


def _engine_info(task: Noun, model: StoredModel, engine: Engine, whole: bool) -> EngineInfo:
    manifest = model.manifest
    provenance = manifest.provenance
    if not whole:
        first = [m for m in provenance.metrics if m.name == provenance.metrics[0].name]
        provenance = provenance.model_copy(update={"metrics": tuple(first[:_HEADLINES])})
    return EngineInfo(
        task=task,
        name=manifest.name,
        sha256=manifest.onnx.sha256,
        backend=f"{engine.backend.provider} {engine.backend.precision}",
        provenance=provenance.model_dump(mode="json"),
    )


def health(
    device: str,
    at: float,
    uptime_s: float,
    rates: Iterable[Rate],
    broker: PublisherStatistics,
    metrics: Metrics,
    machine: MachineHealth,
    degraded: tuple[str, ...],
    trial: ModelTrial | None = None,
) -> BridgeHealth:
    """How the daemon is, for `bridge/health`; `at`: now, s since the Unix epoch; `rates` since the last one."""
    return BridgeHealth(
        device=device,
        at=timestamp(at),
        uptime_s=uptime_s,
        tasks=tuple(
            TaskHealth(
                camera=r.camera,
                task=r.task,
                rate_hz=round(r.rate_hz, 3),
                latency_ms=None if r.latency_ms is None else Percentiles(p50=r.latency_ms[0], p99=r.latency_ms[1]),
            )
            for r in rates
        ),
        broker=BrokerHealth(
            protocol=broker.protocol,
            reconnects=broker.reconnects,
            offered=broker.offered,
            restored=broker.restored,
            confirmed=broker.confirmed,
            written=sum(broker.published.values()) - broker.confirmed,
            published=sum(broker.published.values()),
            published_bytes=broker.published_bytes,
            queued=broker.queued,
            spooled=broker.spooled,
            spool_bytes=broker.spool_bytes,
            spool_oldest_s=None if broker.spool_oldest_s is None else round(broker.spool_oldest_s, 1),
        ),
        dropped=broker.dropped | passed_over(metrics) | review_lost(metrics),
        memory_bytes=memory_bytes(),
        temperature_celsius=temperature_celsius(machine.temperatures_celsius.values()),
        machine=machine,
        degraded=degraded,
        trial=trial,
    )


def machine_health(machine: MachineState, slowdown: int) -> MachineHealth:
    """The machine for `bridge/health`; of zones of one name the hottest. `slowdown`: of all tasks, for the heat."""
    zones = sorted(machine.zones, key=lambda zone: zone.celsius)
    return MachineHealth(
        model=machine.model,
        temperatures_celsius={zone.name: zone.celsius for zone in zones},
        throttling=machine.throttling,
        overcurrent_events=machine.overcurrent_events,
        power_mode=machine.power_mode,
        gpu_load=machine.gpu_load,
        memory_total_bytes=machine.memory_total_bytes,
        memory_available_bytes=machine.memory_available_bytes,
        slowdown=slowdown,
    )


def source_of(device: str, result: Result) -> Source:
    """Who made a result, and why it is worse than configured, if it is."""
    manifest, shortfall = result.engine.manifest, result.engine.backend.degraded
    shortfalls = () if shortfall is None else (shortfall,)
    return Source(device, manifest.name, manifest.onnx.sha256, (*shortfalls, *result.frame.degraded))


def passed_over(metrics: Metrics) -> dict[str, int]:
    """Frames that were asked for and not inferred, by reason."""
    return {"inference too slow": metrics.missed.total, "stale": metrics.stale.total}


def review_lost(metrics: Metrics) -> dict[str, int]:
    """Pictures that were put aside for review, or were to be, and that nobody will see."""
    return {f"review_{reason}": count for (reason,), count in metrics.review_dropped.read().items()}


def camera_state(device: str, camera: CameraProcess, clock: WallClock) -> CameraState:
    """Whether a camera delivers, for `<camera>/state`."""
    return CameraState(
        device=device,
        camera=camera.name,
        state=camera.state,
        since=timestamp(clock.at(camera.since_s)),
        error=camera.last_error,
    )


def event(device: str, at: float, kind: str, message: str, camera: str | None, data: dict[str, Any]) -> BridgeEvent:
    """Something that happened, for `bridge/event`; `at`: s since the Unix epoch."""
    return BridgeEvent(device=device, at=timestamp(at), type=kind, camera=camera, message=message, data=data)


def status_line(cameras: Iterable[CameraProcess], results: int) -> str:
    """How it is, for `systemctl status`; the installer keeps an update by what stands between `serving:` and `of`."""
    states = [camera.state for camera in cameras]
    online = states.count("online")
    if online and not results:
        return f"no result yet: {online} of {len(states)} cameras online"
    return f"serving: {online} of {len(states)} cameras online"


def degraded(
    cameras: Iterable[CameraProcess],
    engines: tuple[str, ...],
    failing: Mapping[tuple[str, Task], EdgeError],
    *others: tuple[str, ...],
) -> tuple[str, ...]:
    """Everything that is worse than configured, in words; `failing`: the error of each (camera, task) that fails."""
    all_ = tuple(cameras)
    down = [c for c in all_ if c.state != "online"]
    lost = [f"camera {c.name} is {c.state}" + (f": {c.last_error}" if c.last_error else "") for c in down]
    lost += [f"camera {c.name}: {reason}" for c in all_ if c.state == "online" for reason in c.degraded]
    tasks = [f"{camera}/{task} fails: {error}" for (camera, task), error in failing.items()]
    return (*lost, *engines, *tasks, *(text for texts in others for text in texts))
