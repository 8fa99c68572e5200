"""Requests from anyone: none ends the answering, drops the connection, or chooses where the daemon publishes."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from typing import Any

import paho.mqtt.client as paho
import pytest
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

from edge.mqtt.broker import EmbeddedBroker
from edge.mqtt.endpoint import Endpoint
from edge.mqtt.link import Incoming
from edge.mqtt.messages import Response
from edge.mqtt.topics import Topics
from edge.publish.compose import Binary
from edge.publish.publisher import Publisher
from edge.publish.requests import Requests

GOOD = b'{"transaction": "good"}'


@pytest.fixture
def publish() -> Iterator[Callable[..., Publisher]]:
    """A connected publisher of a device `dev` that answers `info`."""
    publishers: list[Publisher] = []

    def start(port: int, **options: Any) -> Publisher:
        publishers.append(
            Publisher(
                Endpoint("127.0.0.1", port), Topics("dev"), handlers={"info": lambda _: {"name": "dev"}}, **options
            )
        )
        publishers[-1].start()
        assert publishers[-1].wait_connected(10)
        return publishers[-1]

    yield start
    for publisher in publishers:
        publisher.stop()


def properties(topic: str) -> Properties:
    """MQTT 5's, with a response topic."""
    made = Properties(PacketTypes.PUBLISH)  # type: ignore[no-untyped-call]
    made.ResponseTopic = topic
    return made


@pytest.mark.parametrize(
    "payload",
    [
        pytest.param(b"[" * 200_000, id="deep"),
        pytest.param(b"[" * 5000 + b"]" * 5000, id="deep and closed"),
        pytest.param(b'{"a":' * 5000 + b"1" + b"}" * 5000, id="deep object"),
        pytest.param(rb'{"transaction": "\ud800"}', id="lone surrogate"),
        pytest.param(b'{"transaction": "' + b"x" * 5_000_000 + b'"}', id="5 MB transaction"),
        pytest.param(b'{"transaction": ' + b"9" * 5000 + b"}", id="large number"),
        pytest.param(b'{"transaction": 1e999}', id="infinite"),
        pytest.param(b'{"transaction": {"a": 1}}', id="object"),
        pytest.param(b"\0" * 1000, id="zeros"),
        pytest.param(b'"', id="half a string"),
    ],
)
def test_a_bad_request_is_answered_and_the_next_one_too(
    mosquitto: Any, subscribe: Any, publish: Callable[..., Publisher], payload: bytes
) -> None:
    """An error that is no larger than a few hundred bytes, on the same connection; then a good request is answered."""
    port = mosquitto().port
    publisher = publish(port)
    seen = subscribe(port, topic="edge/dev/response/#")
    for _ in range(3):
        seen.client.publish("edge/dev/request/info", payload, qos=1)
    seen.client.publish("edge/dev/request/info", GOOD, qos=1)
    answers = seen.wait("edge/dev/response/info", 4)
    assert [json.loads(a.payload)["status"] for a in answers] == ["error"] * 3 + ["ok"]
    assert json.loads(answers[-1].payload)["transaction"] == "good"
    assert max(len(a.payload) for a in answers) < 1000
    assert publisher.alive
    assert publisher.statistics().reconnects == 0


@pytest.mark.parametrize(
    "topic", ["edge/dev/request/", "edge/dev/request/a\u200b", "edge/dev/request//x", "edge/dev/request/a/b/c"]
)
def test_a_topic_that_is_no_request_is_ignored(
    mosquitto: Any, subscribe: Any, publish: Callable[..., Publisher], topic: str
) -> None:
    """A verb that is empty or cannot be printed has no answer, and does no harm."""
    port = mosquitto().port
    publish(port)
    seen = subscribe(port, topic="edge/dev/response/#")
    for _ in range(20):
        seen.client.publish(topic, GOOD, qos=1)
    seen.client.publish("edge/dev/request/info", GOOD, qos=1)
    assert json.loads(seen.wait("edge/dev/response/info")[0].payload)["status"] == "ok"
    assert seen.topics() == ["edge/dev/response/info"]


@pytest.mark.parametrize(
    "topic",
    [
        "edge/dev/bridge/state",
        "edge/dev/hall/layout",
        "homeassistant/device/x/config",
        "edge/other/response/info",
        "a/b",
    ],
)
def test_nobody_chooses_where_the_daemon_publishes(
    mosquitto: Any, subscribe: Any, publish: Callable[..., Publisher], topic: str
) -> None:
    """A response topic outside the device's responses gets nothing; the answer says why, on the usual topic."""
    port = mosquitto().port
    publish(port)
    seen = subscribe(port, topic="#")
    seen.client.publish("edge/dev/request/info", GOOD, qos=1, properties=properties(topic))
    answer = json.loads(seen.wait("edge/dev/response/info")[0].payload)
    assert answer["status"] == "error"
    assert "mqtt.response_prefix" in answer["error"]
    assert answer["transaction"] == "good"
    time.sleep(0.2)
    assert not [m for m in seen.on(topic) if b"good" in m.payload]


def test_a_configured_prefix_takes_responses_but_never_the_devices_own_topics(
    mosquitto: Any, subscribe: Any, publish: Callable[..., Publisher]
) -> None:
    """The widest prefix still leaves states and results to the daemon alone."""
    port = mosquitto().port
    publish(port, response_prefix="edge/")
    seen = subscribe(port, topic="#")
    seen.client.publish("edge/dev/request/info", GOOD, qos=1, properties=properties("edge/me/response/info"))
    assert json.loads(seen.wait("edge/me/response/info")[0].payload)["status"] == "ok"
    seen.client.publish("edge/dev/request/info", GOOD, qos=1, properties=properties("edge/dev/hall/layout"))
    assert json.loads(seen.wait("edge/dev/response/info")[0].payload)["status"] == "error"


def test_what_a_handler_says_that_cannot_be_sent_ends_nothing(
    mosquitto: Any, subscribe: Any, publish: Callable[..., Publisher]
) -> None:
    """Text that is no UTF-8 is counted as invalid; the connection stands and later answers come."""
    port = mosquitto().port
    publisher = publish(port)
    publisher.publish("layout", lambda: Response(status="error", error="\ud800"), camera="hall")
    seen = subscribe(port, topic="edge/dev/response/#")
    seen.client.publish("edge/dev/request/info", GOOD, qos=1)
    assert seen.wait("edge/dev/response/info")
    assert publisher.statistics().dropped["invalid"] == 1
    assert publisher.statistics().reconnects == 0


def test_a_full_queue_is_answered_from_the_network_thread() -> None:
    """Too many at once: the rest are told so, the device is degraded for a minute; odd topics are ignored."""
    sent: list[tuple[str, Response]] = []
    now_s = [0.0]
    requests = Requests(
        Topics("dev"), {}, lambda topic, response, _: sent.append((topic, response)), clock=lambda: now_s[0]
    )
    assert requests.degraded() == ()
    for topic in ("edge/dev/request/info", "edge/dev/request/", "edge/dev/request/a\u200b"):
        for _ in range(20):
            requests.accept(Incoming(topic, GOOD, retained=False))
    assert {topic for topic, _ in sent} == {"edge/dev/response/info"}
    assert len(sent) == 4
    assert "too many" in str(sent[0][1].error)
    (text,) = requests.degraded()
    assert text.startswith("requests: 4 were turned away")
    now_s[0] = 60.5
    assert requests.degraded() == ()


def test_the_daemon_does_not_answer_its_own_state(subscribe: Any, publish: Callable[..., Publisher]) -> None:
    """The embedded broker gives a client what it subscribed to, and not what others did."""
    broker = EmbeddedBroker(port=28830, ws_port=28930)
    broker.start()
    try:
        publisher = publish(broker.port)
        publisher.publish("layout", Binary(b"{}", {}), camera="hall")
        assert publisher.flush(10)
        everything = subscribe(broker.port, version="3.1.1", topic="edge/#")
        everything.wait("edge/dev/hall/layout")
        narrow = subscribe(broker.port, version="3.1.1", topic="edge/dev/response/#")
        time.sleep(0.5)
        assert narrow.topics() == []
        assert [t for t in everything.topics() if "/response/" in t] == []
    finally:
        broker.stop()


def test_retained_messages_of_what_is_gone_are_cleared(
    mosquitto: Any, subscribe: Any, publish: Callable[..., Publisher]
) -> None:
    """A renamed camera's and a removed task's topics are emptied; those in use, and other devices', stay."""
    port = mosquitto().port
    stays = ["edge/dev/hall/layout", "edge/other/old/layout", "edge/dev/hall/state", "zigbee/old/state"]
    stays += ["homeassistant/device/dev/hall/config", "homeassistant/device/other/old/config"]
    goes = [
        "edge/dev/old/state",
        "edge/dev/old/layout",
        "edge/dev/old/room",
        "edge/dev/hall/lighting",
        "edge/dev/old/scene",
        "homeassistant/device/dev/old/config",
    ]
    client = paho.Client(paho.CallbackAPIVersion.VERSION2, protocol=paho.MQTTv5)
    client.connect("127.0.0.1", port)
    client.loop_start()
    for topic in (*stays, *goes):
        client.publish(topic, b"{}", qos=1, retain=True).wait_for_publish(5)
    client.disconnect()
    client.loop_stop()
    used = {"edge/dev/hall/layout", "edge/dev/hall/state", "edge/dev/hall/room", "homeassistant/device/dev/hall/config"}
    publisher = publish(port, retained=used)
    publisher.publish("room", Binary(b"glb", {}), camera="hall")
    assert publisher.flush(10)
    time.sleep(0.5)
    kept = subscribe(port, topic="#")
    kept.wait("edge/dev/hall/room")
    time.sleep(0.3)
    assert set(kept.topics()) - {"edge/dev/bridge/state"} == {*stays, "edge/dev/hall/room"}
