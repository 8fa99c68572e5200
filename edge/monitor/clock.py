"""The time of day for what was measured on the monotonic clock; what is due every so often, or until when.

A device without a battery for its clock starts in 1970 and learns the time from the network later. So moments are kept
on the monotonic clock, and become a time of day only when they are said; what is retained is said again after a step.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable

_STEP_S = 2.0
"""Less is how clocks are corrected all the time."""


class WallClock:
    """Converts between the clocks, and notices when the time of day was set."""

    def __init__(self, wall: Callable[[], float] = time.time, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._wall, self._monotonic = wall, monotonic
        self._offset_s = wall() - monotonic()

    def now(self) -> float:
        """The time of day, s since the Unix epoch."""
        return self._wall()

    def at(self, monotonic_s: float) -> float:
        """The time of day of a moment on the monotonic clock, as the clock is set now, s since the Unix epoch."""
        return self._wall() - (self._monotonic() - monotonic_s)

    def stepped(self) -> float | None:
        """By how many seconds the time of day was set since the last call; None if it was not."""
        offset_s = self._wall() - self._monotonic()
        by_s, self._offset_s = offset_s - self._offset_s, offset_s
        return by_s if abs(by_s) >= _STEP_S else None


class Deadline:
    """When several things that are waited for one after the other are over together."""

    def __init__(self, within_s: float, monotonic: Callable[[], float] | None = None) -> None:
        """So long from now."""
        self._monotonic = monotonic or time.monotonic
        self._at_s = self._monotonic() + within_s

    def left_s(self, most_s: float = math.inf) -> float:
        """How long the next of them may be waited for: `most_s`, or what is left if that is less."""
        return max(min(most_s, self._at_s - self._monotonic()), 0.0)


class Periodic:
    """Due every so often. After a pause of the whole process it is due once, and not once for each time missed."""

    def __init__(self, every_s: float, monotonic: Callable[[], float] = time.monotonic) -> None:
        """First due after `every_s`."""
        self._every_s, self._monotonic = every_s, monotonic
        self._due_s = monotonic() + every_s

    def due(self) -> bool:
        """Whether it is, which starts the next period."""
        now_s = self._monotonic()
        if now_s < self._due_s:
            return False
        behind = now_s - self._due_s >= self._every_s
        self._due_s = (now_s if behind else self._due_s) + self._every_s
        return True
