"""Triangles: areas, volumes and normals are those of the shapes they stand for."""

import numpy as np
import pytest
import shapely

from edge.geometry.polygon import area_m2
from training.data.synthetic.assets import Catalog
from training.data.synthetic.description import wall_frame
from training.data.synthetic.rooms import describe
from training.data.synthetic.shapes import Solid, box, cylinder, furniture, joined
from training.data.synthetic.stage import build


def _volume(solid: Solid) -> float:
    a, b, c = solid.vertices[0::3], solid.vertices[1::3], solid.vertices[2::3]
    return float(np.einsum("ij,ij->i", a, np.cross(b, c)).sum() / 6)


def test_box_and_cylinder_enclose_their_volume() -> None:
    """By the divergence theorem; a positive sign means that every triangle winds outwards."""
    assert _volume(box([1, 2, 3], [2, 0.5, 0.4], "matt", 0.7)) == pytest.approx(0.4)
    assert box([1, 2, 3], [2, 0.5, 0.4], "matt", 0.7).area_m2 == pytest.approx(2 * (1.0 + 0.8 + 0.2))
    assert _volume(cylinder([0, 0, 1], 0.5, 0.5, 2.0, "matt", 64)) == pytest.approx(np.pi * 0.25 * 2, rel=5e-3)


@pytest.mark.parametrize("kind", ["table", "chair", "sofa", "bed", "shelf", "drawer", "plant", "floor_lamp", "trash"])
def test_made_furniture_fills_its_size(kind: str) -> None:
    """Pieces made of boxes stand on the floor and measure about what was asked."""
    size = (0.8, 0.6, 1.0)
    solid = joined(furniture(kind, size), "matt")
    low, high = solid.vertices.min(0), solid.vertices.max(0)
    assert low[2] == pytest.approx(0, abs=0.02)
    assert np.all((high - low)[:2] <= np.array(size[:2]) * 1.1)
    assert 0.85 * size[2] <= high[2] <= 1.9 * size[2]


@pytest.mark.parametrize("index", range(12))
def test_shell_closes(index: int) -> None:
    """Floor and ceiling have the plan's area; walls of the bare room have perimeter times height."""
    room = describe(5, index, Catalog())
    bare = build(room, Catalog(), empty=True)
    assert bare.merged("floor")[0].area_m2 == pytest.approx(area_m2(room.polygon))
    assert bare.glows[0].solid.area_m2 == pytest.approx(area_m2(room.polygon))
    assert bare.merged("wall0")[0].area_m2 == pytest.approx(shapely.Polygon(room.polygon).length * room.height_m)
    stage = build(room, Catalog())
    assert stage.merged("ceiling")[0].area_m2 == pytest.approx(area_m2(room.polygon))


def test_windows_face_the_room() -> None:
    """A pane's triangles turn towards the room, since they shine on one side only."""
    seen = 0
    for room in (describe(5, i, Catalog()) for i in range(20)):
        windows = sorted((o for o in room.openings if o.kind == "window"), key=lambda o: (o.wall, o.left_m))
        for o, glow in zip(windows, build(room, Catalog()).glows, strict=False):
            a, b, c = glow.solid.vertices[:3]
            normal = np.cross(b - a, c - a)
            inward = wall_frame(room.polygon, o.wall)[2]
            assert np.allclose(normal / np.linalg.norm(normal), [*inward, 0])
            assert glow.solid.area_m2 == pytest.approx(o.width_m * o.height_m)
            seen += 1
    assert seen > 10
