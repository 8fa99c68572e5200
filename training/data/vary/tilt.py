"""Panoramas of a camera that is not quite level: the picture turned, and a layout's targets with it."""

from __future__ import annotations

from typing import TypeVar

import cv2
import numpy as np
import numpy.typing as npt

from edge.geometry.panorama import angles_from_direction, direction_from_angles, longitudes, rays, sampling_map
from training.arrays import Array

Value = TypeVar("Value", np.uint8, np.float32)


def random_tilt(rng: np.random.Generator, tilt_deg: float) -> Array:
    """(3, 3) rotation about x and y by angles of that standard deviation: what was seen along s is seen along R s."""
    angles = np.radians(rng.normal(0, tilt_deg, 2))
    (ca, cb), (sa, sb) = np.cos(angles), np.sin(angles)
    about_x, about_y = [[1, 0, 0], [0, ca, -sa], [0, sa, ca]], [[cb, 0, -sb], [0, 1, 0], [sb, 0, cb]]
    return np.asarray(np.array(about_x) @ np.array(about_y), dtype=np.float64)


def tilted_picture(panorama: npt.NDArray[Value], rotation: Array) -> npt.NDArray[Value]:
    """The panorama (H, 2H, C) turned, bilinear."""
    h, w = panorama.shape[:2]
    x, y = sampling_map(rays(w, h) @ rotation, w, h)
    wrapped = np.concatenate([panorama[:, -1:], panorama, panorama[:, :1]], axis=1)
    xy = (x.astype(np.float32) + 1, y.astype(np.float32))
    out = cv2.remap(wrapped, *xy, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    return np.asarray(out, dtype=panorama.dtype)


def _moved(lon: Array, down: Array, rotation: Array) -> tuple[Array, Array]:
    """Longitudes and latitudes (positive down) of directions, turned."""
    new_lon, new_lat = angles_from_direction(direction_from_angles(lon, -down) @ rotation.T)
    return np.asarray(new_lon), -np.asarray(new_lat)


def tilted_boundary(boundary: npt.NDArray[np.float32], rotation: Array) -> npt.NDArray[np.float32]:
    """The edges (2, columns; latitudes, positive down) where the turned picture shows them."""
    lon = longitudes(boundary.shape[1])
    edges = [_moved(lon, edge.astype(np.float64), rotation) for edge in boundary]
    return np.stack([np.interp(lon, *edge, period=2 * np.pi) for edge in edges]).astype(np.float32)


def tilted_columns(at: Array, boundary: npt.NDArray[np.float32], rotation: Array) -> Array:
    """Columns of corners in the turned picture: midway between their ends on the ceiling and on the floor.

    Args:
        at: columns in the level picture (column i's centre is i + 0.5).
        boundary: (2, columns) the level edges.
        rotation: see `random_tilt`.
    """
    columns = boundary.shape[1]
    lon = (at / columns - 0.5) * 2 * np.pi
    ends = [np.interp(lon, longitudes(columns), edge, period=2 * np.pi) for edge in boundary.astype(np.float64)]
    shifts = [(_moved(lon, end, rotation)[0] - lon + np.pi) % (2 * np.pi) - np.pi for end in ends]
    return np.asarray((at + np.mean(shifts, axis=0) / (2 * np.pi) * columns) % columns)
