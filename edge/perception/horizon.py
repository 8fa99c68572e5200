"""Networks that say how far each column's wall is (Jiang et al., "LGT-Net", CVPR 2022): its boundary and corners."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from edge.geometry import polygon as floor
from edge.geometry.panorama import direction_from_angles, longitudes

Array = npt.NDArray[np.float64]
_TURN_SHARE = 0.02
"""An outline turns where a straight line would leave it by this share of the room's size (root of its area)."""


def edges_from_horizon_depth(distance: npt.ArrayLike, ratio: float) -> Array:
    """(2, W) latitudes, positive up, of the ceiling's and the floor's edge.

    `distance` (W,) and `ratio` are horizontal distances and the ceiling's height above the camera, in camera heights.
    """
    d = np.maximum(np.asarray(distance, dtype=np.float64), 1e-3)
    return np.stack([np.arctan2(max(float(ratio), 1e-3), d), -np.arctan2(1.0, d)])


def turns(distance: npt.ArrayLike) -> Array:
    """(W,) 1 at the columns where the outline that these distances draw turns, 0 elsewhere."""
    d = np.asarray(distance, dtype=np.float64)
    start = int(np.argmax(d))  # the farthest point of a room is one of its corners
    order = (np.arange(len(d)) + start) % len(d)
    points = d[order, None] * direction_from_angles(longitudes(len(d))[order], 0.0)[:, :2]
    kept = floor.simplified(points, _TURN_SHARE * float(np.sqrt(floor.area_m2(points))))
    out = np.zeros(len(d))
    out[order[(points[:, None] == kept).all(axis=-1).any(axis=1)]] = 1.0
    return out
