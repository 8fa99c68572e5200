"""From a segmented panorama to where its walls end: the floor's and the ceiling's edge of each column.

What a segmenter says is soft: how likely each pixel is wall, floor or ceiling; the rest is furniture and people. An
edge is known where wall and floor (or ceiling) touch. Where furniture stands between, it is not; but as walls are
upright and a ceiling flat, one edge of a column gives the other, once the other columns have given the room's height.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from edge.scene import BoolArray
from training.arrays import Array

Probability = npt.NDArray[np.float32]

_TOUCH_RAD = np.deg2rad(2.0)
"""An edge is judged by what lies this far above and below it."""
_TOUCHING = 0.5
"""Least mean probability of the wall on one side and the floor (ceiling) on the other."""
_NEIGHBOURS = 0.03
"""Share of the panorama's columns whose median an edge is compared with."""
_STRAY_LOG = 0.25
"""A distance off its neighbours' by more than this factor (log) is a stray."""
_AGREEMENT_LOG, _EDGE_RAD = 0.08, np.deg2rad(0.7)
"""How well walls are upright and ceilings flat (log distance), and how well an edge is known: what lies further apart
disagrees."""
_INFERRED_SHARE = 0.6
"""Weight of an edge that follows from the other one, against one that was seen."""
_MIN_AGREEING, _MIN_SEEN_TWICE = 0.4, 0.1
"""Of the columns where both edges are seen, this share agrees; and so many of all columns."""
_ABOVE_LIMITS = (0.25, 5.0)
"""The ceiling is so many camera heights above the camera."""


@dataclass(frozen=True)
class Surfaces:
    """(H, W) probabilities of a level panorama; what is missing to 1 is none of them. 0 everywhere = not seen."""

    wall: Probability
    floor: Probability
    ceiling: Probability


@dataclass(frozen=True)
class SoftBoundary:
    """(2, W) latitude of the ceiling's and the floor's edge, rad, positive DOWN, and a weight 0..1; 0 = unknown."""

    edges_rad: npt.NDArray[np.float32]
    weight: npt.NDArray[np.float32]


@dataclass(frozen=True)
class Room:
    """A boundary and whether it is one of a room: what it says for or against."""

    boundary: SoftBoundary
    usable: bool
    reason: str


def _lower_edge(wall: Probability, ground: Probability) -> tuple[Array, Array]:
    """In a lower half (rows from the horizon down): the row that best parts wall from ground, and its confidence.

    The row is fractional (an edge between rows 3 and 4 is at 4.0). The confidence counts how purely the two surfaces
    touch there, and how much of them lies on its right side.
    """
    rows, columns = wall.shape
    zero = np.zeros((1, columns))
    wall_above = np.concatenate([zero, np.cumsum(wall, axis=0)])
    ground_above = np.concatenate([zero, np.cumsum(ground, axis=0)])
    explained = wall_above + ground_above[-1] - ground_above
    best = explained[1:-1].argmax(axis=0) + 1
    reach = max(2, round(_TOUCH_RAD / np.pi * 2 * rows))
    at = np.arange(columns)
    top, bottom = np.maximum(best - reach, 0), np.minimum(best + reach, rows)
    wall_side = (wall_above[best, at] - wall_above[top, at]) / (best - top)
    ground_side = (ground_above[bottom, at] - ground_above[best, at]) / (bottom - best)
    sorted_share = explained[best, at] / np.maximum(wall_above[-1] + ground_above[-1], 1e-6)
    touching = np.minimum(wall_side, ground_side)
    confidence = np.where(touching >= _TOUCHING, touching * sorted_share**2, 0.0)
    return _crossing(wall - ground, best), np.asarray(confidence, dtype=np.float64)


def _crossing(difference: Probability, best: npt.NDArray[np.intp]) -> Array:
    """The edge within its pixel: where wall minus ground, linear between the pixels' centres, is 0."""
    at = np.arange(difference.shape[1])
    above, below = difference[best - 1, at].astype(np.float64), difference[best, at].astype(np.float64)
    parted = (above > 0) & (below < 0)
    share = np.where(parted, above / np.where(parted, above - below, 1.0), 0.5)
    return np.asarray(best - 0.5 + share, dtype=np.float64)


def _without_strays(distance: Array, confidence: Array) -> Array:
    """The confidence, 0 where a column's distance is not that of its neighbours on either side."""
    n = len(distance)
    reach = max(1, round(_NEIGHBOURS * n))
    known = np.where(confidence > 0, np.log(distance), np.nan)
    padded = np.concatenate([known[-reach:], known, known[:reach]])
    windows = np.lib.stride_tricks.sliding_window_view(padded, reach + 1)
    middle = np.array([np.median(w[np.isfinite(w)]) if np.isfinite(w).any() else np.nan for w in windows])
    left, right = middle[:n], middle[reach : reach + n]
    with np.errstate(invalid="ignore"):
        near = np.minimum(np.abs(known - left), np.abs(known - right)) <= _STRAY_LOG
    return np.where(near, confidence, 0.0)


def seen_edges(surfaces: Surfaces) -> tuple[Array, Array]:
    """(2, W) latitudes (rad, positive down) and confidences 0..1 of the ceiling's and the floor's edge as seen."""
    height = surfaces.wall.shape[0]
    half = height // 2
    row_floor, sure_floor = _lower_edge(surfaces.wall[half:], surfaces.floor[half:])
    row_ceiling, sure_ceiling = _lower_edge(surfaces.wall[:half][::-1], surfaces.ceiling[:half][::-1])
    step = np.pi / height
    edges = np.stack([-row_ceiling * step, row_floor * step])
    sure = [_without_strays(1 / np.tan(np.abs(e)), c) for e, c in zip(edges, (sure_ceiling, sure_floor), strict=True)]
    return edges, np.stack(sure)


def _height(edges: Array, both: BoolArray) -> tuple[float, Array]:
    """The ceiling's height above the camera in camera heights, and (W,) how far each column is off it in tolerances."""
    offset = np.log(np.tan(np.abs(edges[0])) / np.tan(np.abs(edges[1])))
    above_log = float(np.median(offset[both]))
    known_log = _EDGE_RAD * 2 / np.sin(2 * np.abs(edges))  # an edge's error as one of its log distance
    tolerance = np.sqrt(_AGREEMENT_LOG**2 + (known_log**2).sum(axis=0))
    return float(np.exp(above_log)), np.abs(offset - above_log) / tolerance


def room_boundary(surfaces: Surfaces) -> Room:
    """Both edges of every column where either is seen, weighted by how well they make a room with upright walls."""
    edges, sure = seen_edges(surfaces)
    both = np.asarray((sure > 0).all(axis=0))
    columns = max(1, int((surfaces.wall + surfaces.floor + surfaces.ceiling > 0).any(axis=0).sum()))
    if both.sum() < _MIN_SEEN_TWICE * columns:
        return _refused(edges, f"floor and ceiling both meet a wall in only {both.sum() / columns:.0%} of the columns")
    above, off = _height(edges, both)
    agreeing = float((off[both] < 1).mean())
    if not _ABOVE_LIMITS[0] <= above <= _ABOVE_LIMITS[1]:
        return _refused(edges, f"the ceiling would be {above:.2f} camera heights above the camera")
    if agreeing < _MIN_AGREEING:
        return _refused(edges, f"floor and ceiling agree in only {agreeing:.0%} of the columns where both are seen")
    slope = np.tan(np.abs(edges))
    weight = sure * np.where(both, np.exp(-np.maximum(off - 0.5, 0)), agreeing)
    for mine, other, sign, factor in ((0, 1, -1, above), (1, 0, 1, 1 / above)):
        inferred = (sure[mine] == 0) & (sure[other] > 0)
        edges[mine, inferred] = sign * np.arctan(slope[other, inferred] * factor)
        weight[mine, inferred] = weight[other, inferred] * _INFERRED_SHARE
    known = float((weight > 0).all(axis=0).sum()) / columns
    reason = f"{known:.0%} known, {both.sum() / columns:.0%} seen twice, {agreeing:.0%} of these agree"
    return Room(_soft(edges, weight), True, f"{reason}, height {1 + above:.2f}")


def _soft(edges: Array, weight: Array) -> SoftBoundary:
    return SoftBoundary(edges.astype(np.float32), np.clip(weight, 0, 1).astype(np.float32))


def _refused(edges: Array, reason: str) -> Room:
    return Room(_soft(edges, np.zeros_like(edges)), False, reason)
