"""Home Assistant, the real one: its schemas over what it is told, and what it shows of a daemon that runs."""

from __future__ import annotations

import json
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from edge.mqtt.topics import Topics
from edge.publish.discovery import CameraDevice, bridge_device, camera_device
from tests.brokers import Mosquitto, Subscriber, wait_until
from tests.home_assistant import HomeAssistant, home_assistant_python
from tests.integration.conftest import PANORAMA, PERSPECTIVE, Starter

pytestmark = pytest.mark.slow

SCHEMAS = Path(__file__).resolve().parents[1] / "home_assistant_schemas.py"
NOTHING = ("unavailable", "unknown")


def judged(payloads: list[Any]) -> list[str]:
    """What Home Assistant's own schemas say against payloads."""
    done = subprocess.run(
        [home_assistant_python(), SCHEMAS], input=json.dumps(payloads), capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return list(json.loads(done.stdout))


def test_home_assistants_schemas_take_all_that_it_is_told() -> None:
    """Every payload, of cameras with everything and with nothing; and they do refuse what is wrong."""
    topics, verbs = Topics("dev"), ("set", "snapshot", "restart-camera")
    rich = CameraDevice(
        "hall",
        "rtsp",
        "perspective",
        {"depth": 0.5, "layout": None, "lighting": 20.0},
        metric=True,
        picture=True,
        depth_view=True,
    )
    poor = CameraDevice("attic", "csi", "equirectangular", {"layout": 2.0}, metric=False)
    messages = [
        bridge_device(topics, health_every_s=30),
        camera_device(topics, rich, verbs=verbs),
        camera_device(topics, poor, verbs=()),
    ]
    payloads = [json.loads(message.encoded()) for message in messages]
    assert judged(payloads) == []
    wrong = json.loads(messages[1].encoded())
    wrong["components"]["area"]["device_class"] = "acreage"
    wrong["components"]["height"]["unit_of_measurement"] = "m²"
    del wrong["components"]["depth_on"]["command_topic"]
    assert [problem.partition(":")[0] for problem in sorted(judged([wrong]))] == ["area", "depth_on", "height"]


@pytest.fixture
def home(tmp_path: Path) -> Iterator[Callable[[int], HomeAssistant]]:
    """Starts a Home Assistant that ends with the test."""
    running: list[HomeAssistant] = []

    def start(broker_port: int) -> HomeAssistant:
        running.append(HomeAssistant(tmp_path / "home-assistant", home_assistant_python(), broker_port))
        return running[-1].start()

    yield start
    for one in running:
        one.stop()


def described(subscriber: Subscriber) -> dict[str, dict[str, Any]]:
    """The last discovery payload of each device."""
    messages = [m for m in list(subscriber.received) if m.topic.startswith("homeassistant/device/") and m.payload]
    return {m.topic.split("/")[3]: json.loads(m.payload) for m in messages}


def entities(devices: dict[str, dict[str, Any]]) -> int:
    """How many entities they have together."""
    return sum("unique_id" in c for device in devices.values() for c in device["components"].values())


def near(state: str, said: list[float], within: float) -> bool:
    """Whether Home Assistant's number is one that the daemon said."""
    return any(abs(float(state) - value) <= within for value in said)


def test_home_assistant_shows_the_room_without_a_line_of_yaml(
    daemon: Starter, mosquitto: Callable[..., Mosquitto], subscribe: Callable[..., Subscriber], home: Any
) -> None:
    """Every entity with the daemon's values; a switch there stops a task here; unavailable when the daemon is gone.

    When Home Assistant starts anew all is there again, and what is no longer configured is no longer there.
    """
    broker = mosquitto()
    subscriber = subscribe(broker.port)
    settings: dict[str, Any] = {
        "mqtt": {"host": "127.0.0.1", "port": broker.port},
        "health": {"every_s": 2.0},
        "home_assistant": {"depth_view_every_s": 1.0},
        "requests": {"allow": ["ping", "set", "snapshot", "restart-camera"]},
    }
    cameras = [{**PANORAMA, "picture": {"every_s": 1.0, "width_px": 320}}, PERSPECTIVE]
    run = daemon(cameras=cameras, **settings)
    assistant = home(broker.port)
    subscriber.wait("homeassistant/device/test/perspective/config", timeout_s=60)
    devices = described(subscriber)
    assert set(devices) == {"bridge", "panorama", "perspective"}

    def told() -> bool:
        states = assistant.states("test")
        missing = [e for e, s in states.items() if s["state"] in NOTHING and not e.startswith(("event.", "button."))]
        return len(states) == entities(devices) and not missing

    assert wait_until(told, 90), {e: s["state"] for e, s in assistant.states("test").items()}
    _check_values(assistant, subscriber)
    assert "Invalid MQTT" not in assistant.log
    assert "Error" not in assistant.log.replace("Error loading libturbojpeg", "").replace("RuntimeError", "")

    _check_switch(assistant, subscriber)

    assistant.stop()
    for name in devices:  # then nobody but the daemon, who hears that Home Assistant has started, can describe them
        assert subscriber.client is not None
        subscriber.client.publish(f"homeassistant/device/test/{name}/config", b"", qos=1, retain=True)
    assistant.start()
    assert wait_until(told, 90), {e: s["state"] for e, s in assistant.states("test").items()}

    run.process.send_signal(signal.SIGKILL)
    run.wait()
    assert wait_until(lambda: {s["state"] for s in assistant.states("test").values()} == {"unavailable"}, 10)

    daemon(cameras=[{**PANORAMA, "tasks": ["lighting"]}], **settings)
    left = {
        "sensor.test_panorama_ambient_light",
        "sensor.test_panorama_camera",
        "switch.test_panorama_lighting_inference",
    }

    def gone() -> bool:
        states = assistant.states("test")
        others = [
            e for e in states if "perspective" in e or e.endswith(("floor_area", "distance", "_picture", "_depth"))
        ]
        return not others and all(states.get(e, {"state": "unknown"})["state"] not in NOTHING for e in left)

    assert wait_until(gone, 60), sorted(assistant.states("test"))


def _check_values(assistant: HomeAssistant, subscriber: Subscriber) -> None:
    """Numbers and pictures in Home Assistant are those that the daemon published."""

    def said(topic: str, *path: str) -> list[float]:
        found = []
        for message in subscriber.on(f"edge/test/{topic}"):
            value = json.loads(message.payload)
            for key in path:
                value = value[key]
            found.append(float(value))
        return found

    states = {entity: s["state"] for entity, s in assistant.states("test").items()}
    for camera in ("panorama", "perspective"):
        layout, light = f"{camera}/layout", f"{camera}/lighting"
        for name, values, within in (
            ("floor_area", said(layout, "metric", "area_m2"), 0.005),
            ("room_volume", said(layout, "metric", "volume_m3"), 0.005),
            ("ceiling_height", said(layout, "metric", "ceiling_height_m"), 0.005),
            ("median_distance", said(f"{camera}/depth", "metric", "median_m"), 0.005),
            ("ambient_light", said(light, "ambient", "level"), 0.0005),
            ("light_direction", said(light, "dominant", "azimuth_deg"), 0.5),
            ("light_elevation", said(light, "dominant", "elevation_deg"), 0.5),
            ("light_colour_temperature", said(light, "ambient", "colour_temperature_k"), 50),
        ):
            assert near(states[f"sensor.test_{camera}_{name}"], values, within + 1e-9), (camera, name, values)
        assert states[f"sensor.test_{camera}_camera"] == "online"
    assert near(states["sensor.test_memory"], [b / 2**20 for b in said("bridge/health", "memory_bytes")], 0.5)
    assert states["binary_sensor.test_degraded"] == "off"
    for entity, width in (("image.test_panorama_picture", 320), ("image.test_panorama_depth", 384)):
        proxied = assistant.call("GET", f"/api/states/{entity}")["attributes"]["entity_picture"]
        shown = assistant.download(proxied)
        assert shown in [bytes(m.payload) for m in list(subscriber.received)]
        picture = cv2.imdecode(np.frombuffer(shown, np.uint8), cv2.IMREAD_COLOR)
        assert picture is not None
        assert picture.shape[1] == width


def _check_switch(assistant: HomeAssistant, subscriber: Subscriber) -> None:
    """A switch turned off there stops the task here, on that camera alone; turned on again, it runs again."""
    switch, value = "switch.test_panorama_depth_inference", "sensor.test_panorama_median_distance"

    def state(entity: str) -> str:
        return str(assistant.call("GET", f"/api/states/{entity}")["state"])

    def results(camera: str) -> int:
        return len(subscriber.on(f"edge/test/{camera}/depth"))

    assert state(switch) == "on"
    assistant.service("switch", "turn_off", switch)
    assert wait_until(lambda: (state(switch), state(value)) == ("off", "unavailable"), 10)
    last = -1
    while last != results("panorama"):  # what was on its way
        last = results("panorama")
        time.sleep(1.0)
    before, other = results("panorama"), results("perspective")
    assert wait_until(lambda: results("perspective") >= other + 3, 60)
    assert results("panorama") == before
    assistant.service("switch", "turn_on", switch)
    assert wait_until(lambda: results("panorama") > before and state(value) not in NOTHING, 60)

    assistant.service("number", "set_value", "number.test_panorama_layout_every", value=7.5)
    assert wait_until(lambda: state("number.test_panorama_layout_every") == "7.5", 10)
    assistant.service("button", "press", "button.test_panorama_restart_camera")
    subscriber.wait("edge/test/response/restart-camera", timeout_s=20)
    assert json.loads(subscriber.on("edge/test/response/restart-camera")[-1].payload)["status"] == "ok"
