"""Which version of MQTT a broker is asked for: 5 at every connection, and 3.1.1 where that is not answered."""

from __future__ import annotations

from typing import Literal

Protocol = Literal["auto", "5", "3.1.1"]
Version = Literal["5", "3.1.1"]

_EVERY = 3
"""Unanswered attempts from one in which 3.1.1 is tried too to the next."""


class Versions:
    """Remembers how a broker took what it was asked for.

    One that refuses 5 in words gets 3.1.1 at once. One that closes or stays silent may not know 5, or be stopped, busy
    or full: it is asked for 3.1.1 too at the first attempt and then at every third; one that spoke 5 before is only
    late, and is not asked at the first. What answers then may only just have come back: it is asked for 5 once more.
    """

    def __init__(self) -> None:
        self.spoke_5 = False
        """Whether it spoke 5 when it was last asked and answered."""
        self.older = False
        """Whether it answered 3.1.1 instead of the 5 that it was asked for."""
        self._unanswered = 0
        self._doubtful = False

    def answered_5(self) -> None:
        """It speaks 5."""
        self.spoke_5, self.older, self._unanswered = True, False, 0

    def refused_5(self) -> None:
        """It said that it does not speak 5: there is no doubt about that."""
        self._doubtful = False

    def try_older(self) -> bool:
        """It did not answer to 5; whether to ask for 3.1.1 now."""
        first = self._unanswered == 0
        self._doubtful = self.spoke_5 or not first
        asks = not self.spoke_5 if first else self._unanswered % _EVERY == 0
        self._unanswered += 1
        return asks

    def answered_older(self) -> bool:
        """It speaks 3.1.1; returns whether that is in doubt, and to be settled by asking for 5 once more."""
        doubtful, self._doubtful, self._unanswered = self._doubtful, False, 0
        if not doubtful:
            self.spoke_5, self.older = False, True
        return doubtful
