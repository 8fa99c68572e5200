"""Wavefront OBJ with its materials and its picture, in one ZIP. z is up, as in the room frame."""

from __future__ import annotations

import io
import zipfile

import numpy as np

from edge.derive.formats.tessellated import PLAIN
from edge.derive.model import RoomModel
from edge.derive.objects import in_room, mean_colour, standing

_EPOCH = (1980, 1, 1, 0, 0, 0)


def obj_files(model: RoomModel, stem: str = "room") -> dict[str, bytes]:
    """Three files of the name `stem`: .obj, .mtl and, of a room with a picture, .jpg.

    Raises:
        GeometryError: the model's outline is none of a room.
    """
    texture = model.texture
    lines = [f"# room frame: x right, y forward, z up; unit {model.unit}", f"mtllib {stem}.mtl"]
    count = textured = 0
    used: set[str] = set()
    for normal, surface in enumerate(model.surfaces, 1):
        uv = None if texture is None else texture.uv.get(surface.name)
        material = surface.kind if uv is None else "picture"
        used.add(material)
        lines += [f"o {surface.name}", f"usemtl {material}"]
        lines += ["v {:.6f} {:.6f} {:.6f}".format(*v) for v in surface.vertices]
        lines += ["vn {:.6f} {:.6f} {:.6f}".format(*surface.normal)]
        if uv is not None:
            lines += [f"vt {u:.6f} {1 - v:.6f}" for u, v in uv]
        for face in surface.faces:
            at = [f"{count + i + 1}/{'' if uv is None else textured + i + 1}/{normal}" for i in face]
            lines.append("f " + " ".join(at))
        count += len(surface.vertices)
        textured += 0 if uv is None else len(surface.vertices)
    normals = len(model.surfaces)
    plain: dict[str, tuple[float, float, float]] = {}
    for found in standing(model.objects):
        points, directions, faces, colours = in_room(found)
        plain[found.name] = mean_colour(found)
        lines += [f"o {found.name}", f"usemtl {found.name}"]
        at_rgb = np.hstack([points, colours / 255])
        lines += ["v {:.6f} {:.6f} {:.6f} {:.4f} {:.4f} {:.4f}".format(*v) for v in at_rgb]
        lines += ["vn {:.6f} {:.6f} {:.6f}".format(*n) for n in directions]
        lines += ["f " + " ".join(f"{count + i + 1}//{normals + i + 1}" for i in face) for face in faces]
        count, normals = count + len(points), normals + len(points)
    files = {f"{stem}.obj": ("\n".join(lines) + "\n").encode(), f"{stem}.mtl": _materials(used, f"{stem}.jpg", plain)}
    return files if texture is None else files | {f"{stem}.jpg": texture.jpeg}


def _materials(names: set[str], picture: str, plain: dict[str, tuple[float, float, float]]) -> bytes:
    """`plain`: the colours of objects, which programs without colours of corners show."""
    lines: list[str] = []
    for name in sorted(names):
        lines += [f"newmtl {name}", "illum 0"]
        if name == "picture":
            lines += ["Kd 1 1 1", f"map_Kd {picture}"]
        else:
            lines.append("Kd {:.3f} {:.3f} {:.3f}".format(*(c / 255 for c in PLAIN[name])))
    for name, rgb in plain.items():
        lines += [f"newmtl {name}", "illum 1", "Kd {:.3f} {:.3f} {:.3f}".format(*rgb)]
    return ("\n".join(lines) + "\n").encode()


def obj_zip(model: RoomModel) -> bytes:
    """The three files in a ZIP.

    Raises:
        GeometryError: the model's outline is none of a room.
    """
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in obj_files(model).items():
            archive.writestr(zipfile.ZipInfo(name, _EPOCH), data)
    return packed.getvalue()
