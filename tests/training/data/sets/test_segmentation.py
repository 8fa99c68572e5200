"""Edges of rooms from drawn segmentations, whose truth is known."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest

from edge.geometry.panorama import latitudes, longitudes
from edge.geometry.polygon import boundary_latitudes
from training.data.sets.segmentation import Surfaces, room_boundary, seen_edges

WIDTH, HEIGHT = 512, 256
PIXEL_RAD = np.pi / HEIGHT
CAMERA_M, CEILING_M = 1.5, 2.7
ROOM = [(-2.0, -1.5), (3.0, -1.5), (3.0, 2.5), (-2.0, 2.5)]


def _edges(polygon: npt.ArrayLike = ROOM) -> npt.NDArray[np.float64]:
    return -np.stack(boundary_latitudes(polygon, longitudes(WIDTH), CAMERA_M, CEILING_M))


def _drawn(edges_rad: npt.NDArray[np.float64]) -> list[npt.NDArray[np.float32]]:
    """Wall, floor and ceiling of an empty room: each pixel is wholly what its centre is."""
    down = -latitudes(HEIGHT)[:, None]
    ceiling, floor = edges_rad
    above, below = down < ceiling, down > floor
    return [part.astype(np.float32) for part in (~above & ~below, below, above)]


def test_an_empty_room_gives_back_its_edges() -> None:
    """Every column of a drawn rectangle is known, to within half a pixel."""
    edges = _edges()
    room = room_boundary(Surfaces(*_drawn(edges)))
    assert room.usable
    assert np.abs(room.boundary.edges_rad - edges).max() <= 0.51 * PIXEL_RAD
    assert (room.boundary.weight > 0.5).mean() > 0.99


def test_furniture_at_the_wall_hides_the_edge_and_the_ceiling_gives_it() -> None:
    """Where a cupboard stands before the wall the floor's edge is not seen, yet it is where the ceiling says."""
    edges = _edges()
    wall, floor, ceiling = _drawn(edges)
    hidden = slice(100, 160)
    for part in (wall, floor):
        part[HEIGHT // 2 + 5 : HEIGHT // 2 + 90, hidden] = 0
    surfaces = Surfaces(wall, floor, ceiling)
    sure = seen_edges(surfaces)[1]
    assert (sure[1, hidden] == 0).all() and (sure[0] > 0).all()
    assert (sure[1, 170:] > 0).all()
    room = room_boundary(surfaces)
    assert np.abs(room.boundary.edges_rad[1, hidden] - edges[1, hidden]).max() < 3 * PIXEL_RAD
    weight = room.boundary.weight[1]
    assert (weight[hidden] > 0).all() and weight[hidden].max() < weight[170:].min()


def test_furniture_in_the_middle_of_the_floor_hides_nothing() -> None:
    """A table with floor behind it changes no edge."""
    edges = _edges()
    wall, floor, ceiling = _drawn(edges)
    floor[HEIGHT - 60 : HEIGHT - 30, 200:300] = 0
    room = room_boundary(Surfaces(wall, floor, ceiling))
    assert np.abs(room.boundary.edges_rad - edges).max() <= 0.51 * PIXEL_RAD
    assert (room.boundary.weight[1, 200:300] > 0.5).all()


def test_columns_out_of_view_stay_unknown() -> None:
    """What no camera sees has no weight, and the seen columns keep their edges."""
    edges = _edges()
    parts = _drawn(edges)
    for part in parts:
        part[:, :150] = 0
        part[:, -150:] = 0
    room = room_boundary(Surfaces(*parts))
    assert room.usable
    assert not room.boundary.weight[:, :150].any()
    assert np.abs(room.boundary.edges_rad - edges)[:, 160:-160].max() <= 0.51 * PIXEL_RAD


@pytest.mark.parametrize("case", ["open air", "no floor", "slanted ceiling"])
def test_what_is_no_room_is_refused(case: str) -> None:
    """Without a ceiling, without a floor, or where they contradict each other, nothing is said, and why is."""
    edges = _edges()
    if case == "slanted ceiling":
        edges[0] *= 1 + 0.6 * np.sin(5 * longitudes(WIDTH))
    wall, floor, ceiling = _drawn(edges)
    if case == "open air":
        ceiling[:], wall[: HEIGHT // 2 - 10] = 0, 0
    if case == "no floor":
        floor[:] = 0
    room = room_boundary(Surfaces(wall, floor, ceiling))
    assert not room.usable and not room.boundary.weight.any()
    assert "floor and ceiling" in room.reason


def test_a_soft_edge_is_found_within_its_pixel() -> None:
    """Where wall fades into floor over two pixels, the edge is where both are equally likely."""
    edges = np.stack([np.full(WIDTH, -0.4), np.linspace(0.5, 0.6, WIDTH)])
    rows = -latitudes(HEIGHT)[:, None]
    floor = np.clip((rows - edges[1]) / (2 * PIXEL_RAD) + 0.5, 0, 1)
    ceiling = np.clip((edges[0] - rows) / (2 * PIXEL_RAD) + 0.5, 0, 1)
    surfaces = Surfaces(*(p.astype(np.float32) for p in (1 - floor - ceiling, floor, ceiling)))
    assert np.abs(seen_edges(surfaces)[0] - edges).max() < 0.05 * PIXEL_RAD
