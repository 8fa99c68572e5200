"""A broker tried for real: as the daemon will, publish, subscribe, and read back what was published."""

from __future__ import annotations

import contextlib
import json
import time
import uuid
from collections.abc import Callable

from pydantic import ValidationError

from edge.errors import PublishError
from edge.mqtt.endpoint import Endpoint
from edge.mqtt.failures import remedy_for
from edge.mqtt.link import Incoming, Link, Metadata, Subscription
from edge.mqtt.messages import Response
from edge.mqtt.tls import own_certificate_problem
from edge.mqtt.topics import Topics

_VERB = "check"
_PATIENCE_S = 5.0
_ANSWER_S = 1.5
_LARGE_BYTES = 1024 * 1024
"""Rooms and depth pictures may be so large."""
_ALLOW = "allow this user to write there and to read requests in the broker's access list (systemd/mosquitto/edge.acl)"


def try_broker(endpoint: Endpoint, topics: Topics, client_id: str) -> str:
    """Connect, subscribe to requests and to a response of our own, publish that response, and wait for it.

    Returns:
        What was found, for people.

    Raises:
        PublishError: any of it failed; says which, and what to do.
    """
    problem = own_certificate_problem(endpoint.tls.certificate) if endpoint.tls else None
    if problem is not None:
        raise PublishError(f"broker {endpoint}: {problem}")
    topic, payload = topics.of("response", verb=_VERB), uuid.uuid4().hex.encode()
    got: list[Incoming] = []
    subscriptions = (
        Subscription(topics.requests, instead=(topics.of("request", verb=_VERB),)),
        Subscription(topic),
    )
    link = Link(endpoint, client_id, subscriptions=subscriptions, on_message=got.append)
    link.open()
    try:
        _subscribed(link)
        refusal = _sent(link, topic, payload)
        if refusal is not None:
            raise PublishError(f"broker {endpoint}: {topic}: refused: {refusal.lower()}; {remedy_for(refusal)}")
        if topic in link.refused_subscriptions:
            return f"{_described(link)}; publishes, and may not read back what it published"
        if not _wait(lambda: any(i.topic == topic and i.payload == payload for i in got)):
            raise PublishError(
                f"broker {endpoint}: {topic} was confirmed and did not come back within {_PATIENCE_S:g} s: the broker "
                f"dropped it; {_ALLOW}"
            )
        return f"{_described(link)}; published, and read back"
    finally:
        link.close()


def _described(link: Link) -> str:
    """What the broker speaks, and where it can do less than a daemon may ask of it."""
    said = [f"{link.endpoint}, MQTT {link.version}"]
    if link.older:
        said.append("warning: it speaks no MQTT 5, so results do not expire there; update it, or set mqtt.protocol")
    most = link.limits.max_packet_bytes
    if most is not None and most < _LARGE_BYTES:
        said.append(f"warning: it takes at most {most} bytes a message; larger rooms and pictures are not sent")
    if not link.limits.retain_available:
        said.append("warning: it keeps no retained messages; allow them there")
    return "; ".join(said)


def ask_daemons(endpoint: Endpoint, topics: Topics, client_id: str) -> list[tuple[str, ...]]:
    """What each daemon that answers to this device's name says of itself as degraded; none may.

    Raises:
        PublishError: there is no connection, or it may not be asked.
    """
    topic, transaction = topics.of("response", verb="health"), uuid.uuid4().hex
    answers: list[Response] = []

    def received(incoming: Incoming) -> None:
        with contextlib.suppress(ValidationError):
            answer = Response.model_validate_json(incoming.payload)
            if answer.transaction == transaction:
                answers.append(answer)

    link = Link(endpoint, client_id, subscriptions=(Subscription(topic),), on_message=received)
    link.open()
    try:
        _wait(lambda: link.all_subscribed)
        _sent(link, topics.of("request", verb="health"), json.dumps({"transaction": transaction}).encode())
        time.sleep(_ANSWER_S)  # there may be more than one
    finally:
        link.close()
    return [tuple(str(text) for text in answer.data.get("degraded", ())) for answer in answers]


def _wait(condition: Callable[[], bool]) -> bool:
    until_s = time.monotonic() + _PATIENCE_S
    while not condition():
        if time.monotonic() > until_s:
            return False
        time.sleep(0.01)
    return True


def _subscribed(link: Link) -> None:
    _wait(lambda: link.all_subscribed)
    for topic, reason in link.refused_subscriptions.items():
        if topic != link.subscriptions[-1].topic:
            raise PublishError(f"broker {link.endpoint}: subscription {topic}: refused: {reason}; {_ALLOW}")


def _sent(link: Link, topic: str, payload: bytes) -> str | None:
    """Why the broker refused it, None if it took it."""
    message_id = link.send(topic, payload, qos=1, retain=False, metadata=Metadata())
    deliveries: dict[int, str | None] = {}

    def confirmed() -> bool:
        deliveries.update((d.message_id, d.refusal) for d in link.delivered())
        return message_id in deliveries or not link.up

    if not _wait(confirmed) or message_id not in deliveries:
        why = link.loss or "no answer"
        raise PublishError(f"broker {link.endpoint}: {topic} was not confirmed ({why}); look into the broker's log")
    return deliveries[message_id]
