"""A room of textured planes seen by a pinhole camera anywhere in it: pictures and depth to the last digit, no renderer.

Axes are the cameras': x right, y down, z forward. The texture is a sum of waves in space, so that it has no grain to be
sampled: a picture made from another differs from the truth by interpolation alone.
"""

from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt

from edge.scene import ImageArray

Array = npt.NDArray[np.float64]
Lens = tuple[float, float, float, float]
LENS: Lens = (110.0, 108.0, 66.5, 47.0)
"""fx, fy, cx, cy in px of `SIZE_PX`; neither square nor centred."""
SIZE_PX = (128, 96)
BOX = (np.array([0.3, 0.9, 2.2]), 0.35)
"""A thing that stands before the walls: middle and half size, m."""
_PLANES = (
    (np.array([0.0, 1.0, 0.0]), 1.3),  # floor
    (np.array([0.0, 0.0, 1.0]), 4.0),  # the wall ahead
    (np.array([1.0, 0.0, 0.0]), 2.0),
    (np.array([-1.0, 0.0, 0.0]), 1.8),
    (np.array([0.0, -1.0, 0.0]), 1.2),
)


def _colour(points: Array) -> Array:
    rng = np.random.default_rng(3)
    out = np.full((*points.shape[:-1], 3), 0.5)
    for channel in range(3):
        for _ in range(6):
            wave = rng.normal(size=3)
            wave *= 2 * np.pi / (rng.uniform(0.35, 1.2) * np.linalg.norm(wave))
            out[..., channel] += 0.07 * np.sin(points @ wave + rng.uniform(0, 6))
    return np.asarray(out)


def rays(lens: Lens = LENS, size_px: tuple[int, int] = SIZE_PX) -> Array:
    """(H, W, 3) directions of pixel centres with z = 1."""
    fx, fy, cx, cy = lens
    x, y = np.meshgrid(np.arange(size_px[0]) + 0.5, np.arange(size_px[1]) + 0.5)
    return np.stack([(x - cx) / fx, (y - cy) / fy, np.ones_like(x)], axis=-1)


def seen_from(
    T_room_camera: Array,
    lens: Lens = LENS,
    size_px: tuple[int, int] = SIZE_PX,
    box: tuple[Array, float] | None = None,
) -> tuple[Array, Array]:
    """(H, W, 3) colours in 0..1 and (H, W) z-depth in m; `box`: middle and half size of a cube that stands there."""
    R, t = T_room_camera[:3, :3], T_room_camera[:3, 3]
    d = rays(lens, size_px) @ R.T
    depth = np.full(d.shape[:2], np.inf)
    with np.errstate(divide="ignore", invalid="ignore"):
        for normal, offset in _PLANES:
            z = (offset - normal @ t) / (d @ normal)
            depth = np.where((z > 0) & (z < depth), z, depth)
        if box is not None:
            near, far = ((box[0] + s * box[1] - t) / d for s in (-1, 1))
            enter, leave = np.minimum(near, far).max(-1), np.maximum(near, far).min(-1)
            depth = np.where((enter < leave) & (enter > 0) & (enter < depth), enter, depth)
    return _colour(t + depth[..., None] * d), depth


def pose(x: float = 0.0, y: float = 0.0, z: float = 0.0, yaw_deg: float = 0.0, pitch_deg: float = 0.0) -> Array:
    """(4, 4) room from camera: moved by m, turned right by yaw and up by pitch."""
    a, b = np.radians([yaw_deg, pitch_deg])
    yaw = np.array([[np.cos(a), 0, np.sin(a)], [0, 1, 0], [-np.sin(a), 0, np.cos(a)]])
    pitch = np.array([[1, 0, 0], [0, np.cos(b), -np.sin(b)], [0, np.sin(b), np.cos(b)]])
    T = np.eye(4)
    T[:3, :3], T[:3, 3] = yaw @ pitch, (x, y, z)
    return T


def speckled(
    T_room_camera: Array, lens: Lens = LENS, size_px: tuple[int, int] = SIZE_PX, box: tuple[Array, float] | None = BOX
) -> ImageArray:
    """(H, W, 3) uint8: the room with sharp speckles on its surfaces, which can be found again."""
    colour, depth = seen_from(T_room_camera, lens, size_px, box)
    points = T_room_camera[:3, 3] + (rays(lens, size_px) * depth[..., None]) @ T_room_camera[:3, :3].T
    x, y, z = np.moveaxis(np.floor((points + 0.053) / 0.14).astype(np.int64).astype(np.uint64), -1, 0)
    mixed = (x * 73856093 ^ y * 19349663 ^ z * 83492791) * np.uint64(2654435761)
    speckle = ((mixed >> np.uint64(20)) % np.uint64(256)) / 255.0
    grey = np.clip(0.5 * colour + 0.5 * speckle[..., None], 0, 1)
    return np.asarray(cv2.GaussianBlur((grey * 255).astype(np.uint8), (0, 0), 0.8), dtype=np.uint8)
