"""Perspective changes keep picture, depth and lens consistent."""

from __future__ import annotations

import numpy as np
import pytest

from edge.geometry.panorama import rays
from edge.geometry.pinhole import intrinsics_from_fov, rays_from_pixels
from edge.geometry.rigid import rotation_room_camera
from training.data.vary.perspective import DepthPicture, halved_depth, mirrored, random_crop, view_from_panorama, warped

W, H = 128, 96
PLANE = np.array([0.1, 0.25, 0.5])
"""A plane n . p = 1 in camera axes; its z-depth is 1 / (n . ray)."""


def _plane_depth(fx: float, fy: float, cx: float, cy: float, plane: np.ndarray = PLANE) -> np.ndarray:
    x, y = np.meshgrid((np.arange(W) + 0.5 - cx) / fx, (np.arange(H) + 0.5 - cy) / fy)
    return (1 / (plane[0] * x + plane[1] * y + plane[2])).astype(np.float32)


def _picture() -> DepthPicture:
    depth = _plane_depth(100, 100, W / 2, H / 2)
    grey = np.clip(depth * 40, 0, 255).astype(np.uint8)
    return DepthPicture(np.repeat(grey[..., None], 3, axis=2), depth, 100.0, 100.0)


_ZOOMED = [((1.0, 1.0), (64.0, 48.0)), ((1.5, 1.5), (64.0, 48.0)), ((1.6, 1.2), (55.0, 46.0))]


@pytest.mark.parametrize(("zoom", "centre"), _ZOOMED)
def test_zoomed_depth_is_what_the_longer_lens_sees(zoom: tuple[float, float], centre: tuple[float, float]) -> None:
    """z-depth keeps its value; the lens gets longer, each way by its own zoom; the principal point moves."""
    out = warped(_picture(), zoom, 0.0, centre)
    assert (out.fx_px, out.fy_px) == (100 * zoom[0], 100 * zoom[1])
    cx, cy = W / 2 + (W / 2 - centre[0]) * zoom[0], H / 2 + (H / 2 - centre[1]) * zoom[1]
    expected = _plane_depth(out.fx_px, out.fy_px, cx, cy)
    known = out.depth_m > 0
    assert known.mean() > 0.97
    np.testing.assert_allclose(out.depth_m[known], expected[known], rtol=0.02)


def test_turning_about_the_optical_axis_keeps_z() -> None:
    """A roll turns the plane's normal in the picture plane and nothing else."""
    angle = 0.1
    out = warped(_picture(), (1.0, 1.0), angle, (W / 2, H / 2))
    c, s = np.cos(angle), np.sin(angle)
    x, y = np.meshgrid((np.arange(W) + 0.5 - W / 2) / 100, (np.arange(H) + 0.5 - H / 2) / 100)
    source_x, source_y = c * x - s * y, s * x + c * y
    expected = 1 / (PLANE[0] * source_x + PLANE[1] * source_y + PLANE[2])
    known = out.depth_m > 0
    np.testing.assert_allclose(out.depth_m[known], expected[known], rtol=0.02)


def test_mirroring_twice_is_nothing() -> None:
    """Picture and depth come back."""
    there = mirrored(mirrored(_picture()))
    np.testing.assert_array_equal(there.image, _picture().image)
    np.testing.assert_array_equal(there.depth_m, _picture().depth_m)


def test_random_crops_know_all_their_depth() -> None:
    """Crops lie inside of the picture but for the small turn's corners."""
    rng = np.random.default_rng(3)
    for _ in range(10):
        assert (random_crop(_picture(), rng, 1.8).depth_m > 0).mean() > 0.9


def test_random_crops_change_the_shape_of_pixels() -> None:
    """Cameras of 16 : 9 and 4 : 3 are met: fx / fy spreads either way, by no more than 4 : 3."""
    rng = np.random.default_rng(4)
    ratios = [crop.fx_px / crop.fy_px for crop in (random_crop(_picture(), rng, 1.6) for _ in range(100))]
    assert min(ratios) < 0.85 and max(ratios) > 1.18
    assert all(0.75 - 1e-9 <= ratio <= 4 / 3 + 1e-9 for ratio in ratios)


def test_halved_depth_ignores_the_unknown_and_blends_nothing() -> None:
    """A block's value is one that the picture has: that of the nearest known surface in it."""
    depth = np.array([[1, 3, 0, 0], [0, 2, 0, 0]], np.float32)
    np.testing.assert_array_equal(halved_depth(depth), [[1.0, 0.0]])


def test_a_view_sees_the_panorama_along_its_rays() -> None:
    """A panorama whose colours are its directions: the view's colours are its own rays'."""
    k = intrinsics_from_fov(64, 48, np.radians(80))
    view = view_from_panorama(rays(512, 256).astype(np.float32), k, 2.9, -0.3)
    expected = rays_from_pixels(k) @ rotation_room_camera(2.9, -0.3).T
    expected /= np.linalg.norm(expected, axis=-1, keepdims=True)
    assert np.abs(view - expected).max() < 0.02
