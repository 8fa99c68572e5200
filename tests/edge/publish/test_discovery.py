"""What Home Assistant is told: entities that read topics there are, and go with what they stand for."""

from __future__ import annotations

import json
import time
from collections.abc import Collection
from dataclasses import replace
from itertools import product
from typing import Any

import jinja2
import pytest
from pydantic import ValidationError

from edge.mqtt.discovery import Available, Component, DiscoveryMessage
from edge.mqtt.machine_message import MachineHealth
from edge.mqtt.messages import (
    BridgeEvent,
    BridgeHealth,
    BridgeState,
    BrokerHealth,
    CameraState,
    Message,
    TaskHealth,
    timestamp,
)
from edge.mqtt.topics import CHANNELS, Topics, parse
from edge.mqtt.verbs import VERBS, VerbName
from edge.publish.compose import Source, depth_message, layout_message, lighting_message
from edge.publish.discovery import CameraDevice, bridge_device, camera_device
from edge.scene import DepthMap, Frame, Lighting, RoomLayout

TOPICS = Topics("dev")
HALL = CameraDevice(
    "hall",
    "rtsp",
    "perspective",
    {"depth": 0.5, "layout": 30.0, "lighting": 0.5},
    metric=True,
    picture=True,
    depth_view=True,
    heat_loss=True,
    objects=True,
)
ALL_VERBS = ("ping", "info", "set", "snapshot", "restart-camera", "flag")


def present(message: DiscoveryMessage) -> dict[str, Component]:
    """The entities that there are."""
    return {key: c for key, c in message.components.items() if c.unique_id is not None}


def hall(verbs: Collection[str] = ALL_VERBS, **changes: Any) -> dict[str, Component]:
    """The entities of a camera that differs from the usual one."""
    return present(camera_device(TOPICS, replace(HALL, **changes), verbs=verbs))


def rendered(template: str | None, payload: Message | dict[str, Any]) -> str:
    """A template's text for a message, as Home Assistant makes it."""
    body = json.loads(payload.encoded()) if isinstance(payload, Message) else payload
    assert template is not None
    return jinja2.Environment(undefined=jinja2.StrictUndefined).from_string(template).render(value_json=body)


def machine(slowdown: int = 1) -> MachineHealth:
    """What a Jetson says."""
    return MachineHealth(
        model="Jetson",
        temperatures_celsius={"tj-thermal": 51.2},
        throttling=(),
        overcurrent_events=0,
        power_mode="MODE_30W",
        gpu_load=0.42,
        memory_total_bytes=2**33,
        memory_available_bytes=2**32,
        slowdown=slowdown,
    )


def health(**changes: Any) -> BridgeHealth:
    """How a daemon is."""
    rates = tuple(
        TaskHealth(camera="hall", task=t, rate_hz=r, latency_ms=None) for t, r in (("depth", 2.0), ("layout", 0.5))
    )
    values = {
        "device": "dev",
        "at": timestamp(0),
        "uptime_s": 1.0,
        "tasks": rates,
        "dropped": {},
        "memory_bytes": 2**28,
    }
    counts: Any = dict.fromkeys(set(BrokerHealth.model_fields) - {"protocol"}, 0)
    broker = BrokerHealth(protocol="5", **counts)
    return BridgeHealth(**{**values, "broker": broker, "temperature_celsius": None, "degraded": (), **changes})


def test_values_are_those_of_the_messages(
    frame: Frame, depth: DepthMap, layout: RoomLayout, lighting: Lighting, source: Source
) -> None:
    """Each sensor says its message's number, rounded; what is not known is None, which Home Assistant shows as such."""
    said = {
        "depth": depth_message(frame, depth, source, 0.1),
        "layout": layout_message(frame, layout, source, 0.1),
        "lighting": lighting_message(frame, lighting, source, 0.1),
    }
    entities = hall()

    def value(key: str, message: Message) -> str:
        return rendered(entities[key].value_template, message)

    assert float(value("area", said["layout"])) == layout.area_m2
    assert float(value("volume", said["layout"])) == layout.volume_m3
    assert float(value("height", said["layout"])) == layout.ceiling_height_m
    assert float(value("median_depth", said["depth"])) == pytest.approx(2.5, abs=0.01)
    assert float(value("ambient", said["lighting"])) == pytest.approx(0.714, abs=1e-3)
    assert float(value("azimuth", said["lighting"])) == 90
    assert float(value("elevation", said["lighting"])) == 30
    assert float(value("colour_temperature", said["lighting"])) == 5500, "near D55"
    dark = lighting_message(frame, replace(lighting, ambient=(0.0, 0.0, 0.0)), source, 0.1)
    assert value("colour_temperature", dark) == "None"
    assert value("area", layout_message(frame, replace(layout, scale="relative"), source, 0.1)) == "None"
    assert value("median_depth", depth_message(frame, replace(depth, scale="relative"), source, 0.1)) == "None"


def test_the_daemons_own_values() -> None:
    """Rate, memory, temperature and what is wrong, from its health; an event with its kind."""
    entities = present(bridge_device(TOPICS, health_every_s=30))
    ill = health(degraded=("camera a is offline", "x" * 400), temperature_celsius=51.24)

    def value(key: str, message: Message) -> str:
        return rendered(entities[key].value_template, message)

    assert float(value("rate", health())) == 2.5
    assert float(value("memory", health())) == 256
    assert (value("temperature", health()), value("temperature", ill)) == ("None", "51.2")
    assert (value("degraded", health()), value("degraded", ill)) == ("OFF", "ON")
    assert value("problem", health()) == "none"
    assert value("problem", ill).startswith("camera a is offline; xxx")
    assert len(value("problem", ill)) <= 255, "a longer state is refused by Home Assistant"
    assert "temperature" not in present(bridge_device(TOPICS, health_every_s=30, has_temperature=False))
    jetson = present(bridge_device(TOPICS, health_every_s=30, jetson=True))
    assert jetson.keys() - entities.keys() == {"gpu_load", "power_mode"}
    hot = health(machine=machine(slowdown=2))
    assert float(rendered(jetson["gpu_load"].value_template, hot)) == 42
    assert rendered(jetson["power_mode"].value_template, hot) == "MODE_30W"
    assert (value("hot", health(machine=machine())), value("hot", hot)) == ("OFF", "ON")
    reasons = json.loads(rendered(entities["degraded"].json_attributes_template, ill))
    assert reasons == {"reasons": list(ill.degraded)}
    for kind, expected in (("camera_error", "camera_error"), ("unheard_of", "other")):
        event = BridgeEvent(device="dev", at=timestamp(0), type=kind, camera="hall", message='it said "no"')
        got = json.loads(value("event", event))
        assert got["event_type"] == expected
        assert got["event_type"] in (entities["event"].event_types or ())
        assert (got["type"], got["camera"], got["message"]) == (kind, "hall", 'it said "no"')


@pytest.mark.parametrize(
    ("state", "there"), [("online", True), ("stalled", False), ("frozen", False), ("offline", False)]
)
def test_a_value_is_there_while_daemon_and_camera_are(state: Any, there: bool) -> None:
    """All of the bridge's state, the camera's state and the task's switch; how the camera is needs the daemon alone."""
    message = camera_device(TOPICS, HALL, verbs=ALL_VERBS)
    settings = {task: {"enabled": task != "depth", "every_s": 1.0} for task in ("depth", "layout", "lighting")}
    says = {
        "edge/dev/bridge/state": json.loads(BridgeState(state="online").encoded()),
        "edge/dev/hall/state": json.loads(
            CameraState(device="dev", camera="hall", state=state, since=timestamp(0)).encoded()
        ),
        "edge/dev/bridge/info": {"cameras": [{"name": "hall", "settings": settings}]},
    }

    def available(component: Component) -> bool:
        places: tuple[Available, ...] = component.availability or message.availability
        return all(rendered(place.value_template, says[place.topic]) == "online" for place in places)

    entities = present(message)
    assert available(entities["area"]) is there
    assert available(entities["picture"]) is there
    assert not available(entities["median_depth"]), "its task is switched off"
    for key in ("state", "restart_camera", "depth_on", "depth_every"):
        assert available(entities[key])
    says["edge/dev/bridge/state"] = {"state": "offline"}
    assert not any(available(component) for component in entities.values())


def test_entities_read_and_write_topics_that_there_are() -> None:
    """What is read, the daemon sends; what is written is a request; pictures are of the topic's kind."""
    for message in (bridge_device(TOPICS, health_every_s=30), camera_device(TOPICS, HALL, verbs=ALL_VERBS)):
        for component in message.components.values():
            read = [component.state_topic, component.json_attributes_topic, component.image_topic]
            read += [place.topic for place in component.availability or ()]
            for topic in filter(None, read):
                address = parse(topic)
                assert address is not None, topic
                assert CHANNELS[address.kind].direction == "send"
                assert address.camera in (None, "hall")
                if component.image_topic:
                    assert (
                        component.content_type == CHANNELS[address.kind].content_type or topic != component.image_topic
                    )
            if component.command_topic:
                address = parse(component.command_topic)
                assert address is not None
                assert address.kind == "request"


def test_what_is_asked_is_what_the_request_takes() -> None:
    """Commands are JSON objects that name the camera, and the task with what to change."""
    entities = hall()
    asked = {"camera": "hall", "task": "layout"}
    switch, number = entities["layout_on"], entities["layout_every"]
    assert json.loads(switch.payload_on or "") == asked | {"enabled": True}
    assert json.loads(switch.payload_off or "") == asked | {"enabled": False}
    text = jinja2.Template(number.command_template or "").render(value=2.5)
    assert json.loads(text) == asked | {"every_s": 2.5}
    assert json.loads(entities["restart_camera"].payload_press or "") == {"camera": "hall"}
    asked_for: dict[VerbName, list[str | None]] = {
        "set": [switch.payload_on, switch.payload_off, text],
        "restart-camera": [entities["restart_camera"].payload_press],
        "snapshot": [entities["snapshot"].payload_press],
        "flag": [entities["flag"].payload_press],
    }
    for verb, payloads in asked_for.items():
        for payload in payloads:
            VERBS[verb].arguments.model_validate(json.loads(payload or ""))
    info = {
        "cameras": [{"name": "other"}, {"name": "hall", "settings": {"layout": {"enabled": False, "every_s": 7.5}}}]
    }
    assert (rendered(switch.value_template, info), rendered(number.value_template, info)) == ("OFF", "7.5")
    assert rendered(switch.value_template, {"cameras": []}) == ""


@pytest.mark.parametrize("verb", ["set", "snapshot", "restart-camera", "flag"])
def test_what_may_not_be_asked_has_no_entity(verb: str) -> None:
    """Each verb that is not allowed takes its switches, numbers or buttons away, and nothing else."""
    allowed = [v for v in ALL_VERBS if v != verb]
    lost = set(hall()) - set(hall(allowed))
    commands = {key for key, c in hall().items() if c.command_topic == f"edge/dev/request/{verb}"}
    assert lost == commands != set()
    assert not any(c.command_topic for c in hall(()).values())


def test_what_is_gone_is_removed() -> None:
    """Whatever a camera was before, its message names each entity it may have had: what is gone by platform alone."""
    every = camera_device(TOPICS, HALL, verbs=ALL_VERBS)
    platforms = {key: c.platform for key, c in every.components.items()}
    less = [
        camera_device(TOPICS, replace(HALL, period_s={}), verbs=()),
        camera_device(TOPICS, replace(HALL, picture=False, depth_view=False), verbs=ALL_VERBS),
        camera_device(TOPICS, replace(HALL, metric=False), verbs=ALL_VERBS),
    ]
    assert len(present(every)) == len(every.components)
    for message in less:
        body = json.loads(message.encoded())
        assert {key: c["platform"] for key, c in body["components"].items()} == platforms
        for key in set(platforms) - set(present(message)):
            assert body["components"][key] == {"platform": platforms[key]}
    assert set(present(less[0])) == {"state", "picture", "objects"}
    assert set(platforms) - set(present(less[1])) == {"picture", "depth_view"}
    assert set(platforms) - set(present(less[2])) == {"area", "volume", "height"}


def test_values_grow_old(layout: RoomLayout) -> None:
    """A value by cadence expires after three of its periods, never under a minute; others only with their source."""
    entities = hall()
    assert entities["area"].expire_after == 90
    assert entities["median_depth"].expire_after == 60
    counted = hall(period_s={"depth": None, "layout": 1.0})
    assert counted["median_depth"].expire_after is None
    assert entities["state"].expire_after is None
    assert all(
        c.expire_after == 300
        for c in present(bridge_device(TOPICS, health_every_s=100)).values()
        if c.state_topic == "edge/dev/bridge/health"
    )


def test_no_two_entities_have_one_name() -> None:
    """Ids stay apart also where names of devices and cameras, joined, would be the same."""
    ids = [
        component.unique_id
        for device, camera in product(("a", "a_b", "a-b"), ("c", "b_c", "b-c"))
        for component in present(camera_device(Topics(device), replace(HALL, name=camera), verbs=ALL_VERBS)).values()
    ]
    assert len(set(ids)) == len(ids)


def test_cameras_hang_on_their_bridge() -> None:
    """A camera is a device of its own, via the bridge's; both sit on topics below the device's name."""
    bridge, camera = bridge_device(TOPICS, health_every_s=30), camera_device(TOPICS, HALL, verbs=())
    assert camera.device.via_device in bridge.device.identifiers
    assert not set(camera.device.identifiers) & set(bridge.device.identifiers)
    assert TOPICS.of("discovery") == "homeassistant/device/dev/bridge/config"
    assert TOPICS.of("discovery", camera="hall") == "homeassistant/device/dev/hall/config"
    assert Topics("dev", discovery_prefix="ha/x").discoveries == "ha/x/device/dev/+/config"


def test_an_entity_that_lacks_something_is_refused() -> None:
    """An entity has all that its platform needs, or its platform alone."""
    Component(platform="switch")
    with pytest.raises(ValidationError, match="needs unique_id, name, state_topic"):
        Component(platform="sensor", icon="mdi:x")
    with pytest.raises(ValidationError, match="needs event_types"):
        Component(platform="event", unique_id="a", name="b", state_topic="t")
    with pytest.raises(ValidationError, match="pattern"):
        Component(platform="sensor", unique_id="a", name="b", state_topic="edge/+/state")


def test_it_is_quick_and_small() -> None:
    """A camera with everything is described in under 16 kB, which any broker takes."""
    begun_s = time.perf_counter()
    assert len(camera_device(TOPICS, HALL, verbs=ALL_VERBS).encoded()) < 16_000
    assert time.perf_counter() - begun_s < 0.5


def test_objects_are_counted_where_they_are_reconstructed() -> None:
    """How many have a mesh, with the whole list as attributes; it does not grow old."""
    entity = hall()["objects"]
    assert (entity.state_topic, entity.expire_after) == ("edge/dev/hall/objects", None)
    assert entity.value_template == "{{ value_json.count }}"
    assert entity.json_attributes_topic == entity.state_topic
    assert "objects" not in hall(objects=False)


def test_a_heat_loss_is_a_sensor_where_it_is_configured() -> None:
    """In watts, with its range as attributes; it does not grow old, because it comes when the room changes."""
    entity = hall()["heat_loss"]
    assert (entity.state_topic, entity.unit_of_measurement) == ("edge/dev/hall/heat_loss", "W")
    assert (entity.device_class, entity.expire_after) == ("power", None)
    assert "total_w.p50" in (entity.value_template or "")
    assert "at_most_w" in (entity.json_attributes_template or "")
    assert "heat_loss" not in hall(heat_loss=False)
