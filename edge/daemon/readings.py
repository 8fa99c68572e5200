"""What metrics show of a running daemon beside what is counted: read when somebody looks."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import get_args

import edge
from edge.cameras.health import State
from edge.cameras.process import CameraProcess
from edge.monitor.machine import MachineState
from edge.monitor.metrics import Reading, Shown
from edge.pipeline.batches import Engine
from edge.publish.statistics import PublisherStatistics
from edge.scene import Task

BUILD = Shown("edge_build_info", "The version; always 1.", ("version",))
UPTIME = Shown("edge_uptime_seconds", "Since the daemon was started.")
DEGRADED = Shown("edge_degraded_reasons", "How many things are worse than configured; bridge/health has them in words.")
READY = Shown("edge_ready", "1 if /readyz says so.")
CAMERA_STATE = Shown(
    "edge_camera_state", "1 for the state that the camera is in, 0 for the others.", ("camera", "state")
)
CAMERA_FRAMES = Shown("edge_camera_frames", "Pictures captured.", ("camera",), counts=True)
CAMERA_RESTARTS = Shown(
    "edge_camera_restarts", "Capture processes that took another's place.", ("camera",), counts=True
)
ENGINE = Shown("edge_engine_info", "What answers for a task; always 1.", ("task", "engine", "backend", "sha256"))
ENGINE_DEGRADED = Shown("edge_engine_degraded", "1 if what serves is slower than what was asked for.", ("task",))
CONNECTED = Shown("edge_broker_connected", "1 while a connection to the broker stands.")
QUEUED = Shown("edge_messages_queued", "Messages that wait in memory or are on their way.")
SPOOLED = Shown("edge_messages_spooled", "Messages that wait on the disk alone.")
SPOOL_BYTES = Shown("edge_spool_bytes", "Size of what waits on the disk.")
SPOOL_OLDEST = Shown(
    "edge_spool_oldest_seconds", "For how long the oldest message there has waited; 0 if there is none."
)
MEMORY = Shown("edge_memory_resident_bytes", "Of the daemon and its capture processes.")
SLOWDOWN = Shown(
    "edge_heat_slowdown_ratio", "Every task runs so many times as rarely, for the heat; 1 is as configured."
)
TEMPERATURE = Shown("edge_machine_temperature_celsius", "By the kernel's name of the zone.", ("zone",))
THROTTLING = Shown("edge_machine_throttling_devices", "How many parts the kernel slows down now because of heat.")
OVERCURRENT = Shown("edge_machine_overcurrent_events", "Since the machine started; Jetson.", counts=True)
POWER_MODE = Shown("edge_machine_power_mode_info", "As nvpmodel names it; always 1; Jetson.", ("mode",))
GPU_LOAD = Shown("edge_machine_gpu_load_ratio", "0 to 1; Jetson.")
MACHINE_MEMORY = Shown("edge_machine_memory_total_bytes", "Of the machine.")
MACHINE_AVAILABLE = Shown("edge_machine_memory_available_bytes", "Of the machine, without swapping.")


def of_machine(machine: MachineState) -> Iterator[Reading]:
    """What the kernel shows; what it does not show is left out."""
    hottest: dict[str, float] = {}
    for zone in machine.zones:
        hottest[zone.name] = max(zone.celsius, hottest.get(zone.name, zone.celsius))
    yield from (Reading(TEMPERATURE, celsius, (name,)) for name, celsius in hottest.items())
    yield Reading(THROTTLING, len(machine.throttling))
    if machine.power_mode is not None:
        yield Reading(POWER_MODE, 1, (machine.power_mode,))
    for shown, value in (
        (OVERCURRENT, machine.overcurrent_events),
        (GPU_LOAD, machine.gpu_load),
        (MACHINE_MEMORY, machine.memory_total_bytes),
        (MACHINE_AVAILABLE, machine.memory_available_bytes),
    ):
        if value is not None:
            yield Reading(shown, value)


def of_cameras(cameras: Iterable[CameraProcess]) -> Iterator[Reading]:
    """Whether they deliver, and how much."""
    for camera in cameras:
        now = camera.state
        yield from (Reading(CAMERA_STATE, float(state == now), (camera.name, state)) for state in get_args(State))
        yield Reading(CAMERA_FRAMES, camera.captured, (camera.name,))
        yield Reading(CAMERA_RESTARTS, camera.restarts, (camera.name,))


def of_engines(engines: Mapping[Task, Engine]) -> Iterator[Reading]:
    """What answers for which task."""
    for task, engine in engines.items():
        manifest, backend = engine.manifest, engine.backend
        serves = f"{backend.provider} {backend.precision}"
        yield Reading(ENGINE, 1, (task, manifest.name, serves, manifest.onnx.sha256[:12]))
        yield Reading(ENGINE_DEGRADED, float(backend.degraded is not None), (task,))


def of_broker(publishing: PublisherStatistics) -> Iterator[Reading]:
    """How publishing goes."""
    yield Reading(CONNECTED, float(publishing.connected))
    yield Reading(QUEUED, publishing.queued)
    yield Reading(SPOOLED, publishing.spooled)
    yield Reading(SPOOL_BYTES, publishing.spool_bytes)
    yield Reading(SPOOL_OLDEST, publishing.spool_oldest_s or 0.0)


def of_daemon(uptime_s: float, degraded: int, ready: bool, slowdown: int, memory_bytes: int) -> Iterator[Reading]:
    """The daemon itself."""
    yield Reading(BUILD, 1, (edge.__version__,))
    yield Reading(UPTIME, uptime_s)
    yield Reading(DEGRADED, degraded)
    yield Reading(READY, float(ready))
    yield Reading(SLOWDOWN, slowdown)
    yield Reading(MEMORY, memory_bytes)
