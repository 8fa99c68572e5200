"""What goes over a connection, out and in: as it is, as the broker can take it, and to whom it belongs."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import paho.mqtt.client as paho
import pytest
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

from edge.mqtt.failures import NotConnectedError, UnsendableError
from edge.mqtt.link import Delivery, Incoming, Link, Metadata, Subscription
from tests.brokers import wait_until
from tests.edge.mqtt.conftest import Open, send
from tests.edge.mqtt.scripted import ACCEPTED_5, Scripted
from tests.strict_broker import StrictBroker


@pytest.mark.parametrize("protocol", ["5", "3.1.1"])
def test_what_is_sent_arrives_as_it_is(mosquitto: Any, subscribe: Any, connect: Open, protocol: str) -> None:
    """Payload, QoS, retention and, where MQTT 5 carries them, the properties; confirmed by the id it was sent under."""
    broker = mosquitto()
    seen = subscribe(broker.port, topic="a/#")
    link = connect(broker.port, protocol=protocol)
    metadata = Metadata("application/json", expiry_s=60, correlation=b"\1\2", user={"schema": "x/1", "n": "2"})
    ids = [
        link.send("a/json", b"{}", qos=1, retain=False, metadata=metadata),
        link.send("a/png", b"\x89", qos=1, retain=False, metadata=Metadata("image/png")),
        link.send("a/gzip", b"\x1f", qos=1, retain=False, metadata=Metadata("application/gzip")),
        send(link, "a/plain", qos=0),
        send(link, "a/kept", retain=True),
    ]
    assert wait_until(lambda: len(link._delivered) == 5)
    assert sorted(link.delivered(), key=lambda d: d.message_id) == [Delivery(number) for number in ids]
    assert link.delivered() == []
    json, png, plain = (seen.wait(topic)[0] for topic in ("a/json", "a/png", "a/plain"))
    assert (json.payload, json.qos, plain.qos, bool(plain.retain)) == (b"{}", 1, 0, False)
    assert not hasattr(plain.properties, "ContentType")
    if protocol == "5":
        assert (json.properties.ContentType, json.properties.PayloadFormatIndicator) == ("application/json", 1)
        assert 0 < json.properties.MessageExpiryInterval <= 60
        assert json.properties.CorrelationData == b"\1\2"
        assert json.properties.UserProperty == [("schema", "x/1"), ("n", "2")]
        assert (png.properties.ContentType, png.properties.PayloadFormatIndicator) == ("image/png", 0)
        assert seen.wait("a/gzip")[0].properties.PayloadFormatIndicator == 0
        for name in ("MessageExpiryInterval", "CorrelationData", "UserProperty"):
            assert not hasattr(png.properties, name)
    late = subscribe(broker.port, topic="a/#")
    late.wait("a/kept")
    time.sleep(0.05)
    assert late.topics() == ["a/kept"]


def test_what_a_broker_cannot_do_is_left_out(strict: Callable[..., StrictBroker], connect: Open) -> None:
    """QoS and retention are those of the broker that said so; the next broker's are its own."""
    poor = strict(retain_available=False, maximum_qos=0)
    link = connect(poor.port)
    assert (link.limits.maximum_qos, link.limits.retain_available) == (0, False)
    send(link, "t", qos=1, retain=True)
    assert wait_until(lambda: poor.received == [("t", 0, False)])
    poor.retain_available, poor.maximum_qos = True, 2
    link.open()
    send(link, "u", qos=1, retain=True)
    assert wait_until(lambda: ("u", 1, True) in poor.received)
    assert poor.violations == []


def test_a_refused_message_is_not_a_confirmed_one(strict: Callable[..., StrictBroker], connect: Open) -> None:
    """PUBACK with a failure: the reason in MQTT's words, and the connection stands."""
    link = connect(strict(puback=0x97).port)
    message_id = send(link)
    assert wait_until(lambda: link._delivered)
    assert link.delivered() == [Delivery(message_id, "Quota exceeded")]
    assert link.up


def test_as_many_go_out_at_once_as_the_owner_hands_over(strict: Callable[..., StrictBroker], connect: Open) -> None:
    """Half a hundred may wait for their confirmation together."""
    broker = strict(confirm_after_s=4.0)
    link = connect(broker.port)
    for _ in range(50):
        send(link)
    assert wait_until(lambda: broker.most_in_flight == 50, 3.5)


def test_without_a_connection_nothing_is_sent(mosquitto: Any, connect: Open) -> None:
    """Before it, after it was lost, and after it was closed: the message may be sent later."""
    broker = mosquitto()
    link = connect(broker.port, opened=False)
    with pytest.raises(NotConnectedError, match="not connected; it is tried again"):
        send(link)
    link.open()
    send(link)
    broker.stop()
    assert wait_until(lambda: not link.up)
    with pytest.raises(NotConnectedError):
        send(link)
    link.close()
    with pytest.raises(NotConnectedError):
        send(link)
    link.unsubscribe(["t"])


@pytest.mark.parametrize("topic", ["a/+", "#", "x" * 70_000])
def test_what_no_connection_could_take_is_said_of_the_message(mosquitto: Any, connect: Open, topic: str) -> None:
    """The connection stands, and the next message goes out."""
    link = connect(mosquitto().port)
    with pytest.raises(UnsendableError, match="1 bytes cannot be published"):
        send(link, topic)
    assert link.up
    send(link)
    assert wait_until(lambda: link.delivered())


@pytest.mark.parametrize(("failure", "words"), [(OSError("broken pipe"), "broken pipe"), (None, "it is tried again")])
def test_a_connection_that_breaks_in_the_middle_is_down(
    mosquitto: Any, connect: Open, monkeypatch: pytest.MonkeyPatch, failure: OSError | None, words: str
) -> None:
    """Whether paho raises or answers with a code, the message may be sent later, and nobody else tries."""
    link = connect(mosquitto().port)

    def publish(*_: Any, **__: Any) -> paho.MQTTMessageInfo:
        if failure is not None:
            raise failure
        info = paho.MQTTMessageInfo(1)
        info.rc = paho.MQTTErrorCode.MQTT_ERR_CONN_LOST
        return info

    monkeypatch.setattr(paho.Client, "publish", publish)
    with pytest.raises(NotConnectedError, match=words):
        send(link)
    assert not link.up
    monkeypatch.undo()
    with pytest.raises(NotConnectedError, match="not connected"):
        send(link)


def test_a_subscription_that_is_granted_at_once_counts(
    mosquitto: Any, connect: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The broker's answer may come on paho's thread before `subscribe` has said which number it waits for."""
    link = connect(mosquitto().port)
    asked = paho.Client.subscribe

    def slow(self: paho.Client, *arguments: Any, **options: Any) -> Any:
        out = asked(self, *arguments, **options)
        time.sleep(0.3)
        return out

    monkeypatch.setattr(paho.Client, "subscribe", slow)
    link.subscribe(Subscription("in/#"))
    assert wait_until(lambda: link.all_subscribed, 2)
    assert link.refused_subscriptions == {}


@pytest.mark.parametrize("protocol", ["5", "3.1.1"])
def test_what_arrives_is_handed_over_whole(mosquitto: Any, subscribe: Any, connect: Open, protocol: str) -> None:
    """Topic, payload, whether it lay there, and MQTT 5's properties."""
    port = mosquitto().port
    other = subscribe(port, topic="none").client
    other.publish("in/kept", b"k", qos=1, retain=True).wait_for_publish(5)
    got: list[Incoming] = []
    link = connect(port, protocol=protocol, subscriptions=["in/#"], on_message=got.append)
    assert wait_until(lambda: link.all_subscribed)
    properties = Properties(PacketTypes.PUBLISH)  # type: ignore[no-untyped-call]
    properties.ContentType, properties.ResponseTopic = "text/plain", "answer/here"
    properties.CorrelationData, properties.UserProperty = b"\7", [("a", "b")]
    other.publish("in/new", b"n", qos=1, properties=properties)
    other.publish("in/bare", b"", qos=0)
    other.publish("out", b"x", qos=1)
    assert wait_until(lambda: len(got) == 3)
    whole = Incoming("in/new", b"n", False, "text/plain", "answer/here", b"\7", {"a": "b"})
    new = whole if protocol == "5" else Incoming("in/new", b"n", False)
    assert got == [Incoming("in/kept", b"k", True), new, Incoming("in/bare", b"", False)]
    link.unsubscribe(["in/#"])
    send(link, "in/new")
    assert wait_until(link.delivered)
    time.sleep(0.1)
    assert len(got) == 3


@pytest.mark.parametrize("protocol", ["5", "3.1.1"])
def test_what_is_subscribed_is_received_at_qos_1(mosquitto: Any, connect: Open, protocol: str) -> None:
    """A broker that loses nothing on its way to us, on either version."""
    link = connect(mosquitto().port, protocol=protocol, subscriptions=["t"], on_message=lambda _: None)
    assert link._client is not None
    qualities: list[int] = []
    link._client.on_message = lambda _client, _data, message: qualities.append(message.qos)
    assert wait_until(lambda: link.all_subscribed)
    send(link, "t")
    assert wait_until(lambda: qualities == [1])


@pytest.mark.parametrize(("protocol", "own", "received"), [("5", True, 1), ("5", False, 0), ("3.1.1", False, 1)])
def test_ones_own_messages_can_be_left_out(
    mosquitto: Any, connect: Open, protocol: str, own: bool, received: int
) -> None:
    """By the broker, where it speaks MQTT 5; another topic's arrive in any case."""
    got: list[Incoming] = []
    wanted = [Subscription("mine", own=own), Subscription("all")]
    link = connect(mosquitto().port, protocol=protocol, subscriptions=wanted, on_message=got.append)
    assert wait_until(lambda: link.all_subscribed)
    for topic in ("mine", "all"):
        send(link, topic)
    assert wait_until(lambda: any(m.topic == "all" for m in got))
    assert len([m for m in got if m.topic == "mine"]) == received


def test_wildcards_are_spelled_out_where_there_are_none(strict: Callable[..., StrictBroker], connect: Open) -> None:
    """For a broker without them; whole topics and those of a broker with wildcards are asked for as they are."""
    wanted = [Subscription("a/+", instead=("a/1", "a/2")), Subscription("b/#"), Subscription("c")]
    poor, rich = strict(wildcards=False), strict()
    for broker, topics in ((poor, ["a/1", "a/2", "c"]), (rich, ["a/+", "b/#", "c"])):
        link = connect(broker.port, subscriptions=wanted)
        assert wait_until(lambda: link.all_subscribed)  # noqa: B023
        assert broker.subscriptions == topics
        assert link.refused_subscriptions == {}
    assert poor.violations == []


def test_a_refused_subscription_is_known_by_its_topic(strict: Callable[..., StrictBroker], connect: Open) -> None:
    """Until the next connection, which may grant it; the owner is told of the answer."""
    told: list[int] = []
    broker = strict(suback=0x87)
    link = connect(broker.port, subscriptions=["a/b", "c"], on_change=lambda: told.append(1))
    assert wait_until(lambda: link.all_subscribed)
    assert link.refused_subscriptions == {"a/b": "not authorized", "c": "not authorized"}
    assert told
    broker.suback = 1
    link.open()
    assert wait_until(lambda: link.all_subscribed)
    assert link.refused_subscriptions == {}


def test_a_subscription_is_open_until_it_is_answered(scripted: Callable[..., Scripted], connect: Open) -> None:
    """A broker that has accepted the connection and says nothing of the subscription; nothing asked is all granted."""
    server = scripted(lambda _: ACCEPTED_5)
    link = connect(server.port, subscriptions=["t"])
    assert wait_until(lambda: [kind for kind, _ in server.received] == [8])
    assert not link.all_subscribed
    assert link.up
    assert connect(server.port).all_subscribed
    link.abandon()
    assert not link.all_subscribed


def test_what_a_reader_raises_ends_the_connection_and_is_said(
    mosquitto: Any, subscribe: Any, connect: Open, caplog: pytest.LogCaptureFixture
) -> None:
    """With its trace in the log; the owner is told, and connects anew."""
    port, told, fail, links = mosquitto().port, list[bool](), [True], list[Link]()
    got: list[Incoming] = []

    def read(incoming: Incoming) -> None:
        if fail[0]:
            raise ValueError("surprise")
        got.append(incoming)

    link = connect(port, subscriptions=["t"], on_message=read, on_change=lambda: told.extend(link.up for link in links))
    links.append(link)
    assert wait_until(lambda: link.all_subscribed)
    told.clear()
    other = subscribe(port, topic="none").client
    other.publish("t", b"1", qos=1)
    assert wait_until(lambda: not link.up)
    assert f"broker 127.0.0.1:{port}: internal error (ValueError: surprise); connecting anew" == link.loss
    assert wait_until(lambda: bool(told))
    assert not any(told)
    assert "Traceback" in caplog.text
    fail[0] = False
    link.open()
    assert wait_until(lambda: link.all_subscribed)
    other.publish("t", b"2", qos=1)
    assert wait_until(lambda: [m.payload for m in got] == [b"2"])


def test_a_topic_that_is_no_text_is_ignored(scripted: Callable[..., Scripted], connect: Open) -> None:
    """A broken broker passes bytes that are no UTF-8; the next message is read."""
    got: list[Incoming] = []
    server = scripted(lambda _: ACCEPTED_5)
    server.then = b"\x30\x05\x00\x02\xff\xfe\x00" + b"\x30\x05\x00\x01t\x00x"
    link = connect(server.port, subscriptions=["t"], on_message=got.append)
    assert wait_until(lambda: got == [Incoming("t", b"x", False)])
    assert link.up
