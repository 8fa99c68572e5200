"""Requests by the thousand, of every kind of nonsense, of five megabytes, deep, retained, and with foreign topics."""

from __future__ import annotations

import json
import random
import threading
import time
from collections.abc import Callable, Iterator

import paho.mqtt.client as paho
import pytest
from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

from tests.brokers import Mosquitto, wait_until
from tests.faults.device import Device, Figures, crowding, lasting, soon
from tests.faults.ledger import Arrival, CountingSubscriber

pytestmark = pytest.mark.faults


def nonsense(count: int, seed: int = 1) -> Iterator[tuple[str, bytes]]:
    """Verbs and payloads: sound ones, wrong ones, what breaks parsers, and bytes."""
    chance = random.Random(seed)
    payloads: list[Callable[[], bytes]] = [
        lambda: b"",
        lambda: json.dumps({"transaction": str(chance.random())}).encode(),
        lambda: b'{"transaction":"\\ud800"}',
        lambda: b"[" * 1000 + b"]" * 1000,
        lambda: b'{"a":' * 5000,
        lambda: chance.randbytes(chance.randrange(1, 300)),
        lambda: b'{"transaction":' + b"9" * 5000 + b"}",
        lambda: b'{"arguments":{"x":1e999},"transaction":"\\u0000"}',
        lambda: b'{"transaction":null,"arguments":[]}',
        lambda: json.dumps({"transaction": "x" * 3000}).encode(),
    ]
    verbs = ["info", "health", "dance", "HEALTH", "a" * 200, "\u2603", "0"]
    for _ in range(count):
        yield chance.choice(verbs), chance.choice(payloads)()


class Asker:
    """Publishes requests as fast as the broker confirms them, from a connection of its own."""

    def __init__(self, port: int) -> None:
        """Connected when this returns."""
        self.client = paho.Client(CallbackAPIVersion.VERSION2, protocol=MQTTProtocolVersion.MQTTv5)
        self.client.max_queued_messages_set(0)
        self.client.connect("127.0.0.1", port)
        self.client.loop_start()
        assert wait_until(self.client.is_connected)
        self._free = threading.Semaphore(20)
        self.client.on_publish = lambda *_: self._free.release()

    def ask(self, verb: str, payload: bytes, retain: bool = False, answer_on: str | None = None) -> None:
        """One request; waits while 20 are under way."""
        properties = Properties(PacketTypes.PUBLISH)
        if answer_on is not None:
            properties.ResponseTopic = answer_on
        self._free.acquire(timeout=10)
        self.client.publish(f"edge/test/request/{verb}", payload, 1, retain, properties=properties)

    def stop(self) -> None:
        """Disconnect."""
        self.client.disconnect()
        self.client.loop_stop()


@pytest.fixture
def asker() -> Iterator[Callable[[int], Asker]]:
    """Starts clients that ask."""
    running: list[Asker] = []

    def start(port: int) -> Asker:
        running.append(Asker(port))
        return running[-1]

    yield start
    for one in running:
        one.stop()


def answers_in(subscriber: CountingSubscriber) -> int:
    """How many responses have come."""
    return sum(n for topic, n in subscriber.topics.copy().items() if topic.startswith("edge/test/response/"))


def is_answer(arrival: Arrival) -> bool:
    """Whether it answers what was asked last, and is no refusal."""
    return b'"last"' in arrival.payload and b'"status":"ok"' in arrival.payload


def test_requests_of_every_kind(
    device: Callable[..., Device],
    counting: Callable[..., CountingSubscriber],
    mosquitto: Callable[..., Mosquitto],
    asker: Callable[[int], Asker],
    figures: Figures,
) -> None:
    """Thousands, ten waiting at a time: each is answered, none ends the connection or costs a message."""
    count = int(lasting(500, 4000))
    broker = mosquitto()
    subscriber = counting(broker.port)
    run = device(broker.port)
    run.serves(subscriber)
    asking = asker(broker.port)
    hurt_s = time.monotonic()
    for number, (verb, payload) in enumerate(nonsense(count)):
        asking.ask(verb, payload)
        assert wait_until(lambda: answers_in(subscriber) > number - 10, 20 * crowding()), (verb, payload)  # noqa: B023
        if number == count // 2:
            run.capture_process("perspective").kill()
    took_s = time.monotonic() - hurt_s
    assert wait_until(lambda: answers_in(subscriber) == count, 10 * crowding())
    until_s = time.monotonic()
    time.sleep(2)
    rate_hz = len([a for a in subscriber.results(hurt_s) if a.at_s < until_s]) / (until_s - hurt_s)
    too_many = sum(b"too many requests" in a.payload for a in subscriber.arrivals)
    status, end_s = run.end()
    lost = run.balance(subscriber, hurt_s, until_s)
    figures.note(
        "20a",
        requests=count,
        per_s=round(count / took_s),
        answers=answers_in(subscriber),
        too_many=too_many,
        results_hz=round(rate_hz, 2),
        lost=lost.said(),
        rss_mib=run.memory(),
        status=status,
        end_s=round(end_s, 2),
        said=run.heard(since_s=hurt_s),
    )
    assert lost.lost["event"] == 0
    assert not run.heard("connection lost")
    assert all("Traceback" not in line for line in run.heard())
    assert (status, soon(end_s)) == (0, True)


def test_a_flood_of_requests(
    device: Callable[..., Device],
    counting: Callable[..., CountingSubscriber],
    mosquitto: Callable[..., Mosquitto],
    asker: Callable[[int], Asker],
    figures: Figures,
) -> None:
    """As many as the broker takes: connection and results hold, no event is lost, and who asks then is answered."""
    count = int(lasting(4000, 20000))
    broker = mosquitto()
    subscriber = counting(broker.port)
    run = device(broker.port)
    run.serves(subscriber)
    asking = asker(broker.port)
    hurt_s = time.monotonic()
    run.capture_process("perspective").kill()
    for verb, payload in nonsense(count):
        asking.ask(verb, payload)
    took_s = time.monotonic() - hurt_s
    asked_s = time.monotonic()

    def answered() -> bool:
        """Ask again, as who was refused does; whether any of it was answered with what was asked for."""
        asking.ask("health", b'{"transaction": "last"}')
        time.sleep(0.5)
        return any(map(is_answer, subscriber.on("response/health", asked_s)))

    assert wait_until(answered, 10 * crowding()), answers_in(subscriber)
    last = next(filter(is_answer, subscriber.on("response/health", asked_s)))
    until_s = time.monotonic()
    time.sleep(2)
    rate_hz = len([a for a in subscriber.results(hurt_s) if a.at_s < until_s]) / (until_s - hurt_s)
    health = json.loads(last.payload)["data"]
    status, end_s = run.end()
    lost = run.balance(subscriber, hurt_s, until_s)
    figures.note(
        "20f",
        requests=count,
        per_s=round(count / took_s),
        answers=answers_in(subscriber),
        next_answer_s=round(last.at_s - asked_s, 3),
        results_hz=round(rate_hz, 2),
        reconnects=health["broker"]["reconnects"],
        dropped=health["dropped"],
        lost=lost.said(),
        rss_mib=run.memory(),
        status=status,
        end_s=round(end_s, 2),
        said=run.heard(since_s=hurt_s),
    )
    assert health["broker"]["reconnects"] <= crowding() / 10, "none, unless it had no processor to hear the broker with"
    assert lost.lost["event"] == 0
    assert all("Traceback" not in line for line in run.heard())
    assert (status, soon(end_s)) == (0, True)


def test_requests_that_are_huge_deep_retained_or_answered_elsewhere(
    device: Callable[..., Device],
    counting: Callable[..., CountingSubscriber],
    mosquitto: Callable[..., Mosquitto],
    asker: Callable[[int], Asker],
    figures: Figures,
) -> None:
    """Each is refused in a short answer on the device's own topic; what it found at its start is not carried out."""
    broker = mosquitto()
    subscriber = counting(broker.port)
    asking = asker(broker.port)
    asking.ask("health", b'{"transaction": "found"}', retain=True)
    run = device(broker.port)
    run.serves(subscriber)
    answers = [json.loads(a.payload) for a in subscriber.on("response/health")]
    assert answers
    assert answers[0]["status"] == "error"
    asking.ask("health", b"", retain=True)
    hurt_s = time.monotonic()
    huge = {"zeros": b"\0" * 5_000_000, "transaction": b'{"transaction":"' + b"x" * 5_000_000 + b'"}'}
    deep = {"lists": b"[" * 200_000, "objects": b'{"a":' * 50_000}
    for payload in (*huge.values(), *deep.values()):
        asking.ask("info", payload)
    assert wait_until(lambda: len(subscriber.on("response/info", hurt_s)) == 4, 20 * crowding())
    refused = subscriber.on("response/info", hurt_s)
    foreign = [
        "edge/test/bridge/state",
        "homeassistant/device/x/config",
        "edge/other/response/x",
        "edge/test/response/+",
    ]
    for topic in foreign:
        if "+" not in topic:  # paho refuses to send that one
            asking.ask("health", b'{"transaction": "foreign"}', answer_on=topic)
    assert wait_until(lambda: len(subscriber.on("response/health", hurt_s)) >= 3, 10 * crowding())
    time.sleep(1)
    written = [t for t in foreign if any(a.topic == t and b"foreign" in a.payload for a in subscriber.arrivals)]
    figures.note(
        "20",
        answers=[a.payload.decode()[:120] for a in refused],
        largest_answer_bytes=max(len(a.payload) for a in refused),
        foreign_topics_written=written,
        rss_mib=run.memory(),
    )
    assert all(json.loads(a.payload)["status"] == "error" for a in refused)
    assert max(len(a.payload) for a in refused) < 1000
    assert written == []
    assert run.end()[0] == 0
