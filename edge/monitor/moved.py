"""Whether a camera was moved: its room jumped, and stays where it jumped to. That is no drift, but a new beginning."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from edge.geometry.polygon import wall_distances

Array = npt.NDArray[np.float64]

_DIRECTIONS = 128
_LONGITUDES = (np.arange(_DIRECTIONS) + 0.5) / _DIRECTIONS * 2 * np.pi - np.pi
_MOST = 0.75
"""A jump is what so many directions stay below: a door that opens changes a few."""


@dataclass(frozen=True, slots=True)
class MovedLimits:
    """What is a jump."""

    jump_m: float = 0.05
    pitch_rad: float = 0.035
    held_s: float = 600.0
    follow_s: float = 3600.0
    """Time constant with which the usual room follows what is seen, as long as nothing jumps."""


@dataclass(frozen=True, slots=True)
class Moved:
    """A camera that was moved."""

    at_s: float
    """When it began."""
    jump_m: float
    pitch_rad: float


class MovedJudge:
    """Follows one camera's room; the clock is the caller's."""

    def __init__(self, limits: MovedLimits | None = None) -> None:
        self._limits = limits or MovedLimits()
        self._usual: Array | None = None
        self._usual_pitch_rad = 0.0
        self._last_s = 0.0
        self._jumped_s: float | None = None
        self._there: list[tuple[Array, float]] = []

    def offer(self, at_s: float, polygon_m: npt.ArrayLike, pitch_rad: float = 0.0) -> Moved | None:
        """A room as seen now, (N, 2) metres about the camera; what that makes known."""
        limits = self._limits
        seen = np.minimum(wall_distances(polygon_m, _LONGITUDES), 1e3)
        if self._usual is None:
            self._usual, self._usual_pitch_rad, self._last_s = seen, pitch_rad, at_s
            return None
        jump_m, turn_rad = _jump_m(seen, self._usual), abs(pitch_rad - self._usual_pitch_rad)
        if jump_m <= limits.jump_m and turn_rad <= limits.pitch_rad:
            self._follow(at_s, seen, pitch_rad)
            return None
        self._stay(at_s, seen, pitch_rad)
        assert self._jumped_s is not None
        if at_s - self._jumped_s < limits.held_s:
            return None
        moved = Moved(self._jumped_s, jump_m, turn_rad)
        self._usual = np.median([s for s, _ in self._there], axis=0)
        self._usual_pitch_rad = float(np.median([p for _, p in self._there]))
        self._jumped_s, self._last_s, self._there = None, at_s, []
        return moved

    def _stay(self, at_s: float, seen: Array, pitch_rad: float) -> None:
        """Go on where it jumped to, or begin anew if it is somewhere else again: people in the way, not a new place."""
        limits = self._limits
        if self._there:
            first, first_pitch = self._there[0]
            if _jump_m(seen, first) > limits.jump_m or abs(pitch_rad - first_pitch) > limits.pitch_rad:
                self._there = []
        if not self._there:
            self._jumped_s = at_s
        self._there = [*self._there[:63], (seen, pitch_rad)]

    def _follow(self, at_s: float, seen: Array, pitch_rad: float) -> None:
        assert self._usual is not None
        share = 1.0 - float(np.exp(-max(at_s - self._last_s, 0.0) / self._limits.follow_s))
        self._usual = self._usual + share * (seen - self._usual)
        self._usual_pitch_rad += share * (pitch_rad - self._usual_pitch_rad)
        self._last_s, self._jumped_s, self._there = at_s, None, []


def _jump_m(one: Array, other: Array) -> float:
    return float(np.quantile(np.abs(one - other), _MOST))
