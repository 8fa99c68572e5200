"""A room as GLB, and back: a node for each wall, floor, ceiling and opening, the camera, and the light.

What glTF has no words for stands in `extras`: of the whole file in `asset.extras.edge`, of a surface in its node's.
A length of 1 is a metre only where that says `unit: m`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import cv2
import numpy as np

from edge.derive.gltf import Buffer, File, quaternion, y_up
from edge.derive.home import PlacedRoom, sizes_of
from edge.derive.mesh import QUAD, Array, Faces, Surface
from edge.derive.model import RoomModel, View
from edge.derive.objects import standing, turn_of
from edge.derive.openings import Opening
from edge.derive.surface_nets import normals_of
from edge.derive.texture import Texture
from edge.errors import GeometryError
from edge.geometry.colour import LUMINANCE, linear, srgb
from edge.geometry.harmonics import irradiance_over_pi
from edge.scene import FoundObject, Lighting, ObjectMesh, ObjectPlace

SCHEMA = "edge.room/1"
OBJECTS_SCHEMA = "edge.objects_model/1"

_COLOURS = {
    "floor": (0.38, 0.20, 0.084, 1.0),
    "ceiling": (0.87, 0.87, 0.82, 1.0),
    "wall": (0.67, 0.63, 0.55, 1.0),
    "cut": (0.45, 0.55, 0.65, 0.15),
    "door": (0.55, 0.30, 0.12, 0.45),
    "window": (0.35, 0.65, 0.95, 0.45),
    "opening": (0.80, 0.80, 0.80, 0.45),
    "object": (1.0, 1.0, 1.0, 1.0),
}
"""Linear RGB and opacity."""
_LIFT = 0.005
"""An opening is drawn this far in front of its wall."""
_PANORAMA_VFOV_RAD = 1.2
"""How wide a viewer looks from where a panorama camera stands."""


class _Tree:
    """The file's JSON while it grows."""

    def __init__(self, name: str) -> None:
        self.root = 0
        """The node that nodes are added below, unless it is said otherwise."""
        self.buffer = Buffer()
        self.nodes: list[dict[str, Any]] = [{"name": name, "children": []}]
        self.meshes: list[dict[str, Any]] = []
        self.materials: list[dict[str, Any]] = []
        self._by_name: dict[str, int] = {}

    def add(self, node: dict[str, Any], parent: int | None = None) -> int:
        """Index of a new node below another."""
        self.nodes.append(node)
        self.nodes[self.root if parent is None else parent].setdefault("children", []).append(len(self.nodes) - 1)
        return len(self.nodes) - 1

    def mesh(
        self, name: str, vertices: Array, faces: Faces, normal: Array, material: int, uv: Array | None = None
    ) -> int:
        """Index of a new mesh of one flat surface in the room frame."""
        add = self.buffer.add_vertices
        attributes = {
            "POSITION": add(y_up(vertices), bounds=True),
            "NORMAL": add(np.repeat(y_up(normal)[None], len(vertices), axis=0)),
        }
        if uv is not None:
            attributes["TEXCOORD_0"] = add(uv)
        primitive = {"attributes": attributes, "indices": self.buffer.add_indices(faces), "material": material}
        self.meshes.append({"name": name, "primitives": [primitive]})
        return len(self.meshes) - 1

    def material(self, name: str) -> int:
        """Index of a material: `picture`, or one of the plain colours."""
        if name not in self._by_name:
            self._by_name[name] = len(self.materials)
            self.materials.append(_material(name))
        return self._by_name[name]


def _material(name: str) -> dict[str, Any]:
    rough = {"metallicFactor": 0.0, "roughnessFactor": 0.9}
    if name == "picture":
        unlit: dict[str, Any] = {"extensions": {"KHR_materials_unlit": {}}}
        return {"name": name, "pbrMetallicRoughness": rough | {"baseColorTexture": {"index": 0}}} | unlit
    colour = _COLOURS[name]
    plain: dict[str, Any] = {"name": name, "pbrMetallicRoughness": rough | {"baseColorFactor": list(colour)}}
    return plain if colour[3] == 1.0 else plain | {"alphaMode": "BLEND", "doubleSided": name == "cut"}


def room_glb(model: RoomModel) -> bytes:
    """The file.

    Raises:
        GeometryError: the model's outline is none of a room.
    """
    tree, texture = _Tree(model.camera), model.texture
    _add_room(tree, model)
    for found in standing(model.objects):
        _add_object(tree, found)
    cameras = _add_camera(tree, model.view)
    lights = _add_light(tree, model.lighting)
    whole = _whole(tree, extras_of(model)) | {"cameras": cameras}
    used = (["KHR_materials_unlit"] if texture else []) + (["KHR_lights_punctual"] if lights else [])
    if texture is not None:
        view = tree.buffer.add_bytes(texture.jpeg)
        whole |= {
            "images": [{"name": "picture", "mimeType": "image/jpeg", "bufferView": view}],
            "samplers": [{"magFilter": 9729, "minFilter": 9729, "wrapS": 33071, "wrapT": 33071}],
            "textures": [{"source": 0, "sampler": 0}],
        }
    if lights:
        whole["extensions"] = {"KHR_lights_punctual": {"lights": lights}}
    return tree.buffer.glb(whole | ({"extensionsUsed": used} if used else {}))


def home_glb(name: str, rooms: Sequence[PlacedRoom]) -> bytes:
    """Several rooms as one file, each below a node of its own; without pictures and light.

    Raises:
        GeometryError: there is no room, or an outline is none of a room.
    """
    if not rooms:
        raise GeometryError(f"there is no room in {name}; add one")
    tree, sizes = _Tree(name), sizes_of(rooms)
    for room in rooms:
        half = room.turn_rad / 2
        tree.root = tree.add(
            {
                "name": room.model.camera,
                "translation": _numbers(y_up([room.x_m, room.y_m, 0.0])),
                "rotation": [0.0, round(float(np.sin(half)), 9), 0.0, round(float(np.cos(half)), 9)],
                "extras": {"area": round(room.model.area, 4), "height": round(room.model.ceiling_height, 4)},
            },
            0,
        )
        _add_room(tree, room.model)
    said = {"schema": "edge.home/1", "name": name, "unit": "m", "area": round(sizes.area_m2, 4)}
    return tree.buffer.glb(_whole(tree, said))


def objects_glb(camera: str, objects: Sequence[FoundObject], about: dict[str, Any]) -> bytes:
    """The objects that a camera sees, those that have a shape: a node each, y up, in metres.

    One that has a place stands there, in the room's axes. One without lies at the origin, and its node's extras say
    `placement: unplaced`; where its size is not known either, `scale: relative`, and its cube's side is 1.
    """
    tree = _Tree(camera)
    for found in objects:
        if found.mesh is not None:
            _add_object(tree, found)
    return tree.buffer.glb(_whole(tree, about | {"schema": OBJECTS_SCHEMA, "camera": camera}))


def _add_object(tree: _Tree, found: FoundObject) -> None:
    mesh, place, metres = found.mesh, found.place, found.metres or 1.0
    assert mesh is not None
    add = tree.buffer.add_vertices
    attributes = {
        "POSITION": add(mesh.vertices * np.float32(metres), bounds=True),
        "NORMAL": add(normals_of(mesh)),
        "COLOR_0": add(linear(mesh.colours)),
    }
    indices, material = tree.buffer.add_indices(mesh.faces), tree.material("object")
    primitive = {"attributes": attributes, "indices": indices, "material": material}
    tree.meshes.append({"name": found.name, "primitives": [primitive]})
    node: dict[str, Any] = {"name": found.name, "mesh": len(tree.meshes) - 1, "extras": {"kind": "object"}}
    if place is not None:
        half = turn_of(place.yaw_rad) / 2
        node["translation"] = _numbers(y_up(place.at_m))
        node["rotation"] = [0.0, round(float(np.sin(half)), 9), 0.0, round(float(np.cos(half)), 9)]
    node["extras"] |= _object_extras(found)
    tree.add(node)


def _object_extras(found: FoundObject) -> dict[str, Any]:
    place = found.place
    return {
        "name": found.name,
        "label": found.label,
        "box": _numbers(found.box),
        "confidence": round(found.confidence, 4),
        "note": found.note,
        "seen_at": found.seen_at,
        "scale": "relative" if found.size_m is None else "metric",
        "placement": "unplaced" if place is None else "floor",
        "size": None if found.size_m is None else _numbers(found.size_m),
        "at": None if place is None else _numbers(place.at_m),
        "yaw_rad": None if place is None else round(place.yaw_rad, 9),
        "other_yaw_rad": None if found.other_yaw_rad is None else round(found.other_yaw_rad, 9),
    }


def read_objects(data: bytes) -> tuple[FoundObject, ...]:
    """The objects that a GLB of ours has, of a room or of objects alone.

    Raises:
        GeometryError: it is no GLB, or one of others.
    """
    file = File(data)
    try:
        return tuple(
            _object(file, node) for node in file.tree["nodes"] if node.get("extras", {}).get("kind") == "object"
        )
    except (KeyError, IndexError, TypeError, ValueError) as error:
        raise GeometryError(
            f"this GLB is not as edge wrote it ({error!r}); give one that nothing else changed"
        ) from error


def _object(file: File, node: dict[str, Any]) -> FoundObject:
    said, primitive = node["extras"], file.tree["meshes"][node["mesh"]]["primitives"][0]
    points, colours = (file.vertices(primitive["attributes"][name]) for name in ("POSITION", "COLOR_0"))
    faces = file.indices(primitive["indices"]).reshape(-1, 3).astype(np.int32)
    place = None if said["at"] is None else ObjectPlace(tuple(said["at"]), said["yaw_rad"])
    size = None if said["size"] is None else tuple(said["size"])
    mesh = ObjectMesh(points.astype(np.float32), faces, srgb(colours))
    box = tuple(said["box"])
    return FoundObject(
        said["name"], said["label"], box, said["confidence"], said["note"], said["seen_at"], mesh, size, place,
        said["other_yaw_rad"],
    )  # fmt: skip


def _whole(tree: _Tree, extras: dict[str, Any]) -> dict[str, Any]:
    return {
        "asset": {"version": "2.0", "generator": "edge-reconstruction", "extras": {"edge": extras}},
        "scene": 0,
        "scenes": [{"name": tree.nodes[0]["name"], "nodes": [0]}],
        "nodes": tree.nodes,
        "meshes": tree.meshes,
        "materials": tree.materials,
    }


def _add_room(tree: _Tree, model: RoomModel) -> None:
    """Its surfaces and openings."""
    sides = {edge.name: edge for edge in model.edges}
    by_side: dict[int, int] = {}
    for surface in model.surfaces:
        edge = sides.get(surface.name)
        node = _add_surface(tree, surface, model.texture, None if edge is None else model.confidence_of(edge))
        if edge is not None:
            by_side[edge.side] = node
    for number, opening in enumerate(model.openings):
        _add_opening(tree, number, opening, by_side[opening.wall])


def _add_surface(tree: _Tree, surface: Surface, texture: Texture | None, confidence: float | None) -> int:
    uv = None if texture is None else texture.uv.get(surface.name)
    material = tree.material("picture" if uv is not None else surface.kind)
    mesh = tree.mesh(surface.name, surface.vertices, surface.faces, surface.normal, material, uv)
    extras: dict[str, Any] = {"kind": surface.kind, "area": round(surface.area, 4)}
    if surface.kind in ("wall", "cut"):
        extras["length"] = round(surface.size[0], 4)
    if confidence is not None:
        extras["confidence"] = confidence
    if texture is not None and uv is not None:
        extras |= {"seen_fraction": texture.seen_fraction[surface.name], "projected": True}
    return tree.add({"name": surface.name, "mesh": mesh, "extras": extras})


def _add_opening(tree: _Tree, number: int, opening: Opening, parent: int) -> None:
    """A pane on the wall; none of an opening of unknown height."""
    corners = opening.corners
    if corners is None:
        return
    along = np.subtract(opening.end, opening.start)
    normal = np.array([-along[1], along[0], 0.0]) / opening.width
    name = f"{opening.kind}-{number}"
    vertices = corners + _LIFT * normal
    mesh = tree.mesh(name, vertices, QUAD, normal, tree.material(opening.kind))
    tree.add({"name": name, "mesh": mesh, "extras": {"kind": opening.kind, "source": opening.source}}, parent)


def _add_camera(tree: _Tree, view: View) -> list[dict[str, Any]]:
    rotation = y_up((view.rotation * (1, -1, -1)).T).T  # glTF's camera looks along -z, with y up
    perspective = {
        "yfov": round(view.vfov_rad or _PANORAMA_VFOV_RAD, 6),
        "znear": 0.01,
        **({"aspectRatio": round(view.aspect, 6)} if view.vfov_rad and view.aspect else {}),
    }
    tree.add({
        "name": "camera",
        "camera": 0,
        "rotation": quaternion(rotation),
        "translation": [0.0, view.height, 0.0],
        "extras": {"projection": view.projection},
    })  # fmt: skip
    return [{"name": "camera", "type": "perspective", "perspective": perspective}]


def _add_light(tree: _Tree, light: Lighting | None) -> list[dict[str, Any]]:
    """The strongest light as a directional one, where there is any."""
    if light is None or light.dominant_strength <= 0:
        return []
    towards = np.asarray(light.dominant_direction, dtype=np.float64)
    rgb = np.clip(irradiance_over_pi(light.coefficients, towards), 0.0, None)
    level = float(np.asarray(light.ambient) @ LUMINANCE)
    if rgb.max() <= 0 or level <= 0:
        return []
    tree.add({
        "name": "light",
        "rotation": _arc(-y_up(towards)),
        "extensions": {"KHR_lights_punctual": {"light": 0}},
        "extras": {"strength": round(light.dominant_strength, 6), "unit": "of the picture's white"},
    })  # fmt: skip
    colour = [round(float(c), 6) for c in rgb / rgb.max()]
    return [
        {
            "name": "light",
            "type": "directional",
            "color": colour,
            "intensity": round(float(np.pi * light.dominant_strength * level), 6),
        }
    ]


def _arc(to: Array) -> list[float]:
    """The shortest turn, as a quaternion, from -z to a unit direction."""
    x, y, z = to
    w = 1.0 - z
    if w < 1e-9:
        return [0.0, 1.0, 0.0, 0.0]
    q = np.array([y, -x, 0.0, w])
    return [round(float(v), 9) for v in q / np.linalg.norm(q)]


# What glTF has no words for -------------------------------------------------------------------------------------------


def _numbers(values: Any, digits: int = 6) -> Any:
    return np.asarray(values, dtype=np.float64).round(digits).tolist()


def extras_of(model: RoomModel) -> dict[str, Any]:
    """Everything that is known of the room but its texture, as JSON."""
    texture, light, view = model.texture, model.lighting, model.view
    said: dict[str, Any] = dict(model.about) | {
        "schema": SCHEMA,
        "scale": model.scale,
        "unit": model.unit,
        "extent": model.extent,
        "polygon": _numbers(model.polygon),
        "ceiling_height": round(model.ceiling_height, 6),
        "area": round(model.area, 4),
        "volume": round(model.volume, 4),
        "confidence": model.confidence,
        "walls": [
            {"name": e.name, "length": round(e.length, 4), "confidence": model.confidence_of(e)} for e in model.walls
        ],
        "openings": [
            {
                "kind": o.kind,
                "wall": o.wall,
                "start": _numbers(o.start),
                "end": _numbers(o.end),
                "sill": None if o.sill is None else round(o.sill, 6),
                "height": None if o.height is None else round(o.height, 6),
                "source": o.source,
                "confidence": o.confidence,
            }
            for o in model.openings
        ],
        "view": {
            "projection": view.projection,
            "rotation": _numbers(view.rotation, 9),
            "height": round(view.height, 6),
            "vfov_rad": view.vfov_rad,
            "aspect": view.aspect,
        },
        "texture": None if texture is None else {"seen_fraction": texture.seen_fraction, "projected": True},
        "lighting": None,
    }
    if light is not None:
        said["lighting"] = {
            "convention": light.convention,
            "coefficients": _numbers(light.coefficients),
            "ambient": _numbers(light.ambient),
            "dominant_direction": _numbers(light.dominant_direction),
            "dominant_strength": round(light.dominant_strength, 6),
        }
    return said


_OWN = {
    *("schema", "scale", "unit", "extent", "polygon", "ceiling_height", "area", "volume", "confidence"),
    *("walls", "openings", "view", "texture", "lighting"),
}
"""The members of `extras` that are not what `RoomModel.about` has."""


def read_room(data: bytes) -> RoomModel:
    """The model that a GLB of ours was written from.

    Raises:
        GeometryError: it is no GLB, or one of others.
    """
    file = File(data)
    said = file.tree.get("asset", {}).get("extras", {}).get("edge")
    if not isinstance(said, dict) or said.get("schema") != SCHEMA:
        raise GeometryError("this GLB was not made by edge: it does not say what its surfaces are; give one from edge")
    try:
        return _model(file, said)
    except (KeyError, IndexError, TypeError, ValueError) as error:
        raise GeometryError(
            f"this GLB is not as edge wrote it ({error!r}); give one that nothing else changed"
        ) from error


def _model(file: File, said: dict[str, Any]) -> RoomModel:
    view, light = said["view"], said["lighting"]
    openings = tuple(
        Opening(
            o["kind"],
            o["wall"],
            tuple(o["start"]),
            tuple(o["end"]),
            o["sill"],
            o["height"],
            o["source"],
            o["confidence"],
        )
        for o in said["openings"]
    )
    return RoomModel(
        np.array(said["polygon"], dtype=np.float64),
        said["ceiling_height"],
        said["scale"],
        said["extent"],
        View(view["projection"], np.array(view["rotation"]), view["height"], view["vfov_rad"], view["aspect"]),
        openings,
        None if light is None else _lighting(light),
        None if said["texture"] is None else _texture(file, said["texture"]["seen_fraction"]),
        said["confidence"],
        tuple(wall["confidence"] for wall in said["walls"]),
        {k: v for k, v in said.items() if k not in _OWN},
        tuple(_object(file, node) for node in file.tree["nodes"] if node.get("extras", {}).get("kind") == "object"),
    )


def _lighting(light: dict[str, Any]) -> Lighting:
    x, y, z = light["dominant_direction"]
    r, g, b = light["ambient"]
    coefficients = np.array(light["coefficients"], dtype=np.float32)
    return Lighting(coefficients, light["convention"], (r, g, b), (x, y, z), light["dominant_strength"])


def _texture(file: File, seen_fraction: dict[str, float]) -> Texture:
    jpeg = file.view(file.tree["images"][0]["bufferView"])
    picture = cv2.imdecode(np.frombuffer(jpeg, np.uint8), cv2.IMREAD_COLOR)
    if picture is None:
        raise GeometryError("the picture in this GLB cannot be read; give one that nothing else changed")
    uv = {}
    for node in file.tree["nodes"]:
        if node.get("name") in seen_fraction:
            primitive = file.tree["meshes"][node["mesh"]]["primitives"][0]
            uv[node["name"]] = file.vertices(primitive["attributes"]["TEXCOORD_0"])
    return Texture(jpeg, picture.shape[1], picture.shape[0], uv, seen_fraction)
