"""Which wall is which: known by the directions it lies in, a wall keeps its meaning when the fit renumbers it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from edge.derive.heat_loss.settings import WallStretch

Array = npt.NDArray[np.float64]

ENOUGH = 0.6
"""A wall belongs to a stretch in which so much of its length lies."""
_STEPS = 240
_SHORTEST_M = 1e-4


@dataclass(frozen=True, slots=True)
class KnownWall:
    """An edge of the floor polygon and the stretch that it belongs to."""

    edge: int
    stretch: int | None
    """Index of the stretch; None: none has enough of it."""
    share: float
    """How much of the wall's length lies in the stretch that has most of it."""
    from_deg: float
    to_deg: float
    """Azimuths of its ends as seen from the camera, clockwise."""


def known_walls(polygon_m: Array, stretches: Sequence[WallStretch]) -> list[KnownWall]:
    """Every wall of a counter-clockwise polygon, with the stretch it belongs to; edges without length are left out."""
    found = []
    for edge, (start, end) in enumerate(zip(polygon_m, np.roll(polygon_m, -1, axis=0), strict=True)):
        if float(np.hypot(*(end - start))) < _SHORTEST_M:
            continue
        along = (np.arange(_STEPS) + 0.5) / _STEPS
        azimuths_deg = _azimuth_deg(start + along[:, None] * (end - start))
        shares = [float(_within(azimuths_deg, s.from_deg, s.to_deg).mean()) for s in stretches]
        best = int(np.argmax(shares)) if shares else 0
        share = shares[best] if shares else 0.0
        # Counter-clockwise from above is anticlockwise: its end is the first when turning to the right.
        ends = _azimuth_deg(np.array([end, start]))
        found.append(
            KnownWall(
                edge, best if share >= ENOUGH else None, share, round(float(ends[0]), 1), round(float(ends[1]), 1)
            )
        )
    return found


def _azimuth_deg(points: Array) -> Array:
    return np.asarray(np.degrees(np.arctan2(points[:, 0], points[:, 1])))


def _within(azimuth_deg: Array, from_deg: float, to_deg: float) -> npt.NDArray[np.bool_]:
    width = (to_deg - from_deg) % 360.0
    return np.asarray((azimuth_deg - from_deg) % 360.0 <= (width or 360.0))


def pushed_out(polygon_m: Array, by_m: Array) -> Array:
    """A counter-clockwise polygon (N, 2) with each wall moved outwards by its own distance (N,)."""
    after = np.roll(polygon_m, -1, axis=0)
    along = after - polygon_m
    length = np.maximum(np.hypot(along[:, 0], along[:, 1]), 1e-12)
    normal = np.stack([along[:, 1], -along[:, 0]], axis=1) / length[:, None]
    offset = np.einsum("ij,ij->i", normal, polygon_m) + by_m
    corners = np.empty_like(polygon_m)
    for i in range(len(polygon_m)):
        n = np.stack([normal[i - 1], normal[i]])
        if abs(float(np.linalg.det(n))) < 1e-6:  # the wall goes straight on
            corners[i] = polygon_m[i] + normal[i] * max(by_m[i - 1], by_m[i])
        else:
            corners[i] = np.linalg.solve(n, np.array([offset[i - 1], offset[i]]))
    return corners
