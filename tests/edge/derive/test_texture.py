"""The picture on the walls: every place has its own colour, what was not seen is marked, and the file is bounded."""

from __future__ import annotations

import dataclasses

import cv2
import numpy as np
import pytest
import shapely

from edge.derive.mesh import Surface, room_surfaces
from edge.derive.texture import Texture, paint
from edge.geometry.panorama import rays, sampling_map
from edge.geometry.rigid import LEVEL_FORWARD, rotation_room_camera
from edge.scene import CameraModel, ImageArray
from tests.edge.derive.rooms import BOX, CEILING_M, EYE_M, L_SHAPE, PANORAMA, panorama_of_places

PICTURE = panorama_of_places(BOX, 1024)


def painted(polygon: np.ndarray, camera: CameraModel, image: ImageArray, **options: object) -> Texture:
    """The picture on a room's surfaces."""
    surfaces = room_surfaces(polygon, CEILING_M)
    return paint(surfaces, polygon, EYE_M, image, camera, **options)  # type: ignore[arg-type]


def colours_at(texture: Texture, surface: Surface, points: np.ndarray) -> np.ndarray:
    """What the texture shows at places of a surface, found as a viewer does: from the vertices' coordinates."""
    atlas = cv2.imdecode(np.frombuffer(texture.jpeg, np.uint8), cv2.IMREAD_COLOR)[..., ::-1]
    uv = texture.uv[surface.name]
    basis = np.linalg.lstsq(np.column_stack([surface.vertices, np.ones(len(uv))]), uv, rcond=None)[0]
    at = np.column_stack([points, np.ones(len(points))]) @ basis * (texture.width_px, texture.height_px) - 0.5
    x, y = np.rint(at).astype(int).T
    return np.asarray(atlas[y, x], dtype=np.float64)


def places(surface: Surface, count: int = 200) -> np.ndarray:
    """Points in the middle of a surface's triangles and between their corners."""
    weights = np.random.default_rng(3).dirichlet([2.0, 2.0, 2.0], count)
    return np.concatenate([weights @ surface.vertices[face] for face in surface.faces])


@pytest.mark.parametrize(("yaw", "pitch", "roll"), [(0.0, 0.0, 0.0), (0.7, -0.2, 0.1)])
def test_every_place_has_the_colour_that_the_camera_saw_there(yaw: float, pitch: float, roll: float) -> None:
    """Of a room in which colour tells the place, the texture tells the place to 8 cm, also of a tilted camera."""
    tilted = dataclasses.replace(PANORAMA, yaw_rad=yaw, pitch_rad=pitch, roll_rad=roll)
    image = PICTURE
    if yaw:
        to_room = rotation_room_camera(yaw, pitch, roll) @ LEVEL_FORWARD.T
        x, y = sampling_map(rays(1024, 512) @ to_room.T, 1024, 512)
        image = cv2.remap(
            PICTURE, x.astype(np.float32), y.astype(np.float32), cv2.INTER_NEAREST, borderMode=cv2.BORDER_WRAP
        )
    texture = painted(BOX, tilted, image)
    for surface in room_surfaces(BOX, CEILING_M):
        points = places(surface)
        off = np.abs(colours_at(texture, surface, points) - (points * 20.0 + 120.0))
        assert np.quantile(off, 0.98) < 1.6 + 2.0, surface.name  # levels: 8 cm, and what JPEG adds


def test_all_of_a_convex_room_is_seen() -> None:
    """From inside a box the camera sees every texel."""
    assert set(painted(BOX, PANORAMA, PICTURE).seen_fraction.values()) == {1.0}


def test_seen_fractions_are_those_of_the_visibility_polygon() -> None:
    """In an L-shaped room the floor's seen part is the area of what can be seen of it; hidden walls are not seen."""
    texture = painted(L_SHAPE, PANORAMA, panorama_of_places(L_SHAPE, 512))
    # From the origin the corner (0.8, 1.2) hides what is left of the line through it, up to y = 3.
    hidden = shapely.Polygon([(0.8, 1.2), (2.0, 3.0), (0.8, 3.0)])
    expected = 1.0 - hidden.area / shapely.Polygon(L_SHAPE).area
    assert texture.seen_fraction["floor"] == pytest.approx(expected, abs=0.004)
    assert texture.seen_fraction["ceiling"] == pytest.approx(expected, abs=0.004)
    assert sorted(texture.seen_fraction.values())[0] == 0.0  # the wall x = 0.8 is seen from behind only
    assert texture.seen_fraction["wall-0"] == pytest.approx((3.0 - 2.0) / (3.0 - 0.8), abs=0.02)


def test_what_a_mask_covers_is_marked_and_not_shown() -> None:
    """A masked half of the picture gives surfaces without any of its colours."""
    picture = np.full((256, 512, 3), 200, np.uint8)
    picture[:, :256] = (255, 0, 0)
    hidden = np.zeros((256, 512), np.bool_)
    hidden[:, :258] = True
    texture = painted(BOX, PANORAMA, picture, hidden=hidden)
    assert texture.seen_fraction["wall-3"] < 0.02  # x = -2 is on the left
    assert texture.seen_fraction["wall-1"] == 1.0
    surface = next(s for s in room_surfaces(BOX, CEILING_M) if s.name == "floor")
    points = places(surface)
    left = colours_at(texture, surface, points[points[:, 0] < -0.1])
    assert (np.ptp(left, axis=1) < 24).all()  # grey, hatched; never red


def test_a_perspective_camera_paints_only_what_it_sees() -> None:
    """Behind a camera of 90 degrees nothing is seen; before it, the middle of the wall is."""
    camera = CameraModel("perspective", hfov_rad=np.pi / 2, camera_height_m=EYE_M)
    texture = painted(BOX, camera, np.full((480, 640, 3), 99, np.uint8))
    assert texture.seen_fraction["wall-0"] == 0.0
    assert texture.seen_fraction["wall-2"] > 0.8


def test_the_file_is_made_smaller_until_it_fits() -> None:
    """Noise, which JPEG cannot compress, is halved until it fits; positions on it stay."""
    noise = np.random.default_rng(0).integers(0, 256, (512, 1024, 3), dtype=np.uint8)
    whole, small = painted(BOX, PANORAMA, noise), painted(BOX, PANORAMA, noise, max_bytes=60_000)
    assert len(small.jpeg) <= 60_000 < len(whole.jpeg)
    assert small.width_px < whole.width_px
    assert {k: v.tolist() for k, v in small.uv.items()} == {k: v.tolist() for k, v in whole.uv.items()}
