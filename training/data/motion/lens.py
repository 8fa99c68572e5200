"""The focal length of an unknown lens, from what the camera saw while it moved and turned.

A motion explains the points that two pictures share only through the right lens: through another one, no turn and way
brings all of them onto their epipolar lines. Square pixels, no distortion, the axis in the middle of the picture.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from scipy.optimize import minimize_scalar

from edge.errors import DataError
from edge.geometry.two_views import FEWEST_MATCHES, Common, Points, disagreement, in_both
from training.arrays import Array, Lens

_HFOV_DEG = (35.0, 115.0)
_TRIED = 9
"""Focal lengths between those limits, before the search goes on about the best of them."""
_PAIRS, _APART = 16, (2, 4, 7)
_MOVED = 0.02
"""Least median shift of a pair's points, in widths: nearer frames tell little of a lens."""
_PLAIN = 0.02
"""By so much a lens a quarter longer, and one a quarter shorter, must explain the points worse."""


def lens_found(name: str, points: Sequence[Points], size_px: tuple[int, int]) -> Lens:
    """fx, fy, cx, cy in px, from frames in order.

    Raises:
        DataError: the film does not tell: the camera hardly turned, or too few points are found again.
    """
    width_px, height_px = size_px
    pairs = _telling(points, width_px)

    def lens(log_focal: float) -> Lens:
        f = float(np.exp(log_focal))
        return f, f, width_px / 2, height_px / 2

    def cost(log_focal: float) -> float:
        said = [disagreement(common, lens(log_focal)) for common in pairs]
        return float(np.mean([10.0 if one is None else one for one in said]))

    shortest, longest = (np.log(width_px / 2 / np.tan(np.radians(hfov) / 2)) for hfov in _HFOV_DEG[::-1])
    tried = np.linspace(shortest, longest, _TRIED)
    costs: Array = np.array([cost(x) for x in tried]) if len(pairs) >= 4 else np.zeros(_TRIED)
    best = int(costs.argmin())
    if 0 < best < _TRIED - 1:
        found = minimize_scalar(
            cost, bounds=(tried[best - 1], tried[best + 1]), method="bounded", options={"xatol": 0.004}
        )
        around = [cost(found.x + np.log(factor)) for factor in (0.8, 1.25)]
        if min(around) > found.fun + _PLAIN:
            return lens(float(found.x))
    raise DataError(
        f"{name}: the lens cannot be found from this film (it must turn and move, before things near and far); say it: "
        'the option hfov_deg, or {"hfov_deg": 70} in the file beside it'
    )


def _telling(points: Sequence[Points], width_px: int) -> list[Common]:
    """What pairs of frames have in common, evenly from the film, of those that shifted."""
    out: list[Common] = []
    starts = np.unique(np.linspace(0, max(0, len(points) - 1), 2 * _PAIRS).astype(int))
    for number, i in enumerate(starts):
        j = int(i) + _APART[number % len(_APART)]
        if j >= len(points) or len(out) >= _PAIRS:
            continue
        common = in_both(points[int(i)], points[j])
        if len(common.first) < FEWEST_MATCHES:
            continue
        if np.median(np.linalg.norm(common.second - common.first, axis=1)) > _MOVED * width_px:
            out.append(common)
    return out
