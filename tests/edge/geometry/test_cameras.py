"""Panorama, pinhole and rigid geometry as laws."""

from __future__ import annotations

from dataclasses import replace

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.errors import GeometryError
from edge.geometry import panorama, pinhole, rigid
from edge.scene import Intrinsics

LENS = Intrinsics(64, 48, 50.0, 52.0, 31.0, 25.0)
DISTORTED = Intrinsics(64, 48, 50.0, 52.0, 31.0, 25.0, k1=-0.12, k2=0.02, p1=0.002, p2=-0.001, k3=0.001)
angles = st.floats(-np.pi, np.pi)


@pytest.mark.parametrize("lens", [LENS, DISTORTED])
def test_project_undoes_unproject(lens: Intrinsics) -> None:
    """Every pixel's point at any depth projects back to the pixel's centre, distortion included."""
    depth = np.random.default_rng(0).uniform(0.5, 9, (48, 64))
    pixels, ahead = pinhole.project(pinhole.points_from_depth(depth, lens), lens)
    xs, ys = np.meshgrid(np.arange(64) + 0.5, np.arange(48) + 0.5)
    assert ahead.all()
    assert pixels == pytest.approx(np.stack([xs, ys], -1), abs=1e-6)


small = st.floats(-0.3, 0.3)


@given(k1=small, k2=small, p1=small, p2=small, k3=small)
def test_projection_is_opencvs(k1: float, k2: float, p1: float, p2: float, k3: float) -> None:
    """A point in front of the camera lies where OpenCV puts it, whatever the lens's distortion."""
    lens = Intrinsics(64, 48, 50.0, 52.0, 31.0, 25.0, k1, k2, p1, p2, k3)
    points = np.random.default_rng(0).uniform((-2, -2, 1), (2, 2, 5), (100, 3))
    matrix = np.array([[50.0, 0, 31.0], [0, 52.0, 25.0], [0, 0, 1]])
    expected, _ = cv2.projectPoints(points, np.zeros(3), np.zeros(3), matrix, np.array([k1, k2, p1, p2, k3]))
    pixels, ahead = pinhole.project(points, lens)
    assert ahead.all()
    assert pixels == pytest.approx(expected[:, 0], abs=1e-9)


@pytest.mark.parametrize(("hfov_deg", "k1"), [(70, 0.7), (94, 0.8), (94, -0.05), (120, 3.0)])
def test_strong_distortion_is_undone(hfov_deg: float, k1: float) -> None:
    """Every pixel's ray projects back to the pixel, corners included, for strong pincushion and barrel lenses."""
    lens = replace(pinhole.intrinsics_from_fov(64, 48, np.deg2rad(hfov_deg)), k1=k1)
    pixels, _ = pinhole.project(pinhole.rays_from_pixels(lens), lens)
    xs, ys = np.meshgrid(np.arange(64) + 0.5, np.arange(48) + 0.5)
    assert pixels == pytest.approx(np.stack([xs, ys], -1), abs=1e-6)


@pytest.mark.parametrize("k1", [-0.5, -5.0])
def test_a_distortion_that_folds_the_picture_over_is_refused(k1: float) -> None:
    """No radius r has r + k1 r^3 as large as the corner of a 94 degree view: no ray is made up for it."""
    lens = replace(pinhole.intrinsics_from_fov(64, 48, np.deg2rad(94)), k1=k1)
    with pytest.raises(GeometryError, match="calibrate again"):
        pinhole.rays_from_pixels(lens)


def test_points_behind_the_camera_are_not_seen() -> None:
    """A point behind has no pixel."""
    pixels, ahead = pinhole.project([[0.1, 0.1, -1.0]], LENS)
    assert not ahead.any()
    assert np.isnan(pixels).all()


def test_field_of_view_reaches_the_picture_edge() -> None:
    """The ray at half the horizontal field of view meets the last pixel's outer edge."""
    k = pinhole.intrinsics_from_fov(640, 480, np.deg2rad(90))
    pixel, _ = pinhole.project([np.tan(np.deg2rad(45)), 0, 1], k)
    assert pixel == pytest.approx([640, 240])


def test_resized_lens_sees_the_same_rays() -> None:
    """Stretching the picture leaves the ray through a given fraction of it unchanged."""
    small = LENS.resized(32, 12)
    assert pinhole.rays_at([16, 6], small) == pytest.approx(pinhole.rays_at([32, 24], LENS))


@pytest.mark.parametrize("bad_rad", [0.0, np.pi, -1.0])
def test_impossible_fields_of_view_are_refused(bad_rad: float) -> None:
    """A perspective view is narrower than 180 degrees."""
    with pytest.raises(GeometryError, match="between 0 and 180"):
        pinhole.intrinsics_from_fov(64, 48, bad_rad)


def test_depth_of_another_size_is_refused() -> None:
    """Depth and intrinsics must be of one size."""
    with pytest.raises(GeometryError, match="resize one"):
        pinhole.points_from_depth(np.ones((10, 10)), LENS)


@given(lon=angles, lat=st.floats(-1.5, 1.5))
def test_angles_and_directions_are_inverse(lon: float, lat: float) -> None:
    """Direction -> angles -> direction is the identity, and the direction is a unit vector."""
    d = panorama.direction_from_angles(lon, lat)
    assert np.linalg.norm(d) == pytest.approx(1)
    assert panorama.direction_from_angles(*panorama.angles_from_direction(d)) == pytest.approx(d)


def test_panorama_axes() -> None:
    """The centre looks along +y, a quarter to the right along +x, the top up."""
    w, h = 8, 4
    for lon, lat, direction in [(0, 0, [0, 1, 0]), (np.pi / 2, 0, [1, 0, 0]), (0, np.pi / 2, [0, 0, 1])]:
        assert panorama.direction_from_angles(lon, lat) == pytest.approx(direction, abs=1e-12)
    assert panorama.pixel_from_angles(0, 0, w, h) == (4, 2)
    assert panorama.pixel_from_angles(np.pi / 2, 0, w, h) == (6, 2)


def test_rays_are_pixel_centres() -> None:
    """The ray of pixel (x, y) maps back to (x, y) in remap's indices."""
    x, y = panorama.sampling_map(panorama.rays(16, 8), 16, 8)
    assert x == pytest.approx(np.broadcast_to(np.arange(16), (8, 16)), abs=1e-9)
    assert y == pytest.approx(np.broadcast_to(np.arange(8)[:, None], (8, 16)), abs=1e-9)


def test_solid_angles_cover_the_sphere() -> None:
    """They sum to 4 pi exactly."""
    assert panorama.solid_angles(64, 32).sum() == pytest.approx(4 * np.pi, rel=1e-12)


@given(yaw=angles, pitch=st.floats(-1.5, 1.5), roll=angles)
def test_rotations_are_rotations(yaw: float, pitch: float, roll: float) -> None:
    """Orthonormal, determinant 1; the inverse transform undoes the transform."""
    r = rigid.rotation_room_camera(yaw, pitch, roll)
    assert r @ r.T == pytest.approx(np.eye(3), abs=1e-12)
    assert np.linalg.det(r) == pytest.approx(1)
    t = rigid.transform(r, [1, 2, 3])
    assert rigid.inverse(t) @ t == pytest.approx(np.eye(4), abs=1e-12)
    assert rigid.apply(rigid.inverse(t), rigid.apply(t, [4, 5, 6])) == pytest.approx([4, 5, 6])


def test_mounting_angles_have_the_stated_signs() -> None:
    """Yaw turns right, pitch looks up, roll clockwise puts the picture's right side down."""
    forward, right = np.array([0, 0, 1]), np.array([1, 0, 0])
    assert (rigid.rotation_room_camera(yaw_rad=0.3) @ forward)[0] > 0
    assert (rigid.rotation_room_camera(pitch_rad=0.3) @ forward)[2] > 0
    assert (rigid.rotation_room_camera(roll_rad=0.3) @ right)[2] < 0
