"""Depth put into metres by the room's shell.

A network that answers in metres is scaled by one factor. One that answers in inverse depth of unknown scale and shift
(MiDaS, Depth Anything) is in metres once both are found: 1 / depth = a d + b. Furniture stands in front of the shell,
so what is taken is what most of the picture agrees on and what puts least behind the walls.

Whether a room may scale depth is decided by how much of the picture agrees with it, not by the layout's confidence: a
camera that sees only the floor's edges has half of what that counts, however right it is.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import NamedTuple, TypeGuard

import cv2
import numpy as np
import numpy.typing as npt

from edge.geometry.polygon import wall_distances
from edge.scene import BoolArray, DepthMap, RoomLayout

Array = npt.NDArray[np.float64]
FloatMap = npt.NDArray[np.float32]

RANGE_M = (0.1, 65.0)
"""Metric depth is clipped to this: what a picture of 16-bit millimetres can say."""
_FACTOR_LIMITS = (0.25, 4.0)
_LEAST_EDGE_COLUMNS = 8
"""Columns in which the camera sees where a wall meets floor or ceiling; with fewer the room is the network's guess."""
_SIDE_SAMPLES = 64
_LEAST_SAMPLES = 32
"""Depth is compared with the shell on a grid of so many samples a side at most, and not with fewer in all."""
_LEAST_SCALED_AGREEING = 0.3
"""Share of the picture that must lie on the shell, to `_AGREE`, once it is scaled."""
_LOG_STEP = 0.01
_LOG_REACH = 2.5
"""Ratios of shell and depth are counted in steps of 1 % up to e to this."""

_FIT_SAMPLES = 256
_FIT_ENDS = 32
_REFINEMENTS = 8
"""Lines through every two of `_FIT_ENDS` samples are tried on `_FIT_SAMPLES`, and the best refined on all."""
_AGREE = 0.1
"""Relative residual of inverse depth up to which a sample agrees with a line: about what networks and layouts err."""
_LEAST_AGREEING = 0.5
_BEHIND_COST = 3.0
"""A sample behind the wall costs so many times one in front of it: doors and windows are few, furniture is not."""
_FLAT = 1.15
"""A shell whose inverse depths (10th to 90th percentile) differ by less says nothing about the shift."""
_LEAST_EXPLAINED = 0.9
"""Share of the variance of the shell's log inverse depth that a fit explains; less could be chance."""


class Affine(NamedTuple):
    """1 / depth in 1/m = `a` x network's answer + `b`."""

    a: float
    b: float

    def depth_m(self, inverse: FloatMap) -> FloatMap:
        """Depth in metres within `RANGE_M`; what would lie at infinity or beyond is at its far end."""
        per_m = np.maximum(inverse * np.float32(self.a) + np.float32(self.b), np.float32(1 / RANGE_M[1]))
        return np.asarray(np.clip(1 / per_m, *RANGE_M), dtype=np.float32)

    def unit_m(self, inverse: FloatMap) -> float:
        """Metres of what the map's median inverse depth stands for: the unit of relative depth."""
        return float(self.depth_m(np.median(inverse, keepdims=True)).item())


def speaks_in_metres(layout: RoomLayout | None) -> TypeGuard[RoomLayout]:
    """Whether a layout is metric and has edges that the camera sees, so that it can say how far things are."""
    if layout is None or layout.scale != "metric":
        return False
    seen = np.isfinite(layout.floor_rad) | np.isfinite(layout.ceiling_rad)
    return int(seen.sum()) >= _LEAST_EDGE_COLUMNS


def shell_range(layout: RoomLayout, directions: Array) -> Array:
    """Distance from the camera to the room's floor, ceiling or wall along room-frame unit directions (..., 3)."""
    flat = directions.reshape(-1, 3)
    horizontal = np.maximum(np.hypot(flat[:, 0], flat[:, 1]), 1e-6)
    wall = wall_distances(layout.polygon_m, np.arctan2(flat[:, 0], flat[:, 1])) / horizontal
    up = np.where(flat[:, 2] > 0, layout.ceiling_height_m - layout.camera_height_m, -layout.camera_height_m)
    with np.errstate(divide="ignore"):
        level = np.where(np.abs(flat[:, 2]) > 1e-6, up / flat[:, 2], np.inf)
    return np.asarray(np.minimum(wall, level).reshape(directions.shape[:-1]))


def align_to_layout(depth: DepthMap, layout: RoomLayout, directions: Array, per_depth: Array | float) -> DepthMap:
    """Scale a depth map so that it lies on the room's shell.

    Args:
        depth: the map.
        layout: the room; ignored unless it `speaks_in_metres`.
        directions: (H, W, 3) room-frame unit direction of each pixel.
        per_depth: range per unit of depth, (H, W) for z, 1 for range.

    Returns:
        The scaled map, or the same one if the layout cannot say, too little agrees with it, or the factor is absurd.
    """
    if not speaks_in_metres(layout):
        return depth
    step = max(1, depth.depth.shape[1] // _SIDE_SAMPLES)
    some = np.s_[::step, ::step]
    per = per_depth[some] if isinstance(per_depth, np.ndarray) else per_depth
    measured = depth.depth[some] * per
    shell = shell_range(layout, directions[some])
    usable = np.isfinite(shell) & (measured > 0)
    if usable.sum() < _LEAST_SAMPLES:
        return depth
    ratio = np.log(shell[usable] / measured[usable])
    # All round, most of what is seen is the shell itself; furniture fills a view, and the median is pushed behind it.
    best = float(np.median(ratio)) if layout.extent == "room" else _nearest_mode(ratio)
    factor = float(np.exp(best))
    agreeing = np.abs(ratio - best) < _AGREE
    if not _FACTOR_LIMITS[0] <= factor <= _FACTOR_LIMITS[1] or agreeing.mean() < _LEAST_SCALED_AGREEING:
        return depth
    scaled = np.clip(depth.depth * np.float32(factor), *RANGE_M).astype(np.float32)
    known = np.where(depth.depth > 0, scaled, np.float32(0))
    return replace(depth, depth=known, scale="metric", aligned_to_layout=factor)


def _nearest_mode(ratio: Array) -> float:
    """The log factor that most samples agree on, where one that would come to lie behind its wall costs more.

    `ratio`: log of shell over depth. The cost is that of `_best_candidate`, counted over a histogram.
    """
    bins = round(2 * _LOG_REACH / _LOG_STEP) + 1
    index = np.rint((ratio + _LOG_REACH) / _LOG_STEP).clip(0, bins - 1).astype(np.intp)
    off = np.arange(1 - bins, bins) * _LOG_STEP
    cost = np.minimum((off / _AGREE) ** 2, np.where(off < 0, _BEHIND_COST, 1.0))
    total = np.correlate(cost, np.bincount(index, minlength=bins), "valid")[::-1]
    return float(np.argmin(total) * _LOG_STEP - _LOG_REACH)


@dataclass(frozen=True, slots=True)
class Look:
    """Where the cells of a small grid laid over a network's answer look."""

    directions: Array
    """(h, w, 3) unit vectors of the room frame."""
    per_depth: Array
    """(h, w) range per unit of the depth that the network's inverse depth is of: 1 for range."""
    seen: BoolArray
    """(h, w) whether the camera sees it."""

    @staticmethod
    def size(width_px: int, height_px: int) -> tuple[int, int]:
        """Width and height of the grid for an answer of this size."""
        shrink = min(1.0, _SIDE_SAMPLES / max(width_px, height_px))
        return max(1, round(width_px * shrink)), max(1, round(height_px * shrink))


def inverse_alignment(inverse: FloatMap, layout: RoomLayout, look: Look, *, may_be_flat: bool) -> Affine | None:
    """What puts a map of relative inverse depth (H, W) into metres, or None if the layout cannot say.

    Args:
        inverse: the network's answer.
        layout: the room; it `speaks_in_metres`.
        look: where the answer's cells look.
        may_be_flat: take the scale alone where a shift cannot be found: most of the shell is at one depth, as in a view
            of the ceiling.
    """
    height, width = look.seen.shape
    # Over a plane inverse z is linear in the pixel, so a cell's mean is the value in its middle.
    cells = cv2.resize(inverse, (width, height), interpolation=cv2.INTER_AREA)
    with np.errstate(divide="ignore"):
        shell = look.per_depth / shell_range(layout, look.directions)
    usable = look.seen & np.isfinite(shell) & (shell > 0) & np.isfinite(cells)
    if usable.sum() < _LEAST_SAMPLES:
        return None
    order = np.argsort(shell[usable], kind="stable")
    return _line(cells[usable].astype(np.float64)[order], shell[usable][order], may_be_flat)


def _line(d: Array, shell: Array, may_be_flat: bool) -> Affine | None:
    """The robust line shell = a d + b from samples in order of `shell`, if it can be trusted."""
    low, high = np.quantile(shell, (0.1, 0.9))
    if high >= _FLAT * low:
        found = _best_candidate(d, shell)
        if found is not None:
            found = _refined(found, d, shell)
            agreeing = _agreeing(found, d, shell)
            unexplained = np.var(np.log((found.a * d + found.b)[agreeing] / shell[agreeing]))
            explained = unexplained <= (1 - _LEAST_EXPLAINED) * np.var(np.log(shell[agreeing]))
            if found.a > 0 and explained and agreeing.mean() >= _LEAST_AGREEING:
                return found
    middle = float(np.median(d))
    if not may_be_flat or middle <= 0:
        return None
    found = Affine(float(np.median(shell)) / middle, 0.0)
    return found if _agreeing(found, d, shell).mean() >= _LEAST_AGREEING else None


def _agreeing(line: Affine, d: Array, shell: Array) -> BoolArray:
    return np.asarray(np.abs((line.a * d + line.b) / shell - 1) < _AGREE)


def _best_candidate(d: Array, shell: Array) -> Affine | None:
    """Of the lines through two samples, the one that costs least; the pairs are the same for the same samples."""
    some = np.linspace(0, len(d) - 1, min(len(d), _FIT_SAMPLES)).astype(int)
    ends = np.linspace(0, len(d) - 1, min(len(d), _FIT_ENDS)).astype(int)
    i, j = (ends[k] for k in np.triu_indices(len(ends), 1))
    with np.errstate(divide="ignore", invalid="ignore"):
        a = (shell[j] - shell[i]) / (d[j] - d[i])
    rising = np.isfinite(a) & (a > 0)
    if not rising.any():
        return None
    a, b = a[rising], (shell[i] - a * d[i])[rising]
    off = (a[:, None] * d[some] + b[:, None]) / shell[some] - 1
    cost = np.minimum((off / _AGREE) ** 2, np.where(off < 0, _BEHIND_COST, 1.0)).sum(axis=1)
    best = int(np.argmin(cost))
    return Affine(float(a[best]), float(b[best]))


def _refined(line: Affine, d: Array, shell: Array) -> Affine:
    """Least squares on relative residuals with Tukey's weights, whose width follows the residuals' own."""
    design = np.stack([d, np.ones_like(d)], axis=1) / shell[:, None]
    for _ in range(_REFINEMENTS):
        off = design @ np.array(line) - 1
        close = np.abs(off[np.abs(off) < _AGREE])
        if not close.size:
            break
        width = float(np.clip(4.685 * 1.4826 * np.median(close), 1e-3, _AGREE))
        weight = np.clip(1 - (off / width) ** 2, 0, None)  # the square root of Tukey's
        solution = np.linalg.lstsq(design * weight[:, None], weight, rcond=None)[0]
        line = Affine(float(solution[0]), float(solution[1]))
    return line
