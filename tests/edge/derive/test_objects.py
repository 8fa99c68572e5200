"""Laws of objects in a room's model: the same wherever they are written, and read back."""

from __future__ import annotations

import csv
import io
import re
import zipfile
from dataclasses import replace

import numpy as np
import pytest
import trimesh

from edge.derive.formats.dxf import dxf
from edge.derive.formats.obj import obj_files
from edge.derive.formats.plan import plan_svg
from edge.derive.formats.ply import ply
from edge.derive.formats.sizes import sizes_csv
from edge.derive.formats.usdz import usdz
from edge.derive.glb import objects_glb, read_objects, read_room, room_glb
from edge.derive.model import RoomModel
from edge.derive.objects import base_of, footprint
from edge.derive.surface_nets import volume_of
from edge.scene import ObjectPlace
from tests.edge.derive.rooms import layout, model
from tests.edge.things import BOX_ONLY, CHAIR, HEIGHT, LOST, MESH, SIZE


@pytest.fixture(scope="module")
def room() -> RoomModel:
    """A room without a picture, in which one of them stands."""
    return model(textured=False, objects=(CHAIR, LOST, BOX_ONLY))


def meshes(data: bytes, kind: str) -> trimesh.Trimesh:
    """All that is in a file, in its scene's axes."""
    found = trimesh.load(io.BytesIO(data), file_type=kind)
    return found.to_geometry() if isinstance(found, trimesh.Scene) else found


def test_a_model_has_what_stands_in_its_room(room: RoomModel) -> None:
    """One that has shape and place; none where the room itself has no metres."""
    assert [o.name for o in room.objects] == ["chair-1"]
    relative = replace(room, objects=())
    assert b"chair-1" not in room_glb(relative)
    assert layout(metric=False).scale == "relative"


def test_it_is_read_back_from_the_room(room: RoomModel) -> None:
    """Shape, place, size and colours are those that were written."""
    (found,) = read_room(room_glb(room)).objects
    assert replace(found, mesh=None, size_m=None, place=None) == replace(CHAIR, mesh=None, size_m=None, place=None)
    assert found.mesh is not None
    assert found.mesh.vertices == pytest.approx(MESH.vertices * 1.2, abs=1e-5)
    assert np.abs(found.mesh.colours.astype(int) - MESH.colours).max() <= 1
    assert found.size_m == pytest.approx(SIZE, abs=1e-5)
    assert found.metres == pytest.approx(1.0, abs=1e-5)
    assert found.place == ObjectPlace(pytest.approx((1.0, 1.5, HEIGHT), abs=1e-5), pytest.approx(np.pi / 2))


def test_objects_alone_are_a_glb_of_their_own() -> None:
    """A node for each that has a shape: closed, of the mesh's volume in metres, standing where it stands."""
    data = objects_glb("hall", [CHAIR, LOST, BOX_ONLY], {"device": "dev"})
    found = read_objects(data)
    assert [o.name for o in found] == ["chair-1", "chair-2"]
    assert (found[1].place, found[1].size_m) == (None, None)
    scene = trimesh.load(io.BytesIO(data), file_type="glb")
    one = scene.geometry["chair-1"]
    assert one.is_watertight
    assert one.volume == pytest.approx(volume_of(MESH) * 1.2**3, rel=1e-4)
    turn, _ = scene.graph.get("chair-1")
    points = trimesh.transform_points(one.vertices, turn)
    assert points[:, 1].min() == pytest.approx(0.0, abs=1e-4)  # y is up: it stands on the floor
    assert points.mean(axis=0)[[0, 2]] == pytest.approx((1.0 + _behind(), -1.5), abs=0.01)
    assert len(data) < 2 * 125_000


def _behind() -> float:
    """How far the middle of a chair's corners is in front of its box's; it faces +x."""
    return float(MESH.vertices[:, 2].mean()) * 1.2


def test_its_footprint_is_its_box_turned() -> None:
    """It faces +x, so its front side is the one at greater x, as wide as it is; the underside is on the floor."""
    corners, base = footprint(CHAIR), base_of(CHAIR)
    assert corners is not None
    assert base is not None
    assert base == pytest.approx((1.0, 1.5, 0.0), abs=1e-3)
    assert corners[[0, 3], 0] == pytest.approx(1.0 + SIZE[1] / 2, abs=1e-3)
    assert abs(corners[0, 1] - corners[3, 1]) == pytest.approx(SIZE[0], abs=1e-4)
    assert footprint(LOST) is None


@pytest.mark.parametrize("kind", ["ply", "obj"])
def test_triangles_of_a_room_have_it_where_it_stands(room: RoomModel, kind: str) -> None:
    """Beside the walls, every corner of the chair, in metres, z up; with its colour."""
    bare = replace(room, objects=())
    if kind == "ply":
        with_it, without = (len(meshes(ply(m), "ply").faces) for m in (room, bare))
        corners = meshes(ply(room), "ply").vertices
    else:
        text = obj_files(room)["room.obj"].decode()
        with_it, without = (len(re.findall(r"^f ", t, re.M)) for t in (text, obj_files(bare)["room.obj"].decode()))
        lines = [line.split()[1:] for line in text.splitlines() if line.startswith("v ")]
        corners = np.array([line[:3] for line in lines], float)
        coloured = [line for line in lines if len(line) == 6]
        assert len(coloured) == len(MESH.vertices)
        assert np.array(coloured[0][3:], float) * 255 == pytest.approx(MESH.colours[0], abs=0.1)
        assert b"newmtl chair-1" in obj_files(room)["room.mtl"]
    assert with_it - without == len(MESH.faces)
    at = np.array([1.0, 1.5]) - corners[:, :2]
    assert corners[np.abs(at).max(axis=1) < 0.45, 2].max() == pytest.approx(SIZE[2], abs=1e-3)


def test_usdz_has_it_too(room: RoomModel) -> None:
    """A mesh of its own with the colours of its corners."""
    layer = zipfile.ZipFile(io.BytesIO(usdz(room))).read("room.usda").decode()
    assert 'def Mesh "chair_1"' in layer
    assert 'def Material "chair_1"' in layer
    assert "primvars:displayColor" in layer


def test_plans_have_its_footprint(room: RoomModel) -> None:
    """In SVG at 1:50 with its sizes; in DXF on a layer of its own, as four lines."""
    svg = plan_svg(room).decode()
    said = re.search(r'class="object" points="([^"]+)" id="chair-1" data-width-m="([\d.]+)"', svg)
    assert said
    assert float(said[2]) == pytest.approx(SIZE[0], abs=1e-3)
    points = np.array([p.split(",") for p in said[1].split()], float) / 20 * (1, -1)
    assert points.mean(axis=0) == pytest.approx((1.0, 1.5), abs=1e-3)
    lines = dxf(room).decode().split("\n")
    assert sum(lines[i + 1 : i + 4] == ["LINE", "  8", "OBJECTS"] for i in range(len(lines) - 4)) == 4


def test_a_table_of_sizes_has_its_row(room: RoomModel) -> None:
    """Its width, height and confidence."""
    rows = {row["name"]: row for row in csv.DictReader(io.StringIO(sizes_csv(room).decode()))}
    chair = rows["chair-1"]
    assert (chair["kind"], float(chair["confidence"])) == ("object", 0.82)
    assert (float(chair["length_m"]), float(chair["height_m"])) == pytest.approx((SIZE[0], SIZE[2]), abs=1e-3)
