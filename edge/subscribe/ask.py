"""One request to a device, and the wait for its answer."""

from __future__ import annotations

import json
import time
import uuid
from collections.abc import Callable, Mapping
from typing import Any

from pydantic import ValidationError

from edge.errors import PublishError
from edge.mqtt.endpoint import Endpoint
from edge.mqtt.failures import remedy_for
from edge.mqtt.link import Incoming, Link, Metadata
from edge.mqtt.messages import BridgeState, Response
from edge.mqtt.topics import CHANNELS, Topics

_SUBSCRIBED_S = 5.0
_POLL_S = 0.01


class NoAnswerError(PublishError):
    """The device is not there, or did not answer in time."""


def ask(
    endpoint: Endpoint, topics: Topics, verb: str, arguments: Mapping[str, Any], *, timeout_s: float = 15.0
) -> Response:
    """Send a request once, and wait for the answer that carries its transaction.

    Args:
        endpoint: the broker.
        topics: of the device that is asked.
        verb: what is asked for, such as `set`.
        arguments: of the verb, as JSON has them.
        timeout_s: how long to wait for the answer.

    Raises:
        NoAnswerError: the device is offline, or did not answer in time.
        PublishError: there is no connection to the broker, or it does not let us ask.
    """
    got: list[Incoming] = []
    state, answer_on = topics.of("bridge_state"), topics.of("response", verb=verb)
    client_id = f"edge-request-{uuid.uuid4().hex[:12]}"
    link = Link(endpoint, client_id, subscriptions=(answer_on, state), on_message=got.append)
    link.open()
    try:
        if not _wait(lambda: link.all_subscribed, _SUBSCRIBED_S):
            raise PublishError(f"broker {endpoint}: did not confirm the subscription to {answer_on}; try again")
        refused = link.refused_subscriptions.get(answer_on)
        if refused is not None:
            raise PublishError(f"broker {endpoint}: {answer_on}: refused: {refused}; {remedy_for(refused)}")
        transaction = uuid.uuid4().hex
        _send(link, topics.of("request", verb=verb), {**arguments, "transaction": transaction})
        return _answer(link, lambda: got, (state, answer_on, transaction), topics.device, timeout_s)
    finally:
        link.close()


def _send(link: Link, topic: str, body: Mapping[str, Any]) -> None:
    payload = json.dumps(body).encode()
    metadata = Metadata(CHANNELS["request"].content_type)
    message_id = link.send(topic, payload, qos=1, retain=False, metadata=metadata)
    refusals: list[str | None] = []

    def confirmed() -> bool:
        refusals.extend(d.refusal for d in link.delivered() if d.message_id == message_id)
        return bool(refusals) or not link.up

    if not _wait(confirmed, _SUBSCRIBED_S) or not refusals:
        raise PublishError(f"broker {link.endpoint}: did not confirm the request; try again")
    if refusals[0] is not None:
        raise PublishError(f"broker {link.endpoint}: {topic}: refused: {refusals[0]}; {remedy_for(refusals[0])}")


def _answer(
    link: Link, received: Callable[[], list[Incoming]], where: tuple[str, str, str], device: str, timeout_s: float
) -> Response:
    """The response with our transaction; `where`: the topics of state and of responses, and the transaction."""
    state_on, answer_on, transaction = where

    def answers() -> list[Response]:
        found = (_parsed(m.payload) for m in tuple(received()) if m.topic == answer_on and not m.retained)
        return [r for r in found if r is not None and r.transaction == transaction]

    def offline() -> bool:
        said = [m.payload for m in tuple(received()) if m.topic == state_on]
        return bool(said) and said[-1] == BridgeState(state="offline").encoded()

    _wait(lambda: answers() or offline() or not link.up, timeout_s)
    if found := answers():
        return found[0]
    if not link.up:
        raise PublishError(f"{link.loss or 'the connection was lost'}; try again")
    if offline():
        raise NoAnswerError(f"device {device} is offline; see whether its daemon runs (systemctl status edge)")
    known = any(m.topic == state_on for m in received())
    why = "it is online and busy; try again, or wait longer" if known else "no daemon of that name has used this broker"
    raise NoAnswerError(f"device {device} did not answer within {timeout_s:g} s: {why}")


def _parsed(payload: bytes) -> Response | None:
    try:
        return Response.model_validate_json(payload)
    except ValidationError:
        return None


def _wait(condition: Callable[[], object], timeout_s: float) -> bool:
    until_s = time.monotonic() + timeout_s
    while not condition():
        if time.monotonic() > until_s:
            return False
        time.sleep(_POLL_S)
    return True
