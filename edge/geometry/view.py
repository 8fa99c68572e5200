"""Where directions in the room lie in a camera's picture, whatever its lens and however it hangs, and back."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from edge.errors import GeometryError
from edge.geometry import fisheye as fisheyes
from edge.geometry import pinhole
from edge.geometry.panorama import rays
from edge.geometry.rigid import LEVEL_FORWARD, rotation_room_camera
from edge.scene import BoolArray, CameraModel, Fisheye, FisheyeCircle, Intrinsics, PanoramaPart

Array = npt.NDArray[np.float64]
Size = tuple[int, int]
"""Width and height, px."""
_FloatMap = npt.NDArray[np.float32]
_SAME_SHAPE = 0.02
_EDGE_PX = 1e-6
"""So far beyond its border a picture still shows what lies exactly there: faces of a cube leave no gap."""
_OUTSIDE_PX = -10.0
"""A sampling position that reads the border."""


def _same_shape(k: Intrinsics | Fisheye, width_px: int, height_px: int) -> None:
    if abs(width_px * k.height_px / (height_px * k.width_px) - 1) > _SAME_SHAPE:
        raise GeometryError(
            f"the camera sends {width_px}x{height_px}, its intrinsics are for {k.width_px}x{k.height_px}, another "
            "shape; calibrate at the size it sends"
        )


def lens(model: CameraModel, width_px: int, height_px: int) -> Intrinsics:
    """The perspective camera's intrinsics for a picture of this size.

    Raises:
        GeometryError: the camera has neither intrinsics nor a field of view, or intrinsics of another aspect ratio.
    """
    k = model.intrinsics
    if k is not None:
        _same_shape(k, width_px, height_px)
        return k.resized(width_px, height_px)
    if model.hfov_rad is None:
        raise GeometryError("a perspective camera needs its intrinsics or hfov_deg; add one to its configuration")
    return pinhole.intrinsics_from_fov(width_px, height_px, model.hfov_rad)


def fisheye(model: CameraModel, width_px: int, height_px: int) -> Fisheye:
    """The fisheye camera's lens for a picture of this size.

    Raises:
        GeometryError: it is not known, or was calibrated on pictures of another aspect ratio.
    """
    k = model.fisheye
    if k is None:
        raise GeometryError("a fisheye camera needs its lens; add `fisheye` to its configuration")
    if isinstance(k, FisheyeCircle):
        return fisheyes.fisheye_in(k, width_px, height_px)
    _same_shape(k, width_px, height_px)
    return k.resized(width_px, height_px)


def rotation(model: CameraModel) -> Array:
    """(3, 3) room vectors from camera (OpenCV) vectors, by how the camera is mounted."""
    return rotation_room_camera(model.yaw_rad, model.pitch_rad, model.roll_rad)


def _perspective_pixels(camera: Array, k: Intrinsics) -> tuple[Array, BoolArray]:
    """Bounds are checked on undistorted rays: a distortion polynomial may fold far rays back into the picture."""
    pixels, ahead = pinhole.project(camera, k)
    edge = np.linspace(0.0, 1.0, 33)
    outline = np.concatenate([
        np.stack([edge * k.width_px, np.full_like(edge, y)], -1) for y in (0.0, k.height_px)
    ] + [np.stack([np.full_like(edge, x), edge * k.height_px], -1) for x in (0.0, k.width_px)])  # fmt: skip
    border = pinhole.rays_at(outline, k)[:, :2]
    with np.errstate(invalid="ignore", divide="ignore"):
        flat = camera[..., :2] / camera[..., 2:]
    near = (flat >= border.min(0) - 1e-9).all(-1) & (flat <= border.max(0) + 1e-9).all(-1)
    return pixels, np.asarray(ahead & near)


def _part_pixels(camera: Array, part: PanoramaPart, wh: Size) -> tuple[Array, BoolArray]:
    across, up, ahead = camera[..., 0], -camera[..., 1], camera[..., 2]
    from_left = (np.arctan2(across, ahead) - part.left_rad) % (2 * np.pi)
    latitude = np.arctan2(up, np.hypot(across, ahead))
    x = from_left / (part.right_rad - part.left_rad) * wh[0]
    y = (part.top_rad - latitude) / (part.top_rad - part.bottom_rad) * wh[1]
    return np.stack([x, y], axis=-1), np.ones(x.shape, np.bool_)


WHOLE = PanoramaPart(-np.pi, np.pi, -np.pi / 2, np.pi / 2)


def camera_pixels(model: CameraModel, camera: Array, image_wh: Size, wh: Size | None = None) -> tuple[Array, BoolArray]:
    """Pixels (..., 2) of camera-frame directions and which of them the camera's picture shows.

    Args:
        model: the camera.
        camera: (..., 3) directions in its own axes, of any length but 0.
        image_wh: size of the pictures that it sends.
        wh: of that picture, stretched; None: the same.
    """
    size = wh or image_wh
    if model.projection == "perspective":
        pixels, seen = _perspective_pixels(camera, lens(model, *image_wh).resized(*size))
    elif model.projection == "fisheye":
        pixels, seen = fisheyes.project(camera, fisheye(model, *image_wh).resized(*size))
    else:
        pixels, seen = _part_pixels(camera, model.part or WHOLE, size)
        if model.part is None:
            return pixels, seen
    inside = (pixels >= -_EDGE_PX).all(-1) & (pixels <= np.array(size) + _EDGE_PX).all(-1)
    return pixels, np.asarray(seen & inside)


def room_pixels(
    model: CameraModel, directions: Array, image_wh: Size, wh: Size | None = None
) -> tuple[Array, BoolArray]:
    """The same of room-frame directions: the camera's mounting is undone."""
    return camera_pixels(model, directions @ rotation(model), image_wh, wh)


def picture_rays(model: CameraModel, image_wh: Size, wh: Size) -> tuple[Array, BoolArray]:
    """(H, W, 3) room-frame unit directions of the pixels' centres of a camera's picture stretched to a size.

    Returns:
        The directions, and (H, W) where the lens shows something: not in the corners around a fisheye's circle.
    """
    everywhere = np.ones(wh[::-1], np.bool_)
    if model.projection == "perspective":
        camera = pinhole.rays_from_pixels(lens(model, *image_wh).resized(*wh))
        camera = camera / np.linalg.norm(camera, axis=-1, keepdims=True)
    elif model.projection == "fisheye":
        camera, everywhere = fisheyes.rays_from_pixels(fisheye(model, *image_wh).resized(*wh))
    else:
        camera = rays(*wh) @ LEVEL_FORWARD
    return camera @ rotation(model).T, everywhere


def pixels_per_radian(model: CameraModel, width_px: int, height_px: int) -> float:
    """How finely a picture of this size shows what lies in the middle of the view."""
    if model.projection == "equirectangular":
        part = model.part or WHOLE
        return float(width_px / (part.right_rad - part.left_rad))
    k = (lens if model.projection == "perspective" else fisheye)(model, width_px, height_px)
    return float(max(k.fx_px, k.fy_px))


def picture_positions(
    x: _FloatMap, y: _FloatMap, z: _FloatMap, model: CameraModel, width_px: int, height_px: int
) -> tuple[_FloatMap, _FloatMap, BoolArray | None]:
    """Where to read a camera's picture for room-frame directions: 0-based positions as cv2.remap takes them.

    Args:
        x: to the right; with y and z, arrays that broadcast to the shape of the answer, of any length but 0.
        y: forward.
        z: up.
        model: the camera; of a panorama, a whole one.
        width_px: of its picture.
        height_px: of its picture.

    Returns:
        Columns, rows (of a panorama, columns lie in [-0.5, W - 0.5]: wrap them), and which the camera sees; None: all.
    """
    if model.projection != "equirectangular":
        directions = np.stack(np.broadcast_arrays(x, y, z), axis=-1).astype(np.float64)
        pixels, seen = room_pixels(model, directions, (width_px, height_px))
        xy = np.where(seen[..., None], pixels - 0.5, _OUTSIDE_PX).astype(np.float32)
        return xy[..., 0], xy[..., 1], seen
    if model.yaw_rad or model.pitch_rad or model.roll_rad:
        r = (rotation(model) @ LEVEL_FORWARD.T).T.astype(np.float32)
        x, y, z = (np.asarray(row[0] * x + row[1] * y + row[2] * z) for row in r)
    column = np.arctan2(x, y) * np.float32(width_px / (2 * np.pi)) + np.float32(width_px / 2 - 0.5)
    row = np.arctan2(z, np.hypot(x, y)) * np.float32(-height_px / np.pi) + np.float32(height_px / 2 - 0.5)
    columns, rows = np.broadcast_arrays(column, row)
    return columns, rows, None


def depth_directions(model: CameraModel, image_wh: Size, map_wh: Size) -> tuple[Array, Array | float]:
    """Room-frame unit directions (H, W, 3) of a depth map's pixels, and range per unit of depth (1: it is range).

    Args:
        model: the camera.
        image_wh: size of its picture, px.
        map_wh: size of the map, which covers the same view.

    Raises:
        GeometryError: see `lens`.
    """
    directions, _ = picture_rays(model, image_wh, map_wh)
    if model.projection != "perspective":
        return directions, 1.0
    return directions, 1 / (directions @ rotation(model)[:, 2])
