"""Brokers with limits, brokers that refuse, brokers that close: what is said is true, and nothing is tried for ever."""

from __future__ import annotations

import inspect
import logging
import time
from collections.abc import Callable, Iterator

import pytest

from edge import processes
from edge.mqtt.endpoint import Endpoint
from edge.mqtt.messages import BridgeEvent, timestamp
from edge.mqtt.topics import Topics
from edge.mqtt.versions import Versions
from edge.publish.compose import Binary
from edge.publish.publisher import Publisher
from tests.brokers import wait_until
from tests.strict_broker import StrictBroker

Start = Callable[..., Publisher]


@pytest.fixture
def publish() -> Iterator[Start]:
    """Start publishers of a device `dev`; they stop with the test."""
    publishers: list[Publisher] = []

    def start(broker: StrictBroker, *, protocol: str = "auto", **options: object) -> Publisher:
        endpoint = Endpoint("127.0.0.1", broker.port, protocol=protocol)  # type: ignore[arg-type]
        publishers.append(Publisher(endpoint, Topics("dev"), **options))  # type: ignore[arg-type]
        publishers[-1].start()
        return publishers[-1]

    yield start
    for publisher in publishers:
        publisher.stop()


def event(number: int) -> BridgeEvent:
    """An event that can be told from others."""
    return BridgeEvent(device="dev", at=timestamp(time.time()), type="x", message=f"event {number}")


def test_a_broker_that_closes_is_not_stormed(
    strict: Callable[..., StrictBroker], publish: Start, caplog: pytest.LogCaptureFixture
) -> None:
    """At most 15 connections in the first 30 s; here the first 8 s, in which doubled waits allow 10; said once each."""
    broker = strict(accept=False)
    publish(broker)
    time.sleep(8.0)
    assert 4 <= broker.connections <= 10
    said = [record.getMessage() for record in caplog.records if "closed the connection" in record.getMessage()]
    assert 1 <= len(said) == len(set(said)) <= 2


def test_the_worst_storm_is_no_storm(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every wait at its shortest, and a broker that never answers: at most 15 connections in the first 30 s."""
    monkeypatch.setattr(processes.random, "uniform", lambda least, _most: least)
    shortest_s, longest_s = inspect.signature(Publisher).parameters["retry_s"].default
    assert longest_s < 10, "back within ten seconds of the broker's return"
    versions, connections, attempts, now_s = Versions(), 0, 0, 0.0
    while now_s < 30.0:
        connections += 2 if versions.try_older() else 1
        now_s += processes.backoff(attempts, shortest_s, longest_s)
        attempts += 1
    assert 8 <= connections <= 15


def test_waits_grow_while_connections_do_not_last(strict: Callable[..., StrictBroker], publish: Start) -> None:
    """A connection that is accepted, lost and woken for again and again is not made faster by any of it."""
    broker = strict(silent_maximum=1)
    publisher = publish(broker, retry_s=(0.2, 30.0))
    until_s = time.monotonic() + 6.0
    while time.monotonic() < until_s:
        publisher.publish("bridge_event", event(0))
        time.sleep(0.01)
    assert 3 <= broker.connections <= 8  # .1 + .2 + .4 + .8 + 1.6 + 3.2 s at the least between them


def test_receive_maximum_is_obeyed(strict: Callable[..., StrictBroker], publish: Start) -> None:
    """A broker that takes 3 messages at a time gets 3 at a time, and in the end all of them."""
    broker = strict(receive_maximum=3, confirm_after_s=0.02)
    publisher = publish(broker)
    for number in range(40):
        publisher.publish("bridge_event", event(number))
    assert wait_until(lambda: broker.count()["edge/dev/bridge/event"] == 40, 15)
    assert broker.violations == []
    assert broker.most_in_flight <= 3


@pytest.mark.parametrize(("option", "expected"), [("retain_available", (1, False)), ("maximum_qos", (0, True))])
def test_what_a_broker_cannot_do_is_not_asked_of_it(
    strict: Callable[..., StrictBroker], publish: Start, option: str, expected: tuple[int, bool]
) -> None:
    """Without retained messages, or with QoS 0 alone, will and messages are sent as it can take them."""
    broker = strict(**{option: 0})
    publisher = publish(broker)
    publisher.publish("bridge_event", event(1))
    assert wait_until(lambda: broker.count()["edge/dev/bridge/event"] == 1, 10)
    assert broker.violations == []
    (state,) = [(qos, retain) for topic, qos, retain in broker.received if topic == "edge/dev/bridge/state"]
    assert state == expected
    assert any("retained" in text for text in publisher.degraded()) == (option == "retain_available")


def test_requests_are_subscribed_to_one_by_one_where_wildcards_are_not(
    strict: Callable[..., StrictBroker], publish: Start
) -> None:
    """A broker that takes no wildcards is asked for every verb by name."""
    broker = strict(wildcards=False)
    publisher = publish(broker, handlers={"info": dict, "health": dict})
    assert publisher.wait_connected(10)
    assert wait_until(lambda: len(broker.subscriptions) == 2, 5)
    assert set(broker.subscriptions) == {"edge/dev/request/info", "edge/dev/request/health"}
    assert broker.violations == []


@pytest.mark.parametrize(("code", "words"), [(0x87, "not authorized"), (0x97, "quota"), (0x99, "payload format")])
def test_a_refused_message_is_not_published(
    strict: Callable[..., StrictBroker], publish: Start, code: int, words: str
) -> None:
    """PUBACK with a failure: counted as refused by topic and reason, said with a remedy, and never as published."""
    broker = strict(puback=code)
    publisher = publish(broker)
    publisher.publish("bridge_event", event(1))
    assert wait_until(lambda: publisher.statistics().dropped.get("refused", 0) >= 2, 10)  # with bridge/state
    assert sum(publisher.statistics().published.values()) == 0
    (text,) = [text for text in publisher.degraded() if text.startswith("edge/dev/bridge/event")]
    assert words in text
    assert ";" in text
    assert publisher.statistics().reconnects == 0


def test_what_is_taken_again_is_not_degraded_any_more(strict: Callable[..., StrictBroker], publish: Start) -> None:
    """A refusal is spoken of until a message on that topic is accepted."""
    broker = strict(puback=0x87)
    publisher = publish(broker)
    assert wait_until(lambda: bool(publisher.degraded()), 10)
    broker.puback = 0
    publisher.publish("bridge_state", Binary(b"{}", {}))
    assert wait_until(lambda: not publisher.degraded(), 10)


def test_a_refused_subscription_is_said(strict: Callable[..., StrictBroker], publish: Start) -> None:
    """SUBACK 0x87: requests cannot arrive, and `degraded` says so with the remedy."""
    publisher = publish(strict(suback=0x87))
    assert wait_until(lambda: any("edge/dev/request/#" in text for text in publisher.degraded()), 10)
    (text,) = publisher.degraded()
    assert "access list" in text


def test_a_message_that_ends_the_connection_is_held_back(strict: Callable[..., StrictBroker], publish: Start) -> None:
    """Sent three times at most, then named with its size; what the broker takes goes out, the durable included."""
    broker = strict(silent_maximum=5000)
    publisher = publish(broker, retry_s=(0.05, 0.1))
    poison = Binary(b"x" * 9000, {})
    publisher.publish("layout", poison, camera="hall")
    publisher.publish("bridge_event", event(1))
    assert wait_until(lambda: broker.count()["edge/dev/bridge/event"] >= 1, 15)
    assert wait_until(lambda: any("9" in text and "hall/layout" in text for text in publisher.degraded()), 15)
    assert sum("hall/layout" in text for text in broker.violations) <= 3
    (text,) = [text for text in publisher.degraded() if "hall/layout" in text]
    assert "mqtt.max_packet_bytes" in text
    assert not any("another client" in text for text in publisher.degraded())
    connections = broker.connections
    publisher.publish("layout", poison, camera="hall")
    publisher.publish("bridge_event", event(2))
    assert wait_until(lambda: broker.count()["edge/dev/bridge/event"] >= 2, 10)
    assert broker.connections == connections
    assert publisher.statistics().dropped["held_back"] >= 1


def test_a_limit_on_size_is_found_by_trial(strict: Callable[..., StrictBroker], publish: Start) -> None:
    """After two kinds that were too large a third is not sent: it is counted as too large, and told with the limit."""
    broker = strict(silent_maximum=5000)
    publisher = publish(broker, retry_s=(0.05, 0.1))
    for kind, size_bytes in (("layout", 9000), ("lighting", 8000)):
        publisher.publish(kind, Binary(b"x" * size_bytes, {}), camera="hall")  # type: ignore[arg-type]
        assert wait_until(lambda k=kind: any(f"hall/{k}" in text for text in publisher.degraded()), 15)  # type: ignore[misc]
    assert publisher.flush(10)
    connections = broker.connections
    publisher.publish("room", Binary(b"x" * 8500, {}), camera="hall")
    publisher.publish("lighting", Binary(b"x" * 900, {}), camera="hall")
    assert wait_until(lambda: broker.count()["edge/dev/hall/lighting"] == 1, 10)
    assert publisher.statistics().dropped["too_large"] == 2, "lighting's first, which waited to be sent again, and room"
    assert any("hall/room" in text and "ended the connection when 80" in text for text in publisher.degraded())
    assert not any("hall/room" in text for text in broker.violations)
    assert broker.connections == connections


@pytest.mark.parametrize("limit", ["maximum_packet", "configured"])
def test_messages_over_a_limit_are_not_sent(
    strict: Callable[..., StrictBroker], publish: Start, limit: str, caplog: pytest.LogCaptureFixture
) -> None:
    """The broker's limit and our own: counted, said once in the log, and the connection stands."""
    stated = limit == "maximum_packet"
    broker = strict(maximum_packet=4000 if stated else 0)
    publisher = publish(broker, max_packet_bytes=None if stated else 4000)
    with caplog.at_level(logging.WARNING, logger="edge"):
        for size in range(9000, 9010):
            publisher.publish("layout", Binary(b"x" * size, {}), camera="hall")
            assert publisher.flush(10)
    publisher.publish("bridge_event", event(1))
    assert wait_until(lambda: broker.count()["edge/dev/bridge/event"] == 1, 10)
    assert broker.violations == []
    assert publisher.statistics().dropped["too_large"] >= 9
    assert sum("hall/layout" in record.getMessage() for record in caplog.records) == 1
    assert any("4000" in text for text in publisher.degraded())


def test_a_broker_that_was_silent_once_is_asked_for_5_again(
    strict: Callable[..., StrictBroker], publish: Start
) -> None:
    """After attempts that were closed unanswered, the broker that is back is spoken to in MQTT 5."""
    broker = strict(accept=False)
    publisher = publish(broker, retry_s=(0.05, 0.1))
    assert wait_until(lambda: broker.connections >= 6, 10)
    broker.accept = True
    assert publisher.wait_connected(10)
    assert publisher.statistics().protocol == "5"


def test_a_connection_that_was_lost_once_is_no_fight(strict: Callable[..., StrictBroker], publish: Start) -> None:
    """Another client of our name is spoken of after three losses within seconds, not after the first."""
    broker = strict(drops=True)
    publisher = publish(broker, retry_s=(0.3, 0.3))
    assert wait_until(lambda: publisher.statistics().reconnects == 1, 10)
    broker.drops = False
    assert wait_until(lambda: broker.count()["edge/dev/bridge/state"] >= 1, 10)
    assert not any("another client" in text for text in publisher.degraded())
    publisher.stop()
    fought = publish(strict(drops=True), retry_s=(0.05, 0.1))
    assert wait_until(lambda: any("another client" in text for text in fought.degraded()), 10)
    (text,) = [text for text in fought.degraded() if "another client" in text]
    assert "lost 3 times" in text or int(text.split("lost ")[1].split()[0]) > 3
