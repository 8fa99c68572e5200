"""Whether a camera was moved: its room jumped, and stays where it jumped to. That is no drift, but a new beginning."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from edge.geometry.polygon import wall_distances

Array = npt.NDArray[np.float64]

_DIRECTIONS = 128
_LONGITUDES = (np.arange(_DIRECTIONS) + 0.5) / _DIRECTIONS * 2 * np.pi - np.pi
_MOST = 0.75
"""A jump is what so many directions stay below: a door that opens changes a few."""
_JUMP_M = 0.05
_HELD_S = 600.0
_FOLLOW_S = 3600.0
"""Time constant with which the usual room follows what is seen, as long as nothing jumps."""


class MovedJudge:
    """Follows one camera's room; the clock is the caller's."""

    def __init__(self) -> None:
        self._usual: Array | None = None
        self._last_s = 0.0
        self._jumped_s = 0.0
        self._there: list[Array] = []

    def offer(self, at_s: float, polygon_m: npt.ArrayLike) -> float | None:
        """A room as seen now, (N, 2) metres about the camera; by how many metres it jumped, if it has come to stay."""
        seen = np.minimum(wall_distances(polygon_m, _LONGITUDES), 1e3)
        if self._usual is None:
            self._usual, self._last_s = seen, at_s
            return None
        jump_m = _jump_m(seen, self._usual)
        if jump_m <= _JUMP_M:
            self._usual = self._usual + self._followed(at_s) * (seen - self._usual)
            self._last_s, self._there = at_s, []
            return None
        self._stay(at_s, seen)
        if at_s - self._jumped_s < _HELD_S:
            return None
        self._usual = np.median(self._there, axis=0)
        self._last_s, self._there = at_s, []
        return jump_m

    def _stay(self, at_s: float, seen: Array) -> None:
        """Go on where it jumped to, or begin anew if it is somewhere else again: people in the way, not a new place."""
        if self._there and _jump_m(seen, self._there[0]) > _JUMP_M:
            self._there = []
        if not self._there:
            self._jumped_s = at_s
        self._there = [*self._there[:63], seen]

    def _followed(self, at_s: float) -> float:
        return 1.0 - float(np.exp(-max(at_s - self._last_s, 0.0) / _FOLLOW_S))


def _jump_m(one: Array, other: Array) -> float:
    return float(np.quantile(np.abs(one - other), _MOST))
