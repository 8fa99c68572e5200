"""Layout metrics: overlap of rooms, and how far the boundary is off."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from scipy.optimize import linear_sum_assignment

from edge.geometry import polygon
from edge.geometry.panorama import direction_from_angles, latitudes, longitudes, pixel_from_angles
from training.arrays import Array

_MIN_LATITUDE_RAD = np.radians(1.0)
JUNCTION_PX = 10.0
"""A corner's end is found if it lies within this of the true one, in a panorama 1024 px wide (LGT-Net's F1)."""
CORNER_GROUPS = ("4", "6", "8", "10+", "odd")


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


def corner_group(corners: int) -> str:
    """Which of `CORNER_GROUPS` a room of so many corners counts in, as HorizonNet reports them (3 and 5 are odd)."""
    if corners % 2:
        return "odd"
    return str(corners) if corners < 10 else "10+"


def junction_f1(
    a: tuple[npt.ArrayLike, npt.ArrayLike],
    b: tuple[npt.ArrayLike, npt.ArrayLike],
    width_px: int,
    within_px: float = JUNCTION_PX,
) -> float:
    """F1 of corner ends (ceiling (N, 2), floor (N, 2) px) found within a distance, x measured round the panorama.

    One to one and at most in number, ceiling ends with ceiling ends and floor ends with floor ends, as LGT-Net's
    evaluation/f1_score.py, which does not go round the panorama.
    """
    found, total = 0, 0
    for mine, theirs in zip(a, b, strict=True):
        p, t = np.asarray(mine, dtype=np.float64), np.asarray(theirs, dtype=np.float64)
        d = p[:, None] - t[None]
        d[..., 0] = (d[..., 0] + width_px / 2) % width_px - width_px / 2
        near = np.hypot(d[..., 0], d[..., 1]) <= within_px
        rows, columns = linear_sum_assignment(near, maximize=True)
        found += int(near[rows, columns].sum())
        total += len(p) + len(t)
    return 2 * found / total


def shell_depth(
    polygon_m: npt.ArrayLike, camera_height_m: float, ceiling_height_m: float, width_px: int, height_px: int
) -> Array:
    """(H, W) distance from the camera to an empty prism room's floor, ceiling or wall, m."""
    wall = polygon.wall_distances(polygon_m, longitudes(width_px))[None]
    lat = latitudes(height_px)[:, None]
    level = np.where(lat > 0, ceiling_height_m - camera_height_m, -camera_height_m) / np.sin(lat)
    return np.asarray(np.minimum(wall / np.cos(lat), level))


def depth_agreement(predicted: npt.ArrayLike, truth: npt.ArrayLike) -> tuple[float, float]:
    """RMSE (m) and delta1 of two full depth maps of rooms.

    On `shell_depth` these are HorizonNet's RMSE and delta1 (eval_general.py), on the distances of the walls those of
    the horizon depth (LGT-Net's 1D representation).
    """
    p, t = np.asarray(predicted, dtype=np.float64), np.asarray(truth, dtype=np.float64)
    return float(np.sqrt(((p - t) ** 2).mean())), float((np.maximum(p / t, t / p) < 1.25).mean())
