"""Layout metrics: overlap of rooms, and how far the boundary is off."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from edge.geometry import polygon
from edge.geometry.panorama import direction_from_angles, longitudes

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


def pixel_error(a: npt.ArrayLike, b: npt.ArrayLike) -> float:
    """Share of a panorama's pixels that two boundaries (2, W), rad, label differently as ceiling, wall or floor."""
    return float(np.abs(np.asarray(a, float) - np.asarray(b, float)).sum(axis=0).mean() / np.pi)


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


def best_box(rooms: list[tuple[Array, float]]) -> tuple[tuple[float, float, float], float]:
    """The camera-centred box (width, depth, height) with the best mean 3D IoU over rooms (polygon, height), and it.

    It is chosen on the very rooms it is measured on, so no picture-blind box does better: the baseline to beat.
    """
    best, found = -1.0, (4.0, 4.0, 2.6)
    sizes = np.exp(np.linspace(np.log(1.5), np.log(14.0), 14))
    for height in np.linspace(2.2, 3.6, 5) if len(rooms) > 3 else [float(np.median([h for _, h in rooms]))]:
        for i, width in enumerate(sizes):
            for depth in sizes[max(0, i - 3) : i + 4]:
                box = box_polygon(float(width), float(depth))
                mean = float(np.mean([iou_3d(box, float(height), p, h) for p, h in rooms]))
                if mean > best:
                    best, found = mean, (float(width), float(depth), float(height))
    return found, best


def box_polygon(width_m: float, depth_m: float) -> Array:
    """A rectangle round the camera, along the room frame's axes."""
    x, y = width_m / 2, depth_m / 2
    return np.array([[-x, -y], [x, -y], [x, y], [-x, y]])
