"""One message sent and its confirmation waited for: for who connects to do one thing, and leaves."""

from __future__ import annotations

import time
from collections.abc import Callable

from edge.errors import PublishError
from edge.mqtt.failures import remedy_for
from edge.mqtt.link import Link, Metadata

PATIENCE_S = 5.0
"""A broker that works answers sooner."""
_POLL_S = 0.01


def wait_until(condition: Callable[[], object], timeout_s: float = PATIENCE_S) -> bool:
    """Whether the condition came true within the time."""
    until_s = time.monotonic() + timeout_s
    while not condition():
        if time.monotonic() > until_s:
            return False
        time.sleep(_POLL_S)
    return True


def send_confirmed(
    link: Link, topic: str, payload: bytes, content_type: str | None = None, *, retain: bool = False
) -> None:
    """Send a message at QoS 1 and wait until the broker has taken it.

    Raises:
        PublishError: it cannot be sent, was not confirmed in time, or was refused.
    """
    message_id = link.send(topic, payload, qos=1, retain=retain, metadata=Metadata(content_type))
    refusals: list[str | None] = []

    def answered() -> bool:
        refusals.extend(d.refusal for d in link.delivered() if d.message_id == message_id)
        return bool(refusals) or not link.up

    wait_until(answered)
    if not refusals:
        why = link.loss or "no answer"
        raise PublishError(f"broker {link.endpoint}: {topic} was not confirmed ({why}); look into the broker's log")
    if (refusal := refusals[0]) is not None:
        raise PublishError(f"broker {link.endpoint}: {topic}: refused: {refusal.lower()}; {remedy_for(refusal)}")
