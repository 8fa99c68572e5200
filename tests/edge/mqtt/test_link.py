"""One connection: which version is spoken, what goes over the wire, how it ends, and what is said of it.

A real Mosquitto where it can do what the test needs; else a server that the test scripts, packet by packet.
"""

from __future__ import annotations

import contextlib
import dataclasses
import socket
import struct
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import paho.mqtt.client as paho
import pytest
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

from edge.errors import ConfigError, PublishError
from edge.mqtt import link as link_module
from edge.mqtt.failures import NoAnswerError, NotConnectedError, UnsendableError
from edge.mqtt.limits import Limits
from edge.mqtt.link import (
    Delivery,
    Endpoint,
    Incoming,
    Link,
    Metadata,
    Subscription,
    TlsOptions,
    Will,
)
from tests.brokers import unused_port, wait_until
from tests.strict_broker import StrictBroker

ACCEPTED_5, ACCEPTED_311 = b"\x20\x03\x00\x00\x00", b"\x20\x02\x00\x00"
NO_SUCH_VERSION = {5: b"\x20\x03\x00\x84\x00", 4: b"\x20\x02\x00\x01"}
PLAIN = Metadata()
Open = Callable[..., Link]


@dataclass(frozen=True)
class Connect:
    """A CONNECT packet (MQTT 5, section 3.1; MQTT 3.1.1 without properties)."""

    version: int
    clean: bool
    keepalive_s: int
    client_id: str
    will: tuple[str, bytes, int, bool] | None
    """Topic, payload, QoS, retain."""
    login: tuple[str, str | None] | None

    @classmethod
    def of(cls, body: bytes) -> Connect:
        """Read it."""
        assert body[:6] == b"\0\4MQTT"
        version, flags, keepalive_s = struct.unpack(">BBH", body[6:10])
        rest = memoryview(body)[10:]

        def properties() -> None:
            nonlocal rest
            if version == 5:
                rest = rest[1 + rest[0] :]

        def text() -> bytes:
            nonlocal rest
            length = struct.unpack(">H", rest[:2])[0]
            found, rest = bytes(rest[2 : 2 + length]), rest[2 + length :]
            return found

        properties()
        client_id, will, login = text().decode(), None, None
        if flags & 4:
            properties()
            will = (text().decode(), text(), (flags >> 3) & 3, bool(flags & 32))
        if flags & 128:
            login = (text().decode(), text().decode() if flags & 64 else None)
        return cls(version, bool(flags & 2), keepalive_s, client_id, will, login)


class Scripted:
    """A server that answers every CONNECT as `answer` says: with bytes, with a hang-up (b""), or never (None)."""

    def __init__(self, answer: Callable[[Connect], bytes | None]) -> None:
        self.answer, self.connects = answer, list[Connect]()
        self.then: bytes = b""
        """Sent right after the answer."""
        self.received: list[tuple[int, bytes]] = []
        self.clients: list[socket.socket] = []
        self._server = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._server.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    @property
    def versions(self) -> list[int]:
        """Of the attempts so far: 5, or 4 for 3.1.1."""
        return [connect.version for connect in self.connects]

    def close(self) -> None:
        """End it and all its connections."""
        for sock in (self._server, *self.clients):
            with contextlib.suppress(OSError):
                sock.shutdown(socket.SHUT_RDWR)
            sock.close()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                self.clients.append(self._server.accept()[0])
                threading.Thread(target=self._talk, args=(self.clients[-1],), daemon=True).start()

    def _talk(self, client: socket.socket) -> None:
        with contextlib.suppress(OSError, EOFError):
            _, body = _packet(client)
            self.connects.append(Connect.of(body))
            answer = self.answer(self.connects[-1])
            if answer == b"":
                client.shutdown(socket.SHUT_RDWR)
                client.close()
                return
            client.sendall((answer or b"") + self.then)
            while True:
                self.received.append(_packet(client))


def _packet(client: socket.socket) -> tuple[int, bytes]:
    """(type, body) of one packet of less than 128 bytes."""
    head = client.recv(2, socket.MSG_WAITALL)
    if len(head) < 2:
        raise EOFError
    return head[0] >> 4, client.recv(head[1], socket.MSG_WAITALL)


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
def strict() -> Iterator[Callable[..., StrictBroker]]:
    """Starts strict brokers; they end with the test."""
    running: list[StrictBroker] = []

    def start(**options: Any) -> StrictBroker:
        running.append(StrictBroker(**options))
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
    """Attempts are given up after tenths of seconds, a first one sooner than the others."""
    monkeypatch.setattr(link_module, "_PROBE_TIMEOUT_S", 0.15)
    monkeypatch.setattr(link_module, "_CONNECT_TIMEOUT_S", 0.45)


def speaks_311(connect: Connect) -> bytes:
    """A broker without MQTT 5 that says so."""
    return ACCEPTED_311 if connect.version == 4 else NO_SUCH_VERSION[5]


def send(link: Link, topic: str = "t", payload: bytes = b"p", qos: int = 1, *, retain: bool = False) -> int:
    """Send with no metadata."""
    return link.send(topic, payload, qos=qos, retain=retain, metadata=PLAIN)


# Which version ----------------------------------------------------------------------------------------------------


def test_mqtt_5_is_tried_first(mosquitto: Any, connect: Open) -> None:
    """And once is enough for a broker that has it."""
    link = connect(mosquitto().port)
    assert (link.up, link.version, link.loss) == (True, "5", None)


def test_a_broker_that_refuses_5_gets_3_1_1_at_once(scripted: Callable[..., Scripted], connect: Open) -> None:
    """At every connection: the broker may have been updated since."""
    server = scripted(speaks_311)
    link = connect(server.port)
    assert (link.up, link.version) == (True, "3.1.1")
    assert server.versions == [5, 4]
    link.open()
    assert server.versions == [5, 4, 5, 4]


@pytest.mark.parametrize("answer", [b"", None])
@pytest.mark.usefixtures("hurried")
def test_a_broker_without_an_answer_to_5_gets_3_1_1(
    scripted: Callable[..., Scripted], connect: Open, answer: bytes | None
) -> None:
    """One that hangs up, or is silent; however often."""
    server = scripted(lambda c: ACCEPTED_311 if c.version == 4 else answer)
    link = connect(server.port)
    for _ in range(4):
        link.open()
        assert link.version == "3.1.1"
    assert server.versions == [5, 4] * 5


@pytest.mark.usefixtures("hurried")
def test_a_broker_that_spoke_5_is_only_late(scripted: Callable[..., Scripted], connect: Open) -> None:
    """Three silences are waited out in full before it is tried with 3.1.1 too; a word of 5 and it is 5's again."""
    answers: dict[int, bytes | None] = {5: ACCEPTED_5, 4: ACCEPTED_311}
    server = scripted(lambda c: answers[c.version])
    link = connect(server.port)
    for _ in range(2):
        answers[5] = None
        server.connects.clear()
        for _ in range(3):
            begun_s = time.monotonic()
            with pytest.raises(NoAnswerError, match=r"did not answer within 0.45 s before acknowledging MQTT 5"):
                link.open()
            assert time.monotonic() - begun_s >= 0.4
            assert not link.up
        assert server.versions == [5, 5, 5]
        link.open()
        assert link.version == "3.1.1"
        assert server.versions == [5, 5, 5, 5, 4]
        answers[5] = ACCEPTED_5
        link.open()
        assert link.version == "5"


@pytest.mark.parametrize(("protocol", "level"), [("5", 5), ("3.1.1", 4)])
@pytest.mark.usefixtures("hurried")
def test_a_chosen_version_is_the_only_one(
    scripted: Callable[..., Scripted], connect: Open, protocol: str, level: int
) -> None:
    """Refused or unanswered, the other one is not tried; the error says what to set."""
    answer: list[bytes | None] = [NO_SUCH_VERSION[level], b"", ACCEPTED_5 if level == 5 else ACCEPTED_311]
    server = scripted(lambda c: answer[len(server.connects) - 1])
    link = connect(server.port, protocol=protocol, opened=False)
    with pytest.raises(PublishError, match=r"mqtt\.protocol"):
        link.open()
    with pytest.raises(NoAnswerError, match="closed the connection before acknowledging MQTT " + protocol):
        link.open()
    link.open()
    assert link.version == protocol
    assert server.versions == [level] * 3


@pytest.mark.usefixtures("hurried")
def test_a_network_that_swallows_everything_is_given_up_soon(connect: Open) -> None:
    """A host that never answers, as behind a firewall; the error says where to look."""
    with contextlib.ExitStack() as stack:
        server = stack.enter_context(socket.create_server(("127.0.0.1", 0), backlog=0))
        for _ in range(3):  # beyond its backlog, the system answers no more
            waiting = stack.enter_context(socket.socket())
            waiting.setblocking(False)
            waiting.connect_ex(server.getsockname())
        link = connect(server.getsockname()[1], opened=False)
        begun_s = time.monotonic()
        with pytest.raises(PublishError, match="no answer; check the network and firewall"):
            link.open()
        assert time.monotonic() - begun_s < 3.0


# What is asked for -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("protocol", "level"), [("5", 5), ("3.1.1", 4)])
def test_the_broker_is_told_who_comes_and_what_to_say_when_it_is_gone(
    scripted: Callable[..., Scripted], connect: Open, protocol: str, level: int
) -> None:
    """Client id, login, keep-alive, the will retained at QoS 1; no session from before."""
    server = scripted(lambda c: ACCEPTED_5 if c.version == 5 else ACCEPTED_311)
    will = Will("edge/dev/bridge/state", b"gone")
    connect(server.port, "me", protocol=protocol, username="u", password="pw", keepalive_s=17, will=will)
    expected = Connect(level, True, 17, "me", ("edge/dev/bridge/state", b"gone", 1, True), ("u", "pw"))
    assert server.connects == [expected]
    connect(server.port, "other", protocol=protocol)
    assert server.connects[1:] == [Connect(level, True, 30, "other", None, None)]
    connect(server.port, "third", protocol=protocol, username="u")
    assert server.connects[2].login == ("u", None)


@pytest.mark.parametrize(("options", "refusals"), [({"retain_available": False}, 1), ({"maximum_qos": 0}, 1), ({}, 0)])
def test_a_will_is_what_the_broker_can_keep(
    strict: Callable[..., StrictBroker], connect: Open, options: dict[str, Any], refusals: int
) -> None:
    """One that refuses a retained will, or QoS 1, is asked again without, and not refused the next time."""
    broker = strict(**options)
    link = connect(broker.port, will=Will("w", b""))
    assert link.up
    assert link.version == "5"
    assert broker.connections == 1 + refusals
    link.open()
    assert broker.connections == 2 + refusals


def test_a_will_that_is_lowered_twice_is_kept_in_the_end(strict: Callable[..., StrictBroker], connect: Open) -> None:
    """A broker that has neither retention nor QoS 1 takes it at the next attempt, and no error lasts."""
    broker = strict(retain_available=False, maximum_qos=0)
    link = connect(broker.port, will=Will("w", b""), opened=False)
    with contextlib.suppress(PublishError):
        link.open()
    if not link.up:
        link.open()
    assert link.up
    assert broker.connections == 3


@pytest.mark.parametrize(("code", "words"), [(0x87, "access list"), (0x88, "not ready"), (0x9F, "the broker's log")])
def test_a_refusal_ends_in_the_remedy(scripted: Callable[..., Scripted], connect: Open, code: int, words: str) -> None:
    """In the broker's words and ours; what was refused is tried again only by the owner."""
    server = scripted(lambda _: bytes([0x20, 3, 0, code, 0]))
    link = connect(server.port, opened=False)
    with pytest.raises(PublishError, match=words):
        link.open()
    assert server.versions == [5]
    assert not link.up
    server.answer = lambda _: ACCEPTED_5
    link.open()
    assert link.up


def test_where_the_broker_is_is_asked_at_every_attempt(mosquitto: Any) -> None:
    """A password file that changes, or that is not there yet."""
    port, asked = mosquitto().port, list[int]()

    def where() -> Endpoint:
        asked.append(1)
        if len(asked) == 1:
            raise ConfigError("mqtt.password_file", "there is none", "Create it")
        return Endpoint("127.0.0.1", port if len(asked) > 2 else unused_port())

    link = Link(where, "edge-test")
    with pytest.raises(PublishError, match=r"there is none\. Create it"):
        link.open()
    with pytest.raises(PublishError, match="nothing listens there"):
        link.open()
    link.open()
    assert link.up
    assert len(asked) == 3
    assert link.endpoint.port == port
    link.close()


def test_an_endpoint_is_known_before_the_first_attempt() -> None:
    """By host and port; the password is in no text."""
    endpoint = Endpoint("host", 1234, username="u", password="secret")
    assert str(Link(endpoint, "x").endpoint) == "host:1234"
    assert "secret" not in repr(endpoint)
    assert Endpoint("host").port == 1883


@pytest.mark.parametrize(
    "value",
    [
        TlsOptions(),
        Endpoint("host"),
        Will("t", b""),
        Incoming("t", b"", False),
        Metadata(),
        Delivery(1),
        Subscription("t"),
    ],
)
def test_values_that_threads_share_cannot_be_changed(value: Any) -> None:
    """Whoever holds one holds what was given."""
    with pytest.raises(dataclasses.FrozenInstanceError):
        setattr(value, dataclasses.fields(value)[0].name, None)


# What goes out -----------------------------------------------------------------------------------------------------


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
    broker = strict(confirm_after_s=1.0)
    link = connect(broker.port)
    for _ in range(50):
        send(link)
    assert wait_until(lambda: broker.most_in_flight == 50, 0.9)


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


# What comes in -----------------------------------------------------------------------------------------------------


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
    time.sleep(0.1)
    other.publish("in/new", b"n", qos=1).wait_for_publish(5)
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
    port, told, fail = mosquitto().port, list[bool](), [True]
    got: list[Incoming] = []

    def read(incoming: Incoming) -> None:
        if fail[0]:
            raise ValueError("surprise")
        got.append(incoming)

    link = connect(port, subscriptions=["t"], on_message=read, on_change=lambda: told.append(link.up))
    assert wait_until(lambda: link.all_subscribed)
    told.clear()
    other = subscribe(port, topic="none").client
    other.publish("t", b"1", qos=1)
    assert wait_until(lambda: not link.up)
    assert f"broker 127.0.0.1:{port}: internal error (ValueError: surprise); connecting anew" == link.loss
    assert wait_until(lambda: told == [False])
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


# How it ends -------------------------------------------------------------------------------------------------------


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
    assert time.monotonic() - begun_s < 1.0
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
