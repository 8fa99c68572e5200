"""Floor polygons: (N, 2) corners in metres in the room frame (x right, y forward), not repeating the first."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import shapely

from edge.errors import GeometryError

Array = npt.NDArray[np.float64]


def _checked(polygon: npt.ArrayLike) -> Array:
    p = np.asarray(polygon, dtype=np.float64)
    if p.ndim != 2 or p.shape[1] != 2 or len(p) < 3 or not np.isfinite(p).all():
        raise GeometryError(f"a polygon is at least 3 finite corners (N, 2), got {p.shape}")
    return p


def signed_area_m2(polygon: npt.ArrayLike) -> float:
    """Shoelace area; positive when the corners run counter-clockwise."""
    p = _checked(polygon)
    q = np.roll(p, -1, axis=0)
    return float(np.sum(p[:, 0] * q[:, 1] - q[:, 0] * p[:, 1]) / 2)


def area_m2(polygon: npt.ArrayLike) -> float:
    """Area, whichever way the corners run."""
    return abs(signed_area_m2(polygon))


def counter_clockwise(polygon: npt.ArrayLike) -> Array:
    """The same polygon with its corners counter-clockwise seen from above."""
    p = _checked(polygon)
    return p if signed_area_m2(p) >= 0 else p[::-1].copy()


def is_simple(polygon: npt.ArrayLike) -> bool:
    """Whether the closed outline neither crosses nor touches itself and has an area."""
    p = shapely.Polygon(_checked(polygon))
    return bool(p.is_valid and p.area > 0)


def simplified(polygon: npt.ArrayLike, tolerance_m: float) -> Array:
    """The outline with corners dropped that lie within the tolerance of it (Douglas-Peucker); stays simple."""
    thinner = shapely.Polygon(_checked(polygon)).simplify(tolerance_m, preserve_topology=True)
    return np.asarray(shapely.get_coordinates(thinner), dtype=np.float64)[:-1]


def contains(polygon: npt.ArrayLike, point: npt.ArrayLike = (0.0, 0.0)) -> bool:
    """Whether the point (default: the camera) is inside or on the outline."""
    return bool(shapely.Polygon(_checked(polygon)).covers(shapely.Point(*np.asarray(point, float))))


def iou(a: npt.ArrayLike, b: npt.ArrayLike) -> float:
    """Intersection over union of two floor polygons."""
    pa, pb = (shapely.Polygon(_checked(p)).buffer(0) for p in (a, b))
    union = pa.union(pb).area
    return float(pa.intersection(pb).area / union) if union > 0 else 0.0


def wall_distances(polygon: npt.ArrayLike, longitudes_rad: npt.ArrayLike) -> Array:
    """Horizontal distance from the origin to the first wall in each direction (W,); inf where none is met.

    Args:
        polygon: (N, 2) corners.
        longitudes_rad: (W,) directions, 0 = +y, positive towards +x.
    """
    p = _checked(polygon)
    e = np.roll(p, -1, axis=0) - p
    lon = np.asarray(longitudes_rad, dtype=np.float64)
    d = np.stack([np.sin(lon), np.cos(lon)], axis=-1)[:, None, :]
    cross = d[..., 0] * e[:, 1] - d[..., 1] * e[:, 0]
    with np.errstate(divide="ignore", invalid="ignore"):
        t = (p[:, 0] * e[:, 1] - p[:, 1] * e[:, 0]) / cross
        s = (p[:, 0] * d[..., 1] - p[:, 1] * d[..., 0]) / cross
    hit = (np.abs(cross) > 1e-12) & (t > 0) & (s >= -1e-9) & (s <= 1 + 1e-9)
    return np.asarray(np.where(hit, t, np.inf).min(axis=1))


def boundary_latitudes(
    polygon: npt.ArrayLike, longitudes_rad: npt.ArrayLike, camera_height_m: float, ceiling_height_m: float
) -> tuple[Array, Array]:
    """Latitudes (positive up) of the ceiling and the floor edge of a prism room seen from the camera at the origin."""
    r = wall_distances(polygon, longitudes_rad)
    return np.arctan2(ceiling_height_m - camera_height_m, r), -np.arctan2(camera_height_m, r)
