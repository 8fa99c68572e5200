"""Every format is read back by a library that is not ours, and says the room's sizes."""

from __future__ import annotations

import csv
import io
import json
import xml.etree.ElementTree as ET
import zipfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import trimesh

from edge.derive.formats.dxf import dxf
from edge.derive.formats.horizonnet import horizonnet_json, read_horizonnet
from edge.derive.formats.ifc import ifc
from edge.derive.formats.obj import obj_files, obj_zip
from edge.derive.formats.plan import plan_svg
from edge.derive.formats.ply import ply
from edge.derive.formats.sizes import feet, sizes_csv
from edge.derive.formats.usdz import usdz
from edge.derive.mesh import outline
from edge.derive.model import RoomModel, model_of
from edge.errors import GeometryError
from tests.edge.derive.rooms import BOX, CEILING_M, EYE_M, L_SHAPE, PANORAMA, layout, model

ROOM = model(L_SHAPE)
RELATIVE = model_of(layout(metric=False), PANORAMA, np.zeros((64, 128, 3), np.uint8), textured=False)
AREA_M2 = 5 * 5 - 2.8 * 1.8
LENGTHS_M = sorted(edge.length for edge in outline(L_SHAPE))


def closed_volume(mesh: trimesh.Trimesh) -> float:
    """The volume of a mesh that must be closed once its corners are merged; negative: it faces inwards."""
    whole = trimesh.Trimesh(mesh.vertices, mesh.faces, process=False)
    whole.merge_vertices(digits_vertex=5)
    assert whole.is_watertight
    return float(whole.volume)


def test_ply_is_a_closed_coloured_room() -> None:
    """Corners of the floor have the colours of their places; the triangles are closed and face inwards."""
    mesh = trimesh.load(io.BytesIO(ply(ROOM)), file_type="ply", process=False)
    assert closed_volume(mesh) == pytest.approx(-AREA_M2 * CEILING_M, rel=1e-4)
    near = np.linalg.norm(mesh.vertices - (-1.0, -1.0, 0.0), axis=1) < 0.1
    expected = np.array([-1.0, -1.0, 0.0]) * 20 + 120
    assert np.median(mesh.visual.vertex_colors[near][:, :3], axis=0) == pytest.approx(expected, abs=4)


def test_ply_without_a_picture_has_no_more_corners_than_it_needs() -> None:
    """One corner a corner: nothing is cut where there is no picture to show."""
    mesh = trimesh.load(io.BytesIO(ply(replace(ROOM, texture=None))), file_type="ply", process=False)
    assert len(mesh.vertices) == 6 * 2 + 6 * 4
    assert closed_volume(mesh) == pytest.approx(-AREA_M2 * CEILING_M, rel=1e-5)


def test_obj_has_its_parts_and_its_picture(tmp_path: Path) -> None:
    """Loaded with the files beside it: closed, z up, and textured."""
    for name, data in obj_files(ROOM, "hall").items():
        (tmp_path / name).write_bytes(data)
    mesh = trimesh.load(tmp_path / "hall.obj", force="mesh", process=False)
    assert closed_volume(mesh) == pytest.approx(-AREA_M2 * CEILING_M, rel=1e-5)
    assert mesh.visual.material.image.size == (ROOM.texture.width_px, ROOM.texture.height_px)  # type: ignore[union-attr]
    assert [line for line in (tmp_path / "hall.obj").read_text().splitlines() if line.startswith("o ")] == [
        f"o {s.name}" for s in ROOM.surfaces
    ]
    assert set(zipfile.ZipFile(io.BytesIO(obj_zip(ROOM))).namelist()) == {"room.obj", "room.mtl", "room.jpg"}


def test_dxf_opens_without_a_fault(tmp_path: Path) -> None:
    """The audit of ezdxf finds nothing; walls have their lengths, the drawing its unit, openings their layer."""
    ezdxf = pytest.importorskip("ezdxf")
    (tmp_path / "room.dxf").write_bytes(dxf(ROOM))
    drawing = ezdxf.readfile(tmp_path / "room.dxf")
    audit = drawing.audit()
    assert (audit.errors, audit.fixes) == ([], [])
    assert drawing.header["$INSUNITS"] == 6
    walls = [e for e in drawing.modelspace() if e.dxf.layer == "WALLS"]
    assert sorted(e.dxf.start.distance(e.dxf.end) for e in walls) == pytest.approx(LENGTHS_M, abs=1e-4)
    assert sum(e.dxftype() == "LINE" for e in drawing.modelspace() if e.dxf.layer == "OPENINGS") == 4 * 2
    (tmp_path / "relative.dxf").write_bytes(dxf(RELATIVE))
    assert ezdxf.readfile(tmp_path / "relative.dxf").header["$INSUNITS"] == 0


def test_usdz_opens_in_usd(tmp_path: Path) -> None:
    """Pixar's library finds metres, y up, a mesh a surface of the right size, and its picture; files are aligned."""
    pytest.importorskip("pxr")
    from pxr import Usd, UsdGeom, UsdShade

    (tmp_path / "room.usdz").write_bytes(usdz(ROOM))
    stage = Usd.Stage.Open(str(tmp_path / "room.usdz"))
    assert (UsdGeom.GetStageMetersPerUnit(stage), UsdGeom.GetStageUpAxis(stage)) == (1.0, "Y")
    assert stage.GetDefaultPrim().GetName() == "room"
    meshes = [p for p in stage.Traverse() if p.IsA(UsdGeom.Mesh)]
    assert len(meshes) == len(ROOM.surfaces)
    box = UsdGeom.BBoxCache(Usd.TimeCode.Default(), ["default"]).ComputeWorldBound(stage.GetDefaultPrim())
    assert list(box.ComputeAlignedRange().GetSize()) == pytest.approx([5.0, CEILING_M, 5.0], abs=1e-5)
    for mesh in meshes:
        material, _ = UsdShade.MaterialBindingAPI(mesh).ComputeBoundMaterial()
        assert material.GetPrim().GetName() == "picture"
    with zipfile.ZipFile(tmp_path / "room.usdz") as archive:
        assert archive.namelist()[0].endswith(".usda")
        for entry in archive.infolist():
            assert entry.compress_type == zipfile.ZIP_STORED
            assert (entry.header_offset + 30 + len(entry.filename) + len(entry.extra)) % 64 == 0


def test_ifc_is_valid_and_has_the_room() -> None:
    """The validation of ifcopenshell finds nothing; the space, walls, door and window are there with their sizes."""
    pytest.importorskip("ifcopenshell")
    import ifcopenshell
    import ifcopenshell.util.element
    import ifcopenshell.validate

    file = ifcopenshell.file.from_string(ifc(ROOM).decode())
    log = ifcopenshell.validate.json_logger()
    ifcopenshell.validate.validate(file, log)
    assert log.statements == []
    (space,) = file.by_type("IfcSpace")
    solid = space.Representation.Representations[0].Items[0]
    assert solid.Depth == CEILING_M
    assert len(solid.SweptArea.OuterCurve.Points) == len(L_SHAPE) + 1
    walls = file.by_type("IfcWall")
    assert len(walls) == len(L_SHAPE)
    assert ifcopenshell.util.element.get_pset(walls[0], "Edge_Assumed", "WallThicknessAssumed") is True
    (door,), (window,) = file.by_type("IfcDoor"), file.by_type("IfcWindow")
    assert (door.OverallHeight, window.OverallHeight) == (2.0, 1.2)
    assert door.FillsVoids[0].RelatingOpeningElement.VoidsElements[0].RelatingBuildingElement in walls


def test_formats_at_true_size_are_refused_without_metres() -> None:
    """USDZ and IFC show a room at its true size: where it is not known they say what to do."""
    for write in (usdz, ifc):
        with pytest.raises(GeometryError, match="camera_height_m"):
            write(RELATIVE)


def test_horizonnet_json_comes_back() -> None:
    """Written and read: the same corners and heights; and in the layout's own convention, u rising, ceiling first."""
    for made in (ROOM, model(BOX)):
        again = read_horizonnet(horizonnet_json(made), EYE_M)
        assert again.ceiling_height == pytest.approx(CEILING_M, abs=1e-4)
        shift = int(np.argmin(np.linalg.norm(again.polygon - made.polygon[0], axis=1)))
        assert np.roll(again.polygon, -shift, axis=0) == pytest.approx(made.polygon, abs=1e-4)


def test_horizonnet_s_own_file_is_read() -> None:
    """A square room as HorizonNet writes it: 45 degrees below the horizon at 1 m, corners at every quarter."""
    uv = [[u, v] for u in (0.125, 0.375, 0.625, 0.875) for v in (0.25, 0.75)]
    data = json.dumps({"z0": 50.0, "z1": -50.0, "uv": uv}).encode()
    room = read_horizonnet(data, 1.0)
    assert room.area == pytest.approx(2.0)
    assert room.ceiling_height == pytest.approx(2.0)
    assert read_horizonnet(data).scale == "relative"


@pytest.mark.parametrize(
    "data", [b"", b"[]", b"{}", b'{"z0": 50, "z1": 0, "uv": [[0, 0]]}', b'{"z0":50,"z1":-50,"uv":[]}']
)
def test_what_is_no_layout_of_horizonnet_is_refused(data: bytes) -> None:
    """With a sentence."""
    with pytest.raises(GeometryError, match="layout of HorizonNet"):
        read_horizonnet(data)


def test_csv_has_a_row_for_everything() -> None:
    """Read by Python's own reader: walls with their lengths, openings, the room's area; all rows equally long."""
    rows = list(csv.DictReader(io.StringIO(sizes_csv(ROOM).decode()), strict=True))
    assert all(None not in row and None not in row.values() for row in rows)
    assert float(rows[0]["area_m2"]) == pytest.approx(AREA_M2, abs=1e-4)
    walls = [float(row["length_m"]) for row in rows if row["kind"] == "wall"]
    assert sorted(walls) == pytest.approx(LENGTHS_M, abs=1e-4)
    assert [row["height_m"] for row in rows if row["kind"] in ("door", "window")] == ["2.0", "1.2"]
    assert "length_h" in sizes_csv(RELATIVE).decode().splitlines()[0]


def plan_of(made: RoomModel) -> ET.Element:
    """The plan, parsed."""
    return ET.fromstring(plan_svg(made))


def test_plan_is_to_scale_and_says_every_length() -> None:
    """At 1:50 a metre is 20 mm; each wall is drawn with its length in metres and feet beside it."""
    svg = plan_of(ROOM)
    lines = [e for e in svg.iter() if "wall" in e.get("class", "").split()]
    assert len(lines) == len(L_SHAPE)
    for line in lines:
        x1, y1, x2, y2 = (float(line.get(k, "nan")) for k in ("x1", "y1", "x2", "y2"))
        length_m = float(line.get("data-length-m", "nan"))
        assert np.hypot(x2 - x1, y2 - y1) == pytest.approx(length_m * 20, abs=1e-2)
        assert any(f"{length_m:.2f} m ({feet(length_m)})" == e.text for e in svg.iter() if e.text)
    assert svg.get("width", "").endswith("mm")
    assert float(svg.get("width", "0mm")[:-2]) == pytest.approx(float(svg.get("viewBox", "").split()[2]))
    assert {e.get("data-kind") for e in svg.iter()} >= {"door", "window"}


def test_plan_names_no_metre_that_is_not_known() -> None:
    """A relative room's plan is in heights of the camera."""
    text = "".join(e.text or "" for e in plan_of(RELATIVE).iter() if e.tag.endswith("text"))
    assert " m" not in text
    assert " h" in text


@pytest.mark.parametrize(
    ("length_m", "said"),
    [(0.3048, "1' 0\""), (1.0, "3' 3.5\""), (3.6576, "12' 0\""), (3.65, "11' 11.5\""), (3.655, "12' 0\"")],
)
def test_feet_carry_their_inches(length_m: float, said: str) -> None:
    """Twelve inches are a foot, also by rounding."""
    assert feet(length_m) == said
