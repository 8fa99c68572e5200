"""What requests are answered with and on which topic, and that answering goes on and ends; without a broker."""

from __future__ import annotations

import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from pydantic import ConfigDict

from edge.errors import EdgeError
from edge.mqtt.link import Incoming
from edge.mqtt.messages import Response
from edge.mqtt.topics import Topics
from edge.mqtt.verbs import VERBS, Arguments, Nothing, Verb
from edge.publish.requests import Requests
from tests.brokers import wait_until

TOPIC = "edge/dev/request/double"
USUAL = "edge/dev/response/double"


class Anything(Arguments):
    """Takes what comes."""

    model_config = ConfigDict(extra="allow")


def verb(name: str, **changes: Any) -> Verb:
    """A verb that takes anything and may take long."""
    return replace(Verb(name, Anything, Nothing, within_s=30.0), **changes)


def double(arguments: Anything) -> dict[str, Any]:
    """Twice the value."""
    return {"value": 2 * (arguments.model_extra or {})["value"]}


class Desk:
    """Requests that are answered to a list."""

    def __init__(self, handlers: dict[str, Callable[[Any], Any]], prefix: str | None = None, **options: Any) -> None:
        self.sent: list[tuple[str, Response, bytes | None]] = []
        options.setdefault("verbs", {name: verb(name) for name in handlers})
        self.requests = Requests(Topics("dev"), handlers, self._send, response_prefix=prefix, **options)

    def _send(self, topic: str, response: Response, correlation: bytes | None) -> None:
        self.sent.append((topic, response, correlation))

    def ask(self, payload: bytes, topic: str = TOPIC, **options: Any) -> tuple[str, Response, bytes | None]:
        """The answer to one request."""
        count = len(self.sent)
        self.requests.accept(Incoming(topic, payload, options.pop("retained", False), **options))
        assert wait_until(lambda: len(self.sent) > count, 5.0)
        return self.sent[-1]


@pytest.fixture
def desk() -> Iterator[Callable[..., Desk]]:
    """Begins to answer; ends with the test."""
    running: list[Desk] = []

    def start(prefix: str | None = None, **handlers: Callable[[Any], Any]) -> Desk:
        running.append(Desk({"double": double, "nothing": lambda _: None, **handlers}, prefix))
        running[-1].requests.start()
        return running[-1]

    yield start
    for one in running:
        one.requests.stop()


def test_a_request_is_answered_with_data_and_its_transaction(desk: Callable[..., Desk]) -> None:
    """On the usual topic, with the correlation data; no arguments are none, and a handler may have nothing to say."""
    one = desk()
    assert one.ask(b'{"value": 4, "transaction": "t"}', correlation=b"\1") == (
        USUAL,
        Response(status="ok", data={"value": 8}, transaction="t"),
        b"\1",
    )
    topic, response, correlation = one.ask(b"", "edge/dev/request/nothing")
    assert (topic, correlation) == ("edge/dev/response/nothing", None)
    assert response == Response(status="ok", data={})


def test_what_cannot_be_done_is_said_with_the_remedy(desk: Callable[..., Desk]) -> None:
    """Unknown verbs, what a handler refuses, and what it did not foresee; the transaction comes back with each."""

    def refuse(_: Anything) -> dict[str, Any]:
        raise EdgeError("there is no camera attic; choose hall")

    one = desk(refuse=refuse)
    unknown = one.ask(b'{"transaction": 7}', "edge/dev/request/dance")[1]
    assert (unknown.status, unknown.transaction) == ("error", 7)
    assert unknown.error == "unknown request 'dance'; known: double, nothing, refuse"
    refused = one.ask(b'{"transaction": 8}', "edge/dev/request/refuse")[1]
    assert refused == Response(status="error", error="there is no camera attic; choose hall", transaction=8)
    surprised = one.ask(b'{"transaction": 9}')[1]
    assert (surprised.status, surprised.transaction) == ("error", 9)
    assert "internal error (KeyError: 'value')" in str(surprised.error)


def test_without_handlers_nothing_is_known() -> None:
    """The answer says so in words."""
    bare = Desk({})
    bare.requests.start()
    assert bare.ask(b"")[1].error == "unknown request 'double'; known: none"
    bare.requests.stop()


def test_a_payload_of_64_kib_is_the_largest(desk: Callable[..., Desk]) -> None:
    """One byte more is refused before it is parsed, with the limit in the answer."""
    one, most = desk(), 64 * 1024
    head = b'{"value": 1, "x": "'
    payload = head + b"x" * (most - len(head) - 2) + b'"}'
    assert len(payload) == most
    assert one.ask(payload)[1].status == "ok"
    assert one.ask(payload + b" ")[1].error == f"the payload has {most + 1} bytes; send at most {most}"


def test_a_retained_request_is_not_carried_out(desk: Callable[..., Desk]) -> None:
    """It would be at every start."""
    done: list[int] = []
    one = desk(count=lambda _: done.append(1))
    response = one.ask(b"", "edge/dev/request/count", retained=True)[1]
    assert (response.status, done) == ("error", [])
    assert "without retain" in str(response.error)


@pytest.mark.parametrize(
    ("payload", "words"),
    [
        (b"[1]", "object"),
        (b"{", "JSON"),
        (b'{"transaction": {"a": 1}}', "transaction"),
        (b'{"transaction": "' + b"x" * 257 + b'"}', "transaction"),
    ],
)
def test_what_is_no_request_is_told_what_one_looks_like(desk: Callable[..., Desk], payload: bytes, words: str) -> None:
    """The part that is wrong is named first, and an example given."""
    error = str(desk().ask(payload)[1].error)
    assert error.startswith('the payload must be a JSON object, such as {"transaction": "1"}, or empty (')
    assert words in error.partition("(")[2]
    assert (error.partition("(")[2].startswith("transaction.")) == (words == "transaction")


@pytest.mark.parametrize(
    ("prefix", "topic", "taken"),
    [
        (None, "edge/dev/response/me", True),
        (None, "edge/dev/response/me/again", True),
        (None, "", False),
        (None, "edge/dev/response", False),
        (None, "edge/other/response/me", False),
        (None, "edge/dev/response/+", False),
        (None, "edge/dev/response/#", False),
        (None, "edge/dev/response/a\0b", False),
        ("replies/", "replies/me", True),
        ("replies/", "edge/dev/response/me", False),
        ("edge/", "edge/me/response/x", True),
        ("edge/", "edge/dev/bridge/state", False),
        ("edge/", "edge/dev/hall/layout", False),
        ("edge/", "edge/dev/hall/room", False),
        ("edge/", "edge/dev/request/double", False),
    ],
)
def test_where_an_answer_may_go(desk: Callable[..., Desk], prefix: str | None, topic: str, taken: bool) -> None:
    """Only under the prefix, never on a topic with another meaning; else on the usual one, with the reason."""
    said_on, response, _ = desk(prefix).ask(b'{"value": 1, "transaction": "t"}', response_topic=topic)
    assert said_on == (topic if taken else USUAL)
    assert (response.status, response.transaction) == ("ok" if taken or not topic else "error", "t")
    if response.error:
        assert f"must begin with {prefix or 'edge/dev/response/'}, or be left out" in response.error
        assert "mqtt.response_prefix" in response.error


def test_requests_to_others_are_not_ours(desk: Callable[..., Desk]) -> None:
    """Another device's, another base's, and topics of another kind have no answer; the next of ours has."""
    one = desk()
    for topic in ("edge/other/request/double", "x/dev/request/double", USUAL, "edge/dev/bridge/state", "a"):
        one.requests.accept(Incoming(topic, b"", retained=False))
    assert one.ask(b'{"value": 2}')[1].data == {"value": 4}
    assert len(one.sent) == 1


def test_an_answer_that_cannot_be_sent_ends_nothing(caplog: pytest.LogCaptureFixture) -> None:
    """It is in the log with the verb, and the next request is answered."""
    sent: list[Response] = []

    def send(_topic: str, response: Response, _correlation: bytes | None) -> None:
        if response.transaction == "bad":
            raise ValueError("surprise")
        sent.append(response)

    requests = Requests(Topics("dev"), {"double": double}, send, verbs={"double": verb("double")})
    requests.start()
    for transaction in ("bad", "good"):
        requests.accept(Incoming(TOPIC, b'{"value": 1, "transaction": "%s"}' % transaction.encode(), retained=False))
    assert wait_until(lambda: sent, 5.0)
    assert [r.transaction for r in sent] == ["good"]
    assert "request 'double': internal error (ValueError: surprise)" in caplog.text
    assert requests.alive
    requests.stop()


@pytest.mark.parametrize("count", [1, 3, 1000])
def test_stopping_ends_after_the_request_that_is_answered(count: int) -> None:
    """Whether few wait or as many as may, none of them is answered any more, and the thread is gone."""
    begun, go_on, sent = threading.Event(), threading.Event(), list[Response]()

    def slow(_: Anything) -> dict[str, Any]:
        begun.set()
        assert go_on.wait(10.0)
        return {}

    requests = Requests(
        Topics("dev"),
        {"slow": slow},
        lambda _topic, response, _correlation: sent.append(response),
        verbs={"slow": verb("slow")},
    )
    assert not requests.alive
    requests.start()
    assert requests.alive
    requests.accept(Incoming("edge/dev/request/slow", b"{}", retained=False))
    assert begun.wait(5.0)
    for _ in range(count - 1):
        requests.accept(Incoming("edge/dev/request/slow", b"{}", retained=False))
    refused = len(sent)  # those who come when too many wait are told so at once
    assert count - 64 <= refused <= max(count - 4, 0)
    assert all("too many requests" in str(response.error) for response in sent)
    requests.stop(timeout_s=0.05)
    assert requests.alive, "the one that is being answered is not cut off"
    threading.Timer(0.1, go_on.set).start()
    requests.stop(timeout_s=10.0)
    assert not requests.alive
    assert [response.status for response in sent[refused:]] == ["ok"]


_HANGING = """
import subprocess
import sys
import threading
from edge.mqtt.link import Incoming
from edge.mqtt.topics import Topics
from edge.publish.requests import Requests
begun = threading.Event()
def hang(_):
    begun.set()
    threading.Event().wait()
requests = Requests(Topics("dev"), {"ping": hang}, lambda *_: None)
requests.start()
requests.accept(Incoming("edge/dev/request/ping", b"{}", False))
assert begun.wait(10)
requests.stop(0.1)
"""


def test_a_request_that_hangs_does_not_keep_the_process() -> None:
    """The daemon ends without it."""
    subprocess.run([sys.executable, "-c", _HANGING], check=True, timeout=20, cwd=Path(__file__).parents[3])


class Time:
    """Seconds that the test counts."""

    now_s = 1000.0

    def __call__(self) -> float:
        """Now."""
        return self.now_s


CHANGES = {"set": verb("set", once=True, lane="change"), "ping": verb("ping", within_s=0.2)}


class Changer:
    """Something that requests change."""

    def __init__(self) -> None:
        self.carried_out: list[Any] = []
        self.go_on = threading.Event()
        self.go_on.set()

    def __call__(self, arguments: Anything) -> dict[str, Any]:
        """Note it, when it may."""
        assert self.go_on.wait(10.0)
        self.carried_out.append((arguments.model_extra or {})["to"])
        return {"count": len(self.carried_out)}


@pytest.fixture
def changing(desk: Callable[..., Desk]) -> Iterator[tuple[Desk, Changer, Time]]:
    """A desk with something to change, and a clock."""
    changer, clock = Changer(), Time()
    one = Desk({"set": changer, "ping": lambda _: {}}, verbs=CHANGES, clock=clock)
    one.requests.start()
    yield one, changer, clock
    changer.go_on.set()
    one.requests.stop()


SET = "edge/dev/request/set"


def test_a_request_that_comes_again_is_carried_out_once(changing: tuple[Desk, Changer, Time]) -> None:
    """The same transaction and arguments: the same answer; told by correlation data too; forgotten after a while."""
    one, changer, clock = changing
    first = one.ask(b'{"to": 1, "transaction": "t"}', SET)[1]
    assert one.ask(b'{"to": 2, "transaction": "u"}', SET)[1].data == {"count": 2}
    assert one.ask(b'{"transaction": "t", "to": 1}', SET)[1] == first
    correlated = [one.ask(b'{"to": 3}', SET, correlation=b"c") for _ in range(2)]
    assert correlated[0] == correlated[1]
    assert changer.carried_out == [1, 2, 3]
    one.ask(b'{"to": 4}', SET)
    one.ask(b'{"to": 4}', SET)
    assert changer.carried_out == [1, 2, 3, 4, 4], "without a transaction each is a request of its own"
    clock.now_s += 301
    assert one.ask(b'{"to": 1, "transaction": "t"}', SET)[1].data == {"count": 6}


def test_a_transaction_that_is_always_the_same_is_no_hindrance(changing: tuple[Desk, Changer, Time]) -> None:
    """On, off, on with one constant transaction: each differs from the one before, so each is carried out."""
    one, changer, _ = changing
    for to in (1, 0, 1):
        one.ask(b'{"to": %d, "transaction": "1"}' % to, SET)
    assert changer.carried_out == [1, 0, 1]


def test_those_who_ask_again_meanwhile_get_the_same_answer(changing: tuple[Desk, Changer, Time]) -> None:
    """Sent again before the first was answered: one change, an answer to each with its own correlation data."""
    one, changer, _ = changing
    changer.go_on.clear()
    for correlation in (b"a", b"b"):
        one.requests.accept(Incoming(SET, b'{"to": 1, "transaction": "t"}', False, correlation=correlation))
    changer.go_on.set()
    assert wait_until(lambda: len(one.sent) == 2, 5.0)
    assert [(response.data, c) for _, response, c in one.sent] == [({"count": 1}, b"a"), ({"count": 1}, b"b")]
    assert changer.carried_out == [1]


def test_what_takes_too_long_is_answered_in_time(changing: tuple[Desk, Changer, Time]) -> None:
    """The one that hangs, and the one behind it, which is then not carried out; other lanes answer meanwhile."""
    one, changer, clock = changing
    changer.go_on.clear()
    for to in (1, 2):
        one.requests.accept(Incoming(SET, b'{"to": %d, "transaction": "%d"}' % (to, to), False))
    assert one.ask(b"", "edge/dev/request/ping")[1].status == "ok"
    clock.now_s += 31
    one.requests.accept(Incoming("edge/dev/request/ping", b"", False))
    assert wait_until(lambda: len(one.sent) >= 4, 5.0)
    late = {str(r.transaction): str(r.error) for topic, r, _ in one.sent if topic.endswith("/set")}
    assert late["1"].startswith("not done within 30 s; it goes on")
    assert late["2"].startswith("not done within 30 s; others are before it")
    assert "earlier request" in str(one.ask(b'{"to": 3}', SET)[1].error)
    changer.go_on.set()
    assert wait_until(lambda: changer.carried_out == [1], 5.0)
    assert wait_until(lambda: one.ask(b'{"to": 1, "transaction": "1"}', SET)[1].data == {"count": 1}, 5.0)
    assert one.ask(b'{"to": 2, "transaction": "2"}', SET)[1].data == {"count": 2}, "it was never begun"


def test_what_the_configuration_does_not_allow_is_refused_with_the_key() -> None:
    """Also at run time, after the configuration was read again."""
    one = Desk({"set": lambda _: {}, "ping": lambda _: {}}, verbs=CHANGES, allowed=("ping",))
    one.requests.start()
    assert one.ask(b"", "edge/dev/request/ping")[1].status == "ok"
    refused = "set is not allowed on this device; add set to requests.allow of its configuration"
    assert one.ask(b"", SET)[1].error == refused
    one.requests.configure(response_prefix=None, allowed=("set",))
    assert one.ask(b"", SET)[1].status == "ok"
    assert one.ask(b"", "edge/dev/request/ping")[1].status == "error"
    one.requests.stop()


@pytest.mark.parametrize(
    ("payload", "said"),
    [
        (b'{"camera": "hall", "task": "depth", "evry_s": 1}', "unknown argument 'evry_s'"),
        (b'{"camera": "hall", "enabled": true}', "task is missing"),
        (b'{"camera": "hall", "task": "depth"}', "nothing to set; give enabled, every_s or both"),
        (b'{"camera": "hall", "task": "depth", "every_s": 0}', "every_s: Input should be greater than"),
        (b'{"camera": "hall", "task": "depth", "enabled": "yes"}', "enabled: Input should be a valid boolean"),
        (b'{"camera": "hall", "task": "depth", "every_s": 1e999}', "every_s"),
    ],
)
def test_arguments_are_checked_by_the_verbs_schema(payload: bytes, said: str) -> None:
    """What is wrong comes first, then all that the verb takes; nothing is carried out."""
    one = Desk({"set": lambda _: pytest.fail("carried out")}, verbs=VERBS)
    one.requests.start()
    error = str(one.ask(payload, SET)[1].error)
    assert error.startswith(said)
    assert error.endswith("set takes camera, task, enabled, every_s")
    one.requests.stop()


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_answering_begins_again_after_its_thread_died() -> None:
    """Whatever ended it; `alive` says so until it is started again."""

    def end(_: Any) -> dict[str, Any]:
        raise SystemExit

    one = Desk({"ping": end, "set": lambda _: {}}, verbs=CHANGES)
    one.requests.start()
    one.requests.accept(Incoming("edge/dev/request/ping", b"", False))
    assert wait_until(lambda: not one.requests.alive, 5.0)
    assert one.ask(b"", SET)[1].status == "ok", "other lanes go on"
    one.requests.start()
    assert one.requests.alive
    one.requests.stop()
