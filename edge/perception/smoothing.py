"""Steady output from a jittery network: exponential smoothing, reset when the scene is cut."""

from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt

from edge.scene import ImageArray

_THUMBNAIL_WH = (32, 18)


class ExponentialSmoother:
    """First-order low pass on arrays sampled at uneven times.

    The weight of a new sample is 1 - exp(-dt / time_constant), so the result does not depend on the frame rate.
    """

    def __init__(self, time_constant_s: float) -> None:
        """A time constant of 0 s passes samples through."""
        self._time_constant_s = time_constant_s
        self._state: npt.NDArray[np.float64] | None = None
        self._at_s = 0.0

    def update(self, value: npt.ArrayLike, at_s: float) -> npt.NDArray[np.float64]:
        """The smoothed value at monotonic time `at_s`; starts afresh when the shape changes."""
        new = np.asarray(value, dtype=np.float64)
        if self._state is None or self._state.shape != new.shape or self._time_constant_s <= 0:
            self._state = new
        else:
            weight = -np.expm1(-max(0.0, at_s - self._at_s) / self._time_constant_s)
            self._state = self._state + weight * (new - self._state)
        self._at_s = at_s
        return self._state

    def reset(self) -> None:
        """Forget: the next sample passes unchanged."""
        self._state = None


class SceneCut:
    """Says when a picture has nothing to do with the one before (camera moved, lights switched, another clip)."""

    def __init__(self, threshold: float) -> None:
        """`threshold`: mean absolute difference of small grey pictures, 0..1, at which the scene counts as cut."""
        self._threshold = threshold
        self._previous: npt.NDArray[np.float32] | None = None

    def update(self, image: ImageArray) -> bool:
        """Whether this picture starts a new scene; the first one does not."""
        step = max(1, min(image.shape[1] // (4 * _THUMBNAIL_WH[0]), image.shape[0] // (4 * _THUMBNAIL_WH[1])))
        some = np.ascontiguousarray(image[::step, ::step])  # 16 samples a thumbnail pixel are enough
        small = cv2.resize(some, _THUMBNAIL_WH, interpolation=cv2.INTER_AREA)
        grey = np.asarray(small, dtype=np.float32).mean(axis=2) / 255.0
        previous, self._previous = self._previous, grey
        return previous is not None and float(np.abs(grey - previous).mean()) > self._threshold
