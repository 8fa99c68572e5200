"""Where pixels of a panorama lie on the sphere, where depth puts them, and what transforms do to points."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.errors import GeometryError
from edge.geometry import panorama, pinhole, rigid
from edge.scene import Intrinsics

LENS = Intrinsics(64, 48, 50.0, 52.0, 31.0, 25.0, k1=-0.1)


def test_depth_is_z() -> None:
    """A point's distance along the optical axis is its depth, and it lies on its pixel's ray."""
    depth = np.random.default_rng(0).uniform(0.5, 9, (48, 64))
    points = pinhole.points_from_depth(depth, LENS)
    assert points[..., 2] == pytest.approx(depth)
    assert points / depth[..., None] == pytest.approx(pinhole.rays_from_pixels(LENS))


def test_the_middle_of_a_centred_lens_looks_straight_ahead() -> None:
    """The ray through the picture's centre is the optical axis; pixels are square."""
    k = pinhole.intrinsics_from_fov(640, 480, np.deg2rad(60))
    assert pinhole.rays_at([320, 240], k) == pytest.approx([0, 0, 1])
    assert pinhole.rays_at([330, 250], k)[0] == pytest.approx(pinhole.rays_at([330, 250], k)[1])
    assert (k.width_px, k.height_px) == (640, 480)
    assert k.fx_px == pytest.approx(320 * np.sqrt(3))


def test_points_at_the_cameras_own_height_of_z_are_not_ahead() -> None:
    """In the plane of the lens, or behind it, nothing is seen; a millimetre before it, something is."""
    _, ahead = pinhole.project([[1, 0, 0.0], [1, 0, -1e-3], [0, 0, 1e-3]], LENS)
    assert ahead.tolist() == [False, False, True]


@given(width=st.integers(1, 64).map(lambda n: 2 * n))
def test_a_panorama_is_twice_as_wide_as_high(width: int) -> None:
    """2:1 passes; a pixel more or less on either side does not, and the message says the size."""
    panorama.check_panorama_size(width, width // 2)
    for wrong in ((width + 1, width // 2), (width - 1, width // 2), (width, width // 2 + 1)):
        with pytest.raises(GeometryError, match=f"{wrong[0]}x{wrong[1]}.*vertical_deg"):
            panorama.check_panorama_size(*wrong)


def test_rows_and_columns_are_spaced_evenly() -> None:
    """Centres are half a step inside the seam and the poles, one step apart; the top is up, the right positive."""
    assert panorama.longitudes(4) == pytest.approx(np.pi * np.array([-0.75, -0.25, 0.25, 0.75]))
    assert panorama.latitudes(4) == pytest.approx(np.pi * np.array([0.375, 0.125, -0.125, -0.375]))


@given(height=st.integers(1, 40))
def test_a_rows_solid_angle_is_its_zone(height: int) -> None:
    """Archimedes: a zone of the unit sphere has 2 pi times its height, shared by its pixels."""
    omega = panorama.solid_angles(2 * height, height)
    assert omega.shape == (height, 2 * height)
    top = np.sin(np.pi / 2 - np.arange(height) * np.pi / height)
    bottom = np.sin(np.pi / 2 - (np.arange(height) + 1) * np.pi / height)
    assert omega.sum(axis=1) == pytest.approx(2 * np.pi * (top - bottom))
    assert np.ptp(omega, axis=1) == pytest.approx(0)


def test_what_is_cached_cannot_be_changed() -> None:
    """Rays and solid angles are shared by all who ask, so nobody may write into them."""
    for shared in (panorama.rays(8, 4), panorama.solid_angles(8, 4)):
        with pytest.raises(ValueError, match="read-only"):
            shared[0, 0] = 1


def test_longitude_does_not_depend_on_length() -> None:
    """Directions of any length have the angles of the unit vector."""
    for direction, angles in (([3, 0, 0], (np.pi / 2, 0)), ([0, -2, 0], (np.pi, 0)), ([0, 5, 5], (0, np.pi / 4))):
        assert panorama.angles_from_direction(direction) == pytest.approx(angles)


def test_the_top_left_corner_is_pixel_nought() -> None:
    """Behind to the left and straight up is (0, 0), behind to the right and straight down the other corner."""
    assert panorama.pixel_from_angles(-np.pi, np.pi / 2, 64, 32) == pytest.approx((0, 0))
    assert panorama.pixel_from_angles(np.pi, -np.pi / 2, 64, 32) == pytest.approx((64, 32))


QUARTER = np.pi / 2


@pytest.mark.parametrize(
    ("angles", "right", "down", "forward"),
    [
        ((0, 0, 0), [1, 0, 0], [0, 0, -1], [0, 1, 0]),
        ((QUARTER, 0, 0), [0, -1, 0], [0, 0, -1], [1, 0, 0]),  # turned right: looks along +x
        ((0, QUARTER, 0), [1, 0, 0], [0, 1, 0], [0, 0, 1]),  # looks up; the picture's foot points forward
        ((0, 0, QUARTER), [0, 0, -1], [-1, 0, 0], [0, 1, 0]),  # clockwise: the right side is down
        ((QUARTER, QUARTER, 0), [0, -1, 0], [1, 0, 0], [0, 0, 1]),  # pitch first, then yaw
        ((0, QUARTER, QUARTER), [0, 1, 0], [-1, 0, 0], [0, 0, 1]),  # roll first, then pitch
    ],
)
def test_quarter_turns_of_a_camera(
    angles: tuple[float, float, float], right: list[int], down: list[int], forward: list[int]
) -> None:
    """Where the picture's axes point in the room for cameras turned by quarters."""
    turn = rigid.rotation_room_camera(*angles)
    assert turn == pytest.approx(np.array([right, down, forward]).T, abs=1e-12)


def test_a_transform_turns_then_moves() -> None:
    """R p + t, for one point and for many."""
    turn = rigid.rotation_room_camera(0.3, 0.2, 0.1)
    t = rigid.transform(turn, [1, 2, 3])
    points = np.arange(12.0).reshape(2, 2, 3)
    assert t[3].tolist() == [0, 0, 0, 1]
    for point, moved in zip(points.reshape(-1, 3), rigid.apply(t, points).reshape(-1, 3), strict=True):
        assert moved == pytest.approx(turn @ point + [1, 2, 3])
    assert rigid.inverse(t) == pytest.approx(np.linalg.inv(t))
