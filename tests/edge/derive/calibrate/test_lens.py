"""A lens that is found is the one that drew the board, over the whole picture, as well as is said of it."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from edge.derive.calibrate.boards import PAPERS, Board, Corners, find_board
from edge.derive.calibrate.lens import lens_of
from edge.derive.calibrate.lens_found import LensFound, doubts
from edge.derive.calibrate.views import ALL_OVER, DOWN, flat_views
from edge.errors import CalibrationError
from edge.geometry import fisheye
from edge.scene import CameraModel, Fisheye, FisheyeCircle
from tests.edge.derive.calibrate.drawn import (
    FISHEYE,
    MODEL,
    Array,
    K,
    Lens,
    blank,
    drawn_at,
    finished,
    held,
    near_poses,
    poses_around,
    sheet_on,
)

A3 = PAPERS["a3"].plain
CIRCLE = CameraModel("fisheye", fisheye=FisheyeCircle(np.pi))
"""All that is said of the fisheye: 180 degrees, a circle that touches the picture's borders."""
WIDE_RAD = float(np.deg2rad(62.0))


def pointed(pose: Array, board: Board, lens: Lens, noise_px: float = 0.1) -> Corners:
    """A held board's corners to a tenth of a pixel."""
    pixels = drawn_at(held(pose, board.points_m, board), lens)
    return Corners(
        board.points_m, pixels + np.random.default_rng(int(1e4 * abs(pose[0, 3]))).normal(0, noise_px, pixels.shape)
    )


def around(count: int = 9) -> list[Corners]:
    """A board held all over the fisheye's picture."""
    return [pointed(pose, A3, FISHEYE) for pose in poses_around(count, WIDE_RAD)]


def misses_px(found: LensFound) -> Array:
    """How far directions that were seen are drawn from where the true fisheye draws them."""
    assert isinstance(found.lens, Fisheye)
    seen = replace(FISHEYE, fov_rad=found.covered * found.lens.fov_rad)
    rays, there = fisheye.rays_from_pixels(seen)
    rays = rays[there][::50]
    return np.asarray(np.linalg.norm(fisheye.project(rays, found.lens)[0] - fisheye.project(rays, FISHEYE)[0], axis=1))


def test_a_perspective_lens() -> None:
    """Focal length within 0.5 %, although nothing was said of the lens; one view is refused, and views all alike."""
    found = lens_of([pointed(pose, PAPERS["a4"].plain, K) for pose in near_poses()], MODEL, K.width_px, K.height_px)
    assert found.lens.fx_px == pytest.approx(K.fx_px, rel=0.005)
    assert found.lens.cx_px == pytest.approx(K.cx_px, abs=5)
    assert found.left_px < 0.3
    with pytest.raises(CalibrationError, match="is seen in 1 pictures"):
        lens_of([pointed(near_poses()[0], A3, K)], MODEL, K.width_px, K.height_px)


def test_a_fisheye_lens() -> None:
    """Focal length within 0.5 %; directions within 1 px, and within thrice what is said, over all that was seen."""
    found = lens_of(around(), CIRCLE, FISHEYE.width_px, FISHEYE.height_px)
    assert found.lens.fx_px == pytest.approx(FISHEYE.fx_px, rel=0.005)
    assert found.lens.fy_px == pytest.approx(FISHEYE.fy_px, rel=0.005)
    off = misses_px(found)
    assert off.max() < 1.0
    assert found.picture_error_px is not None
    assert float(np.sqrt(np.mean(off**2))) < 3 * found.picture_error_px
    assert (found.covered > 0.8, found.dropped, doubts(found)) == (True, (), [])


def test_a_bad_view_is_named() -> None:
    """One that moved while it was taken is left out, of either kind of lens, and the lens is as good without it."""
    shaken = np.random.default_rng(0).normal(0, 6, A3.points_m.shape)
    views = around()
    views[3] = replace(views[3], pixels=views[3].pixels + shaken)
    found = lens_of(views, CIRCLE, FISHEYE.width_px, FISHEYE.height_px)
    assert found.dropped == (3,)
    assert misses_px(found).max() < 1.0
    views = [pointed(pose, PAPERS["a4"].plain, K) for pose in near_poses()]
    views[2] = replace(views[2], pixels=views[2].pixels + shaken[: len(views[2].pixels)])
    assert lens_of(views, MODEL, K.width_px, K.height_px).dropped == (2,)


@pytest.mark.parametrize(("model", "lens"), [(MODEL, K), (CIRCLE, FISHEYE)], ids=["perspective", "fisheye"])
def test_what_says_too_little_is_refused_or_doubted(model: CameraModel, lens: Lens) -> None:
    """A board that faces the camera alike in all pictures, near its middle, gives no lens that is believed."""
    poses = [np.array([[1, 0, 0, x], [0, 1, 0, 0], [0, 0, 1, 0.5], [0, 0, 0, 1.0]]) for x in (-0.06, -0.02, 0.02, 0.06)]
    alike = [pointed(pose, PAPERS["a4"].plain, lens) for pose in poses]
    try:
        found = lens_of(alike, model, lens.width_px, lens.height_px)
    except CalibrationError as error:
        assert "tilt it" in str(error)
    else:
        assert doubts(found) != []


def test_a_panorama_has_no_lens() -> None:
    """It is said so."""
    with pytest.raises(CalibrationError, match="no lens"):
        lens_of(around(4), CameraModel("equirectangular"), 1024, 512)


def shown(pose: Array, board: Board, paper: str, lens: Lens, model: CameraModel) -> Corners | None:
    """A held board's corners as they are found in a picture of it."""
    image = blank(lens)
    sheet_on(image, lambda points: held(pose, points, board), board, PAPERS[paper], lens)
    picture = finished(image)
    views = flat_views(picture, model, DOWN if model is MODEL else ALL_OVER)
    seen = find_board(views, [board])
    return seen and seen.corners(picture, model)


@pytest.mark.slow
@pytest.mark.parametrize("charuco", [False, True], ids=["checkerboard", "ChArUco"])
def test_a_perspective_lens_in_pictures(charuco: bool) -> None:
    """Focal length within 0.5 % from pictures of the board alone."""
    board = PAPERS["a4"].charuco if charuco else PAPERS["a4"].plain
    views = [view for pose in near_poses() if (view := shown(pose, board, "a4", K, MODEL))]
    found = lens_of(views, MODEL, K.width_px, K.height_px)
    assert len(views) - len(found.dropped) >= 5
    assert found.lens.fx_px == pytest.approx(K.fx_px, rel=0.005)
    assert found.lens.fy_px == pytest.approx(K.fy_px, rel=0.005)


@pytest.mark.slow
@pytest.mark.parametrize("charuco", [False, True], ids=["checkerboard", "ChArUco"])
def test_a_fisheye_lens_in_pictures(charuco: bool) -> None:
    """Focal length within 0.5 % and directions within 1.5 px over all that was seen, from pictures alone."""
    board = PAPERS["a3"].charuco if charuco else A3
    views = [view for pose in poses_around(9, WIDE_RAD) if (view := shown(pose, board, "a3", FISHEYE, CIRCLE))]
    found = lens_of(views, CIRCLE, FISHEYE.width_px, FISHEYE.height_px)
    assert len(views) - len(found.dropped) >= 7
    assert found.lens.fx_px == pytest.approx(FISHEYE.fx_px, rel=0.005)
    assert misses_px(found).max() < 1.5
