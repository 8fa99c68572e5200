"""Room meshes: closed, inward, of the right size, and y-up in the file."""

from __future__ import annotations

import io

import numpy as np
import pytest
import trimesh

from edge.derive.mesh import room_glb, room_surfaces
from edge.errors import GeometryError

L_SHAPE = np.array([[3, 3], [0.8, 3], [0.8, 1.2], [-2, 1.2], [-2, -2], [3, -2]], float)


@pytest.mark.parametrize("polygon", [L_SHAPE, L_SHAPE[::-1]])
def test_room_is_closed_and_has_its_volume(polygon: np.ndarray) -> None:
    """All surfaces together enclose area x height, with normals pointing in (so the volume is negative)."""
    parts = [trimesh.Trimesh(v, f, process=False) for v, f in room_surfaces(polygon, 2.5).values()]
    room = trimesh.util.concatenate(parts)
    room.merge_vertices()
    assert room.is_watertight
    assert room.volume == pytest.approx(-(5 * 5 - 2.8 * 1.8) * 2.5)


def test_file_is_y_up_with_named_parts() -> None:
    """Reading the GLB back gives floor, ceiling and walls with the height along y and forward along -z."""
    scene = trimesh.load(io.BytesIO(room_glb(L_SHAPE, 2.5)), file_type="glb")
    assert set(scene.geometry) == {"floor", "ceiling", "walls"}
    low, high = scene.bounds
    assert low == pytest.approx([-2, 0, -3])
    assert high == pytest.approx([3, 2.5, 2])


def test_impossible_rooms_are_refused() -> None:
    """A bow tie, or no height, is no room."""
    for polygon, height in (([[0, 0], [1, 1], [1, 0], [0, 1]], 2.5), (L_SHAPE, 0.0)):
        with pytest.raises(GeometryError, match="simple floor polygon"):
            room_surfaces(polygon, height)
