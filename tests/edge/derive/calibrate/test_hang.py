"""How a camera hangs is what drew its pictures, and pictures that say too little are refused."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from edge.derive.calibrate import floor, length
from edge.derive.calibrate.boards import Sighting, find_board
from edge.derive.calibrate.verticals import angles_of_up, level, up_in_camera, yaw_kept_rad
from edge.derive.calibrate.views import DOWN, flat_views, pixel_rays
from edge.errors import CalibrationError
from edge.geometry.pinhole import project
from edge.geometry.rigid import rotation_room_camera
from edge.geometry.view import rotation
from edge.scene import CameraModel, ImageArray
from tests.edge.derive.calibrate.drawn import A4, FISHEYE, MODEL, K, blank, ceiling_picture, finished, floor_picture

PITCH, ROLL, HEIGHT_M = np.deg2rad(-24.0), np.deg2rad(1.5), 1.45


def sighting(image: ImageArray, model: CameraModel = MODEL) -> Sighting | None:
    """The board in a picture; of a fisheye's views only in that straight down, as the others take long."""
    return find_board(flat_views(image, model, DOWN[-1:]), [A4.plain])


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


def test_a_fisheye_on_the_ceiling() -> None:
    """Told that it looks straight down: its tilt is found within 0.3 degrees, the height within 1 %, yaw as it was."""
    pitch, roll, height_m = np.deg2rad(-87.5), np.deg2rad(50.0), 2.2
    model = CameraModel("fisheye", fisheye=FISHEYE, pitch_rad=-np.pi / 2, yaw_rad=0.4)
    image = ceiling_picture(pitch, roll, height_m)
    upright = level([image], model)
    seen = sighting(image, model)
    assert seen is not None
    found = floor.hang([seen], (upright.pitch_rad, upright.roll_rad), upright)
    true_up = up_in_camera(pitch, roll)
    for tilt in (upright, found):
        off = np.arccos(np.clip(up_in_camera(tilt.pitch_rad, tilt.roll_rad) @ true_up, -1, 1))
        assert np.degrees(off) < 0.3
    assert found.height_m == pytest.approx(height_m, rel=0.01)
    assert floor.doubts(found) == []
    yaw = yaw_kept_rad(model, found.pitch_rad, found.roll_rad)
    turned = rotation(model).T @ rotation_room_camera(yaw, found.pitch_rad, found.roll_rad)
    assert np.degrees(np.arccos((np.trace(turned) - 1) / 2)) == pytest.approx(2.5, abs=0.3)


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


def test_pictures_that_say_nothing_are_refused(picture: ImageArray) -> None:
    """An empty one, a blurred one, and a lens of another shape; each with what to do."""
    with pytest.raises(CalibrationError, match="corners of the room"):
        level([finished(blank())], MODEL)
    blurred = np.asarray(cv2.GaussianBlur(picture, (0, 0), 6), np.uint8)
    with pytest.raises(CalibrationError, match="blurred|agree on what is vertical"):
        level([blurred], MODEL)
    assert sighting(finished(blank())) is None
