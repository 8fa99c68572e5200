"""The daemon in Home Assistant's words: one device for the bridge, one for each camera, and their entities.

Every entity that a device may have is in its message. One that it does not have has its platform alone, which removes
what an earlier message may have announced: a task or a permission that was taken away takes its entities with it.
"""

from __future__ import annotations

import json
import math
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

import edge
from edge.mqtt.discovery import Available, Component, DeviceInfo, DiscoveryMessage, Origin, Platform
from edge.mqtt.topics import JPEG, Kind, Topics
from edge.scene import TASKS, Projection, Task

_FRESH_S = 60.0
"""A value is not called old before, however fast the cadence: a busy device may be late."""
_PERIODS = 3
"""So many results that did not come make a value old."""
_OTHER_EVENT = "other"
_EVENTS = (
    "camera_state",
    "camera_error",
    "camera_warning",
    "task_failed",
    "clock_set",
    "engine_built",
    "engine_degraded",
    "engine_rolled_back",
    "engine_build_done",
    "engine_build_failed",
    "drift_started",
    "drift_ended",
    "out_of_training",
    "back_in_training",
    "camera_moved",
    "hot",
    "cool",
    "heat_loss_implausible",
    "heat_loss_unavailable",
    _OTHER_EVENT,
)
_LONGEST_STATE = 250
"""Home Assistant refuses states of more than 255 characters."""


_Found = dict[str, tuple[Platform, dict[str, Any] | None]]
"""Entities by key: platform and options; None: there is no such entity here."""


@dataclass(frozen=True, slots=True)
class CameraDevice:
    """What Home Assistant is told of a camera."""

    name: str
    source: str
    projection: Projection
    period_s: Mapping[Task, float | None]
    """Of each task, the time between two results; None where nothing says how long it may be."""
    metric: bool
    """Whether its room is measured in metres."""
    picture: bool = False
    depth_view: bool = False
    heat_loss: bool = False
    objects: bool = False
    """Whether things that it sees are reconstructed."""


@dataclass(frozen=True, slots=True)
class _Sensor:
    """A number or a text in a message."""

    key: str
    name: str
    template: str
    unit: str | None = None
    device_class: str | None = None
    digits: int = 2
    """After the point; -2: to hundreds."""
    icon: str | None = None
    average: bool = True
    """Whether a mean over time says something: not of an angle that goes round."""


_LAYOUT = (
    _Sensor("area", "Floor area", "value_json.metric.area_m2", "m²", "area", icon="mdi:floor-plan"),
    _Sensor("volume", "Room volume", "value_json.metric.volume_m3", "m³", "volume_storage", icon="mdi:cube-outline"),
    _Sensor(
        "height",
        "Ceiling height",
        "value_json.metric.ceiling_height_m",
        "m",
        "distance",
        icon="mdi:arrow-expand-vertical",
    ),
)
_DEPTH = (_Sensor("median_depth", "Median distance", "value_json.metric.median_m", "m", "distance"),)
_LIGHT = (
    _Sensor("ambient", "Ambient light", "value_json.ambient.level", digits=3, icon="mdi:brightness-6"),
    _Sensor(
        "azimuth",
        "Light direction",
        "value_json.dominant.azimuth_deg",
        "°",
        digits=0,
        icon="mdi:compass",
        average=False,
    ),
    _Sensor("elevation", "Light elevation", "value_json.dominant.elevation_deg", "°", digits=0, icon="mdi:angle-acute"),
    _Sensor(
        "colour_temperature",
        "Light colour temperature",
        "value_json.ambient.colour_temperature_k",
        "K",
        digits=-2,
        icon="mdi:thermometer",
    ),
)
_VALUES: dict[Task, tuple[_Sensor, ...]] = {"depth": _DEPTH, "layout": _LAYOUT, "lighting": _LIGHT}
_HEAT_LOSS_ATTRIBUTES = (
    "{{ {'at_least_w': value_json.total_w.p05, 'at_most_w': value_json.total_w.p95, 'for_each_m2_w': "
    "value_json.per_m2_w, 'inside_c': value_json.inside_c, 'outside_c': value_json.outside_c, 'measure_next': "
    "value_json.largest | map(attribute='input') | first | default(none)} | tojson }}"
)
_OBJECTS_ATTRIBUTES = "{{ {'objects': value_json.objects} | tojson }}"
_METRIC_ONLY = frozenset(sensor.key for sensor in _LAYOUT)


def bridge_device(
    topics: Topics, *, health_every_s: float, has_temperature: bool = True, jetson: bool = False
) -> DiscoveryMessage:
    """The daemon itself.

    Args:
        topics: the device's.
        health_every_s: the time between two messages on `bridge/health`.
        has_temperature: whether they say this machine's.
        jetson: whether they say the GPU's load and the power mode.
    """
    health, event = topics.of("bridge_health"), topics.of("bridge_event")
    fresh = {"state_topic": health, "expire_after": _expiry_s(health_every_s), "entity_category": "diagnostic"}
    identity = f"{topics.base}/{topics.device}"
    degraded = f"value_json.degraded | join('; ') | truncate({_LONGEST_STATE}, true, '…')"
    entities: _Found = {
        "rate": ("sensor", fresh | _measured("Results", "value_json.tasks | sum(attribute='rate_hz')", "Hz", 2)
                 | {"device_class": "frequency"}),
        "memory": ("sensor", fresh | _measured("Memory", "value_json.memory_bytes / 1048576", "MiB", 0)
                   | {"device_class": "data_size"}),
        "temperature": ("sensor", fresh | _measured("Temperature", "value_json.temperature_celsius", "°C", 1)
                        | {"device_class": "temperature"}),
        "gpu_load": ("sensor", fresh | _measured("GPU load", "value_json.machine.gpu_load * 100", "%", 0)
                     | {"icon": "mdi:expansion-card"}),
        "power_mode": ("sensor", fresh | {
            "name": "Power mode",
            "icon": "mdi:speedometer",
            "value_template": "{{ value_json.machine.power_mode or 'unknown' }}",
        }),
        "hot": ("binary_sensor", fresh | {
            "name": "Slowed by heat",
            "device_class": "heat",
            "value_template":
                "{{ 'ON' if value_json.machine.slowdown > 1 or value_json.machine.throttling else 'OFF' }}",
        }),
        "degraded": ("binary_sensor", fresh | {
            "name": "Degraded",
            "device_class": "problem",
            "value_template": "{{ 'ON' if value_json.degraded else 'OFF' }}",
            "json_attributes_topic": health,
            "json_attributes_template": "{{ {'reasons': value_json.degraded} | tojson }}",
        }),
        "problem": ("sensor", fresh | {
            "name": "Problem",
            "icon": "mdi:alert-circle-outline",
            "value_template": f"{{{{ ({degraded}) if value_json.degraded else 'none' }}}}",
        }),
        "event": ("event", {
            "name": "Event",
            "state_topic": event,
            "event_types": _EVENTS,
            "value_template": _event_template(),
        }),
    }  # fmt: skip
    if not has_temperature:
        entities["temperature"] = ("sensor", None)
    if not jetson:
        entities |= {"gpu_load": ("sensor", None), "power_mode": ("sensor", None)}
    return DiscoveryMessage(
        device=DeviceInfo(
            identifiers=(identity,),
            name=topics.device,
            manufacturer="edge-reconstruction",
            model="edge daemon",
            sw_version=edge.__version__,
        ),
        origin=_origin(),
        availability=(_bridge_online(topics),),
        components=_components(entities, f"{identity}/bridge"),
    )


def camera_device(topics: Topics, camera: CameraDevice, *, verbs: Collection[str]) -> DiscoveryMessage:
    """A camera; `verbs`: the requests that may be sent, of which Home Assistant makes switches and buttons."""
    bridge = f"{topics.base}/{topics.device}"
    identity = f"{bridge}/{camera.name}"
    found: _Found = {
        **_state(topics, camera),
        **_images(topics, camera),
        **_heat_loss(topics, camera),
        **_objects(topics, camera),
        **_controls(topics, camera, verbs),
    }
    for task in TASKS:
        found |= _values(topics, camera, task, switched="set" in verbs)
    return DiscoveryMessage(
        device=DeviceInfo(
            identifiers=(identity,),
            name=f"{topics.device} {camera.name}",
            manufacturer="edge-reconstruction",
            model=f"{camera.projection} camera ({camera.source})",
            sw_version=edge.__version__,
            via_device=bridge,
        ),
        origin=_origin(),
        availability=(_bridge_online(topics),),
        components=_components(found, identity),
    )


def _components(found: _Found, identity: str) -> dict[str, Component]:
    return {
        key: Component(platform=platform, **({} if options is None else {"unique_id": f"{identity}/{key}"} | options))
        for key, (platform, options) in found.items()
    }


def _values(topics: Topics, camera: CameraDevice, task: Task, *, switched: bool) -> _Found:
    """What a task measures."""
    there = task in camera.period_s
    needs = _delivering(topics, camera) | _while_on(topics, camera, task, switched)
    found: _Found = {}
    for sensor in _VALUES[task]:
        if not there or (sensor.key in _METRIC_ONLY and not camera.metric):
            found[sensor.key] = ("sensor", None)
            continue
        options = _measured(sensor.name, sensor.template, sensor.unit, sensor.digits) | needs
        options |= {"state_topic": topics.of(task, camera=camera.name)}
        options |= {"device_class": sensor.device_class, "icon": sensor.icon}
        options |= {"expire_after": _expiry_s(camera.period_s[task])}
        if not sensor.average:
            options.pop("state_class")
        found[sensor.key] = ("sensor", options)
    return found


def _state(topics: Topics, camera: CameraDevice) -> _Found:
    """Whether the camera delivers; there also while it does not."""
    topic = topics.of("camera_state", camera=camera.name)
    return {
        "state": ("sensor", {
            "name": "Camera",
            "entity_category": "diagnostic",
            "device_class": "enum",
            "icon": "mdi:cctv",
            "options": ("online", "stalled", "frozen", "offline"),
            "state_topic": topic,
            "value_template": "{{ value_json.state }}",
            "json_attributes_topic": topic,
            "json_attributes_template": "{{ {'since': value_json.since, 'error': value_json.error} | tojson }}",
        }),
    }  # fmt: skip


def _images(topics: Topics, camera: CameraDevice) -> _Found:
    """Pictures, where they are published."""
    kinds: tuple[tuple[str, str, Kind, bool], ...] = (
        ("picture", "Picture", "picture", camera.picture),
        ("depth_view", "Depth", "depth_view", camera.depth_view and "depth" in camera.period_s),
    )
    found: _Found = {}
    for key, name, kind, published in kinds:
        options = {"name": name, "image_topic": topics.of(kind, camera=camera.name), "content_type": JPEG}
        found[key] = ("image", options | _delivering(topics, camera) if published else None)
    return found


def _heat_loss(topics: Topics, camera: CameraDevice) -> _Found:
    """What the room loses at the coldest: said when the room changes, so it never grows old."""
    if not camera.heat_loss or "layout" not in camera.period_s:
        return {"heat_loss": ("sensor", None)}
    topic = topics.of("heat_loss", camera=camera.name)
    options = _measured("Heat loss", "value_json.total_w.p50", "W", -1)
    options |= {"state_topic": topic, "device_class": "power", "icon": "mdi:home-thermometer-outline"}
    options |= {"json_attributes_topic": topic, "json_attributes_template": _HEAT_LOSS_ATTRIBUTES}
    return {"heat_loss": ("sensor", options)}


def _objects(topics: Topics, camera: CameraDevice) -> _Found:
    """How many things were reconstructed, with what they are called and where they stand."""
    if not camera.objects:
        return {"objects": ("sensor", None)}
    topic = topics.of("objects", camera=camera.name)
    options = {"name": "Objects", "icon": "mdi:sofa-outline", "state_topic": topic, "state_class": "measurement"}
    options |= {"value_template": "{{ value_json.count }}"}
    options |= {"json_attributes_topic": topic, "json_attributes_template": _OBJECTS_ATTRIBUTES}
    return {"objects": ("sensor", options)}


def _controls(topics: Topics, camera: CameraDevice, verbs: Collection[str]) -> _Found:
    """A switch and a cadence for each task, a button for each errand; those that requests may do."""
    found: _Found = {}
    for task in TASKS:
        allowed = "set" in verbs and task in camera.period_s
        found[f"{task}_on"] = ("switch", _switch(topics, camera, task) if allowed else None)
        found[f"{task}_every"] = ("number", _cadence(topics, camera, task) if allowed else None)
    buttons: tuple[tuple[str, str, str, dict[str, Any]], ...] = (
        ("snapshot", "Take a snapshot", "mdi:camera", {"picture": False}),
        ("restart-camera", "Restart camera", "mdi:restart", {}),
        ("flag", "Keep for review", "mdi:flag-outline", {"note": "Home Assistant"}),
    )
    for verb, name, icon, more in buttons:
        options = {
            "name": name,
            "icon": icon,
            "entity_category": "config",
            "command_topic": topics.of("request", verb=verb),
            "payload_press": json.dumps({"camera": camera.name} | more),
        }
        found[verb.replace("-", "_")] = ("button", options if verb in verbs else None)
    return found


def _switch(topics: Topics, camera: CameraDevice, task: Task) -> dict[str, Any]:
    asked = {"camera": camera.name, "task": task}
    return {
        "name": f"{task.capitalize()} inference",
        "icon": "mdi:play-pause",
        "entity_category": "config",
        "state_topic": topics.of("bridge_info"),
        "value_template": _setting(camera, task, "'ON' if s.enabled else 'OFF'"),
        "state_on": "ON",
        "state_off": "OFF",
        "command_topic": topics.of("request", verb="set"),
        "payload_on": json.dumps(asked | {"enabled": True}),
        "payload_off": json.dumps(asked | {"enabled": False}),
    }


def _cadence(topics: Topics, camera: CameraDevice, task: Task) -> dict[str, Any]:
    asked = json.dumps({"camera": camera.name, "task": task})[:-1]
    return {
        "name": f"{task.capitalize()} every",
        "icon": "mdi:timer-outline",
        "entity_category": "config",
        "state_topic": topics.of("bridge_info"),
        "value_template": _setting(camera, task, "s.every_s"),
        "command_topic": topics.of("request", verb="set"),
        "command_template": asked + ', "every_s": {{ value }}}',
        "unit_of_measurement": "s",
        "min": 0.1,
        "max": 86400.0,
        "step": 0.1,
        "mode": "box",
    }


# Templates ------------------------------------------------------------------------------------------------------------


def _measured(name: str, value: str, unit: str | None, digits: int) -> dict[str, Any]:
    """A number, rounded here already: a recorder keeps every change of it. Unknown where it, or its part, is null."""
    part = value.rpartition(".")[0] if value.startswith("value_json.metric.") else value
    return {
        "name": name,
        "value_template": f"{{{{ ({value}) | round({digits}) if ({part}) is not none else None }}}}",
        "unit_of_measurement": unit,
        "state_class": "measurement",
        "suggested_display_precision": max(digits, 0),
    }


def _setting(camera: CameraDevice, task: Task, value: str) -> str:
    """Of how the task runs now, as on `bridge/info`."""
    found = f"value_json.cameras | selectattr('name', 'eq', '{camera.name}') | list"
    return f"{{% set c = {found} %}}{{% if c %}}{{% set s = c[0].settings.{task} %}}{{{{ {value} }}}}{{% endif %}}"


def _event_template() -> str:
    known = ", ".join(f"'{kind}'" for kind in _EVENTS)
    kind = f"value_json.type if value_json.type in [{known}] else '{_OTHER_EVENT}'"
    more = "'type': value_json.type, 'camera': value_json.camera, 'message': value_json.message, 'at': value_json.at"
    return f"{{{{ {{'event_type': {kind}, {more}}} | tojson }}}}"


# Availability ---------------------------------------------------------------------------------------------------------


def _bridge_online(topics: Topics) -> Available:
    return Available(topic=topics.of("bridge_state"), value_template="{{ value_json.state }}")


def _delivering(topics: Topics, camera: CameraDevice) -> dict[str, Any]:
    """While the daemon is there and the camera sends pictures that change."""
    state = Available(
        topic=topics.of("camera_state", camera=camera.name),
        value_template="{{ 'online' if value_json.state == 'online' else 'offline' }}",
    )
    return {"availability": (_bridge_online(topics), state), "availability_mode": "all"}


def _while_on(topics: Topics, camera: CameraDevice, task: Task, switched: bool) -> dict[str, Any]:
    """While, beside, the task is not switched off; `switched`: whether it may be."""
    if not switched:
        return {}
    on = _setting(camera, task, "'online' if s.enabled else 'offline'")
    both = _delivering(topics, camera)["availability"]
    return {"availability": (*both, Available(topic=topics.of("bridge_info"), value_template=on))}


def _expiry_s(period_s: float | None) -> int | None:
    """After how long without a new one a value is unknown."""
    return None if period_s is None else math.ceil(max(_FRESH_S, _PERIODS * period_s))


def _origin() -> Origin:
    return Origin(name="edge-reconstruction", sw_version=edge.__version__)
