"""Many devices on one broker: what each says of itself on its retained topics, and one request to all of them.

Of hundreds of messages a few fields each are read; they are not checked against their schemas, whose modules alone take
longer to load than all else takes.
"""

from __future__ import annotations

import fnmatch
import json
import queue
import time
import uuid
from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import datetime, timezone
from typing import Any, Literal

from edge.errors import PublishError
from edge.mqtt.confirmed import wait_until
from edge.mqtt.endpoint import Endpoint
from edge.mqtt.failures import remedy_for
from edge.mqtt.link import Incoming, Link, Metadata, Subscription
from edge.mqtt.topics import CHANNELS, Kind, Topics, parse

_SAID: tuple[Kind, ...] = ("bridge_state", "bridge_info", "bridge_health")
_QUIET_S = 0.3
"""A broker sends what it retains in one go; after so long without another message that was all."""
_FIRST_S = 1.5
"""How long the first one is waited for."""
_LONGEST_S = 30.0
_AT_A_TIME = 32
"""Requests that the broker has not confirmed yet."""

_ENGINE = ("task", "name", "sha256", "backend")

State = Literal["online", "offline", "unknown"]


@dataclass(frozen=True, slots=True)
class Engine:
    """What answers for a task on a device."""

    task: str
    name: str
    sha256: str
    backend: str


@dataclass(frozen=True, slots=True)
class Device:
    """What a device said of itself last."""

    name: str
    state: State = "unknown"
    """Unknown: it never said, as one that was removed from the broker by half."""
    version: str | None = None
    engines: tuple[Engine, ...] = ()
    cameras: int = 0
    degraded: tuple[str, ...] = ()
    last_seen: datetime | None = None
    """Its last message on bridge/health, UTC."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What a device answered: `status` is "ok", or "error" with the reason."""

    status: Literal["ok", "error"]
    data: dict[str, Any]
    error: str | None = None


@dataclass(frozen=True, slots=True)
class Filter:
    """Which devices; what is not given does not matter."""

    names: tuple[str, ...] = ()
    """Patterns as of file names, such as north-*; one of them fits."""
    state: State | None = None
    version: str | None = None
    """Such a pattern too."""
    engine: str | None = None
    """A model's name, or name@ and the beginning of its sha256."""
    degraded: bool | None = None

    def takes(self, device: Device) -> bool:
        """Whether it is one of them."""
        return (
            (not self.names or any(fnmatch.fnmatchcase(device.name, name) for name in self.names))
            and self.state in (None, device.state)
            and (self.version is None or fnmatch.fnmatchcase(device.version or "", self.version))
            and (self.engine is None or any(_is(engine, self.engine) for engine in device.engines))
            and self.degraded in (None, bool(device.degraded))
        )


def _is(engine: Engine, wanted: str) -> bool:
    name, _, digest = wanted.partition("@")
    return engine.name == name and engine.sha256.startswith(digest)


@dataclass(slots=True)
class _Said:
    """The devices so far."""

    base: str
    devices: dict[str, Device] = field(default_factory=dict)

    def add(self, incoming: Incoming) -> None:
        """What makes no sense is left out, as if it had not come."""
        address = parse(incoming.topic, self.base)
        content = _object(incoming.payload)
        if address is None or content is None:
            return
        device = self.devices.get(address.device) or Device(address.device)
        try:
            self.devices[address.device] = _told(device, address.kind, content)
        except (KeyError, TypeError, ValueError, AttributeError):
            return


def _object(payload: bytes) -> dict[str, Any] | None:
    """A JSON object; None: it is none."""
    try:
        content = json.loads(payload)
    except (ValueError, RecursionError):
        return None
    return content if isinstance(content, dict) else None


def _told(device: Device, kind: Kind, content: Mapping[str, Any]) -> Device:
    """The device with what a message of it says.

    Raises:
        KeyError, TypeError, ValueError, AttributeError: the message is not what its schema says.
    """
    if kind == "bridge_state":
        state = content["state"]
        if state not in ("online", "offline"):
            raise ValueError(state)
        return replace(device, state=state)
    if kind == "bridge_info":
        engines = tuple(Engine(*(_text(e[key]) for key in _ENGINE)) for e in content["engines"])
        version = _text(content["version"])
        return replace(device, version=version, engines=engines, cameras=len(content["cameras"]))
    if kind == "bridge_health":
        at = datetime.fromisoformat(_text(content["at"]).replace("Z", "+00:00"))
        degraded = tuple(_text(text) for text in content["degraded"])
        return replace(device, degraded=degraded, last_seen=at.astimezone(timezone.utc))
    return device


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError(value)
    return value


class Fleet:
    """One connection, to look at the devices under a base topic and to ask them. See `connected`."""

    def __init__(self, endpoint: Endpoint, base: str) -> None:
        """`base`: what the topics of all begin with."""
        self._base, self._arrived = base, queue.SimpleQueue[Incoming]()
        self._link = Link(endpoint, f"edge-fleet-{uuid.uuid4().hex[:12]}", on_message=self._arrived.put)

    @classmethod
    @contextmanager
    def connected(cls, endpoint: Endpoint, base: str = "edge") -> Iterator[Fleet]:
        """Connected while the block runs.

        Raises:
            PublishError: there is no connection.
        """
        fleet = cls(endpoint, base)
        # QoS 0: of what a broker retains it holds back only so much for one client (Mosquitto: 1000 messages) at QoS 1.
        fleet._link.subscriptions = tuple(Subscription(fleet._topic(kind), qos=0) for kind in _SAID)
        fleet._link.open()
        try:
            yield fleet
        finally:
            fleet._link.close()

    def devices(self) -> list[Device]:
        """All that there are, by name: what the broker retains of them. Once, as the connection is new.

        Raises:
            PublishError: the broker does not let us read, or the connection was lost.
        """
        said = _Said(self._base)
        until_s, wait_s = time.monotonic() + _LONGEST_S, _FIRST_S
        while time.monotonic() < until_s:
            try:
                said.add(self._arrived.get(timeout=wait_s))
            except queue.Empty:
                break
            wait_s = _QUIET_S
        self._see_that_it_is_subscribed()
        return [said.devices[name] for name in sorted(said.devices)]

    def ask(
        self, devices: Iterable[str], verb: str, arguments: Mapping[str, Any], *, timeout_s: float
    ) -> dict[str, Answer]:
        """Send a request to each, and gather the answers that come in time: by device.

        Args:
            devices: their names.
            verb: what is asked for.
            arguments: of the verb, as JSON has them.
            timeout_s: how long to wait for the answers, from the last request on.

        Raises:
            PublishError: the broker does not let us ask, or the connection was lost.
        """
        self._subscribe(f"{self._base}/+/response/{verb}")
        transaction = uuid.uuid4().hex
        payload = json.dumps({**arguments, "transaction": transaction}).encode()
        asked, answers = set[str](), dict[str, Answer]()
        self._send_all(dict.fromkeys(devices), verb, payload, asked)
        until_s = time.monotonic() + timeout_s
        while asked - answers.keys() and (left_s := until_s - time.monotonic()) > 0 and self._link.up:
            try:
                incoming = self._arrived.get(timeout=min(left_s, 0.1))
            except queue.Empty:
                continue
            answer = _answer(incoming, self._base, verb, transaction)
            if answer is not None and answer[0] in asked:
                answers.setdefault(*answer)
        if not self._link.up:
            why = self._link.loss or "the connection was lost"
            raise PublishError(f"{why}; {len(answers)} had answered; try again")
        return answers

    def _send_all(self, devices: Iterable[str], verb: str, payload: bytes, asked: set[str]) -> None:
        """A few at a time: the broker confirms each, or says why it does not take it."""
        waiting, left = dict[int, str](), deque(devices)
        metadata = Metadata(CHANNELS["request"].content_type)

        def settle() -> None:
            for delivery in self._link.delivered():
                topic = waiting.pop(delivery.message_id, "")
                if delivery.refusal is not None:
                    raise PublishError(
                        f"broker {self._link.endpoint}: {topic}: refused: {delivery.refusal.lower()}; "
                        f"{remedy_for(delivery.refusal)}"
                    )

        def can_go_on() -> bool:
            settle()
            return not self._link.up or (len(waiting) < _AT_A_TIME if left else not waiting)

        while left or waiting:
            if not wait_until(can_go_on) or not self._link.up:
                why = self._link.loss or "it does not confirm them"
                raise PublishError(f"broker {self._link.endpoint}: requests were not sent ({why}); try again")
            while left and len(waiting) < _AT_A_TIME:
                topic = Topics(left[0], self._base).of("request", verb=verb)
                asked.add(left.popleft())
                waiting[self._link.send(topic, payload, qos=1, retain=False, metadata=metadata)] = topic

    def _topic(self, kind: Kind) -> str:
        return f"{self._base}/+/{CHANNELS[kind].path}"

    def _subscribe(self, topic: str) -> None:
        self._link.subscribe(Subscription(topic))
        self._see_that_it_is_subscribed()

    def _see_that_it_is_subscribed(self) -> None:
        if not wait_until(lambda: self._link.all_subscribed or not self._link.up):
            raise PublishError(f"broker {self._link.endpoint}: did not confirm what is subscribed to; try again")
        if not self._link.up:
            raise PublishError(f"{self._link.loss or 'the connection was lost'}; try again")
        for topic, refused in self._link.refused_subscriptions.items():
            raise PublishError(f"broker {self._link.endpoint}: {topic}: refused: {refused}; {remedy_for(refused)}")


def _answer(incoming: Incoming, base: str, verb: str, transaction: str) -> tuple[str, Answer] | None:
    """Who answered what, if it is an answer to this request."""
    address = parse(incoming.topic, base)
    if address is None or address.kind != "response" or address.verb != verb or incoming.retained:
        return None
    content = _object(incoming.payload)
    if content is None or content.get("transaction") != transaction:
        return None
    status, data, error = content.get("status"), content.get("data"), content.get("error")
    if status not in ("ok", "error") or not isinstance(error, str | None):
        return None
    return address.device, Answer(status, data if isinstance(data, dict) else {}, error)
