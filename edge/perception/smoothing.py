"""Steady output from a jittery network: smoothing of values and of depth's scale, reset when the scene is cut."""

from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt

from edge.scene import ImageArray

_THUMBNAIL_WH = (32, 18)
_SCALE_SAMPLES = 64
"""Across a depth map: the median of some thousand pixels is that of all."""


_WANDERS_BY = 0.3
"""ln of the scale. On a fixed camera's clip 95 of 100 steps of the shipped depth model are under .1."""
_PASSES_BY = 0.05
"""ln of a pixel's depth: by so much at most the average follows who passes, or what was moved, at a time."""


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


class ScaleSmoother:
    """Steadies the scale of whole depth maps of a fixed camera and leaves their shape as it is.

    Networks that see one picture at a time answer for a still room with a scale that wanders from picture to picture.
    Each map is given the scale of the slow average of the maps until now: the median over pixels, so that people who
    pass do not move it. Where the two are further apart than a network wanders, the camera has turned to something
    else: it starts afresh.
    """

    def __init__(self, time_constant_s: float) -> None:
        """A time constant of 0 s passes maps through."""
        self._average, self._smooths = ExponentialSmoother(time_constant_s), time_constant_s > 0
        self._slow: npt.NDArray[np.float64] | None = None

    def update(self, log_depth: npt.NDArray[np.float32], at_s: float) -> npt.NDArray[np.float32]:
        """(H, W) ln of depth at monotonic time `at_s`, shifted as a whole; starts afresh when the size changes."""
        if not self._smooths:
            return log_depth
        step = max(1, log_depth.shape[1] // _SCALE_SAMPLES)
        some = log_depth[::step, ::step]
        if self._slow is None or self._slow.shape != some.shape:
            return self._begin(log_depth, some, at_s)
        changed = some - self._slow
        off = np.median(changed)
        if abs(off) > _WANDERS_BY:
            return self._begin(log_depth, some, at_s)
        known = self._slow + np.clip(changed, off - _PASSES_BY, off + _PASSES_BY)
        self._slow = self._average.update(known, at_s)
        return np.asarray(log_depth - np.float32(np.median(some - self._slow)))

    def _begin(
        self, log_depth: npt.NDArray[np.float32], some: npt.NDArray[np.float32], at_s: float
    ) -> npt.NDArray[np.float32]:
        self._average.reset()
        self._slow = self._average.update(some, at_s)
        return log_depth

    def reset(self) -> None:
        """Forget: the next map keeps its scale."""
        self._slow = None


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
