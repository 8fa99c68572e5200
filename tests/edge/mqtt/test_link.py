"""Opening a connection: which version is spoken, what is asked for, and what is said of a refusal."""

from __future__ import annotations

import contextlib
import dataclasses
import socket
import time
from collections.abc import Callable
from typing import Any

import pytest

from edge.errors import ConfigError, PublishError
from edge.mqtt.endpoint import Endpoint, TlsOptions
from edge.mqtt.failures import NoAnswerError
from edge.mqtt.link import Delivery, Incoming, Link, Metadata, Subscription, Will
from tests.brokers import unused_port
from tests.edge.mqtt.conftest import Open
from tests.edge.mqtt.scripted import ACCEPTED_5, ACCEPTED_311, NO_SUCH_VERSION, Connect, Scripted
from tests.strict_broker import StrictBroker


def speaks_311(connect: Connect) -> bytes:
    """A broker without MQTT 5 that says so."""
    return ACCEPTED_311 if connect.version == 4 else NO_SUCH_VERSION[5]


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
    """One that hangs up, or is silent; each time."""
    server = scripted(lambda c: ACCEPTED_311 if c.version == 4 else answer)
    link = connect(server.port)
    link.open()
    assert link.version == "3.1.1"
    assert server.versions == [5, 4] * 2


@pytest.mark.usefixtures("hurried")
def test_a_broker_that_spoke_5_is_only_late(scripted: Callable[..., Scripted], connect: Open) -> None:
    """Three attempts without an answer before it is tried with 3.1.1 too; a word of 5 and it is 5's again."""
    answers: dict[int, bytes | None] = {5: ACCEPTED_5, 4: ACCEPTED_311}
    server = scripted(lambda c: answers[c.version])
    link = connect(server.port)
    for _ in range(2):
        answers[5] = b""
        server.connects.clear()
        for _ in range(3):
            with pytest.raises(NoAnswerError, match="closed the connection before acknowledging MQTT 5"):
                link.open()
            assert not link.up
        assert server.versions == [5, 5, 5]
        link.open()
        assert link.version == "3.1.1"
        assert server.versions == [5, 5, 5, 5, 4, 5, 4], "what answers only now is asked for 5 once more"
        answers[5] = ACCEPTED_5
        link.open()
        assert link.version == "5"
    answers[5] = None
    begun_s = time.monotonic()
    with pytest.raises(NoAnswerError, match="did not answer within 1 s before acknowledging MQTT 5"):
        link.open()  # silence is waited out in full, and not for half of it
    assert time.monotonic() - begun_s >= 0.9


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
        assert time.monotonic() - begun_s < 4.0


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
