"""Fisheye lenses as laws, past 90 degrees from the axis too."""

from __future__ import annotations

from dataclasses import replace

import cv2
import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from edge.errors import GeometryError
from edge.geometry import fisheye
from edge.geometry.panorama import rays
from edge.geometry.view import camera_pixels, picture_rays, room_pixels
from edge.scene import CameraModel, Fisheye, FisheyeCircle

LENS = Fisheye(400, 300, 90.0, 92.0, 201.5, 148.0, fov_rad=np.deg2rad(200))
small = st.floats(-0.05, 0.05)


def directions(widest_rad: float, count: int = 500) -> np.ndarray:
    """Unit vectors up to this angle from the axis, in every direction around it; the axis itself is the first."""
    rng = np.random.default_rng(0)
    t, around = rng.uniform(0, widest_rad, count), rng.uniform(-np.pi, np.pi, count)
    t[0] = 0
    return np.stack([np.sin(t) * np.cos(around), np.sin(t) * np.sin(around), np.cos(t)], axis=-1)


@given(k1=small, k2=small, k3=small, k4=small)
@settings(max_examples=50, deadline=None)
def test_unproject_undoes_project(k1: float, k2: float, k3: float, k4: float) -> None:
    """Up to 100 degrees from the axis every direction comes back to 1e-9, or the lens is refused as folding over."""
    lens = replace(LENS, k1=k1, k2=k2, k3=k3, k4=k4)
    try:
        fisheye.check_fisheye(lens)
    except GeometryError:
        t = np.linspace(0, lens.fov_rad / 2, 20001)
        assert np.diff(fisheye.distorted(t, lens)).min() < 1e-6
        return
    given_ = directions(np.deg2rad(100))
    pixels, seen = fisheye.project(given_, lens)
    back, shown = fisheye.rays_at(pixels, lens)
    assert seen.all()
    assert shown.all()
    t = np.linspace(0, lens.fov_rad / 2, 2001)
    assume(np.gradient(fisheye.distorted(t, lens), t).min() > 1e-3)  # flatter, a pixel's rounding is more than 1e-9
    assert back == pytest.approx(given_, abs=1e-9)


@given(k1=small, k2=small, k3=small, k4=small)
@settings(max_examples=50, deadline=None)
def test_projection_is_opencvs(k1: float, k2: float, k3: float, k4: float) -> None:
    """A point in front of the lens lies where OpenCV's fisheye model puts it."""
    lens = replace(LENS, k1=k1, k2=k2, k3=k3, k4=k4)
    points = directions(np.deg2rad(80))
    matrix = np.array([[lens.fx_px, 0, lens.cx_px], [0, lens.fy_px, lens.cy_px], [0, 0, 1]])
    expected, _ = cv2.fisheye.projectPoints(
        points[:, None], np.zeros(3), np.zeros(3), matrix, np.array([k1, k2, k3, k4])
    )
    assert fisheye.project(points, lens)[0] == pytest.approx(expected[:, 0], abs=1e-9)


@pytest.mark.parametrize(
    ("lens", "says"),
    [
        (replace(LENS, k1=-0.2), "k1, k2, k3 and k4, or set fov_deg below 148"),
        (replace(LENS, fov_rad=np.deg2rad(301)), "between 0 and 300"),
        (replace(LENS, fov_rad=0.0), "between 0 and 300"),
    ],
)
def test_a_lens_that_cannot_be_is_refused(lens: Fisheye, says: str) -> None:
    """Where t + k1 t^3 turns back (t = (-3 k1)^-1/2) one pixel would show two directions."""
    with pytest.raises(GeometryError, match=says):
        fisheye.check_fisheye(lens)


def test_what_the_lens_does_not_see_is_not_in_its_picture() -> None:
    """Behind a 200 degree lens nothing is seen, and outside its circle its picture shows nothing."""
    _, seen = fisheye.project([[0, 0, -1.0], [1.0, 0, -0.17], [1.0, 0, -0.18]], LENS)
    assert seen.tolist() == [False, True, False]
    rim = fisheye.distorted(LENS.fov_rad / 2, LENS) * LENS.fx_px
    _, shown = fisheye.rays_at([[LENS.cx_px + rim - 0.01, LENS.cy_px], [LENS.cx_px + rim + 0.01, LENS.cy_px]], LENS)
    assert shown.tolist() == [True, False]


def test_an_uncalibrated_lens_is_the_circle_that_it_draws() -> None:
    """Half the field of view lies on the circle, in every direction around the axis."""
    lens = fisheye.fisheye_in(FisheyeCircle(np.deg2rad(190), (0.25, 0.5), 0.4), 800, 400)
    half = np.deg2rad(95)
    around = np.linspace(0, 2 * np.pi, 9)
    rim = np.stack([np.sin(half) * np.cos(around), np.sin(half) * np.sin(around), np.full(9, np.cos(half))], -1)
    pixels, _ = fisheye.project(rim, lens)
    assert np.hypot(*(pixels - (200, 200)).T) == pytest.approx(np.full(9, 160.0))


@pytest.mark.parametrize("projection", ["perspective", "fisheye", "equirectangular"])
def test_every_cameras_picture_and_room_agree(projection: str) -> None:
    """Whatever the lens, however the camera hangs and the picture is stretched: pixel, direction, the same pixel."""
    model = CameraModel(
        projection,  # type: ignore[arg-type]
        hfov_rad=1.5,
        fisheye=FisheyeCircle(np.deg2rad(210)),
        yaw_rad=0.7,
        pitch_rad=-1.1,
        roll_rad=0.3,
    )
    looks, shown = picture_rays(model, (640, 320), (64, 40))
    pixels, seen = room_pixels(model, looks, (640, 320), (64, 40))
    xs, ys = np.meshgrid(np.arange(64) + 0.5, np.arange(40) + 0.5)
    assert np.linalg.norm(looks, axis=-1) == pytest.approx(1.0)
    assert (seen | ~shown).all()
    assert pixels[shown] == pytest.approx(np.stack([xs, ys], -1)[shown], abs=1e-6)


def test_a_fisheye_sees_its_share_of_the_sphere() -> None:
    """A cone of half angle t is (1 - cos t) / 2 of all directions; a picture that cuts the circle shows less."""
    sphere = rays(720, 360)
    weight = np.linalg.norm(sphere[..., :2], axis=-1)
    model = CameraModel("fisheye", fisheye=FisheyeCircle(np.deg2rad(200)))
    _, seen = camera_pixels(model, sphere, (500, 500))
    assert (seen * weight).sum() / weight.sum() == pytest.approx((1 - np.cos(np.deg2rad(100))) / 2, abs=2e-3)
    cut = replace(model, fisheye=FisheyeCircle(np.deg2rad(200), radius=0.6))
    _, less = camera_pixels(cut, sphere, (500, 500))
    assert 0.5 * seen.sum() < less.sum() < 0.99 * seen.sum()
