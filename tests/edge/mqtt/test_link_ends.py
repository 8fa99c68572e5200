"""How a connection ends: the will, the reason, the threads, and what was late."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Any

import paho.mqtt.client as paho
import pytest
from paho.mqtt.packettypes import PacketTypes

from edge.mqtt.endpoint import Endpoint
from edge.mqtt.limits import Limits
from edge.mqtt.link import Incoming, Link, Will
from tests.brokers import wait_until
from tests.edge.mqtt.conftest import Open, send
from tests.edge.mqtt.scripted import ACCEPTED_5, Scripted


def test_a_broker_that_ends_is_a_loss(mosquitto: Any, connect: Open) -> None:
    """The owner is told once it is down; the text names the broker; a new connection knows nothing of it."""
    broker, told = mosquitto(), list[bool]()
    link = connect(broker.port, on_change=lambda: told.append(link.up))
    send(link)
    assert wait_until(lambda: told == [True])
    broker.stop()
    assert wait_until(lambda: not link.up)
    assert wait_until(lambda: told[-1:] == [False])
    assert link.loss is not None
    assert link.loss.startswith(f"broker 127.0.0.1:{broker.port}: connection lost (")
    broker.start()
    link.open()
    assert (link.up, link.loss, link.loss_reason, link.delivered()) == (True, None, None, [])


@pytest.mark.parametrize(
    ("code", "reason", "remedy"),
    [(0x8E, "Session taken over", "give each device its own"), (0x95, "Packet too large", "mqtt.max_packet_bytes")],
)
def test_why_a_broker_ended_it_is_said_with_the_remedy(
    scripted: Callable[..., Scripted], connect: Open, code: int, reason: str, remedy: str
) -> None:
    """In MQTT's words and in ours; the next connection knows nothing of it."""
    server = scripted(lambda _: ACCEPTED_5)
    link = connect(server.port)
    assert link.loss_reason is None
    server.clients[-1].sendall(bytes([0xE0, 2, code, 0]))
    assert wait_until(lambda: not link.up)
    assert link.loss_reason == reason
    assert str(link.loss).startswith(f"broker {link.endpoint}: connection lost ({reason.lower()}); ")
    assert remedy in str(link.loss)
    link.open()
    assert (link.loss, link.loss_reason) == (None, None)


@pytest.mark.parametrize("protocol", ["5", "3.1.1"])
@pytest.mark.parametrize(("how", "wills"), [("close", 0), ("abandon", 1)])
def test_a_goodbye_keeps_the_will_back(
    mosquitto: Any, subscribe: Any, connect: Open, protocol: str, how: str, wills: int
) -> None:
    """Closed, the broker says nothing; abandoned, it says the will, retained. Either way the link's thread is gone."""
    port = mosquitto().port
    seen = subscribe(port, topic="#")
    link = connect(port, protocol=protocol, will=Will("w", b"gone"))
    client = link._client
    assert client is not None
    begun_s = time.monotonic()
    getattr(link, how)()
    assert time.monotonic() - begun_s < 5.0
    assert not link.up
    assert client._thread is None or not client._thread.is_alive()
    assert wait_until(lambda: len(seen.on("w")) == wills)
    time.sleep(0.1)
    assert [m.payload for m in seen.on("w")] == [b"gone"] * wills
    getattr(link, how)()  # a second time is fine


def test_closing_waits_no_longer_than_told(mosquitto: Any, connect: Open, monkeypatch: pytest.MonkeyPatch) -> None:
    """For the goodbye to be taken, at most; and no longer than it takes."""
    link = connect(mosquitto().port)
    begun_s = time.monotonic()
    link.close(timeout_s=20.0)
    assert time.monotonic() - begun_s < 10.0
    link.open()
    monkeypatch.setattr(paho.Client, "disconnect", lambda *_: None)
    begun_s = time.monotonic()
    link.close(timeout_s=0.3)
    assert 0.25 <= time.monotonic() - begun_s < 5.0


def test_a_link_that_was_never_opened_can_be_ended() -> None:
    """Nothing was there."""
    link = Link(Endpoint("127.0.0.1"), "x")
    assert not link.up
    assert not link.all_subscribed
    assert link.delivered() == []
    assert (link.limits, link.version) == (Limits(), None)
    link.unsubscribe(["t"])
    link.close()
    link.abandon()


def test_a_network_thread_that_died_is_a_connection_that_is_down(mosquitto: Any, connect: Open) -> None:
    """Paho tells nobody of it."""
    link = connect(mosquitto().port)
    client = link._client
    assert client is not None
    assert client._thread is not None
    alive, client._thread = client._thread, threading.Thread()
    assert not link.up
    client._thread = alive
    assert link.up


def test_what_an_old_connection_says_late_is_not_heard(mosquitto: Any, connect: Open) -> None:
    """A message, a confirmation and a loss of one that was given up do not touch the one that stands."""
    got: list[Incoming] = []
    port = mosquitto().port
    link = connect(port, on_message=got.append)
    old = link._client
    assert old is not None
    link.open()
    lost = paho.ReasonCode(PacketTypes.DISCONNECT, "Unspecified error")
    link._disconnected(old, None, None, lost, None)
    link._published(old, None, 1, lost, None)
    link._subscribed(old, None, 1, [lost], None)
    link._connected(old, None, None, paho.ReasonCode(PacketTypes.CONNACK, "Banned"), None)
    link._received(old, None, paho.MQTTMessage(topic=b"t"))
    assert link.up
    assert (link.loss, link.delivered(), link.refused_subscriptions, got) == (None, [], {}, [])
