"""One request to a device, and the wait for its answer."""

from __future__ import annotations

import json
import uuid
from collections.abc import Mapping
from typing import Any

from pydantic import ValidationError

from edge.errors import PublishError
from edge.mqtt.confirmed import send_confirmed, wait_until
from edge.mqtt.endpoint import Endpoint
from edge.mqtt.failures import remedy_for
from edge.mqtt.link import Incoming, Link
from edge.mqtt.messages import BridgeState, Response
from edge.mqtt.topics import CHANNELS, Topics


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
        if not wait_until(lambda: link.all_subscribed):
            raise PublishError(f"broker {endpoint}: did not confirm the subscription to {answer_on}; try again")
        refused = link.refused_subscriptions.get(answer_on)
        if refused is not None:
            raise PublishError(f"broker {endpoint}: {answer_on}: refused: {refused}; {remedy_for(refused)}")
        transaction = uuid.uuid4().hex
        payload = json.dumps({**arguments, "transaction": transaction}).encode()
        send_confirmed(link, topics.of("request", verb=verb), payload, CHANNELS["request"].content_type)
        return _answer(link, got, (state, answer_on, transaction), topics.device, timeout_s)
    finally:
        link.close()


def _answer(
    link: Link, received: list[Incoming], where: tuple[str, str, str], device: str, timeout_s: float
) -> Response:
    """The response with our transaction; `where`: the topics of state and of responses, and the transaction."""
    state_on, answer_on, transaction = where

    def answers() -> list[Response]:
        found = (
            response_to(transaction, m.payload) for m in tuple(received) if m.topic == answer_on and not m.retained
        )
        return [response for response in found if response is not None]

    def offline() -> bool:
        said = [m.payload for m in tuple(received) if m.topic == state_on]
        return bool(said) and said[-1] == BridgeState(state="offline").encoded()

    wait_until(lambda: answers() or offline() or not link.up, timeout_s)
    if found := answers():
        return found[0]
    if not link.up:
        raise PublishError(f"{link.loss or 'the connection was lost'}; try again")
    if offline():
        raise NoAnswerError(f"device {device} is offline; see whether its daemon runs (systemctl status edge)")
    known = any(m.topic == state_on for m in tuple(received))
    why = "it is online and busy; try again, or wait longer" if known else "no daemon of that name has used this broker"
    raise NoAnswerError(f"device {device} did not answer within {timeout_s:g} s: {why}")


def response_to(transaction: str, payload: bytes) -> Response | None:
    """The answer to the request of that transaction; None: it is another's, or no answer."""
    try:
        response = Response.model_validate_json(payload)
    except ValidationError:
        return None
    return response if response.transaction == transaction else None
