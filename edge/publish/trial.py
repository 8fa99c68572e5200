"""A broker tried for real: as the daemon will, publish, subscribe, and read back what was published."""

from __future__ import annotations

import contextlib
import json
import time
import uuid

from pydantic import ValidationError

from edge.errors import PublishError
from edge.mqtt.confirmed import PATIENCE_S, send_confirmed, wait_until
from edge.mqtt.endpoint import Endpoint
from edge.mqtt.link import Incoming, Link, Subscription
from edge.mqtt.messages import Response
from edge.mqtt.tls import own_certificate_problem
from edge.mqtt.topics import Topics

_VERB = "check"
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
        send_confirmed(link, topic, payload)
        if topic in link.refused_subscriptions:
            return f"{_described(link)}; publishes, and may not read back what it published"
        if not wait_until(lambda: any(i.topic == topic and i.payload == payload for i in got)):
            raise PublishError(
                f"broker {endpoint}: {topic} was confirmed and did not come back within {PATIENCE_S:g} s: the broker "
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
        wait_until(lambda: link.all_subscribed)
        send_confirmed(link, topics.of("request", verb="health"), json.dumps({"transaction": transaction}).encode())
        time.sleep(_ANSWER_S)  # there may be more than one
    finally:
        link.close()
    return [tuple(str(text) for text in answer.data.get("degraded", ())) for answer in answers]


def _subscribed(link: Link) -> None:
    wait_until(lambda: link.all_subscribed)
    for topic, reason in link.refused_subscriptions.items():
        if topic != link.subscriptions[-1].topic:
            raise PublishError(f"broker {link.endpoint}: subscription {topic}: refused: {reason}; {_ALLOW}")
