"""Random cameras' views of a panorama."""

from __future__ import annotations

import numpy as np

from edge.geometry.panorama import rays
from edge.perception.canvas import visible_mask
from edge.scene import CameraModel
from training.data.vary.masks import random_camera, random_view_mask, view_masks

W, H = 128, 64


def test_a_view_is_the_pyramid_of_a_pinhole() -> None:
    """A level camera sees a direction if it lies within the half angles of its picture, and no other."""
    for aspect, degrees in ((4 / 3, 90.0), (16 / 9, 60.0), (3 / 4, 50.0)):
        half = np.tan(np.radians(degrees / 2))
        mask = visible_mask(CameraModel("perspective", hfov_rad=np.radians(degrees)), 640, round(640 / aspect), W, H)
        x, y, z = np.moveaxis(rays(W, H), -1, 0)
        inside = (y > 0) & (np.abs(x) < half * y) & (np.abs(z) < half / aspect * y)
        edge = (y > 0) & ((np.abs(np.abs(x / y) - half) < 0.05) | (np.abs(np.abs(z / y) - half / aspect) < 0.05))
        np.testing.assert_array_equal(mask[~edge], inside[~edge])


def test_cameras_are_those_that_people_mount() -> None:
    """Wide and upright pictures, lenses of 40 to 115 degrees, looking down more often than up."""
    rng = np.random.default_rng(0)
    cameras = [random_camera(rng) for _ in range(200)]
    fields = np.degrees([camera.hfov_rad for camera, _ in cameras])
    pitches = np.degrees([camera.pitch_rad for camera, _ in cameras])
    assert 40 <= fields.min() < 60 < 100 < fields.max() <= 115
    assert -40 <= pitches.min() < -20 < pitches.mean() < 0 < pitches.max() <= 20
    assert {width > height for _, (width, height) in cameras} == {True, False}


def test_centred_views_face_forward_and_others_anywhere() -> None:
    """The middle column is in every centred view, the one behind in none; else every column in some and none in all."""
    rng = np.random.default_rng(0)
    centred = np.stack([random_view_mask(rng, W, H).any(axis=0) for _ in range(300)])
    anywhere = np.stack([random_view_mask(rng, W, H, centred=False).any(axis=0) for _ in range(300)])
    assert centred[:, W // 2].all()
    assert not centred[:, 0].any()
    assert abs(centred[:, : W // 2].mean() - centred[:, W // 2 :].mean()) < 0.03
    seen = anywhere.mean(axis=0)
    assert 0.05 < seen.min() < seen.max() < 0.5


def test_masks_are_shared_and_cannot_be_changed() -> None:
    """They are made once for a size; writing to one would change every later sample."""
    assert view_masks(W, H) is view_masks(W, H)
    assert not random_view_mask(np.random.default_rng(0), W, H).flags.writeable
