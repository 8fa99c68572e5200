"""What one camera saw while it moved: frames in order, its lens, and what else is known of them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from edge.scene import BoolArray, ImageArray
from training.arrays import Array, Lens


@dataclass(frozen=True)
class Regions:
    """(H, W) of a picture, each."""

    people: BoolArray
    """What moves by itself."""
    floor: BoolArray


Finder = Callable[[ImageArray], Regions]
"""Finds them in a picture (H, W, 3)."""

LARGEST_PX = 512
"""Frames are brought to at most this width before anything else: points are found as well there, in less time."""


@dataclass(frozen=True)
class Footage:
    """A sequence, or rectified pairs of two cameras; nothing is read yet.

    `frames` gives RGB pictures in order, and can be called again; `lens` is in px of those, None = to be found. With
    `right` each frame has a picture taken `baseline_m` to the right of it at the same time. `T_world_camera` (N, 4, 4)
    are in metres, and so is how high above the floor the camera was carried.
    """

    name: str
    frames: Callable[[], Iterator[ImageArray]]
    lens: Lens | None
    rate_hz: float | None = None
    T_world_camera: Array | None = None
    right: Callable[[], Iterator[ImageArray]] | None = None
    baseline_m: float | None = None
    masks: Callable[[], Iterator[BoolArray]] | None = None
    """(H, W) of each frame, where something moves by itself: nothing is learnt from there."""
    camera_height_m: float | None = None
