"""What was handed to the connection and is not confirmed yet: bounded by number and size, watched for silence.

A connection may be there for TCP and lead nowhere: a broker that hangs, a cable that was pulled. Only a confirmation
proves that it is not so.
"""

from __future__ import annotations

import math
import time
from collections.abc import Iterable
from dataclasses import dataclass

from edge.mqtt.link import Delivery
from edge.publish.outbox import Outgoing

_MESSAGES = 32
_BYTES = 4 * 1024 * 1024
_ACKNOWLEDGE_TIMEOUT_S = 8.0
_PROBE_AFTER_S = 5.0
"""Without a confirmation for so long, one is asked for."""
_SLOWEST_BYTES_PER_S = 100_000.0
"""What is ahead of a message on the way, and itself, may need so long."""


@dataclass(frozen=True, slots=True)
class InFlight:
    """A message on its way to the broker."""

    item: Outgoing
    sent_at_s: float
    size_bytes: int
    overdue_s: float
    """When it should have been confirmed, unless another was confirmed meanwhile."""


class Window:
    """Messages in flight, the oldest first. Used by the publishing thread; its length may be asked by any."""

    def __init__(self) -> None:
        self._by_id: dict[int, InFlight] = {}
        self._most = _MESSAGES
        self._proved_s = -math.inf
        self._probe: tuple[int, float] | None = None
        """A probe that is not confirmed: its id, and when it was sent."""

    def begin(self, receive_maximum: int) -> None:
        """There is a connection from now on, on which at most so many may be in flight."""
        self._most = min(_MESSAGES, receive_maximum)
        self._proved_s, self._probe = time.monotonic(), None

    def __len__(self) -> int:
        """How many are in flight."""
        return len(self._by_id)

    @property
    def full(self) -> bool:
        """Whether no more should be sent until some are confirmed."""
        return len(self._by_id) >= self._most or sum(f.size_bytes for f in self._by_id.values()) >= _BYTES

    @property
    def stuck(self) -> bool:
        """Whether the oldest, or a probe, waits for its confirmation for too long, and nothing was confirmed since."""
        now_s = time.monotonic()
        if self._probe is not None and now_s - max(self._probe[1], self._proved_s) > _ACKNOWLEDGE_TIMEOUT_S:
            return True
        oldest = next(iter(self._by_id.values()), None)
        if oldest is None:
            return False
        return now_s > oldest.overdue_s and now_s - self._proved_s > _ACKNOWLEDGE_TIMEOUT_S

    @property
    def needs_probe(self) -> bool:
        """Whether nothing was confirmed for a while and nothing that will be is on its way."""
        waits = self._probe is not None or any(f.item.channel.qos for f in self._by_id.values())
        return not waits and not self.full and time.monotonic() - self._proved_s > _PROBE_AFTER_S

    def probed(self, message_id: int) -> None:
        """A probe was sent under this id."""
        self._probe = (message_id, time.monotonic())

    def add(self, message_id: int, item: Outgoing, sent_at_s: float, size_bytes: int) -> None:
        """It was handed over under this id."""
        ahead_bytes = size_bytes + sum(f.size_bytes for f in self._by_id.values())
        overdue_s = sent_at_s + _ACKNOWLEDGE_TIMEOUT_S + ahead_bytes / _SLOWEST_BYTES_PER_S
        self._by_id[message_id] = InFlight(item, sent_at_s, size_bytes, overdue_s)

    def settle(self, deliveries: Iterable[Delivery]) -> list[tuple[InFlight, str | None]]:
        """Take out what was confirmed or refused (with why); ids that are not known are those of another connection."""
        settled = []
        for delivery in deliveries:
            done = self._by_id.pop(delivery.message_id, None)
            if self._probe is not None and delivery.message_id == self._probe[0]:
                self._proved_s, self._probe = time.monotonic(), None  # refused or not: the broker has answered
            elif done is not None:
                if done.item.channel.qos:
                    self._proved_s = time.monotonic()
                settled.append((done, delivery.refusal))
        return settled

    def clear(self) -> list[Outgoing]:
        """Take out all: their connection is lost."""
        lost = [f.item for f in self._by_id.values()]
        self._by_id.clear()
        self._probe = None
        return lost
