"""What Home Assistant is told, from the configuration: at the start, when it changes, when Home Assistant starts."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping

from edge.cameras.base import ComposedSpec, HttpSpec, ReplaySpec
from edge.config.cameras import CameraConfig
from edge.config.sections import Config
from edge.monitor.machine import Machine
from edge.monitor.process import temperature_celsius
from edge.mqtt.discovery import DiscoveryMessage
from edge.mqtt.link import Incoming
from edge.mqtt.topics import Topics
from edge.publish.discovery import CameraDevice, bridge_device, camera_device
from edge.scene import Task

Periods = Mapping[tuple[str, Task], float | None]
"""Time between two results of each task of each camera, s; None where pictures are counted."""


class HomeAssistant:
    """Remembers what Home Assistant was told, and hears when it starts."""

    def __init__(self, topics: Topics) -> None:
        """`topics`: the device's."""
        self._topics = topics
        self._told: dict[str | None, DiscoveryMessage] = {}
        self._born = threading.Event()

    @property
    def listeners(self) -> dict[str, Callable[[Incoming], None]]:
        """What is done, on the network thread, with what comes on which topic."""
        return {self._topics.of("birth"): self._heard}

    def _heard(self, incoming: Incoming) -> None:
        if incoming.payload == b"online" and not incoming.retained:
            self._born.set()

    def has_started(self) -> bool:
        """Whether Home Assistant has said so since the last time."""
        if not self._born.is_set():
            return False
        self._born.clear()
        return True

    def changed(self, config: Config, periods_s: Periods) -> dict[str | None, DiscoveryMessage]:
        """What is to be said on `discovery` since the last time, by camera, and None for the bridge."""
        now = devices(config, self._topics, periods_s)
        before, self._told = self._told, now
        return {camera: device for camera, device in now.items() if device != before.get(camera)}


def devices(config: Config, topics: Topics, periods_s: Periods) -> dict[str | None, DiscoveryMessage]:
    """By camera, and None for the bridge: what goes on `discovery`; nothing where it is switched off."""
    if not config.home_assistant.enabled:
        return {}
    machine = Machine().read()
    bridge = bridge_device(
        topics,
        health_every_s=config.health.every_s,
        has_temperature=temperature_celsius([zone.celsius for zone in machine.zones]) is not None,
        jetson=machine.power_mode is not None,
    )
    found: dict[str | None, DiscoveryMessage] = {None: bridge}
    verbs = set(config.requests.allow) - ({"flag"} if config.review.folder is None else set())
    for camera in config.cameras:
        every_s = {task: periods_s[camera.name, task] for task in camera.tasks}
        described = CameraDevice(
            camera.name,
            camera.source.type,
            camera.projection,
            {task: _period_s(camera, seconds) for task, seconds in every_s.items()},
            metric=camera.camera_height_m is not None,
            picture=camera.picture is not None,
            heat_loss=camera.heat_loss is not None,
            objects=config.tasks.objects.engine is not None,
            depth_view=config.home_assistant.depth_view_every_s is not None,
        )
        found[camera.name] = camera_device(topics, described, verbs=verbs)
    return found


def _period_s(camera: CameraConfig, every_s: float | None) -> float | None:
    """Time between two results of a task; None where pictures come whenever they do, or are counted."""
    spec = camera.spec
    sources = [member.spec for member in spec.members] if isinstance(spec, ComposedSpec) else [spec]
    if every_s is None or any(isinstance(source, ReplaySpec) and source.watch for source in sources):
        return None
    asked_s = [source.every_s for source in sources if isinstance(source, HttpSpec)]
    replayed_s = [1.0 / source.fps for source in sources if isinstance(source, ReplaySpec) and source.fps]
    return max([every_s, *asked_s, *replayed_s])


def discovery_topics(config: Config, topics: Topics) -> frozenset[str]:
    """What is kept for Home Assistant; none where it is switched off."""
    if not config.home_assistant.enabled:
        return frozenset()
    return frozenset(topics.of("discovery", camera=name) for name in (None, *(c.name for c in config.cameras)))
