"""What a panorama's columns show of openings: their kinds, and the boundary as seen through them.

The labelled layout is closed at every opening, at the plane of the wall. The extended one goes through open doors,
passages and openings to where the floor ends there; its ceiling does so too where the opening reaches the ceiling, and
elsewhere ends above the lintel. Furniture and the leaves of doors hide neither.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import shapely

from edge.geometry.panorama import longitudes
from edge.geometry.polygon import boundary_latitudes, wall_distances
from training.data.synthetic.description import Array, Opening, Piece, behind, rectangle, wall_frame

KINDS = ("none", "door", "window", "opening")
"""What a column may look at, by its number."""
_NUMBERS = {"door": 1, "window": 2, "opening": 3, "passage": 3}


def leads_on(o: Opening) -> bool:
    """Whether one sees another floor through it."""
    return o.kind == "passage" or o.beyond >= 0


def opening_segments(polygon: Array, holes: Sequence[Opening]) -> tuple[Array, npt.NDArray[np.uint8]]:
    """(K, 2, 2) ends of the openings on the plan, at the inner plane of their walls, and their kinds (K,)."""
    ends, kinds = [], []
    for o in holes:
        a, u, _, _ = wall_frame(polygon, o.wall)
        ends.append([a + u * o.left_m, a + u * (o.left_m + o.width_m)])
        kinds.append(_NUMBERS[o.kind])
    return np.array(ends, np.float64).reshape(-1, 2, 2), np.array(kinds, np.uint8)


def column_kinds(
    polygon: npt.ArrayLike, segments: npt.ArrayLike, kinds: npt.ArrayLike, longitudes_rad: npt.ArrayLike
) -> npt.NDArray[np.uint8]:
    """(W,) kind of the opening that the first wall in each direction has there, by its number in `KINDS`."""
    lon, numbers = np.asarray(longitudes_rad, np.float64), np.asarray(kinds)
    reach = wall_distances(polygon, lon)
    met = reach[:, None] * np.stack([np.sin(lon), np.cos(lon)], axis=1)
    out = np.zeros(len(lon), np.uint8)
    for (a, b), kind in zip(np.asarray(segments, np.float64), numbers, strict=True):
        length = float(np.linalg.norm(b - a))
        u = (b - a) / length
        along, across = (met - a) @ u, (met - a) @ np.array([-u[1], u[0]])
        out[(along >= 0) & (along <= length) & (np.abs(across) < 1e-4 * (1 + reach))] = kind
    return out


def ceiling_shown(polygon: Array, slopes: npt.ArrayLike, longitudes_rad: npt.ArrayLike) -> npt.NDArray[np.uint8]:
    """(W,) 1 where the level ceiling meets the first wall, 0 where one of the slopes over `slopes` (S, 4, 2) does."""
    lon = np.asarray(longitudes_rad, np.float64)
    met = wall_distances(polygon, lon)[:, None] * np.stack([np.sin(lon), np.cos(lon)], axis=1)
    floors = [shapely.Polygon(corners).buffer(0.01) for corners in np.asarray(slopes, np.float64).reshape(-1, 4, 2)]
    under = [shapely.contains_xy(floor, met[:, 0], met[:, 1]) for floor in floors]
    return np.asarray(~np.any([np.zeros(len(lon), bool), *under], axis=0), dtype=np.uint8)


def slopes_of(pieces: Sequence[Piece]) -> Array:
    """(S, 4, 2) floors under the slopes of a room."""
    floors = [rectangle(p.position_m[:2], p.size_m[0], p.size_m[1], p.turn_rad) for p in pieces if p.kind == "slope"]
    return np.array([np.asarray(f.exterior.coords)[:4] for f in floors], np.float64).reshape(-1, 4, 2)


def extended_plans(
    polygon: Array, height_m: float, holes: Sequence[Opening], annexes: Sequence[npt.ArrayLike]
) -> tuple[Array, Array]:  # fmt: skip
    """Outlines of the room's floor with all floor that is seen through openings, and of its ceiling likewise.

    Args:
        polygon: (N, 2) corners of the room.
        height_m: of its ceiling.
        holes: its openings.
        annexes: corners of each of its annexes.
    """
    floor, ceiling = [shapely.Polygon(polygon)], [shapely.Polygon(polygon)]
    for o in holes:
        if leads_on(o):
            seen = [behind(polygon, o, 0.001)]
            seen += [shapely.Polygon(np.asarray(annexes[o.beyond]))] if o.beyond >= 0 else []
            floor += seen
            ceiling += seen if o.beyond >= 0 and o.top_m > height_m - 0.02 else []
    outlines = [np.asarray(_largest(shapely.union_all(parts)).exterior.coords)[:-1] for parts in (floor, ceiling)]
    return outlines[0], outlines[1]


def _largest(shape: Any) -> shapely.Polygon:
    parts: list[shapely.Polygon] = list(getattr(shape, "geoms", [shape]))
    return shapely.orient_polygons(max(parts, key=lambda p: p.area))


def extended_latitudes(floor: Array, ceiling: Array, camera_height_m: float, height_m: float, width_px: int) -> Array:
    """(2, W) latitudes, positive down, of the extended ceiling edge and floor edge of a panorama's columns."""
    lon = longitudes(width_px)
    up = boundary_latitudes(ceiling, lon, camera_height_m, height_m)[0]
    down = boundary_latitudes(floor, lon, camera_height_m, height_m)[1]
    return -np.stack([up, down])


def openings_of(item: dict[str, Any]) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.float32]]:
    """Kinds of a rendered room's columns (W,) and its extended boundary (2, W), whichever version wrote it.

    Rooms that were rendered before there were rooms behind their openings have neither; both follow from their plan.
    """
    if "opening_kind" in item:
        return item["opening_kind"], item["extended_rad"]
    polygon, width_px = np.asarray(item["polygon_m"], np.float64), item["boundary_rad"].shape[1]
    holes = [Opening(**o) for o in json.loads(item["description"])["openings"]]
    kinds = column_kinds(polygon, *opening_segments(polygon, holes), longitudes(width_px))
    floor, ceiling = extended_plans(polygon, item["height_m"], holes, [])
    extended = extended_latitudes(floor, ceiling, item["camera_height_m"], item["height_m"], width_px)
    return kinds, extended.astype(np.float32)
