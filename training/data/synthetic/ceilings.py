"""What hangs under a ceiling: beams across it, and soffits along its walls. The ceiling itself stays the label."""

from __future__ import annotations

import math

import numpy as np
import shapely

from training.data.synthetic.description import Array, Opening, Piece, rectangle, wall_frame

WAYS = {"plain": 0.64, "soffit": 0.17, "beams": 0.12, "beam": 0.07}
"""What a ceiling has -> share."""


def _bar(middle: Array, length_m: float, wide_m: float, deep_m: float, top_m: float, turn: float, kind: str) -> Piece:
    place = (float(middle[0]), float(middle[1]), top_m - deep_m - 0.0005)
    return Piece(kind, None, place, (length_m, wide_m, deep_m), turn, (0.75, 0.74, 0.72), kind == "wooden_beam")


def _soffit(rng: np.random.Generator, polygon: Array, height_m: float, holes: list[Opening]) -> list[Piece]:
    """A boxed-in part along one wall, above all of its openings."""
    wall, deep_m = int(rng.integers(len(polygon))), float(rng.uniform(0.2, 0.38))
    wide_m = float(rng.uniform(0.3, 0.65))
    a, u, n, length_m = wall_frame(polygon, wall)
    corners = np.array([a, a + u * length_m, a + u * length_m + n * wide_m, a + n * wide_m])
    inside = shapely.Polygon(polygon).buffer(0.01).contains(shapely.Polygon(corners))
    if not inside or any(o.wall == wall and o.top_m > height_m - deep_m - 0.02 for o in holes):
        return []
    middle = a + u * length_m / 2 + n * wide_m / 2
    return [_bar(middle, length_m - 0.002, wide_m, deep_m, height_m, math.atan2(u[1], u[0]), "beam")]


def _beams(rng: np.random.Generator, polygon: Array, height_m: float, holes: list[Opening], many: bool) -> list[Piece]:
    """Parallel beams from wall to wall, or a single one, clear of what reaches up to the ceiling."""
    _, u, n, _ = wall_frame(polygon, int(rng.integers(len(polygon))))
    wide_m, deep_m = float(rng.uniform(0.1, 0.22)), float(rng.uniform(0.1, 0.25))
    kind = "wooden_beam" if rng.random() < 0.5 else "beam"
    across = polygon @ u
    step_m = float(rng.uniform(0.6, 1.4)) if many else float(np.ptp(across))
    first = float(across.min() + rng.uniform(0.3, 0.9) * step_m)
    outline, out = shapely.Polygon(polygon).buffer(-0.005), []
    reach = 2 * float(np.abs(polygon).max()) + 10
    high = [wall_frame(polygon, o.wall) + (o,) for o in holes if o.top_m > height_m - deep_m - 0.02]
    for x in np.arange(first, across.max() - 0.2, step_m):
        line = shapely.LineString([u * x - n * reach, u * x + n * reach]).intersection(outline)
        for part in getattr(line, "geoms", [line]):
            if part.is_empty or part.length < 0.5:
                continue
            ends = np.asarray(part.coords)
            blocked = [shapely.LineString([a + v * o.left_m, a + v * (o.left_m + o.width_m)]) for a, v, _, _, o in high]
            if any(part.distance(b) < wide_m for b in blocked):
                continue
            out.append(_bar(ends.mean(0), part.length, wide_m, deep_m, height_m, math.atan2(n[1], n[0]), kind))
    return out


def hung(
    rng: np.random.Generator, polygon: Array, height_m: float, holes: list[Opening], lamps: list[Piece]
) -> list[Piece]:  # fmt: skip
    """Beams or a soffit, if the room has any, but none into its lamps or a ceiling below 2.3 m."""
    way = str(rng.choice(list(WAYS), p=list(WAYS.values())))
    if way == "plain" or height_m < 2.3:
        return []
    bars = _soffit(rng, polygon, height_m, holes) if way == "soffit" else _beams(
        rng, polygon, height_m, holes, way == "beams"
    )  # fmt: skip
    under = [shapely.Point(p.position_m[:2]).buffer(max(p.size_m[:2]) * 0.75) for p in lamps]
    floors = [rectangle(b.position_m[:2], b.size_m[0], b.size_m[1], b.turn_rad) for b in bars]
    return [b for b, floor in zip(bars, floors, strict=True) if not any(floor.intersects(s) for s in under)]
