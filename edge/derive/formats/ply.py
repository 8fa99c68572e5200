"""PLY (binary, little-endian): the room as triangles with a colour at every corner. z is up, as in the room frame."""

from __future__ import annotations

import numpy as np

from edge.derive.formats.tessellated import coloured
from edge.derive.model import RoomModel
from edge.derive.objects import in_room, standing

_VERTEX = [("at", "<f4", 3), ("normal", "<f4", 3), ("colour", "u1", 3)]


def ply(model: RoomModel) -> bytes:
    """The file.

    Raises:
        GeometryError: the model's outline is none of a room.
    """
    parts = [(p, np.repeat(s.normal[None], len(p), axis=0), faces, c) for s, p, faces, c in coloured(model)]
    parts += [in_room(found) for found in standing(model.objects)]
    vertices = np.zeros(sum(len(points) for points, _, _, _ in parts), dtype=_VERTEX)
    vertices["at"] = np.concatenate([points for points, _, _, _ in parts])
    vertices["normal"] = np.concatenate([normals for _, normals, _, _ in parts])
    vertices["colour"] = np.concatenate([colours for _, _, _, colours in parts])
    starts = np.cumsum([0, *(len(points) for points, _, _, _ in parts)])
    triangles = np.concatenate([faces + start for (_, _, faces, _), start in zip(parts, starts, strict=False)])
    faces = np.zeros(len(triangles), dtype=[("n", "u1"), ("i", "<i4", 3)])
    faces["n"], faces["i"] = 3, triangles
    header = [
        "ply",
        "format binary_little_endian 1.0",
        f"comment room frame: x right, y forward, z up; unit {model.unit}",
        f"element vertex {len(vertices)}",
        *(f"property float {name}" for name in ("x", "y", "z", "nx", "ny", "nz")),
        *(f"property uchar {name}" for name in ("red", "green", "blue")),
        f"element face {len(triangles)}",
        "property list uchar int vertex_indices",
        "end_header\n",
    ]
    return "\n".join(header).encode("ascii") + vertices.tobytes() + faces.tobytes()
