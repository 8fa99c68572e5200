"""What was handed to the connection and is not confirmed yet: bounded by number and size, watched for silence."""

from __future__ import annotations

import time
from collections.abc import Iterable
from dataclasses import dataclass

from edge.mqtt.link import Delivery
from edge.publish.outbox import Outgoing

_MESSAGES = 32
_BYTES = 4 * 1024 * 1024
_ACKNOWLEDGE_TIMEOUT_S = 20.0


@dataclass(frozen=True, slots=True)
class InFlight:
    """A message on its way to the broker."""

    item: Outgoing
    sent_at_s: float
    size_bytes: int


class Window:
    """Messages in flight, the oldest first. Used by the publishing thread; its length may be asked by any."""

    def __init__(self) -> None:
        self._by_id: dict[int, InFlight] = {}
        self._most = _MESSAGES

    def limit(self, receive_maximum: int) -> None:
        """Have at most so many in flight, as the broker asks."""
        self._most = min(_MESSAGES, receive_maximum)

    def __len__(self) -> int:
        """How many are in flight."""
        return len(self._by_id)

    @property
    def full(self) -> bool:
        """Whether no more should be sent until some are confirmed."""
        return len(self._by_id) >= self._most or sum(f.size_bytes for f in self._by_id.values()) >= _BYTES

    @property
    def stuck(self) -> bool:
        """Whether the oldest waits for its confirmation for too long."""
        oldest = next(iter(self._by_id.values()), None)
        return oldest is not None and time.monotonic() - oldest.sent_at_s > _ACKNOWLEDGE_TIMEOUT_S

    def add(self, message_id: int, item: Outgoing, sent_at_s: float, size_bytes: int) -> None:
        """It was handed over under this id."""
        self._by_id[message_id] = InFlight(item, sent_at_s, size_bytes)

    def settle(self, deliveries: Iterable[Delivery]) -> list[tuple[InFlight, str | None]]:
        """Take out what was confirmed or refused (with why); ids that are not known are those of another connection."""
        settled = [(self._by_id.pop(d.message_id, None), d.refusal) for d in deliveries]
        return [(done, refusal) for done, refusal in settled if done is not None]

    def clear(self) -> list[Outgoing]:
        """Take out all: their connection is lost."""
        lost = [f.item for f in self._by_id.values()]
        self._by_id.clear()
        return lost
