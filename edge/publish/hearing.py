"""What the broker passes on to this device: requests, what others say in its name, what it keeps of gone cameras.

Runs on the network thread, and returns at once.
"""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Callable, Mapping

from edge.mqtt.link import Incoming, Subscription
from edge.publish.compose import Binary
from edge.publish.orphans import Orphans
from edge.publish.outbox import Outbox, Outgoing
from edge.publish.requests import Requests
from edge.publish.twin import Twin

_log = logging.getLogger(__name__)

_ORPHANS_S = 5.0
_ANNOUNCE_EVERY_S = 60.0


class Hearing:
    """Hands each message on to whom it concerns."""

    def __init__(
        self,
        outbox: Outbox,
        requests: Requests,
        orphans: Orphans | None,
        twin: Twin | None,
        say_online: Callable[[], None],
        listeners: Mapping[str, Callable[[Incoming], None]] | None = None,
    ) -> None:
        """`say_online`: called when another said that this device is offline; `listeners`: by topic, who hears more."""
        self._outbox, self._requests, self._orphans, self._twin = outbox, requests, orphans, twin
        self._say_online, self._listeners = say_online, dict(listeners or {})
        self._announced_s, self._orphans_until_s = -math.inf, math.inf

    @property
    def subscriptions(self) -> tuple[Subscription, ...]:
        """What to subscribe to beside requests."""
        return (
            *(self._orphans.subscriptions if self._orphans else ()),
            *(self._twin.subscriptions if self._twin else ()),
            *(Subscription(topic, own=False) for topic in self._listeners),
        )

    def connected(self) -> None:
        """The broker answers now with what it keeps."""
        self._orphans_until_s = time.monotonic() + _ORPHANS_S

    def heard_enough(self) -> list[str]:
        """Topics to unsubscribe from: the broker has answered, and what comes there from now on is our own."""
        if self._orphans is None or time.monotonic() <= self._orphans_until_s:
            return []
        self._orphans_until_s = math.inf
        return [s.topic for s in self._orphans.subscriptions]

    def received(self, incoming: Incoming) -> None:
        """A message arrived."""
        heard = self._twin.heard(incoming) if self._twin else None
        kind = self._orphans.kind_of(incoming) if self._orphans else None
        if heard == "offline":
            self._say_online()  # a twin has left, or our own last connection was given up only now
        elif heard == "info" and time.monotonic() - self._announced_s > _ANNOUNCE_EVERY_S:
            self._announced_s = time.monotonic()
            self._outbox.announce_again()  # so that it hears of us too
        elif kind is not None:
            _log.info("%s: cleared, no such camera or task any more", incoming.topic)
            self._outbox.put(Outgoing(kind, incoming.topic, Binary(b"", {}), keep=False))
        else:
            self._listeners.get(incoming.topic, self._requests.accept)(incoming)

    def confirmed(self, item: Outgoing) -> None:
        """The broker has taken this."""
        if self._twin is not None and item.kind == "bridge_info":
            self._twin.claimed()

    def degraded(self) -> tuple[str, ...]:
        """Who else uses this device's name, and that more is asked of it than it can answer."""
        return (*(self._twin.degraded() if self._twin else ()), *self._requests.degraded())
