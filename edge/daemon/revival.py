"""Parts that died and are started again: so often within so long, then the daemon ends and systemd starts it anew."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable

from edge.errors import EdgeError

MOST = 3
WITHIN_S = 600.0


class Revival:
    """Counts deaths of parts, all together. For one thread; `degraded` for any."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._deaths: deque[tuple[float, str]] = deque(maxlen=MOST)

    def allow(self, part: str, why: str) -> str:
        """A part died: what to say when it is started again.

        Raises:
            EdgeError: too many died lately; it is time to end.
        """
        recent = self._recent()
        text = f"{part} died ({why})"
        if len(recent) >= MOST:
            raise EdgeError(
                f"{text}, after {', '.join(recent)} within {WITHIN_S / 60:g} minutes; the daemon ends. Please report "
                "it with the log"
            )
        self._deaths.append((self._clock(), part))
        return f"{text} and was started again; please report it with the log"

    def degraded(self) -> tuple[str, ...]:
        """What died lately, in words."""
        recent = self._recent()
        if not recent:
            return ()
        times = f"{len(recent)} of {MOST} times before the daemon ends"
        return (
            f"{', '.join(recent)} died and was started again within {WITHIN_S / 60:g} minutes ({times}); see the log",
        )

    def _recent(self) -> list[str]:
        now_s = self._clock()
        return [part for at_s, part in tuple(self._deaths) if now_s - at_s < WITHIN_S]
