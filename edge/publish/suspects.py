"""Which kind of message makes a broker end the connection: one over its limit on size, as most do without a word.

A message that is sent, ends the connection, and is sent again on the next one would do so for ever. So after a
connection that lasted only seconds the next one is *careful*: one message at a time. What was sent last when that one
is lost too is suspected, and after two losses its kind is held back for a while.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable

from edge.mqtt.topics import Kind

STEADY_S = 10.0
"""A connection that lasted so long was sound."""
_LOSSES = 2
_HELD_S = 600.0
_LEAST_BYTES = 1024
"""No broker's limit is smaller: a loss after a smaller message has another reason."""
_TOO_LARGE = "Packet too large"


class Suspects:
    """Looks at what was sent and at how connections ended."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._last: tuple[Kind, str, int] | None = None
        self._losses: Counter[Kind] = Counter()
        self._held: dict[Kind, tuple[float, str]] = {}
        self.careful = False
        """Whether to send one message at a time, and wait until it was taken."""

    def sent(self, kind: Kind, topic: str, size_bytes: int) -> None:
        """This was handed to the connection last."""
        self._last = (kind, topic, size_bytes)

    def confirmed(self) -> None:
        """The broker took what was sent last."""
        self._last = None

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
        self._held[kind] = (self._clock() + _HELD_S, text)
        return text

    def held(self, kind: Kind) -> bool:
        """Whether messages of this kind are not to be sent now."""
        until_s, _ = self._held.get(kind, (0.0, ""))
        if until_s <= self._clock():
            self._held.pop(kind, None)
            return False
        return True

    def held_back(self) -> tuple[str, ...]:
        """What is held back, and why."""
        return tuple(text for kind, (_, text) in tuple(self._held.items()) if self.held(kind))
