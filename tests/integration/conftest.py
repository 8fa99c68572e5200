"""The daemon as a user starts it: a process with a configuration file, watched by an independent subscriber."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import jsonschema
import numpy as np
import pytest
import yaml

from edge.geometry import polygon
from edge.mqtt.schemas import json_schemas
from edge.mqtt.topics import parse
from tests.brokers import Mosquitto, Subscriber, wait_until

REPOSITORY = Path(__file__).resolve().parents[2]
SHARED = REPOSITORY.parent / "shared"
DEMO = REPOSITORY / "edge" / "demo"

PANORAMA: dict[str, Any] = {
    "name": "panorama",
    "source": {"type": "replay", "path": str(DEMO / "panorama"), "fps": 5.0},
    "projection": "equirectangular",
    "camera_height_m": 1.3,
}
PERSPECTIVE: dict[str, Any] = {
    "name": "perspective",
    "source": {"type": "replay", "path": str(DEMO / "perspective"), "fps": 5.0},
    "hfov_deg": 75.0,
    "camera_height_m": 1.6,
    "pitch_deg": -8.0,
}


@dataclass
class DaemonProcess:
    """`edge run` in a process of its own, with everything it wrote."""

    config: Path
    arguments: list[str] = field(default_factory=list)
    lines: list[str] = field(default_factory=list)

    def start(self) -> DaemonProcess:
        """Start it; its output is collected as it comes."""
        command = [sys.executable, "-m", "edge", "run", "--config", str(self.config), *self.arguments]
        self.process = subprocess.Popen(
            command, cwd=REPOSITORY, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        )
        self._reader = threading.Thread(target=self._collect, daemon=True)
        self._reader.start()
        return self

    def _collect(self) -> None:
        assert self.process.stdout is not None
        self.lines.extend(line.rstrip("\n") for line in self.process.stdout)

    def said(self, text: str, timeout_s: float = 60.0) -> bool:
        """Whether it wrote a line with `text` within the time, or before it ended."""
        wait_until(lambda: any(text in line for line in self.lines) or self.process.poll() is not None, timeout_s)
        return any(text in line for line in self.lines)

    def wait(self, timeout_s: float = 90.0) -> int:
        """Its exit status."""
        status = self.process.wait(timeout_s)
        self._reader.join(5)
        return status

    def terminate(self, timeout_s: float = 5.0) -> int:
        """SIGTERM, and its exit status within the promised five seconds."""
        self.process.send_signal(signal.SIGTERM)
        return self.wait(timeout_s)

    def kill(self) -> None:
        """Clean up after a test."""
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait(5)
        assert self.process.stdout is not None
        self._reader.join(5)
        self.process.stdout.close()


def handles(pid: int, number: signal.Signals) -> bool:
    """Whether the process has set a handler for a signal, or ignores it."""
    status = dict(
        line.split(":\t", 1) for line in Path(f"/proc/{pid}/status").read_text().splitlines() if ":\t" in line
    )
    return bool((int(status["SigCgt"], 16) | int(status["SigIgn"], 16)) >> (number - 1) & 1)


Starter = Callable[..., DaemonProcess]


@pytest.fixture
def daemon(tmp_path: Path) -> Iterator[Starter]:
    """Start daemons on configurations given as dictionaries.

    Unless given, engines are the shipped ones, in float32: integers are not timed at each start.
    """
    running: list[DaemonProcess] = []

    def start(*arguments: str, **config: Any) -> DaemonProcess:
        config.setdefault("device", {"name": "test"})
        inference = {"engines": str(REPOSITORY / "engines"), "precision": "fp32"}
        config["inference"] = inference | config.get("inference", {})
        path = tmp_path / f"config-{len(running)}.yaml"
        path.write_text(yaml.safe_dump(config))
        running.append(DaemonProcess(path, list(arguments)).start())
        return running[-1]

    yield start
    for process in running:
        process.kill()


@dataclass
class Served:
    """What a daemon that ran for a while said, and what an independent subscriber got of it."""

    run: DaemonProcess
    subscriber: Subscriber

    def last(self, topic: str) -> dict[str, Any]:
        """The last message on a topic below the device's, valid by its schema and by plain physics."""
        sent = self.subscriber.on(f"edge/test/{topic}")
        assert sent, (topic, self.run.lines)
        message = check_message(sent[-1].topic, sent[-1].payload)
        assert message is not None
        return message


@pytest.fixture
def serve(
    daemon: Starter, mosquitto: Callable[..., Mosquitto], subscribe: Callable[..., Subscriber]
) -> Callable[..., Served]:
    """Run a daemon for so many seconds with a broker and a subscriber of its own; it must end well."""

    def run(seconds: int, **config: Any) -> Served:
        broker = mosquitto()
        subscriber = subscribe(broker.port)
        process = daemon("--for", str(seconds), mqtt={"host": "127.0.0.1", "port": broker.port}, **config)
        assert process.wait() == 0, process.lines
        return Served(process, subscriber)

    return run


def check_message(topic: str, payload: bytes) -> dict[str, Any] | None:
    """Validate one message against its published schema and plain physics; returns it, None for pictures."""
    schemas = json_schemas()
    if topic.startswith("homeassistant/device/test/"):
        found: dict[str, Any] = json.loads(payload)
        jsonschema.Draft202012Validator(schemas["discovery"]).validate(found)
        return found
    address = parse(topic)
    assert address is not None, f"unknown topic {topic}"
    if address.kind not in schemas:
        assert payload[:4] in (b"\x89PNG", b"glTF", b"\xff\xd8\xff\xe0"), topic
        return None
    message: dict[str, Any] = json.loads(payload)
    jsonschema.Draft202012Validator(schemas[address.kind]).validate(message)
    if address.kind == "depth":
        _check_depth(message)
    elif address.kind == "layout":
        _check_layout(message)
    elif address.kind == "lighting":
        _check_lighting(message)
    return message


def _check_depth(message: dict[str, Any]) -> None:
    if message["scale"] == "relative":
        assert message["metric"] is None
        return
    d = message["metric"]
    assert 0.1 <= d["min_m"] <= d["p05_m"] <= d["median_m"] <= d["p95_m"] <= d["max_m"] <= 20.0


def _check_layout(message: dict[str, Any]) -> None:
    room = message["metric"]
    outline = np.array(room["polygon_m"])
    assert polygon.is_simple(outline)
    assert polygon.signed_area_m2(outline) > 0
    assert polygon.contains(polygon_grown(outline))
    assert room["ceiling_height_m"] > room["camera_height_m"]
    assert room["volume_m3"] == pytest.approx(room["area_m2"] * room["ceiling_height_m"], rel=0.01)
    assert room["area_m2"] == pytest.approx(polygon.area_m2(outline), rel=0.01, abs=0.01)


def polygon_grown(outline: np.ndarray) -> np.ndarray:
    """The outline moved out by the millimetre that rounding may have cost (the camera may stand on it)."""
    import shapely

    return shapely.get_coordinates(shapely.Polygon(outline).buffer(0.002, join_style="mitre"))[:-1]


def _check_lighting(message: dict[str, Any]) -> None:
    assert min(message["coefficients"][0]) > 0
    assert np.linalg.norm(message["dominant"]["direction"]) == pytest.approx(1, abs=1e-3)
