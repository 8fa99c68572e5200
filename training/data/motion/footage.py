"""What one camera saw while it moved: frames in order, its lens, and what else is known of them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from edge.scene import ImageArray
from training.arrays import Array, Lens

LARGEST_PX = 512
"""Frames are brought to at most this width before anything else: points are found as well there, in less time."""


@dataclass(frozen=True)
class Footage:
    """A sequence, or rectified pairs of two cameras; nothing is read yet.

    `frames` gives RGB pictures in order, and can be called again; `lens` is in px of those. With `right` each frame has
    a picture taken `baseline_m` to the right of it at the same time. `T_world_camera` (N, 4, 4) are in metres.
    """

    name: str
    frames: Callable[[], Iterator[ImageArray]]
    lens: Lens
    rate_hz: float | None = None
    T_world_camera: Array | None = None
    right: Callable[[], Iterator[ImageArray]] | None = None
    baseline_m: float | None = None
    depth_m: Callable[[], Iterator[Array]] | None = None
    """True z-depth, where it is known: to measure, never to learn from."""
