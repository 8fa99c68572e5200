"""Real brokers and real subscribers, as fixtures for every test that talks MQTT."""

from __future__ import annotations

import contextlib
import random
import socket
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import paho.mqtt.client as paho
import pytest
from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion

from edge.commands.mosquitto import Mosquitto, mosquitto_program, unused_port
from edge.mqtt.broker import EmbeddedBroker

__all__ = ["Mosquitto", "Subscriber", "embedded", "mosquitto", "quiet_port", "subscribe", "unused_port", "wait_until"]

_QUIET_PORTS = range(20000, 32000)
"""Below those that the system gives to who connects: there, who tries for long enough is connected to himself."""


def quiet_port() -> int:
    """A port that nobody listens on, nor can come to be connected from."""
    while True:
        port = random.choice(_QUIET_PORTS)
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port


def wait_until(condition: Callable[[], Any], timeout_s: float = 10.0) -> bool:
    """Whether `condition` came true within the time."""
    deadline_s = time.monotonic() + timeout_s
    while time.monotonic() < deadline_s:
        if condition():
            return True
        time.sleep(0.01)
    return bool(condition())


@dataclass
class Subscriber:
    """A plain paho client, independent of our own."""

    port: int
    topic: str = "#"
    version: str = "5"
    received: list[paho.MQTTMessage] = field(default_factory=list)
    client: paho.Client | None = None

    def start(self) -> Subscriber:
        """Subscribe; returns when the broker confirmed."""
        protocol = MQTTProtocolVersion.MQTTv5 if self.version == "5" else MQTTProtocolVersion.MQTTv311
        self.client = paho.Client(CallbackAPIVersion.VERSION2, protocol=protocol)
        confirmed: list[int] = []
        self.client.on_connect = lambda client, *_: client.subscribe(self.topic, 1)
        self.client.on_subscribe = lambda *_: confirmed.append(1)
        self.client.on_message = lambda _client, _data, message: self.received.append(message)
        self.client.connect("127.0.0.1", self.port)
        self.client.loop_start()
        assert wait_until(lambda: confirmed), "not subscribed"
        return self

    def stop(self) -> None:
        """Disconnect."""
        if self.client is not None:
            self.client.disconnect()
            self.client.loop_stop()

    def on(self, topic: str) -> list[paho.MQTTMessage]:
        """What arrived on one topic, oldest first."""
        return [m for m in list(self.received) if m.topic == topic]

    def wait(self, topic: str, count: int = 1, timeout_s: float = 10.0) -> list[paho.MQTTMessage]:
        """What arrived on one topic, once there are `count`."""
        assert wait_until(lambda: len(self.on(topic)) >= count, timeout_s), f"nothing on {topic}: {self.topics()}"
        return self.on(topic)

    def topics(self) -> list[str]:
        """The topics seen."""
        return sorted({m.topic for m in list(self.received)})


@pytest.fixture
def mosquitto(tmp_path: Path) -> Iterator[Callable[..., Mosquitto]]:
    """Starts Mosquitto brokers that end with the test."""
    if mosquitto_program() is None:
        pytest.skip("mosquitto is not installed; `make test` installs it where it may")
    running: list[Mosquitto] = []

    def start(**options: Any) -> Mosquitto:
        settings = "user root\n" + options.pop("settings", "allow_anonymous true\n")  # for root, whose files tests are
        running.append(Mosquitto(tmp_path, settings=settings, **options))
        return running[-1].start()

    yield start
    for broker in running:
        broker.stop()


@pytest.fixture
def embedded() -> Iterator[EmbeddedBroker]:
    """The embedded broker on free ports."""
    broker = EmbeddedBroker(unused_port(), unused_port())
    broker.start()
    yield broker
    broker.stop()


@pytest.fixture
def subscribe() -> Iterator[Callable[..., Subscriber]]:
    """Starts subscribers that end with the test."""
    running: list[Subscriber] = []

    def start(port: int, **options: Any) -> Subscriber:
        running.append(Subscriber(port, **options))
        return running[-1].start()

    yield start
    for subscriber in running:
        subscriber.stop()
