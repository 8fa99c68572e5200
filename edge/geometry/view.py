"""Where directions in the room lie in a camera's picture, whatever its lens and however it hangs."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from edge.errors import GeometryError
from edge.geometry.panorama import rays
from edge.geometry.pinhole import intrinsics_from_fov, project, rays_at, rays_from_pixels
from edge.geometry.rigid import LEVEL_FORWARD, rotation_room_camera
from edge.scene import BoolArray, CameraModel, Intrinsics

_FloatMap = npt.NDArray[np.float32]
_SAME_SHAPE = 0.02


def lens(model: CameraModel, width_px: int, height_px: int) -> Intrinsics:
    """The perspective camera's intrinsics for a picture of this size.

    Raises:
        GeometryError: the camera has neither intrinsics nor a field of view, or intrinsics of another aspect ratio.
    """
    k = model.intrinsics
    if k is not None:
        if abs(width_px * k.height_px / (height_px * k.width_px) - 1) > _SAME_SHAPE:
            raise GeometryError(
                f"the camera sends {width_px}x{height_px}, its intrinsics are for {k.width_px}x{k.height_px}, another "
                "shape; calibrate at the size it sends"
            )
        return k.resized(width_px, height_px)
    if model.hfov_rad is None:
        raise GeometryError("a perspective camera needs its intrinsics or hfov_deg; add one to its configuration")
    return intrinsics_from_fov(width_px, height_px, model.hfov_rad)


def rotation(model: CameraModel) -> npt.NDArray[np.float64]:
    """(3, 3) room vectors from camera (OpenCV) vectors, by how the camera is mounted."""
    return rotation_room_camera(model.yaw_rad, model.pitch_rad, model.roll_rad)


def depth_directions(
    model: CameraModel, image_wh: tuple[int, int], map_wh: tuple[int, int]
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64] | float]:
    """Room-frame unit directions (H, W, 3) of a depth map's pixels, and range per unit of its depth: 1 on a panorama.

    Args:
        model: the camera.
        image_wh: size of its picture, px.
        map_wh: size of the map, which covers the same view.

    Raises:
        GeometryError: see `lens`.
    """
    turn = rotation(model)
    if model.projection == "equirectangular":
        return rays(*map_wh) @ LEVEL_FORWARD @ turn.T, 1.0
    camera = rays_from_pixels(lens(model, *image_wh).resized(*map_wh))
    per_z = np.linalg.norm(camera, axis=-1)
    return camera / per_z[..., None] @ turn.T, per_z


def perspective_pixels(
    model: CameraModel, k: Intrinsics, directions: npt.NDArray[np.float64]
) -> tuple[npt.NDArray[np.float64], BoolArray]:
    """Pixels (..., 2) of room-frame directions and which of them the camera sees.

    Bounds are checked on undistorted rays: a distortion polynomial may fold far rays back into the picture.
    """
    camera = directions @ rotation(model)
    pixels, ahead = project(camera, k)
    edge = np.linspace(0.0, 1.0, 33)
    outline = np.concatenate([
        np.stack([edge * k.width_px, np.full_like(edge, y)], -1) for y in (0.0, k.height_px)
    ] + [np.stack([np.full_like(edge, x), edge * k.height_px], -1) for x in (0.0, k.width_px)])  # fmt: skip
    border = rays_at(outline, k)[:, :2]
    with np.errstate(invalid="ignore", divide="ignore"):
        flat = camera[..., :2] / camera[..., 2:]
    inside = (pixels >= 0).all(-1) & (pixels[..., 0] <= k.width_px) & (pixels[..., 1] <= k.height_px)
    near = (flat >= border.min(0) - 1e-9).all(-1) & (flat <= border.max(0) + 1e-9).all(-1)
    return pixels, np.asarray(ahead & inside & near)


def pixels_per_radian(model: CameraModel, width_px: int, height_px: int) -> float:
    """How finely a picture of this size shows what lies in the middle of the view."""
    if model.projection == "equirectangular":
        return float(width_px / (2 * np.pi))
    k = lens(model, width_px, height_px)
    return float(max(k.fx_px, k.fy_px))


def picture_positions(
    x: _FloatMap, y: _FloatMap, z: _FloatMap, model: CameraModel, width_px: int, height_px: int
) -> tuple[_FloatMap, _FloatMap, BoolArray | None]:
    """Where to read a camera's picture for room-frame directions: 0-based positions as cv2.remap takes them.

    Args:
        x: to the right; with y and z, arrays that broadcast to the shape of the answer, of any length but 0.
        y: forward.
        z: up.
        model: the camera.
        width_px: of its picture.
        height_px: of its picture.

    Returns:
        Columns, rows (of a panorama, columns lie in [-0.5, W - 0.5]: wrap them), and which the camera sees; None: all.
    """
    if model.projection == "perspective":
        pixels, seen = perspective_pixels(
            model, lens(model, width_px, height_px), np.stack(np.broadcast_arrays(x, y, z), axis=-1).astype(np.float64)
        )
        xy = np.where(seen[..., None], pixels - 0.5, -10.0).astype(np.float32)
        return xy[..., 0], xy[..., 1], seen
    if model.yaw_rad or model.pitch_rad or model.roll_rad:
        r = (rotation(model) @ LEVEL_FORWARD.T).T.astype(np.float32)
        x, y, z = (np.asarray(row[0] * x + row[1] * y + row[2] * z) for row in r)
    column = np.arctan2(x, y) * np.float32(width_px / (2 * np.pi)) + np.float32(width_px / 2 - 0.5)
    row = np.arctan2(z, np.hypot(x, y)) * np.float32(-height_px / np.pi) + np.float32(height_px / 2 - 0.5)
    columns, rows = np.broadcast_arrays(column, row)
    return columns, rows, None
