"""Layout metrics: overlap of rooms, and how far the boundary is off."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from edge.geometry import polygon
from edge.geometry.panorama import direction_from_angles, longitudes, pixel_from_angles

Array = npt.NDArray[np.float64]
_MIN_LATITUDE_RAD = np.radians(1.0)


def iou_2d(a: npt.ArrayLike, b: npt.ArrayLike) -> float:
    """Intersection over union of two floor polygons."""
    return polygon.iou(a, b)


def iou_3d(a: npt.ArrayLike, a_height_m: float, b: npt.ArrayLike, b_height_m: float) -> float:
    """Intersection over union of two prism rooms that stand on the same floor."""
    area_a, area_b = polygon.area_m2(a), polygon.area_m2(b)
    flat = polygon.iou(a, b)
    shared = flat * (area_a + area_b) / (1 + flat) * min(a_height_m, b_height_m)
    return shared / (area_a * a_height_m + area_b * b_height_m - shared)


def pixel_error(a: npt.ArrayLike, b: npt.ArrayLike, counted: npt.NDArray[np.bool_] | None = None) -> float:
    """Share of a panorama's pixels that two boundaries (2, W), rad, label differently as ceiling, wall or floor.

    `counted` (2, W): columns of each boundary that take part; None = all.
    """
    difference = np.abs(np.asarray(a, float) - np.asarray(b, float))
    take = np.ones(difference.shape, np.bool_) if counted is None else counted
    return float(sum(d[t].mean() for d, t in zip(difference, take, strict=True) if t.any()) / np.pi)


def corners_px(
    polygon_m: npt.ArrayLike, camera_height_m: float, ceiling_height_m: float, width_px: int, height_px: int
) -> tuple[Array, Array]:
    """Where a panorama shows the ceiling and the floor ends (N, 2) px of a room's corners, in the polygon's order."""
    p = np.asarray(polygon_m, dtype=np.float64)
    reach, lon = np.hypot(p[:, 0], p[:, 1]), np.arctan2(p[:, 0], p[:, 1])
    ends = (np.arctan2(ceiling_height_m - camera_height_m, reach), -np.arctan2(camera_height_m, reach))
    up, down = (np.stack(pixel_from_angles(lon, lat, width_px, height_px), axis=1) for lat in ends)
    return up, down


def room_from_boundary(boundary: npt.ArrayLike, camera_height_m: float) -> tuple[Array, float]:
    """Floor polygon (W, 2) and ceiling height of a raw boundary (2, W), rad, positive down.

    Distances come from the floor edge alone, the height from the median over columns, as HorizonNet evaluates raw.
    """
    b = np.asarray(boundary, dtype=np.float64)
    distance = camera_height_m / np.tan(np.clip(b[1], _MIN_LATITUDE_RAD, np.pi / 2 - 0.01))
    above = np.median(distance * np.tan(np.clip(-b[0], _MIN_LATITUDE_RAD, np.pi / 2 - 0.01)))
    outline = distance[:, None] * direction_from_angles(longitudes(b.shape[1]), 0.0)[:, :2]
    return outline, float(camera_height_m + above)


def corner_error(a: npt.ArrayLike, b: npt.ArrayLike, width_px: int, height_px: int) -> float:
    """Mean distance of matching corners (N, 2) px over the picture's diagonal, x measured round the panorama.

    Corners are matched in order after the cyclic shift that fits best. NaN if their numbers differ.
    """
    p, t = np.asarray(a, dtype=np.float64), np.asarray(b, dtype=np.float64)
    if len(p) != len(t):
        return float("nan")
    errors = []
    for shift in range(len(t)):
        d = np.roll(p, shift, axis=0) - t
        d[:, 0] = (d[:, 0] + width_px / 2) % width_px - width_px / 2
        errors.append(np.linalg.norm(d, axis=1).mean())
    return float(min(errors) / np.hypot(width_px, height_px))
