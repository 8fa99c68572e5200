"""Surfaces of rooms: closed, inward, of the right size, each in its own rectangle."""

from __future__ import annotations

import numpy as np
import pytest
import trimesh

from edge.derive.mesh import outline, room_surfaces
from edge.errors import GeometryError
from tests.edge.derive.rooms import BOX, L_SHAPE

SLICE = np.array([[0.0, 0.0], [2.0, 3.0], [-2.0, 3.0]])


@pytest.mark.parametrize("polygon", [L_SHAPE, L_SHAPE[::-1]])
def test_room_is_closed_and_has_its_volume(polygon: np.ndarray) -> None:
    """All surfaces together enclose area x height, with normals pointing in (so the volume is negative)."""
    parts = [trimesh.Trimesh(s.vertices, s.faces, process=False) for s in room_surfaces(polygon, 2.5)]
    room = trimesh.util.concatenate(parts)
    room.merge_vertices()
    assert room.is_watertight
    assert room.volume == pytest.approx(-(5 * 5 - 2.8 * 1.8) * 2.5)


def test_triangles_face_where_the_surface_says() -> None:
    """Every triangle's own normal is its surface's."""
    for s in room_surfaces(L_SHAPE, 2.5):
        a, b, c = (s.vertices[s.faces[:, i]] for i in range(3))
        normals = np.cross(b - a, c - a)
        assert normals / np.linalg.norm(normals, axis=1, keepdims=True) == pytest.approx(
            np.repeat(s.normal[None], len(normals), axis=0)
        )


def test_rectangles_hold_their_surfaces_and_are_not_mirrored() -> None:
    """Corners lie within 0..1; right, down and the normal are left-handed: a picture is seen from inside as it is."""
    for s in room_surfaces(L_SHAPE, 2.5):
        at = s.on_rectangle(s.vertices)
        assert at.min() == pytest.approx(0.0)
        assert at.max() == pytest.approx(1.0)
        assert np.cross(s.right, s.down) == pytest.approx(-s.normal)


def test_sides_have_the_numbers_of_the_message() -> None:
    """Walls are numbered in order; lines of sight that close a partial view are cuts, numbered apart."""
    assert [edge.name for edge in outline(BOX)] == ["wall-0", "wall-1", "wall-2", "wall-3"]
    assert [edge.name for edge in outline(SLICE, "visible")] == ["cut-0", "wall-0", "cut-1"]


def test_corners_that_repeat_are_left_out() -> None:
    """A corner given twice makes no wall without length."""
    twice = np.insert(BOX, 1, BOX[1], axis=0)
    assert [edge.length for edge in outline(twice)] == [edge.length for edge in outline(BOX)]


def test_impossible_rooms_are_refused() -> None:
    """A bow tie, or no height, is no room."""
    for polygon, height in (([[0, 0], [1, 1], [1, 0], [0, 1]], 2.5), (L_SHAPE, 0.0)):
        with pytest.raises(GeometryError, match="simple floor polygon"):
            room_surfaces(polygon, height)
