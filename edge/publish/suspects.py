"""Which kind of message makes a broker end the connection: one over its limit on size, as most do without a word.

A message that is sent, ends the connection, and is sent again on the next one would do so for ever. So after a
connection that lasted only seconds the next one is *careful*: one message at a time. What was sent last when that one
is lost too is suspected, and after two losses its kind is held back for a while. Two kinds that are both larger than
all that was ever taken tell of a limit on size: from then on what is as large is not sent, whatever it is.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass

from edge.mqtt.endpoint import STEADY_S
from edge.mqtt.topics import Kind

_LOSSES = 2
_HELD_S = 600.0
_LEAST_BYTES = 1024
"""No broker's limit is smaller: a loss after a smaller message has another reason."""
_KINDS = 2
"""So many kinds that end the connection have their size in common, rather than that they may not be published."""
_TOO_LARGE = "Packet too large"


@dataclass(frozen=True, slots=True)
class _Held:
    until_s: float
    size_bytes: int
    text: str


class Suspects:
    """Looks at what was sent and at how connections ended."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._last: tuple[Kind, str, int] | None = None
        self._losses: Counter[Kind] = Counter()
        self._held: dict[Kind, _Held] = {}
        self._largest_taken_bytes = 0
        self.careful = False
        """Whether to send one message at a time, and wait until it was taken."""

    def sent(self, kind: Kind, topic: str, size_bytes: int) -> None:
        """This was handed to the connection last."""
        self._last = (kind, topic, size_bytes)

    def confirmed(self, size_bytes: int) -> None:
        """The broker took what was sent last, and one of that size."""
        self._last = None
        self._largest_taken_bytes = max(self._largest_taken_bytes, size_bytes)

    def steady(self) -> None:
        """The connection has lasted: nothing that was sent ends it."""
        self.careful = False
        self._losses.clear()

    def lost(self, lasted_s: float, reason: str | None) -> str | None:
        """The connection ended; `reason` in MQTT's words if the broker gave one.

        Returns:
            What was found, and what to do about it, when a kind is held back from now on.
        """
        last, self._last = self._last, None
        was_careful, self.careful = self.careful, lasted_s < STEADY_S
        if not self.careful or not was_careful or last is None or last[2] < _LEAST_BYTES:
            return None
        if reason not in (None, _TOO_LARGE):
            return None
        kind, topic, size_bytes = last
        self._losses[kind] += 1
        if self._losses[kind] < _LOSSES:
            return None
        del self._losses[kind]
        text = (
            f"{topic}: the broker ended the connection {_LOSSES} times when this was sent ({size_bytes} bytes); held "
            f"back for {_HELD_S / 60:g} minutes: raise the broker's limit on the size of messages, or set "
            "mqtt.max_packet_bytes to it"
        )
        self._held[kind] = _Held(self._clock() + _HELD_S, size_bytes, text)
        return text

    def held(self, kind: Kind) -> bool:
        """Whether messages of this kind are not to be sent now, of whatever size."""
        return kind in self._holding() and self.limit_bytes is None

    @property
    def limit_bytes(self) -> int | None:
        """Messages of so many bytes and more end the connection; None: nothing speaks for such a limit."""
        sizes = [held.size_bytes for held in self._holding().values()]
        smallest = min(sizes, default=0)
        return smallest if len(sizes) >= _KINDS and smallest > self._largest_taken_bytes else None

    def held_back(self) -> tuple[str, ...]:
        """What is held back, and why."""
        return tuple(held.text for held in self._holding().values())

    def _holding(self) -> dict[Kind, _Held]:
        now_s = self._clock()
        return {kind: held for kind, held in self._held.copy().items() if held.until_s > now_s}
