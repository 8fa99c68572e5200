"""When a source's pictures last changed: a working sensor's noise changes them, a frozen driver repeats them.

One level in one pixel is a change. So a still room at night does not look frozen, whose noise is a level or less, and
which encoders smooth: they repeat a picture at most until their next key frame. Where a picture is so dark that the
noise itself is cut off, nothing can be told, and it counts as changed.
"""

from __future__ import annotations

import zlib

import numpy as np

from edge.cameras.picture import content_hash
from edge.scene import ImageArray

_DARK_LEVEL = 6.0
"""Mean of 255 levels, below which a sensor's black level may cut off its noise."""
_SAMPLE = 8


class Content:
    """Follows the pictures of one source: one that differs is told by a sample of it, one that does not by all."""

    def __init__(self) -> None:
        self._sample = -1
        self._whole: int | None = None
        """Of the last picture, where it was needed."""
        self._changed_s = 0.0

    def changed_s(self, image: ImageArray, captured_s: float) -> float:
        """When what this picture shows came: now, or with an earlier one.

        Args:
            image: (H, W, 3) uint8, contiguous.
            captured_s: when it was captured, on any clock.
        """
        sample, whole = content_hash(image), None
        same = sample == self._sample
        if same:
            whole = zlib.crc32(np.ascontiguousarray(image).data)
            same = self._whole in (None, whole) and float(image[::_SAMPLE, ::_SAMPLE].mean()) >= _DARK_LEVEL
        if not same:
            self._changed_s = captured_s
        self._sample, self._whole = sample, whole
        return self._changed_s
