"""The room as GLB: what other readers find in it, what we read back, what the Khronos validator says."""

from __future__ import annotations

import io
import json
import shutil
import subprocess
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import trimesh

from edge.derive.glb import read_room, room_glb
from edge.derive.gltf import File, quaternion
from edge.derive.mesh import outline
from edge.derive.model import model_of
from edge.errors import GeometryError
from edge.geometry.rigid import rotation_room_camera
from edge.scene import CameraModel
from tests.edge.derive.rooms import BOX, CEILING_M, L_SHAPE, LIGHT, PANORAMA, layout, model

_VALIDATOR = "gltf-validator@2.0.0-dev.3.10"
_VALIDATE = """
const fs = require("fs"), v = require("gltf-validator"), found = {};
(async () => {
  for (const f of process.argv.slice(1)) found[f] = (await v.validateBytes(new Uint8Array(fs.readFileSync(f)))).issues;
  console.log(JSON.stringify(found));
})();
"""


def rotated(q: list[float], v: np.ndarray) -> np.ndarray:
    """A vector turned by a quaternion x, y, z, w."""
    axis, w = np.array(q[:3]), q[3]
    return v + 2 * np.cross(axis, np.cross(axis, v) + w * v)


@pytest.mark.parametrize("textured", [True, False])
def test_trimesh_finds_every_corner_and_a_closed_room(textured: bool) -> None:
    """Another reader finds a node a surface, y up, corners to 1e-4 m, and one closed volume of them all."""
    scene = trimesh.load(io.BytesIO(room_glb(model(L_SHAPE, textured=textured))), file_type="glb")
    names = {"floor", "ceiling", *(edge.name for edge in outline(L_SHAPE))}
    assert names <= set(scene.graph.nodes_geometry)
    for edge in outline(L_SHAPE):
        pose, geometry = scene.graph[edge.name]
        corners = trimesh.transform_points(scene.geometry[geometry].vertices, pose)
        expected = [[x, z, -y] for x, y in (edge.start, edge.end) for z in (0.0, CEILING_M)]
        assert np.sort(corners, axis=0) == pytest.approx(np.sort(expected, axis=0), abs=1e-4)
    parts = [scene.geometry[scene.graph[name][1]] for name in names]
    room = trimesh.util.concatenate([trimesh.Trimesh(p.vertices, p.faces, process=False) for p in parts])
    room.merge_vertices()
    assert room.is_watertight
    assert room.volume == pytest.approx(-(5 * 5 - 2.8 * 1.8) * CEILING_M, rel=1e-5)


def test_what_was_written_is_read_back_to_the_byte() -> None:
    """Reading a GLB of ours and writing it again gives the same file: nothing of the model is lost."""
    for made in (model(L_SHAPE), model(BOX, textured=False), replace(model(BOX), lighting=None)):
        data = room_glb(made)
        assert room_glb(read_room(data)) == data


def test_all_surfaces_share_one_picture_and_say_what_was_seen() -> None:
    """One image, one unlit material for what has a texture; `seen_fraction` in every surface's extras."""
    tree = File(room_glb(model(L_SHAPE))).tree
    assert len(tree["images"]) == len(tree["textures"]) == 1
    picture = next(i for i, m in enumerate(tree["materials"]) if m["name"] == "picture")
    assert tree["materials"][picture]["extensions"] == {"KHR_materials_unlit": {}}
    surfaces = [n for n in tree["nodes"] if n.get("extras", {}).get("kind") in ("floor", "ceiling", "wall")]
    assert len(surfaces) == 8
    assert {tree["meshes"][n["mesh"]]["primitives"][0]["material"] for n in surfaces} == {picture}
    assert all(n["extras"]["projected"] and 0 <= n["extras"]["seen_fraction"] <= 1 for n in surfaces)
    assert "extensionsRequired" not in tree


def test_light_shines_from_where_it_is_strongest() -> None:
    """The lamp's own direction, -z of its node, is away from the strongest light; coefficients are in the extras."""
    tree = File(room_glb(model())).tree
    lamp = next(n for n in tree["nodes"] if n["name"] == "light")
    x, y, z = LIGHT.dominant_direction
    assert rotated(lamp["rotation"], np.array([0.0, 0.0, -1.0])) == pytest.approx([-x, -z, y], abs=1e-6)
    light = tree["extensions"]["KHR_lights_punctual"]["lights"][0]
    assert light["type"] == "directional"
    assert light["intensity"] == pytest.approx(np.pi * 0.3 * 0.5, rel=1e-4)
    said = tree["asset"]["extras"]["edge"]["lighting"]
    assert np.array(said["coefficients"]) == pytest.approx(LIGHT.coefficients, abs=1e-6)


def test_no_light_where_none_is_known() -> None:
    """A room whose light was not inferred has no lamp, and declares no extension for one."""
    tree = File(room_glb(replace(model(), lighting=None, texture=None))).tree
    assert "extensionsUsed" not in tree
    assert "extensions" not in tree


def test_camera_looks_where_the_camera_looks() -> None:
    """The camera's node stands at the lens and looks along its axis; a lens gives its field of view."""
    camera = CameraModel("perspective", hfov_rad=1.2, camera_height_m=1.3, yaw_rad=0.6, pitch_rad=-0.3, roll_rad=0.1)
    image = np.zeros((300, 400, 3), np.uint8)
    tree = File(room_glb(model_of(layout(), camera, image))).tree
    node = next(n for n in tree["nodes"] if n["name"] == "camera")
    assert node["translation"] == [0.0, 1.3, 0.0]
    x, y, z = rotation_room_camera(0.6, -0.3, 0.1)[:, 2]
    assert rotated(node["rotation"], np.array([0.0, 0.0, -1.0])) == pytest.approx([x, z, -y], abs=1e-6)
    assert tree["cameras"][0]["perspective"]["yfov"] == pytest.approx(2 * np.arctan(np.tan(0.6) * 0.75), abs=1e-5)


def test_quaternions_are_their_rotations() -> None:
    """Also of half turns, where formulas with a case for each sign go wrong."""
    for r in (np.eye(3), np.diag([1.0, -1, -1]), np.diag([-1.0, 1, -1]), rotation_room_camera(2.0, 0.4, -1.0)):
        for v in np.eye(3):
            assert rotated(quaternion(r), v) == pytest.approx(r @ v, abs=1e-6)


def test_a_textured_room_is_small() -> None:
    """A room with its picture is far below the bound, without it below 20 kB."""
    assert len(room_glb(model())) < 300_000
    assert len(room_glb(model(textured=False))) < 20_000


@pytest.mark.parametrize("data", [b"", b"glTF", b"PK\x03\x04" * 10, room_glb(model(textured=False))[:-50]])
def test_what_is_no_whole_glb_is_refused(data: bytes) -> None:
    """With a sentence, not a traceback."""
    with pytest.raises(GeometryError, match="no GLB"):
        read_room(data)


def test_a_glb_of_others_is_refused() -> None:
    """A GLB that does not say what its surfaces are cannot be measured."""
    other = trimesh.Scene(trimesh.creation.box()).export(file_type="glb")
    with pytest.raises(GeometryError, match="not made by edge"):
        read_room(bytes(other))


@pytest.mark.slow
def test_khronos_validator_finds_nothing(tmp_path: Path) -> None:
    """No error and no warning in rooms with and without texture, light, openings and lines of sight."""
    npm, node = shutil.which("npm"), shutil.which("node")
    if npm is None or node is None:
        pytest.skip("needs npm, for the Khronos validator")
    got = subprocess.run([npm, "install", "--no-save", "--no-audit", _VALIDATOR], cwd=tmp_path, capture_output=True)
    if got.returncode:
        pytest.skip("npm cannot install the Khronos validator here (no registry)")
    partial = replace(layout(np.array([[0.0, 0.0], [2.0, 3.0], [-2.0, 3.0]])), extent="visible")
    lens = CameraModel("perspective", hfov_rad=1.2, camera_height_m=1.3)
    made = {
        "textured": model(L_SHAPE),
        "plain": model(BOX, textured=False),
        "dark": replace(model(BOX), lighting=None),
        "partial": model_of(partial, lens, np.zeros((300, 400, 3), np.uint8), lighting=LIGHT),
        "relative": model_of(layout(metric=False), PANORAMA, np.zeros((128, 256, 3), np.uint8)),
    }
    for name, room in made.items():
        (tmp_path / f"{name}.glb").write_bytes(room_glb(room))
    ran = [node, "-e", _VALIDATE, *(f"{name}.glb" for name in made)]
    issues = json.loads(subprocess.run(ran, cwd=tmp_path, capture_output=True, check=True).stdout)
    assert {f: (i["numErrors"], i["numWarnings"]) for f, i in issues.items()} == {
        f"{name}.glb": (0, 0) for name in made
    }
