"""Meshes of rooms, written as binary glTF (GLB), which is y-up: room (x, y, z) becomes (x, z, -y)."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import shapely
import trimesh

from edge.errors import GeometryError
from edge.geometry.polygon import counter_clockwise

Array = npt.NDArray[np.float64]
Faces = npt.NDArray[np.int64]

_COLOURS = {"floor": (166, 124, 82, 255), "ceiling": (240, 240, 235, 255), "walls": (214, 208, 196, 255)}


def _triangles(polygon: Array) -> list[Array]:
    """Counter-clockwise triangles (3, 2) that tile the polygon."""
    parts = shapely.constrained_delaunay_triangles(shapely.Polygon(polygon)).geoms
    return [counter_clockwise(shapely.get_coordinates(t)[:3]) for t in parts]


def room_surfaces(polygon: npt.ArrayLike, height_m: float) -> dict[str, tuple[Array, Faces]]:
    """Floor, ceiling and walls of a prism room, each (vertices (V, 3), faces (F, 3)), facing inwards.

    Raises:
        GeometryError: the polygon is not simple, or the height not above 0.
    """
    p = counter_clockwise(polygon)
    if height_m <= 0 or not shapely.Polygon(p).is_valid:
        raise GeometryError("a room needs a simple floor polygon and a height above 0")
    flat = np.concatenate(_triangles(p))
    faces = np.arange(len(flat)).reshape(-1, 3)
    low, high = np.zeros((len(flat), 1)), np.full((len(flat), 1), height_m)
    corners, after = p, np.roll(p, -1, axis=0)
    z0, z1 = np.zeros((len(p), 1)), np.full((len(p), 1), height_m)
    quads = np.stack(
        [np.hstack([corners, z0]), np.hstack([after, z0]), np.hstack([after, z1]), np.hstack([corners, z1])], 1
    )
    base = 4 * np.arange(len(p))[:, None]
    walls = np.concatenate([base + [0, 2, 1], base + [0, 3, 2]])
    return {
        "floor": (np.hstack([flat, low]), faces),
        "ceiling": (np.hstack([flat, high]), faces[:, ::-1]),
        "walls": (quads.reshape(-1, 3), walls),
    }


def room_glb(polygon: npt.ArrayLike, height_m: float) -> bytes:
    """The room as GLB: nodes `floor`, `ceiling` and `walls`, seen from inside; origin on the floor under the camera.

    Raises:
        GeometryError: see `room_surfaces`.
    """
    scene = trimesh.Scene()
    for name, (vertices, faces) in room_surfaces(polygon, height_m).items():
        y_up = np.stack([vertices[:, 0], vertices[:, 2], -vertices[:, 1]], axis=1)
        material = trimesh.visual.material.PBRMaterial(
            name=name, baseColorFactor=_COLOURS[name], metallicFactor=0.0, roughnessFactor=0.9, doubleSided=False
        )
        visual = trimesh.visual.TextureVisuals(material=material)
        scene.add_geometry(trimesh.Trimesh(y_up, faces, visual=visual, process=False), node_name=name, geom_name=name)
    return bytes(scene.export(file_type="glb"))
