"""Pictures in which straight lines are straight: a perspective camera's own, or views cut from one that sees more."""

from __future__ import annotations

from dataclasses import dataclass, replace

import cv2
import numpy as np
import numpy.typing as npt

from edge.geometry import fisheye as fisheyes
from edge.geometry.mask import covered
from edge.geometry.panorama import check_panorama_size, direction_from_angles
from edge.geometry.pinhole import rays_at, rays_from_pixels
from edge.geometry.rigid import LEVEL_FORWARD, rotation_room_camera
from edge.geometry.view import fisheye, lens, picture_positions, pixels_per_radian
from edge.scene import BoolArray, CameraModel, ImageArray, Intrinsics

Array = npt.NDArray[np.float64]
Grey = npt.NDArray[np.uint8]

AROUND = tuple((yaw_deg, 0.0, 46.0, 96.0) for yaw_deg in range(-180, 180, 45))
"""Views cut to look for vertical edges: yaw, pitch, field of view across and upright, degrees. Yaw is from where the
camera looks, pitch from level, as the camera is said to hang."""
DOWN = (*((yaw_deg, -40.0, 80.0, 80.0) for yaw_deg in range(-180, 180, 45)), (0.0, -90.0, 80.0, 80.0))
"""Views cut to look for something on the floor; they overlap, so that it is whole in one of them."""
ALL_OVER = (
    (0.0, 0.0, 80.0, 80.0),
    *((yaw_deg, pitch_deg, 80.0, 80.0) for pitch_deg in (-45.0, 0.0, 45.0) for yaw_deg in (-45.0, 45.0)),
    *((yaw_deg, 0.0, 80.0, 80.0) for yaw_deg in (-90.0, 90.0)),
    *((0.0, pitch_deg, 80.0, 80.0) for pitch_deg in (-45.0, 45.0, -90.0, 90.0)),
)
"""Views cut to look for a board that is held anywhere before the lens: of a camera that is said to hang level."""


@dataclass(frozen=True, slots=True)
class FlatView:
    """A picture with what is known of its pixels."""

    grey: Grey
    usable: BoolArray
    """(H, W) where it shows what the lens saw: not under a mask, and not outside a lens's picture."""
    k: Intrinsics
    turn: Array
    """(3, 3) vectors in the camera's axes from the view's."""

    def rays(self, pixels: npt.ArrayLike) -> Array:
        """(..., 3) unit rays in the camera's axes through pixels (..., 2)."""
        rays = rays_at(pixels, self.k) @ self.turn.T
        return np.asarray(rays / np.linalg.norm(rays, axis=-1, keepdims=True))


def flat_views(
    image: ImageArray, model: CameraModel, cut: tuple[tuple[float, float, float, float], ...]
) -> list[FlatView]:
    """The views of a camera's picture: itself if its lens is a pinhole's, else those that `cut` lists.

    Raises:
        GeometryError: a panorama that is not 2:1, or a perspective camera whose lens does not fit the picture.
    """
    height, width = image.shape[:2]
    grey = np.asarray(cv2.cvtColor(image, cv2.COLOR_RGB2GRAY), np.uint8)
    usable = ~covered(model.masks, width, height)
    if model.projection == "perspective":
        return [FlatView(grey, usable, lens(model, width, height), np.eye(3))]
    if model.projection == "equirectangular":
        check_panorama_size(width, height)
    return [_cut(grey, usable, model, look) for look in cut]


def pixel_rays(model: CameraModel, pixels: npt.ArrayLike, width_px: int, height_px: int) -> Array:
    """(..., 3) unit rays in the camera's axes through pixels (..., 2) of its picture."""
    at = np.asarray(pixels, np.float64)
    if model.projection == "fisheye":
        return fisheyes.rays_at(at, fisheye(model, width_px, height_px))[0]
    if model.projection == "perspective":
        rays = rays_at(at, lens(model, width_px, height_px))
        return np.asarray(rays / np.linalg.norm(rays, axis=-1, keepdims=True))
    longitude, latitude = (at[..., 0] / width_px - 0.5) * 2 * np.pi, (0.5 - at[..., 1] / height_px) * np.pi
    return np.asarray(direction_from_angles(longitude, latitude) @ LEVEL_FORWARD)


def _cut(grey: Grey, usable: BoolArray, model: CameraModel, look: tuple[float, float, float, float]) -> FlatView:
    yaw_rad, pitch_rad, across_rad, upright_rad = np.deg2rad(look)
    height, width = grey.shape
    f = pixels_per_radian(model, width, height)
    w, h = (2 * round(f * np.tan(angle / 2)) for angle in (across_rad, upright_rad))
    k = Intrinsics(w, h, f, f, w / 2, h / 2)
    turn = rotation_room_camera(0.0, model.pitch_rad, model.roll_rad).T @ rotation_room_camera(yaw_rad, pitch_rad)
    own = replace(model, yaw_rad=0.0, pitch_rad=0.0, roll_rad=0.0)
    x, y, z = np.moveaxis((rays_from_pixels(k) @ (LEVEL_FORWARD @ turn).T).astype(np.float32), -1, 0)
    columns, rows, seen = picture_positions(x, y, z, own, width, height)
    at = (columns + np.float32(1), rows)
    ring = (np.concatenate([a[:, -1:], a, a[:, :1]], axis=1) for a in (grey, usable.astype(np.uint8)))
    picture, free = (cv2.remap(a, *at, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE) for a in ring)
    everywhere = free > 0 if seen is None else (free > 0) & seen
    return FlatView(np.asarray(picture, np.uint8), np.asarray(everywhere), k, np.asarray(turn))
