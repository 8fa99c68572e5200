"""Rooms and cameras that the tests of `edge.derive` share."""

from __future__ import annotations

import numpy as np

from edge.derive.model import RoomModel, model_of
from edge.geometry.harmonics import CONVENTION
from edge.geometry.panorama import rays
from edge.geometry.polygon import area_m2, boundary_latitudes, wall_distances
from edge.scene import CameraModel, ImageArray, Lighting, OpeningInView, RoomLayout

BOX = np.array([[-2, -1.5], [3, -1.5], [3, 2.5], [-2, 2.5]], float)
L_SHAPE = np.array([[3, 3], [0.8, 3], [0.8, 1.2], [-2, 1.2], [-2, -2], [3, -2]], float)
"""The camera does not see all of its nook at the top right."""
EYE_M, CEILING_M = 1.3, 2.5
OPENINGS = (
    OpeningInView("door", np.deg2rad(-12.0), np.deg2rad(8.0), 0.0, 2.0),
    OpeningInView("window", np.deg2rad(75.0), np.deg2rad(100.0), 0.9, 1.2),
)
PANORAMA = CameraModel("equirectangular", camera_height_m=EYE_M, openings=OPENINGS)
LIGHT = Lighting(
    np.vstack([np.full((1, 3), 0.5), np.full((8, 3), 0.05)]).astype(np.float32),
    CONVENTION,
    (0.5, 0.5, 0.5),
    (0.6, 0.0, 0.8),
    0.3,
)


def layout(polygon: np.ndarray = BOX, *, metric: bool = True, columns: int = 256) -> RoomLayout:
    """A room as the layout reader would give it, without error."""
    eye = EYE_M if metric else 1.0
    at = ((np.arange(columns) + 0.5) / columns - 0.5) * 2 * np.pi
    ceiling, floor = boundary_latitudes(polygon, at, eye, CEILING_M)
    area = area_m2(polygon)
    return RoomLayout(
        ceiling.astype(np.float32),
        floor.astype(np.float32),
        np.zeros(columns, np.float32),
        np.where(at < 0, 0.5, 0.9).astype(np.float32),
        polygon,
        eye,
        CEILING_M,
        area,
        area * CEILING_M,
        0.8,
        "manhattan",
        "square corners",
        "metric" if metric else "relative",
        "room",
    )


def seen_points(polygon: np.ndarray, width_px: int) -> np.ndarray:
    """(H, W, 3) where each ray of a level panorama meets the room's shell."""
    d = rays(width_px, width_px // 2)
    reach = wall_distances(polygon, np.arctan2(d[0, :, 0], d[0, :, 1]))[None, :]
    flat = np.hypot(d[..., 0], d[..., 1])
    with np.errstate(divide="ignore"):
        up = np.where(d[..., 2] > 0, (CEILING_M - EYE_M) / d[..., 2], -EYE_M / d[..., 2])
    r = np.minimum(reach / flat, up)
    return d * r[..., None] + (0.0, 0.0, EYE_M)


def panorama_of_places(polygon: np.ndarray, width_px: int) -> ImageArray:
    """What a panorama camera sees of a room in which colour tells the place: 20 levels a metre of x, y, z."""
    return np.clip(seen_points(polygon, width_px) * 20.0 + 120.0, 0, 255).astype(np.uint8)


def model(polygon: np.ndarray = BOX, camera: CameraModel = PANORAMA, **options: object) -> RoomModel:
    """A room with a picture of 512 x 256 px on its walls."""
    picture = panorama_of_places(polygon, 512)
    about = {"device": "test", "camera": "hall", "frame": 7, "captured_at": "2026-01-31T12:00:00.000000Z"}
    return model_of(layout(polygon), camera, picture, lighting=LIGHT, about=about, **options)  # type: ignore[arg-type]
