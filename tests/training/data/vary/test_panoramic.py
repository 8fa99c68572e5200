"""Changes of panoramas: picture and room change alike."""

from __future__ import annotations

import numpy as np
import pytest

from edge.geometry.panorama import longitudes, rays
from edge.geometry.polygon import area_m2, boundary_latitudes, counter_clockwise, wall_distances
from training.data.vary.panoramic import (
    PanoramaRoom,
    boundary_target,
    corner_columns,
    corner_target,
    edge_weights,
    mirrored,
    random_stretch,
    stretch_matrix,
    transformed,
    turned,
    wall_axis_rad,
)

L_ROOM = np.array([[-1.5, -2.0], [2.5, -2.0], [2.5, 1.0], [0.8, 1.0], [0.8, 3.0], [-1.5, 3.0]])
CAMERA_M, CEILING_M = 1.4, 2.6
W, H = 512, 256


def _painted(polygon: np.ndarray) -> PanoramaRoom:
    """Ceiling white, walls grey, floor black: the picture is the layout."""
    ceiling, floor = boundary_latitudes(polygon, longitudes(W), CAMERA_M, CEILING_M)
    lat = np.arcsin(rays(W, H)[..., 2])
    grey = np.where(lat > ceiling, 255, np.where(lat < floor, 0, 128)).astype(np.uint8)
    return PanoramaRoom(np.repeat(grey[..., None], 3, axis=2), polygon, CAMERA_M, CEILING_M)


def _disagreement(room: PanoramaRoom) -> float:
    """Share of pixels whose label in the picture is not the layout's."""
    return float((np.abs(room.image.astype(int) - _painted(room.polygon_m).image) > 60).mean())


@pytest.mark.parametrize("turn_rad", [0.0, 0.7])
def test_stretched_picture_shows_the_stretched_room(turn_rad: float) -> None:
    """Stretching along the walls of a turned L: the picture's edges are the boundary of the stretched polygon."""
    c, s = np.cos(turn_rad), np.sin(turn_rad)
    polygon = L_ROOM @ np.array([[c, -s], [s, c]]).T
    matrix = stretch_matrix(1.5, 0.8, wall_axis_rad(polygon))
    room = transformed(_painted(polygon), matrix)
    assert area_m2(room.polygon_m) == pytest.approx(area_m2(polygon) * 1.5 * 0.8)
    edges = np.roll(room.polygon_m, -1, axis=0) - room.polygon_m
    assert np.abs(np.sum(edges * np.roll(edges, -1, axis=0), axis=1)).max() < 1e-9  # right angles stay right
    assert _disagreement(room) < 0.01


@pytest.mark.parametrize("columns", [1, 100, 300])
def test_turned_and_mirrored_pictures_show_the_turned_and_mirrored_room(columns: int) -> None:
    """Rolling and flipping the picture is what turning and mirroring the room does, to the pixel."""
    assert _disagreement(turned(_painted(L_ROOM), columns)) < 0.003
    flipped = mirrored(turned(_painted(L_ROOM), columns))
    assert _disagreement(flipped) < 0.003
    np.testing.assert_allclose(flipped.polygon_m, counter_clockwise(flipped.polygon_m))


def test_boundary_target_turns_with_the_room() -> None:
    """The target of a turned room is the rolled target; positive down, ceiling first."""
    target = boundary_target(_painted(L_ROOM), W)
    assert (target[0] < 0).all()
    assert (target[1] > 0).all()
    np.testing.assert_allclose(boundary_target(turned(_painted(L_ROOM), 37), W), np.roll(target, 37, axis=1), atol=1e-5)


def test_corner_target_is_1_at_seen_corners_and_falls_as_published() -> None:
    """The L's hidden corner makes no peak; every seen one does; 0.96 a column of 1024."""
    seen = corner_columns(L_ROOM, W)
    hidden = [c for c in L_ROOM if np.hypot(*c) > wall_distances(L_ROOM, [np.arctan2(*c)])[0] * 1.01]
    assert len(seen) == len(L_ROOM) - len(hidden)
    target = corner_target(L_ROOM, W)[0]
    for at in seen:
        assert target[int(at) % W] > 0.96**1.01
    box = np.array([[-2.0, -2.0], [2.0, -2.0], [2.0, 2.0], [-2.0, 2.0]])  # corners on the columns' borders
    assert corner_target(box, 1024)[0, 128 + 10] == pytest.approx(0.96**10.5, rel=1e-4)


def test_random_stretch_keeps_the_camera_inside() -> None:
    """However strongly stretched, walls stay between nearest and farthest distance."""
    rng = np.random.default_rng(0)
    for _ in range(20):
        room = random_stretch(_painted(L_ROOM), rng, 3.0)
        reach = wall_distances(room.polygon_m, longitudes(64))
        assert reach.min() > 0.35
        assert reach.max() < 14.5


def test_edges_out_of_view_count_little_and_unseen_columns_not_at_all() -> None:
    """A mask of the lower right half: the floor edge counts fully there, the ceiling a little, the left nothing."""
    boundary = np.stack([np.full(8, -0.5), np.full(8, 0.6)]).astype(np.float32)
    mask = np.zeros((16, 32), np.bool_)
    mask[8:, 16:] = True
    weights = edge_weights(boundary, mask)
    assert (weights[:, :4] == 0).all() and (weights[1, 4:] == 1).all()
    assert ((weights[0, 4:] > 0) & (weights[0, 4:] < 1)).all()
    np.testing.assert_array_equal(edge_weights(boundary, None), 1)


@pytest.mark.parametrize(("kx", "ky"), [(2.0, 1.0), (1.0, 0.5), (1.7, 0.6)])
def test_stretch_moves_corners_as_published(kx: float, ky: float) -> None:
    """Corners go where HorizonNet's `pano_stretch` puts them: kx forward and back, ky left and right, heights kept."""
    room = transformed(_painted(L_ROOM), stretch_matrix(kx, ky, np.pi / 2))
    u0 = np.arctan2(*L_ROOM.T)
    v0 = np.arctan2(CAMERA_M, np.hypot(*L_ROOM.T))  # positive down
    u = np.arctan2(np.sin(u0) * ky / kx, np.cos(u0))
    v = np.arctan(np.tan(v0) * np.sin(u) / np.sin(u0) / ky)
    np.testing.assert_allclose(np.arctan2(*room.polygon_m.T), u, atol=1e-9)
    np.testing.assert_allclose(np.arctan2(CAMERA_M, np.hypot(*room.polygon_m.T)), v, atol=1e-9)
    assert (room.camera_height_m, room.ceiling_height_m) == (CAMERA_M, CEILING_M)
    assert _disagreement(room) < 0.01
