"""A camera's picture without the people who walk through it: the median of an hour, pixel by pixel.

A room stands still and people do not: what is in a place for less than half of the time is not in the median. Who sits
still for longer is, and what is switched on for half of the hour may be half there.
"""

from __future__ import annotations

from collections import deque

import cv2
import numpy as np

from edge.scene import ImageArray

SAMPLES = 20
EVERY_S = 180.0
"""So that they span an hour."""
_QUALITY = 92
_BAND_PX = 64


class StillPicture:
    """The last hour of one camera, in memory alone: twenty pictures as JPEG, about 2 MB at 1024 x 512."""

    def __init__(self) -> None:
        self._taken: deque[bytes] = deque(maxlen=SAMPLES)
        self._last_s = -np.inf
        self._shape: tuple[int, ...] = ()

    @property
    def missing(self) -> int:
        """How many pictures are to come before there is a median."""
        return SAMPLES - len(self._taken)

    def due(self, at_s: float) -> bool:
        """Whether the next picture is to be offered; `at_s`: by any clock that is not set."""
        return not 0 <= at_s - self._last_s < EVERY_S

    def offer(self, at_s: float, image: ImageArray) -> None:
        """Take in a picture (H, W, 3), if one is due; one of another size begins anew."""
        if not self.due(at_s):
            return
        if image.shape != self._shape:
            self._taken.clear()
            self._shape = image.shape
        ok, data = cv2.imencode(".jpg", image, (cv2.IMWRITE_JPEG_QUALITY, _QUALITY))
        if ok:
            self._last_s = at_s
            self._taken.append(bytes(data))

    def forget(self) -> None:
        """Begin anew: the camera shows something else."""
        self._taken.clear()
        self._last_s = -np.inf

    def median(self) -> ImageArray | None:
        """(H, W, 3); None before there are enough pictures."""
        if self.missing:
            return None
        pictures = np.stack([_read(data) for data in self._taken])
        out = np.empty(self._shape, np.uint8)
        for top in range(0, len(out), _BAND_PX):  # in bands, so that the copies that sorting makes stay small
            band = np.sort(pictures[:, top : top + _BAND_PX], axis=0)
            out[top : top + _BAND_PX] = band[SAMPLES // 2]
        return out


def _read(data: bytes) -> ImageArray:
    return np.asarray(cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR), dtype=np.uint8)
