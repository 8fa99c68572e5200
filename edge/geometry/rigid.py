"""Rotations and rigid transforms. `T_world_camera` maps camera-frame points to the world, as (4, 4)."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float64]

LEVEL_FORWARD = np.array([[1.0, 0.0, 0.0], [0.0, 0.0, 1.0], [0.0, -1.0, 0.0]])
"""Room axes from OpenCV camera axes for a level camera looking forward: camera x, y, z -> room x, -z, y."""


def rotation_room_camera(yaw_rad: float = 0.0, pitch_rad: float = 0.0, roll_rad: float = 0.0) -> Array:
    """(3, 3) rotation from camera (OpenCV) to room vectors.

    Yaw turns right, pitch looks up, roll turns the camera clockwise about its own optical axis (seen from behind it);
    roll is applied first, then pitch, then yaw.
    """
    cy, sy = np.cos(yaw_rad), np.sin(yaw_rad)
    cp, sp = np.cos(pitch_rad), np.sin(pitch_rad)
    cr, sr = np.cos(roll_rad), np.sin(roll_rad)
    yaw = np.array([[cy, sy, 0], [-sy, cy, 0], [0, 0, 1]])
    pitch = np.array([[1, 0, 0], [0, cp, -sp], [0, sp, cp]])
    roll = np.array([[cr, -sr, 0], [sr, cr, 0], [0, 0, 1]])  # in camera axes: x towards y (down) is clockwise
    return np.asarray(yaw @ pitch @ LEVEL_FORWARD @ roll)


def transform(rotation: npt.ArrayLike, translation: npt.ArrayLike) -> Array:
    """(4, 4) from a rotation (3, 3) and a translation (3,)."""
    out = np.eye(4)
    out[:3, :3], out[:3, 3] = rotation, translation
    return out


def inverse(t: npt.ArrayLike) -> Array:
    """Inverse of a rigid (4, 4), without a general matrix inversion."""
    m = np.asarray(t, dtype=np.float64)
    return transform(m[:3, :3].T, -m[:3, :3].T @ m[:3, 3])


def apply(t: npt.ArrayLike, points: npt.ArrayLike) -> Array:
    """Transform points (..., 3) by (4, 4)."""
    m = np.asarray(t, dtype=np.float64)
    return np.asarray(np.asarray(points, float) @ m[:3, :3].T + m[:3, 3])
