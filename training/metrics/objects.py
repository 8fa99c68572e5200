"""How well a thing's shape and looks are found."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from scipy.spatial import cKDTree

Floats = npt.NDArray[np.float32]
TRUE_LEVEL = 0.3
"""Share of a cell that is filled from which it counts as the thing's: sheets half a cell thick do."""
LEVELS = tuple(float(x) for x in np.round(np.arange(0.15, 0.66, 0.05), 2))
"""Probabilities tried as the one from which a cell counts as filled."""
DISTANCES = (0.01, 0.02, 0.05)
"""Of F-scores, in sides of the cube."""


def iou(found: npt.ArrayLike, truth: npt.ArrayLike) -> float:
    """Of two boolean arrays; 1 where both are empty."""
    a, b = np.asarray(found, bool), np.asarray(truth, bool)
    union = float((a | b).sum())
    return 1.0 if union == 0 else float((a & b).sum()) / union


def soft_iou(occupancy: Floats, truth: Floats, level: float) -> float:
    """Of a probability grid cut at `level` and a grid of filled shares."""
    return iou(occupancy > level, truth >= TRUE_LEVEL)


def ious_at_levels(occupancy: Floats, truth: Floats) -> Floats:
    """(levels,) the overlaps of one thing at each of `LEVELS`."""
    return np.array([soft_iou(occupancy, truth, level) for level in LEVELS], np.float32)


def surface_of(occupancy: Floats, level: float, count: int, seed: int = 0) -> Floats:
    """Random points (count, 3) on the faces between filled and empty cells; none where nothing is filled.

    Places follow where the level is crossed between two cells' middles.
    """
    side = occupancy.shape[0]
    grid = np.pad(occupancy, 1)
    full = grid > level
    rng = np.random.default_rng(seed)
    found = []
    for axis in range(3):
        a, b = np.moveaxis(grid, axis, 0)[:-1], np.moveaxis(grid, axis, 0)[1:]
        fa, fb = np.moveaxis(full, axis, 0)[:-1], np.moveaxis(full, axis, 0)[1:]
        where = np.argwhere(fa != fb)
        va, vb = a[tuple(where.T)], b[tuple(where.T)]
        points = where.astype(np.float32)
        points[:, 0] += (level - va) / np.where(vb == va, 1, vb - va)
        order = {0: (0, 1, 2), 1: (1, 0, 2), 2: (1, 2, 0)}[axis]
        points = points[:, order]
        points += np.where(np.arange(3) == axis, 0, rng.uniform(-0.5, 0.5, points.shape))
        found.append(points)
    crossings = np.concatenate(found)
    if not len(crossings):
        return np.empty((0, 3), np.float32)
    picked = crossings[rng.integers(len(crossings), size=count)]
    return np.asarray((picked - 0.5) / side - 0.5, dtype=np.float32)


def distances(found: Floats, truth: Floats) -> tuple[float, dict[float, float]]:
    """Chamfer distance (mean of both directions' means, sides of the cube) and F-scores by distance.

    Nothing found: the cube's half diagonal, and 0.
    """
    if not len(found):
        return float(np.sqrt(3) / 2), dict.fromkeys(DISTANCES, 0.0)
    there = cKDTree(truth).query(found)[0]
    back = cKDTree(found).query(truth)[0]
    scores = {}
    for d in DISTANCES:
        precision, recall = float((there < d).mean()), float((back < d).mean())
        scores[d] = 2 * precision * recall / max(precision + recall, 1e-9)
    return (float(there.mean()) + float(back.mean())) / 2, scores


def psnr(found: Floats, truth: Floats, where: npt.NDArray[np.bool_]) -> float:
    """Of pictures 0..1 (H, W, 3) within a mask, dB; at most 60."""
    if not where.any():
        return 60.0
    error = float(((found - truth)[where] ** 2).mean())
    return float(min(60.0, -10 * np.log10(max(error, 1e-6))))


def overlaps_with(filled: Floats, truth: Floats) -> Floats:
    """(N,) IoU of filled cells (N, cells), 0 or 1, with one thing's filled shares (G, G, G)."""
    one = (truth.ravel() >= TRUE_LEVEL).astype(np.float32)
    both = filled @ one
    return np.asarray(both / np.maximum(filled.sum(axis=1) + one.sum() - both, 1), dtype=np.float32)
