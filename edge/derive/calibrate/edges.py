"""Straight edges in a picture, and how sharp they are."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from edge.derive.calibrate.views import FlatView, Grey

Array = npt.NDArray[np.float64]

SHORTEST_SHARE = 0.03
"""Of the picture's diagonal: shorter edges say little of where they point."""
_NEAR_UNUSABLE_PX = 5
_REACH_PX = 12
_LEAST_CONTRAST = 12.0
_PLACES = np.array([0.25, 0.5, 0.75])


def line_segments(view: FlatView) -> Array:
    """(N, 2, 2) ends of straight edges, px; those at the border of what is unusable are left out."""
    found: Any = cv2.createLineSegmentDetector(cv2.LSD_REFINE_STD).detect(view.grey)[0]
    if found is None:  # which OpenCV's annotations leave out
        return np.zeros((0, 2, 2))
    ends = np.asarray(found, np.float64).reshape(-1, 2, 2) + 0.5
    shortest = SHORTEST_SHARE * np.hypot(*view.grey.shape)
    ends = ends[np.linalg.norm(ends[:, 1] - ends[:, 0], axis=1) >= shortest]
    if not view.usable.all():
        hidden = cv2.dilate((~view.usable).astype(np.uint8), np.ones((2 * _NEAR_UNUSABLE_PX + 1,) * 2, np.uint8))
        along = ends[:, None, 0] + np.linspace(0, 1, 9)[:, None] * (ends[:, 1] - ends[:, 0])[:, None]
        x, y = (np.clip(along[..., i].astype(int), 0, view.grey.shape[1 - i] - 1) for i in (0, 1))
        ends = ends[(np.asarray(hidden)[y, x] == 0).all(axis=1)]
    return np.asarray(ends, np.float64)


def edge_width_px(grey: Grey, ends: Array) -> float:
    """How many pixels the edges take from dark to bright: 1 to 3 where a picture is sharp; NaN without any edge.

    The quarter of the edges that is sharpest, as shadows have soft ones in any picture.
    """
    if not len(ends):
        return float("nan")
    along = ends[:, 1] - ends[:, 0]
    length = np.linalg.norm(along, axis=1, keepdims=True)
    normal = np.stack([-along[:, 1], along[:, 0]], axis=1) / length
    middle = (ends[:, None, 0] + _PLACES[:, None] * along[:, None]).reshape(-1, 2)
    across = np.repeat(normal, len(_PLACES), axis=0)[:, None] * np.arange(-_REACH_PX, _REACH_PX + 1)[:, None]
    at = (middle[:, None] + across - 0.5).astype(np.float32)
    profile = cv2.remap(grey.astype(np.float32), at[..., 0], at[..., 1], cv2.INTER_LINEAR)
    near = profile[:, _REACH_PX // 2 : -_REACH_PX // 2]
    steepest = np.abs(np.diff(near, axis=1)).max(axis=1)
    contrast = profile.max(axis=1) - profile.min(axis=1)
    clear = (contrast > _LEAST_CONTRAST) & (steepest > 0)
    if not clear.any():
        return float("nan")
    return float(np.quantile(contrast[clear] / steepest[clear], 0.25))
