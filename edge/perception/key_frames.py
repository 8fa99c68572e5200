"""Which pictures of a moving camera are worth keeping to learn depth from, judged while it moves.

A picture is kept with the one before it where the camera went far enough between the two for depth to be seen, and not
further than points can be found again: the same parallax, measured the same way, as training chooses pairs by. Nothing
of a camera that stands still, or only turns, is ever kept.
"""

from __future__ import annotations

from collections import Counter, deque
from dataclasses import dataclass
from typing import Literal

import cv2
import numpy as np
import numpy.typing as npt

from edge.geometry.two_views import FEWEST_MATCHES, STILL, Motion, Points, motion_between, points_of
from edge.scene import ImageArray, Intrinsics

Verdict = Literal["moved", "near", "still", "turned", "far", "plain", "blurred", "dark", "bright"]
"""moved: kept; near: not far enough yet; far: too far for the last one to be found again; plain: nothing to find."""

LEAST_PARALLAX, LARGEST_PARALLAX = 0.015, 0.06
"""Of what is kept, in widths of the picture: 4 to 15 px of 256."""
_LARGEST_TURN_RAD = np.radians(15.0)
_LINK_TURN_RAD = np.radians(6.0)
"""A camera that turned so far goes on from here, before too little is in common."""
_BLURRED = 0.5
"""Less sharp than this share of the median of the last pictures: smeared by the movement."""
_SHARPNESS_OF = 30
_DARK, _BRIGHT, _CLIPPED = 5, 250, 0.4
"""A channel at or beyond these says nothing; a picture in which so large a share does is left out."""
_DARK_MEAN = 20.0
_PATIENCE = 20
"""Pictures without one that moved before a camera is said not to move."""


@dataclass(frozen=True, slots=True)
class Kept:
    """A picture worth keeping, and how the camera came to it from the one kept before."""

    image: ImageArray
    at_s: float
    """When it was taken, as the caller counts."""
    motion: Motion | None
    """None: of the first, or of one after a gap."""


class KeyFrames:
    """Takes a camera's pictures in order; not thread-safe.

    Args:
        lens: of the pictures, without distortion.
    """

    def __init__(self, lens: Intrinsics) -> None:
        self._lens, self._width_px = (lens.fx_px, lens.fy_px, lens.cx_px, lens.cy_px), lens.width_px
        self._last: Kept | None = None
        self._last_points: Points | None = None
        self._written = False
        self._sharpness: deque[float] = deque(maxlen=_SHARPNESS_OF)
        self._lost = 0
        self.pairs = 0
        """How many were kept that can be compared with the one before."""
        self._flows: list[float] = []
        self.said: Counter[Verdict] = Counter()
        """How often what was said since the last one that was kept."""

    def offer(self, image: ImageArray, at_s: float) -> tuple[Verdict, list[Kept]]:
        """Judge the next picture.

        Args:
            image: (H, W, 3) RGB, of the size of the lens.
            at_s: when it was taken.

        Returns:
            What is to say of it, and what is to keep: nothing, the picture, or the one before and the picture.
        """
        verdict, kept = self._judged(image, at_s)
        if verdict == "moved":
            self.pairs += 1
            self.said.clear()
            self._flows.clear()
        else:
            self.said[verdict] += 1
        return verdict, kept

    def refusal(self) -> str | None:
        """Why nothing can be kept of this camera, once enough was seen to tell; with what to do."""
        count = sum(self.said.values())
        if count < _PATIENCE:
            return None
        flow_px = 256 * float(np.median(self._flows)) if self._flows else 0.0
        commonest: Verdict | None = next((v for v, times in self.said.items() if times > count / 2), None)
        if commonest in (None, "near") and self.said["turned"]:
            commonest = "turned"
        return _REFUSALS[commonest or "near"].format(flow_px=flow_px)

    def _judged(self, image: ImageArray, at_s: float) -> tuple[Verdict, list[Kept]]:
        ill = _exposure(image) or self._focus(image)
        if ill is not None:
            return ill, []
        points = points_of(image)
        if len(points.pixels) < FEWEST_MATCHES:
            return "plain", []
        if self._last is None or self._last_points is None:
            self._start(image, at_s, points)
            return "near", []
        motion = motion_between(self._last_points, points, self._lens, self._width_px)
        verdict = _verdict(motion)
        if motion is not None:
            self._flows.append(motion.flow)
        if verdict == "moved":
            before = [] if self._written else [self._last]
            now = Kept(image, at_s, motion)
            self._last, self._last_points, self._written, self._lost = now, points, True, 0
            return verdict, [*before, now]
        self._lost = self._lost + 1 if verdict == "far" else 0
        if verdict == "turned" or self._lost > 1:
            self._start(image, at_s, points)
        return verdict, []

    def _start(self, image: ImageArray, at_s: float, points: Points) -> None:
        self._last, self._last_points, self._written, self._lost = Kept(image, at_s, None), points, False, 0

    def _focus(self, image: ImageArray) -> Verdict | None:
        grey = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)
        self._sharpness.append(float(cv2.Laplacian(grey, cv2.CV_64F).var()))
        return "blurred" if self._sharpness[-1] < _BLURRED * float(np.median(self._sharpness)) else None


_REFUSALS: dict[Verdict, str] = {
    "dark": "it is too dark: turn the lights on",
    "bright": "the pictures are overexposed: turn away from the windows, or record when the sun is lower",
    "blurred": "the pictures are smeared: move more slowly, with more light",
    "plain": "too few points are seen that could be found again: turn towards textured things, with more light",
    "far": "the camera moves too fast, or too much changes before it: move slowly, with nobody in view",
    "turned": "the camera only turns (points shift by {flow_px:.1f} px of 256, and by next to none once the turn is "
    "undone): step sideways by 5 to 20 cm, and turn little",
    "near": "the camera moves too little (median shift {flow_px:.1f} px of 256): step sideways by 5 to 20 cm, towards "
    "things that are near and textured",
    "still": "the camera does not move (median shift {flow_px:.1f} px of 256): depth cannot be learnt from it. Take it "
    "off its mount and carry it through the room for two minutes, or film with a phone (docs/training.md)",
}


def _verdict(motion: Motion | None) -> Verdict:
    if motion is None or motion.turn_rad > _LARGEST_TURN_RAD or motion.parallax > LARGEST_PARALLAX:
        return "far"
    if motion.parallax >= LEAST_PARALLAX:
        return "moved"
    if motion.turn_rad > _LINK_TURN_RAD:
        return "turned"
    return "still" if motion.flow < STILL else "near"


def _exposure(image: ImageArray) -> Verdict | None:
    """What is wrong with it; what a privacy mask painted black is no part of it."""
    pixels: npt.NDArray[np.uint8] = image[image.any(axis=-1)]
    if not len(pixels) or pixels.mean() < _DARK_MEAN or (pixels.max(axis=-1) <= _DARK).mean() > _CLIPPED:
        return "dark"
    return "bright" if (pixels.min(axis=-1) >= _BRIGHT).mean() > _CLIPPED else None
