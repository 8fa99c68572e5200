"""Views made equally bright where they overlap: a gain for each view and colour, on linear light.

The gains g minimise, over pairs of views that overlap, (g_i m_ij - g_j m_ji)^2 + 0.01 n (g_i - 1)^2 summed over the n
views, where m_ij is view i's mean of what j sees too, in units of the pair's mean. They are kept within 0.5..2 and
smoothed over time. What is saturated or too dark to tell counts for nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

import cv2
import numpy as np
import numpy.typing as npt

from edge.geometry.colour import linear, srgb
from edge.scene import BoolArray, ImageArray

Array = npt.NDArray[np.float64]

LIMITS = (0.5, 2.0)
_TOWARDS_ONE = 0.01
_SATURATED, _DARK = 250, 5
_EVERY_S = 0.5
_TIME_CONSTANT_S = 2.0
_LEAST_SAMPLES = 16
_NOTHING = 0.004
"""Gains nearer to 1 change no byte worth the time."""
LINEAR = linear(np.arange(256, dtype=np.uint8))
"""(256,) linear light of each sRGB byte."""


@dataclass(frozen=True)
class Overlap:
    """Where views see the same: a grid of directions, and where each view shows them."""

    at: Mapping[int, tuple[npt.NDArray[np.intp], npt.NDArray[np.intp], BoolArray]]
    """By view, (H, W) column and row of its picture, and whether it shows the direction."""

    def samples(self, pictures: Mapping[int, ImageArray]) -> dict[int, ImageArray]:
        """(H, W, 3) each view's colours in those directions."""
        return {i: pictures[i][y, x] for i, (x, y, _) in self.at.items()}

    @cached_property
    def pairs(self) -> list[tuple[int, int, BoolArray]]:
        """Views that see something both, the first with the smaller number, and (H, W) where."""
        found = [(i, j, self.at[i][2] & self.at[j][2]) for i in sorted(self.at) for j in sorted(self.at) if i < j]
        return [(i, j, both) for i, j, both in found if both.sum() >= _LEAST_SAMPLES]


def gains_of(pictures: Mapping[int, ImageArray], overlap: Overlap, views: int) -> Array:
    """(views, 3) the gains that make these pictures agree; 1 for views that nothing is known of."""
    colours = overlap.samples(pictures)
    useful = {i: ((c >= _DARK) & (c <= _SATURATED)).all(axis=-1) for i, c in colours.items()}
    normal = np.repeat(np.eye(views)[None] * (_TOWARDS_ONE * views), 3, axis=0)
    wanted = np.full((3, views), _TOWARDS_ONE * views)
    for i, j, both in overlap.pairs:
        shared = both & useful[i] & useful[j]
        if shared.sum() < _LEAST_SAMPLES:
            continue
        means = np.array([LINEAR[colours[v][shared]].mean(axis=0) for v in (i, j)])
        for channel, (mi, mj) in enumerate((means / means.mean(axis=0)).T):
            normal[channel, [i, j, i, j], [i, j, j, i]] += (mi * mi, mj * mj, -mi * mj, -mi * mj)
    return np.asarray(np.clip(np.linalg.solve(normal, wanted[..., None])[..., 0].T, *LIMITS))


class Exposure:
    """The gains of one rig over time."""

    def __init__(self, views: int) -> None:
        self.gains: Array = np.ones((views, 3))
        self._at_s: float | None = None
        self._tables: dict[int, npt.NDArray[np.uint8] | None] = {}

    def measure(self, pictures: Mapping[int, ImageArray], overlap: Overlap, at_s: float) -> None:
        """Follow these pictures, the first at once, later ones smoothly and not more often than need be."""
        if self._at_s is not None and 0 <= at_s - self._at_s < _EVERY_S:
            return
        share = 1.0 if self._at_s is None else -np.expm1(-max(at_s - self._at_s, 0.0) / _TIME_CONSTANT_S)
        self._at_s = at_s
        self.gains = self.gains + share * (gains_of(pictures, overlap, len(self.gains)) - self.gains)
        self._tables.clear()

    def applied(self, picture: ImageArray, view: int) -> ImageArray:
        """The view's picture with its gain."""
        if view not in self._tables:
            gain = self.gains[view]
            self._tables[view] = None if np.abs(gain - 1).max() < _NOTHING else _table(gain)
        table = self._tables[view]
        return picture if table is None else np.asarray(cv2.LUT(picture, table), np.uint8)


def exposed(picture: ImageArray, gain: Array) -> ImageArray:
    """The picture with its linear light multiplied by a gain (3,)."""
    return np.asarray(cv2.LUT(picture, _table(gain)), np.uint8)


def _table(gain: Array) -> npt.NDArray[np.uint8]:
    """(1, 256, 3) what each byte of each colour becomes."""
    return srgb(LINEAR[:, None] * gain)[None]
