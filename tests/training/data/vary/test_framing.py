"""FCRN's augmentation and the framing of depth pictures, as laws."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge.errors import DataError
from training.data.vary import framing
from training.data.vary.perspective import DepthPicture


def _picture(height: int = 60, width: int = 80) -> DepthPicture:
    """A random picture whose depths are all different, some unknown."""
    rng = np.random.default_rng(0)
    depth = (1 + rng.permutation(height * width).reshape(height, width) / 997).astype(np.float32)
    depth[rng.random(depth.shape) < 0.1] = 0
    return DepthPicture(rng.integers(0, 256, (height, width, 3), dtype=np.uint8), depth, 70.0, 71.0)


@settings(max_examples=30, deadline=None)
@given(st.floats(1.0, 1.5), st.floats(-5, 5))
def test_scaled_depths_are_the_originals_divided_by_s(scale: float, degrees: float) -> None:
    """Whatever the scale and turn, each depth is one of the picture's own divided by s exactly, and the lens stays."""
    picture = _picture()
    out = framing.nearer(picture, scale, np.radians(degrees))
    known = out.depth_m[out.depth_m > 0]
    assert np.isin(known, picture.depth_m[picture.depth_m > 0] / np.float32(scale)).all()
    assert len(known) > 0.6 * out.depth_m.size
    assert (out.fx_px, out.fy_px) == (picture.fx_px, picture.fy_px)
    assert out.image.shape == picture.image.shape


def test_a_scale_of_1_without_a_turn_changes_nothing() -> None:
    """S = 1 and 0 degrees give the picture back."""
    picture = _picture()
    out = framing.nearer(picture, 1.0)
    np.testing.assert_array_equal(out.image, picture.image)
    np.testing.assert_array_equal(out.depth_m, picture.depth_m)


def test_scaling_is_what_moving_nearer_shows() -> None:
    """A wall at z seen at s times the size by the same lens is at z / s: its texture's size in metres is kept."""
    stripes = np.zeros((60, 80, 3), np.uint8)
    stripes[:, 30:50] = 255
    wall = DepthPicture(stripes, np.full((60, 80), 3.0, np.float32), 70.0, 70.0)
    out = framing.nearer(wall, 1.5)
    wide_px = (out.image[30, :, 0] > 127).sum()
    assert wide_px * out.depth_m[30, 40] / out.fx_px == pytest.approx(20 * 3.0 / 70.0, rel=0.03)


def test_turning_leaves_the_middle_and_never_invents_depth() -> None:
    """A turn about the middle keeps the depth there; corners that come from outside are unknown."""
    picture = _picture(61, 81)
    picture.depth_m[30, 40] = 7.5
    out = framing.nearer(picture, 1.0, np.radians(5.0))
    assert out.depth_m[30, 40] == 7.5
    assert out.depth_m[0, 0] == 0 or out.depth_m[0, -1] == 0


def test_a_crop_is_a_part_of_the_picture() -> None:
    """The middle 304x228 of 320x240 begins at (6, 8); crops outside of the picture are refused."""
    picture = _picture(240, 320)
    middle = framing.centre_cropped(picture, 304, 228)
    np.testing.assert_array_equal(middle.depth_m, picture.depth_m[6:234, 8:312])
    np.testing.assert_array_equal(middle.image, picture.image[6:234, 8:312])
    assert (middle.fx_px, middle.fy_px) == (70.0, 71.0)
    for bad in ((-1, 0, 5, 5), (0, 0, 241, 5), (0, 300, 5, 30), (0, 0, 0, 5)):
        with pytest.raises(DataError, match="not inside"):
            framing.cropped(picture, *bad)


@settings(max_examples=20, deadline=None)
@given(st.integers(2, 90), st.integers(2, 90))
def test_resizing_keeps_rays_and_blends_no_depth(width: int, height: int) -> None:
    """Focal lengths follow the size, each depth is one of the picture's own; at its own size it is the same object."""
    picture = _picture()
    out = framing.resized(picture, width, height)
    assert out.image.shape == (height, width, 3)
    assert np.isin(out.depth_m, picture.depth_m).all()
    assert width / out.fx_px == pytest.approx(80 / picture.fx_px)
    assert height / out.fy_px == pytest.approx(60 / picture.fy_px)
    assert framing.resized(picture, 80, 60) is picture


def test_jitter_moves_colours_within_its_bounds() -> None:
    """Grey stays grey and moves by at most the product of its factors; strength 0 changes nothing."""
    rng = np.random.default_rng(0)
    image = _picture().image
    assert framing.jittered(image, rng, 0.0) is image
    grey = np.full((8, 8, 3), 100, np.uint8)
    seen = np.array([framing.jittered(grey, rng, 0.4)[0, 0] for _ in range(200)])
    assert (seen == seen[:, :1]).all()
    assert 60 <= seen.min() < 70
    assert 130 < seen.max() <= 140
    flat = np.array([framing.jittered(image, rng, 0.4).std() for _ in range(200)])
    assert flat.min() < 0.75 * image.std()
