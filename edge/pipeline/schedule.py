"""What runs next: cadences, lateness, freshness. No pictures, no networks, and the caller's clock.

Every (camera, task) is a job. A job is due when its cadence says so and its camera has a frame it has not seen; the one
that has been due longest goes first, and of two that fell due together the one served longer ago. A job that was
served is due again at the earliest from then on, so one that waits lets pass, beside what is running, at most one turn
of every other job: nothing starves.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar


@dataclass(frozen=True, slots=True)
class Cadence:
    """How often a job runs: every so many seconds, or every so many frames of its camera."""

    every_s: float | None = None
    every_frames: int | None = None

    def slower(self, by: int) -> Cadence:
        """So many times as rarely."""
        every_s = None if self.every_s is None else self.every_s * by
        return Cadence(every_s, None if self.every_frames is None else self.every_frames * by)


@dataclass(slots=True)
class Turn:
    """When one job ran last and when it is due again."""

    newest: Callable[[], int]
    """Number of its camera's newest frame; 0 before the first."""
    cadence: Cadence
    due_s: float
    seen: int = 0
    """Number of the last frame it took or passed over."""
    taken: int = 0
    """Number of the last frame it took."""
    taken_s: float = -math.inf
    """When it was served last."""
    paused: bool = False
    """Whether it is never due."""

    def late_s(self, now_s: float) -> float | None:
        """How long it has been due; None if it is not, or has no new frame."""
        newest = self.newest()
        if self.paused or newest <= self.seen:
            return None
        every = self.cadence.every_frames
        if every is not None and self.taken:
            if newest - self.taken < every:
                return None
            self.due_s = min(self.due_s, now_s)  # due since it was first seen to be
        return None if now_s < self.due_s else now_s - self.due_s

    def take(self, frame: int, now_s: float) -> int:
        """Note that this frame is being handled.

        Returns:
            How many results the cadence asked for since the last one, and frames were there for, that were missed.
        """
        since = frame - self.seen if self.seen else 1
        self.seen = self.taken = frame
        self.taken_s = now_s
        if self.paused:
            return 0
        if self.cadence.every_s is None:
            self.due_s = math.inf
            return max(since // (self.cadence.every_frames or 1) - 1, 0)
        late = max(0.0, now_s - self.due_s)
        self.due_s = max(self.due_s + self.cadence.every_s, now_s)  # one that fell behind starts afresh
        return min(since - 1, int(late / self.cadence.every_s))

    def change(self, cadence: Cadence, *, paused: bool, now_s: float) -> None:
        """Another cadence from now on, counted from when it was served last; or none while it is paused."""
        self.cadence, self.paused = cadence, paused
        self.seen = max(self.seen, self.newest() - 1)  # what passed meanwhile was not missed
        self.due_s = max(self.taken_s + (cadence.every_s or 0.0), now_s)

    def skip(self, frame: int) -> None:
        """Pass over a frame that is not worth handling any more; the job stays due."""
        self.seen = frame


J = TypeVar("J")


class Schedule(Generic[J]):
    """The turns of jobs of any kind."""

    def __init__(self) -> None:
        self._turns: list[tuple[Turn, J]] = []

    def add(self, turn: Turn, job: J) -> None:
        """One more job."""
        self._turns.append((turn, job))

    def remove(self, turn: Turn) -> None:
        """That job is not due any more."""
        self._turns = [(t, job) for t, job in self._turns if t is not turn]

    def due(self, now_s: float) -> Sequence[J]:
        """The jobs that are due and have a new frame, the most overdue first."""
        late = [
            (-lateness, turn.taken_s, job) for turn, job in self._turns if (lateness := turn.late_s(now_s)) is not None
        ]
        return [job for *_, job in sorted(late, key=lambda item: item[:2])]
