"""What is found of a camera is what drew its pictures, and pictures that say too little are refused."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from edge.derive.calibrate import floor, length, lens
from edge.derive.calibrate.boards import PAPERS, Sighting, find_board
from edge.derive.calibrate.verticals import angles_of_up, level, up_in_camera
from edge.derive.calibrate.views import DOWN, flat_views, pixel_rays
from edge.errors import CalibrationError
from edge.geometry.pinhole import project
from edge.scene import ImageArray
from tests.edge.derive.calibrate.drawn import MODEL, K, blank, finished, floor_picture, sheet_on

PITCH, ROLL, HEIGHT_M = np.deg2rad(-24.0), np.deg2rad(1.5), 1.45
BOARDS = [PAPERS["a4"].board]


def sighting(image: ImageArray) -> Sighting | None:
    """The board in a picture."""
    return find_board(flat_views(image, MODEL, DOWN), BOARDS)


@pytest.fixture(scope="module")
def picture() -> ImageArray:
    """A board 2 m away, with posts behind it."""
    return floor_picture(PITCH, ROLL, HEIGHT_M, (0.1, 1.9, 0.4))


def test_pitch_and_roll_are_those_of_the_vertical() -> None:
    """The vertical in the camera's axes gives back the angles that put it there."""
    for angles in ((0.0, 0.0), (-0.7, 0.2), (0.4, -0.3)):
        assert angles_of_up(up_in_camera(*angles)) == pytest.approx(angles, abs=1e-12)


def test_vertical_edges_give_the_tilt(picture: ImageArray) -> None:
    """Within 0.3 degrees, without being told roughly where up is; and within what is said of the error."""
    found = level([picture], MODEL)
    assert np.degrees(found.pitch_rad - PITCH) == pytest.approx(0, abs=0.3)
    assert np.degrees(found.roll_rad - ROLL) == pytest.approx(0, abs=0.3)
    assert abs(found.pitch_rad - PITCH) < 4 * found.pitch_error_rad


def test_a_board_on_the_floor_gives_the_height(picture: ImageArray) -> None:
    """With the vertical edges, height within 1 % and pitch within 0.3 degrees; nothing is doubted."""
    seen = sighting(picture)
    assert seen is not None
    found = floor.hang([seen], (0.0, 0.0), level([picture], MODEL))
    assert found.height_m == pytest.approx(HEIGHT_M, rel=0.01)
    assert np.degrees(found.pitch_rad - PITCH) == pytest.approx(0, abs=0.3)
    assert floor.doubts(found) == []


def test_without_edges_several_places_do() -> None:
    """A board near, far and aside, alone: height within 1 %, pitch within 0.3 degrees."""
    places = ((0.0, 1.55, 0.2), (-0.55, 1.75, 0.9), (0.5, 1.85, -0.6))
    seen = [sighting(floor_picture(PITCH, ROLL, HEIGHT_M, place, posts=False)) for place in places]
    found = floor.hang([s for s in seen if s is not None], (np.deg2rad(-15), 0.0))
    assert found.places == 3
    assert found.height_m == pytest.approx(HEIGHT_M, rel=0.01)
    assert np.degrees(found.pitch_rad - PITCH) == pytest.approx(0, abs=0.3)


def test_a_length_gives_the_height() -> None:
    """Two points of the floor a known length apart: the height exactly; a shown length scales the height it had."""
    ends = np.array([[-0.8, 2.0, 0.0], [0.9, 2.6, 0.0]])
    pixels = project(floor.in_camera(ends, PITCH, ROLL, HEIGHT_M), K)[0]
    true_m = float(np.linalg.norm(ends[1] - ends[0]))
    rays = pixel_rays(MODEL, pixels, K.width_px, K.height_px)
    found = length.floor_length(rays, true_m, PITCH, ROLL, K.fx_px)
    assert found.height_m == pytest.approx(HEIGHT_M, rel=1e-9)
    assert length.scaled(1.3, 3.6, 3.42, 0.01).height_m == pytest.approx(1.3 * 3.6 / 3.42)
    wrong = length.floor_length(rays, 1.3 * true_m, PITCH, ROLL, K.fx_px)
    assert "contradict" in length.doubts(length.together([found, wrong], [true_m, 1.3 * true_m]), [found, wrong])[-1]
    with pytest.raises(CalibrationError, match="horizon"):
        length.floor_length(pixel_rays(MODEL, [[100, 20], [500, 500]], K.width_px, K.height_px), 1.0, 0.0, 0.0, K.fx_px)


TURNED = (
    ((0.6, 0.0, 0.0), (0.0, 0.0, 0.45)), ((-0.6, 0.1, 0.2), (-0.14, 0.02, 0.5)), ((0.0, 0.6, 0.1), (0.15, 0.0, 0.5)),
    ((0.1, -0.6, 1.5), (0.12, -0.05, 0.5)), ((0.4, 0.4, -0.4), (-0.15, -0.04, 0.5)),
    ((-0.4, 0.5, 0.8), (0.0, 0.05, 0.42)),
)  # fmt: skip
"""How a board is held before the camera: turns as rotation vectors, and where its middle is, m."""
Triple = tuple[float, float, float]


def at(turn: Triple, place: Triple, points: np.ndarray) -> np.ndarray:
    """A held board's points (N, 2) in the camera's axes."""
    middle = np.array([1.5, 2.5]) * 0.038
    return np.column_stack([points - middle, np.zeros(len(points))]) @ cv2.Rodrigues(np.array(turn))[0].T + place


def pointed(turn: Triple, place: Triple) -> Sighting:
    """A held board's corners to a tenth of a pixel."""
    points = BOARDS[0].points_m
    noise = np.random.default_rng(int(1e3 * sum(turn) + 1e4)).normal(0, 0.1, points.shape)
    return Sighting("board", points, project(at(turn, place, points), K)[0] + noise, flat_views(EMPTY, MODEL, DOWN)[0])


EMPTY = np.zeros((K.height_px, K.width_px, 3), np.uint8)


def test_a_board_seen_from_several_places_gives_the_lens() -> None:
    """Focal length within 0.5 %, although nothing was said of the lens; one view is refused, and views all alike."""
    found = lens.lens_of([pointed(*way) for way in TURNED], K.width_px, K.height_px)
    assert found.intrinsics.fx_px == pytest.approx(K.fx_px, rel=0.005)
    assert found.intrinsics.cx_px == pytest.approx(K.cx_px, abs=5)
    assert found.left_px < 0.3
    with pytest.raises(CalibrationError, match="is seen in 1 pictures"):
        lens.lens_of([pointed(*TURNED[0])], K.width_px, K.height_px)
    alike = [pointed((0.0, 0.0, 0.3), (x, 0.0, 0.5)) for x in (-0.1, -0.05, 0.05, 0.1)]
    with pytest.raises(CalibrationError, match="tilt it"):
        lens.lens_of(alike, K.width_px, K.height_px)


@pytest.mark.slow
def test_the_lens_is_found_in_pictures() -> None:
    """Focal length within 0.5 % from pictures of the board alone."""
    views = []
    for turn, place in TURNED:
        image = blank()
        sheet_on(image, lambda points, turn=turn, place=place: at(turn, place, points))  # type: ignore[misc]
        views.append(sighting(finished(image)))
    found = lens.lens_of([view for view in views if view is not None], K.width_px, K.height_px)
    assert found.views >= 5
    assert found.intrinsics.fx_px == pytest.approx(K.fx_px, rel=0.005)
    assert found.intrinsics.fy_px == pytest.approx(K.fy_px, rel=0.005)


def test_pictures_that_say_nothing_are_refused(picture: ImageArray) -> None:
    """An empty one, a blurred one, and a lens of another shape; each with what to do."""
    with pytest.raises(CalibrationError, match="corners of the room"):
        level([finished(blank())], MODEL)
    blurred = np.asarray(cv2.GaussianBlur(picture, (0, 0), 6), np.uint8)
    with pytest.raises(CalibrationError, match="blurred|agree on what is vertical"):
        level([blurred], MODEL)
    assert sighting(finished(blank())) is None
