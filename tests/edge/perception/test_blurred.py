"""What stands in the room is made unrecognisable; the room itself stays as it is; else there is no picture."""

from __future__ import annotations

import time
from dataclasses import replace

import numpy as np
import pytest

from edge.errors import GeometryError
from edge.geometry.view import depth_directions
from edge.perception.alignment import shell_range
from edge.perception.blurred import blurred
from edge.perception.consistency import Seen
from edge.scene import CameraModel, DepthMap, Frame, RoomLayout
from tests.painted import painted_room

PANORAMA = CameraModel("equirectangular", camera_height_m=1.5)
WH, DEPTH_WH = (512, 256), (128, 64)
PERSON = (slice(90, 200), slice(-20, None))
"""Ahead is the picture's middle; this one stands behind, at the seam."""


def someone(layout: RoomLayout, seed: int, shift_m: float = -1.0) -> Seen:
    """A room with somebody in it who looks like nobody else, a metre before the wall."""
    image = painted_room(layout.polygon_m, 1.5, 2.5, WH)
    image[PERSON] = np.random.default_rng(seed).integers(0, 2, (110, 20, 1)) * 255
    metres = shell_range(layout, depth_directions(PANORAMA, DEPTH_WH, DEPTH_WH)[0]).astype(np.float32)
    metres[90 // 4 : 200 // 4, -20 // 4 :] = np.maximum(metres[90 // 4 : 200 // 4, -20 // 4 :] + shift_m, 0.3)
    frame = Frame("hall", 1, 1767225600.0, time.monotonic(), image, PANORAMA)
    return Seen(frame, {"layout": layout, "depth": DepthMap(metres, "range", "metric")})


def test_nothing_is_left_of_who_stands_in_the_room(layout: RoomLayout) -> None:
    """Two people give nearly the same picture; away from them every pixel is as it was, on both sides of the seam."""
    one, other = someone(layout, 1), someone(layout, 2)
    assert np.abs(one.frame.image[PERSON].astype(int) - other.frame.image[PERSON]).mean() > 100
    kept, beside = blurred(one), blurred(other)
    assert np.abs(kept.astype(int) - beside).max() < 40
    changed = (kept != one.frame.image).any(axis=2)
    assert not changed[:, 60:-60].any()
    assert changed[PERSON].mean() > 0.95
    assert changed[100:190, :8].any()


def test_what_depth_does_not_know_is_blurred(layout: RoomLayout) -> None:
    """No depth, no trust."""
    seen = someone(layout, 1)
    depth = seen.values["depth"]
    assert isinstance(depth, DepthMap)
    metres = depth.depth.copy()
    metres[20:40, 60:68] = 0.0
    image = seen.frame.image.copy()
    image[80:160, 240:272] = np.random.default_rng(3).integers(0, 2, (80, 32, 1)) * 255
    given = Seen(replace(seen.frame, image=image), {"layout": layout, "depth": replace(depth, depth=metres)})
    assert blurred(given)[85:155, 245:267].std() < image[85:155, 245:267].std() / 3


def test_where_depth_and_room_disagree_there_is_no_picture(layout: RoomLayout) -> None:
    """Depth that is a third too far hides who is there: such a picture is not given, nor one without depth or room."""
    seen = someone(layout, 1)
    depth = seen.values["depth"]
    assert isinstance(depth, DepthMap)
    far = replace(depth, depth=depth.depth * np.float32(1.3))
    with pytest.raises(GeometryError, match="does not lie on the room"):
        blurred(Seen(seen.frame, {"layout": layout, "depth": far}))
    for values in (
        {"layout": layout},
        {"depth": depth},
        {"layout": layout, "depth": replace(depth, scale="relative")},
        {"layout": replace(layout, scale="relative"), "depth": depth},
    ):
        with pytest.raises(GeometryError, match="not both known in metres"):
            blurred(Seen(seen.frame, values))
