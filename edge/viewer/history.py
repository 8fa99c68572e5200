"""What was published in the last minutes, to look back at: bounded by age and by bytes."""

from __future__ import annotations

from collections import OrderedDict, deque
from dataclasses import dataclass

_LONGEST_S = 600.0
_MOST_BYTES = 64 << 20


@dataclass(frozen=True, slots=True)
class _Kept:
    number: int
    at_s: float
    payload: bytes


class History:
    """Payloads by topic and time of arrival, which does not go back.

    Beyond the window's length a topic keeps the last payload that came before: it still held. Beyond the bytes the
    oldest of all are forgotten.
    """

    def __init__(self, *, longest_s: float = _LONGEST_S, most_bytes: int = _MOST_BYTES) -> None:
        self._longest_s, self._most_bytes = longest_s, most_bytes
        self._topics: dict[str, deque[_Kept]] = {}
        self._order: OrderedDict[int, str] = OrderedDict()
        """The topic of everything kept, the oldest first."""
        self._number = 0
        self.size_bytes = 0

    def __len__(self) -> int:
        """Number of payloads kept."""
        return len(self._order)

    def add(self, topic: str, payload: bytes, at_s: float) -> None:
        """Keep a payload that arrived at `at_s`; one that says what the last one said is not kept again."""
        kept = self._topics.setdefault(topic, deque())
        if kept and kept[-1].payload == payload:
            return
        self._number += 1
        kept.append(_Kept(self._number, at_s, payload))
        self._order[self._number] = topic
        self.size_bytes += len(payload)
        while len(kept) > 1 and kept[1].at_s < at_s - self._longest_s:
            self._forget_first(topic)
        while self.size_bytes > self._most_bytes:
            self._forget_first(next(iter(self._order.values())))

    def at(self, at_s: float) -> dict[str, bytes]:
        """What held at that time, by topic."""
        held = ((topic, [k.payload for k in kept if k.at_s <= at_s]) for topic, kept in self._topics.items())
        return {topic: payloads[-1] for topic, payloads in held if payloads}

    @property
    def span_s(self) -> tuple[float, float] | None:
        """The first and last time worth looking at: within the window; None if nothing is known."""
        if not self._topics:
            return None
        first_s = min(kept[0].at_s for kept in self._topics.values())
        last_s = max(kept[-1].at_s for kept in self._topics.values())
        return max(first_s, last_s - self._longest_s), last_s

    def _forget_first(self, topic: str) -> None:
        kept = self._topics[topic]
        first = kept.popleft()
        del self._order[first.number]
        self.size_bytes -= len(first.payload)
        if not kept:
            del self._topics[topic]
