"""Outlines on a picture as the pixels that they touch. Corners are fractions of the picture's width and height."""

from __future__ import annotations

from collections.abc import Iterable

import cv2
import numpy as np

from edge.scene import BoolArray, Outline

_SHIFT = 8
"""Bits of a pixel's fraction that OpenCV's drawing takes."""


def covered(outlines: Iterable[Outline], width_px: int, height_px: int) -> BoolArray:
    """(H, W) True at every pixel that an outline or its inside touches, and at most two pixels beyond."""
    inside = np.zeros((height_px, width_px), np.uint8)
    for outline in outlines:
        corners = np.asarray(outline, np.float64) * (width_px, height_px) - 0.5  # OpenCV's pixels have centres at 0
        cv2.fillPoly(inside, [np.rint(corners * 2**_SHIFT).astype(np.int32)], (1,), cv2.LINE_8, _SHIFT)
    return np.asarray(cv2.dilate(inside, np.ones((3, 3), np.uint8)), dtype=np.bool_)
