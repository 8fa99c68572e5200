"""Whether a camera delivers: a judge that is told what happened and when, and knows neither clock nor process.

- offline: before the first picture; after a failure, the end of a recording, or a stop.
- online: from any state, with a picture whose content changes.
- frozen: from any state, with a picture whose content has been the same for `frozen_after_s`.
- stalled: from any state, when no picture came for too long; capture is then to be ended and started again.
"""

from __future__ import annotations

from typing import Literal

State = Literal["online", "stalled", "frozen", "offline"]
EventKind = Literal["state", "warning", "error"]
News = tuple[EventKind, str]
"""Something to tell. For "state" the text is the new state, with the reason after a colon."""


class Health:
    """One camera's. Times are seconds of one monotonic clock, the caller's.

    Args:
        stall_timeout_s: a camera that sent nothing for so long is stalled.
        first_picture_timeout_s: the same for the time from start to the first picture.
        frozen_after_s: content that stays the same for so long makes the state "frozen"; None = not checked.
    """

    def __init__(
        self, *, stall_timeout_s: float, first_picture_timeout_s: float, frozen_after_s: float | None = None
    ) -> None:
        self.stall_timeout_s, self.first_picture_timeout_s = stall_timeout_s, first_picture_timeout_s
        self.frozen_after_s = frozen_after_s
        self.state: State = "offline"
        self.last_error: str | None = None
        self.failures = 0
        """In a row: forgotten when pictures have come for `stall_timeout_s`."""
        self._sequence = 0
        self._progress_s = 0.0
        self._first_picture_s: float | None = None
        self._news: list[News] = []

    def started(self, now_s: float, sequence: int) -> None:
        """Capture was started; the next picture's number will be above `sequence`."""
        self._sequence, self._progress_s, self._first_picture_s = sequence, now_s, None

    def judge(self, now_s: float, sequence: int, unchanged_s: float, *, none_is_due: bool = False) -> str | None:
        """Set the state of a camera whose capture runs; why it is to be ended if it hangs, else None.

        Args:
            now_s: the time.
            sequence: number of the latest picture.
            unchanged_s: for how long that picture's content had been the same.
            none_is_due: no picture is due: the last one was not taken yet, or they come when they come.
        """
        if sequence > self._sequence:
            self._sequence, self._progress_s = sequence, now_s
            self._picture(now_s, unchanged_s)
            return None
        if none_is_due:
            self._progress_s = now_s
        first = self._first_picture_s is None
        limit_s = self.first_picture_timeout_s if first else self.stall_timeout_s
        if now_s - self._progress_s <= limit_s:
            return None
        what = "did not send a first picture" if first else "sent no picture"
        return f"it {what} for {limit_s:g} s; the capture process was killed and is started again"

    def _picture(self, now_s: float, unchanged_s: float) -> None:
        if self._first_picture_s is None:
            self._first_picture_s = now_s
        if now_s - self._first_picture_s >= self.stall_timeout_s:
            self.failures = 0
        if self.frozen_after_s is not None and unchanged_s >= self.frozen_after_s:
            reason = f"the picture has not changed for {unchanged_s:.0f} s; restart the camera if that is wrong"
            self._become("frozen", reason)
        else:
            self._become("online", None)

    def failed(self, state: Literal["stalled", "offline"], reason: str) -> None:
        """Capture came to an end that nobody asked for; the same reason again is told once."""
        self.failures += 1
        if reason != self.last_error:
            self._news.append(("error", reason))
        self.last_error = reason
        self._become(state, reason)

    def stopped(self, reason: str | None = None) -> None:
        """Capture ended as it should: as asked for, or a recording at its end."""
        self._become("offline", reason)

    def take_news(self) -> list[News]:
        """What there is to tell since the last call."""
        taken, self._news = self._news, []
        return taken

    def _become(self, state: State, reason: str | None) -> None:
        if state != self.state:
            self.state = state
            self._news.append(("state", f"{state}: {reason}" if reason else state))
        if state == "online":
            self.last_error = None
        elif reason:
            self.last_error = reason
