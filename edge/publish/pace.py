"""How fast what has waited is sent: a broker passes a burst on faster than slow subscribers can take it."""

from __future__ import annotations

import time
from collections.abc import Callable


class Pace:
    """Lets so many pass a second, evenly: at most a tenth of a second's worth at once."""

    def __init__(self, per_s: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._per_s, self._clock = per_s, clock
        self._most = max(1.0, per_s / 10.0)
        self._saved, self._at_s = self._most, clock()

    def _save(self) -> None:
        now_s = self._clock()
        self._saved = min(self._most, self._saved + (now_s - self._at_s) * self._per_s)
        self._at_s = now_s

    @property
    def delay_s(self) -> float:
        """How long until the next may pass."""
        self._save()
        return max(0.0, (1.0 - self._saved) / self._per_s)

    def passes(self) -> bool:
        """Whether one more may pass now; if so, it has."""
        self._save()
        if self._saved < 1.0:
            return False
        self._saved -= 1.0
        return True
