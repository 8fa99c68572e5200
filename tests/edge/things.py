"""A chair as a grid, and rooms in which it stands: what objects are tested with."""

from __future__ import annotations

from dataclasses import replace

import cv2
import numpy as np
import numpy.typing as npt

from edge.derive.objects import turn_of, turned
from edge.derive.surface_nets import mesh_of
from edge.geometry.view import depth_directions, room_pixels
from edge.scene import CameraModel, DepthMap, FoundObject, Frame, ObjectMesh, ObjectPlace

Grid = npt.NDArray[np.float32]

PERSPECTIVE = CameraModel("perspective", hfov_rad=np.radians(75), camera_height_m=1.5, pitch_rad=np.radians(-15))
PANORAMA = CameraModel("equirectangular", camera_height_m=1.5)
_RED = (200, 60, 30)


def chair() -> tuple[Grid, Grid]:
    """Occupancy (32, 32, 32) and colours (3, 32, 32, 32); its back is towards -z, so it faces +z."""
    filled = np.zeros((32, 32, 32), np.float32)
    filled[6:26, 14:17, 6:26] = 1
    filled[6:26, 17:31, 6:9] = 1
    for x in (6, 23):
        for z in (6, 23):
            filled[x : x + 3, 1:14, z : z + 3] = 1
    return filled, np.broadcast_to(np.float32(_RED)[:, None, None, None] / 255, (3, 32, 32, 32)).copy()


def chair_mesh() -> ObjectMesh:
    """The same as a mesh."""
    return mesh_of(*chair())


def scene(
    model: CameraModel, at: tuple[float, float], yaw_deg: float, *, metres: float = 1.0, raised_m: float = 0.0
) -> tuple[Frame, DepthMap, tuple[float, float, float, float]]:
    """A chair on a floor: its picture, its depth, and a box around it, a little wide.

    Args:
        model: the camera.
        at: on the floor, room frame.
        yaw_deg: the bearing that it faces.
        metres: the side of its cube.
        raised_m: how far above the floor.
    """
    wh = (1024, 512) if model.projection == "equirectangular" else (640, 480)
    mesh, height = chair_mesh(), model.camera_height_m or 0.0
    base = float(mesh.vertices[:, 1].min()) * metres
    points = mesh.vertices @ turned(turn_of(np.radians(yaw_deg))).T * metres + (*at, raised_m - base - height)
    directions, per_depth = depth_directions(model, wh, wh)
    down = np.minimum(directions[..., 2], -1e-3)
    ranges = np.ascontiguousarray(np.minimum(np.where(directions[..., 2] < 0, -height / down, 6.0), 6.0))
    picture = np.full((wh[1], wh[0], 3), 200, np.uint8)
    picture[..., 1] = np.linspace(120, 220, wh[0])
    pixels, _ = room_pixels(model, points, wh)
    far = np.linalg.norm(points[mesh.faces].mean(axis=1), axis=1)
    for face in np.argsort(-far):
        corners = np.rint(pixels[mesh.faces[face]] - 0.5).astype(np.int32)
        cv2.fillConvexPoly(picture, corners, _RED)
        cv2.fillConvexPoly(ranges, corners, float(far[face]))
    low, high = pixels.min(axis=0) - 12, pixels.max(axis=0) + 12
    box = (float(low[0] / wh[0]), float(low[1] / wh[1]), float(high[0] / wh[0]), float(high[1] / wh[1]))
    kind = "range" if model.projection == "equirectangular" else "z"
    return (
        Frame("hall", 1, 0.0, 0.0, picture, model),
        DepthMap((ranges / per_depth).astype(np.float32), kind, "metric"),
        box,
    )


MESH = chair_mesh()
_SPREAD = np.ptp(MESH.vertices, axis=0) * 1.2
SIZE = float(_SPREAD[0]), float(_SPREAD[2]), float(_SPREAD[1])
HEIGHT = -1.2 * float(MESH.vertices[:, 1].min())
CHAIR = FoundObject(
    "chair-1", "chair", (0.1, 0.2, 0.3, 0.4), 0.82, "", 1.5, MESH, SIZE, ObjectPlace((1.0, 1.5, HEIGHT), np.pi / 2)
)  # fmt: skip
"""It faces room +x."""
LOST = replace(CHAIR, name="chair-2", place=None, size_m=None, note="no depth")
BOX_ONLY = replace(LOST, name="thing", mesh=None)
