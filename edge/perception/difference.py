"""How far two answers about one picture are apart, as one number a noun; 0 = the same."""

from __future__ import annotations

import numpy as np

from edge.geometry.polygon import iou
from edge.perception.readers import Value
from edge.scene import DepthMap, Lighting, RoomLayout

_UNLIKE = 1.0
_SIDE = 64


def difference(a: Value, b: Value) -> float:
    """How unlike they are; 1 for values that cannot be compared.

    Depth: median of |ln(a/b)|, after the scales were made alike where one is relative; layout: 1 - IoU of the floor
    polygons; lighting: RMS difference of the coefficients over their RMS.
    """
    if isinstance(a, DepthMap) and isinstance(b, DepthMap):
        return _depth(a, b)
    if isinstance(a, RoomLayout) and isinstance(b, RoomLayout):
        return 1.0 - iou(a.polygon_m, b.polygon_m) if a.scale == b.scale else _UNLIKE
    if isinstance(a, Lighting) and isinstance(b, Lighting):
        size = float(np.sqrt(np.mean(np.square(a.coefficients))))
        return float(np.sqrt(np.mean(np.square(a.coefficients - b.coefficients)))) / max(size, 1e-6)
    return _UNLIKE


def _depth(a: DepthMap, b: DepthMap) -> float:
    """On a coarse grid of both pictures' shares, where both know something."""
    one, other = (
        d.depth[np.ix_(*(np.linspace(0, n - 1, min(n, _SIDE)).astype(int) for n in d.depth.shape))] for d in (a, b)
    )
    if one.shape != other.shape:
        return _UNLIKE
    known = (one > 0) & (other > 0)
    if not known.any():
        return 0.0 if bool((one > 0).any()) == bool((other > 0).any()) else _UNLIKE
    ratio = np.log(one[known] / other[known])
    if "relative" in (a.scale, b.scale):
        ratio = ratio - np.median(ratio)
    return float(np.median(np.abs(ratio)))
