"""Motion between two pictures, on pictures whose motion and depth are exact."""

from __future__ import annotations

from functools import lru_cache

import cv2
import numpy as np
import pytest

from edge.geometry.two_views import STILL, Array, Motion, motion_between, points_in_second, points_of
from edge.scene import ImageArray
from tests.training.textured_room import BOX, pose, seen_from, speckled

LENS, SIZE_PX = (265.0, 265.0, 160.0, 120.0), (320, 240)


def picture(T: Array) -> ImageArray:
    """The room with sharp speckles on its surfaces, which SIFT finds again."""
    return _drawn(T.tobytes())


@lru_cache(maxsize=64)
def _drawn(pose_bytes: bytes) -> ImageArray:
    return speckled(np.frombuffer(pose_bytes).reshape(4, 4), LENS, SIZE_PX, BOX)


def _found(second: Array) -> tuple[Motion | None, Array]:
    first = pose()
    found = motion_between(points_of(picture(first)), points_of(picture(second)), LENS, SIZE_PX[0])
    return found, np.linalg.inv(second) @ first


def _angle_deg(a: Array, b: Array) -> float:
    return float(np.degrees(np.arccos(np.clip(a @ b / np.linalg.norm(a) / np.linalg.norm(b), -1, 1))))


@pytest.mark.parametrize(
    "second",
    [pose(0.15, 0.03, 0.0, 2.0, -1.0), pose(-0.1, 0.0, 0.12, -1.5, 0.5), pose(0.02, -0.05, 0.2, 0.0, 1.0)],
    ids=["sideways", "back and left", "forwards"],
)
def test_turn_and_direction_are_those_of_the_cameras(second: Array) -> None:
    """The turn to .15 degree, the direction of the way to 3, the points' depth to 5 % (median) of the way's length."""
    found, truth = _found(second)
    assert found is not None
    R = found.T_second_first[:3, :3] @ truth[:3, :3].T
    assert np.degrees(np.linalg.norm(cv2.Rodrigues(R)[0])) < 0.15
    assert _angle_deg(found.T_second_first[:3, 3], truth[:3, 3]) < 3
    _, depth = seen_from(pose(), LENS, SIZE_PX, BOX)
    x, y = np.clip(found.pixels.astype(int), 0, [SIZE_PX[0] - 1, SIZE_PX[1] - 1]).T
    ratio = found.depth * np.linalg.norm(truth[:3, 3]) / depth[y, x]
    assert abs(np.median(ratio) - 1) < 0.05


def test_the_points_are_where_the_second_picture_has_them() -> None:
    """Brought over by the found motion they lie where the true one brings them, within a pixel."""
    found, truth = _found(pose(0.15, 0.03, 0.0, 2.0, -1.0))
    assert found is not None
    pixels, depth = points_in_second(found, LENS)
    size = np.linalg.norm(truth[:3, 3])
    xy = (found.pixels - LENS[2:]) / LENS[:2]
    there = (np.column_stack([xy, np.ones(len(xy))]) * (found.depth * size)[:, None]) @ truth[:3, :3].T + truth[:3, 3]
    expected = there[:, :2] / there[:, 2:] * LENS[:2] + LENS[2:]
    assert np.median(np.linalg.norm(pixels - expected, axis=1)) < 1.0
    assert np.median(np.abs(depth * size / there[:, 2] - 1)) < 0.03


def test_a_camera_that_only_turns_has_flow_and_no_parallax() -> None:
    """A pan by three degrees: points move by 14 px, and by none of it once the turn is undone."""
    found, truth = _found(pose(yaw_deg=3))
    assert found is not None
    assert found.flow * SIZE_PX[0] > 8
    assert found.parallax < STILL
    assert np.linalg.norm(found.T_second_first[:3, 3]) == 0
    assert found.turn_rad == pytest.approx(np.radians(3), abs=np.radians(0.1))


def test_a_camera_that_stands_still_has_neither() -> None:
    """Two equal pictures."""
    found, _ = _found(pose())
    assert found is not None
    assert found.flow == 0 and found.parallax * SIZE_PX[0] < 0.1


def test_a_bare_wall_tells_nothing() -> None:
    """No points, no motion."""
    blank = points_of(np.full((240, 320, 3), 120, np.uint8))
    assert motion_between(blank, blank, LENS, 320) is None
