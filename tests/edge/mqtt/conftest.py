"""Links, and the servers that they are opened to where a real Mosquitto cannot do what a test needs."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from edge.mqtt import link as link_module
from edge.mqtt.endpoint import Endpoint
from edge.mqtt.link import Link, Metadata
from tests.edge.mqtt.scripted import Connect, Scripted

Open = Callable[..., Link]


@pytest.fixture
def scripted() -> Iterator[Callable[..., Scripted]]:
    """Starts scripted servers; they end with the test."""
    running: list[Scripted] = []

    def start(answer: Callable[[Connect], bytes | None]) -> Scripted:
        running.append(Scripted(answer))
        return running[-1]

    yield start
    for one in running:
        one.close()


@pytest.fixture
def connect() -> Iterator[Open]:
    """Makes links, opened unless told otherwise; they are dropped with the test."""
    made: list[Link] = []

    def start(port: int, client_id: str = "edge-test", *, opened: bool = True, **options: Any) -> Link:
        of_endpoint = {k: options.pop(k) for k in ("protocol", "username", "password", "keepalive_s") if k in options}
        made.append(Link(Endpoint("127.0.0.1", port, **of_endpoint), client_id, **options))
        if opened:
            made[-1].open()
        return made[-1]

    yield start
    for one in made:
        one.abandon()


@pytest.fixture
def hurried(monkeypatch: pytest.MonkeyPatch) -> None:
    """Attempts are given up after a second, a first one after half of it."""
    monkeypatch.setattr(link_module, "_PROBE_TIMEOUT_S", 0.5)
    monkeypatch.setattr(link_module, "_CONNECT_TIMEOUT_S", 1.0)


def send(link: Link, topic: str = "t", payload: bytes = b"p", qos: int = 1, *, retain: bool = False) -> int:
    """Send with no metadata."""
    return link.send(topic, payload, qos=qos, retain=retain, metadata=Metadata())
