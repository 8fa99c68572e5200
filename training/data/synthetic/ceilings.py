"""What is under a ceiling: beams across it, soffits along its walls, and slopes, as under a roof.

The level ceiling stays the label; where a slope comes down to the wall, `horizon.ceiling_shown` says so.
"""

from __future__ import annotations

import math

import numpy as np
import shapely

from training.data.synthetic.description import Array, Opening, Piece, rectangle, wall_frame

WAYS = {"plain": 0.42, "soffit": 0.12, "slope": 0.3, "beams": 0.1, "beam": 0.06}
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
    high = [_line(polygon, o) for o in holes if o.top_m > height_m - deep_m - 0.02]
    for x in np.arange(first, across.max() - 0.2, step_m):
        cut = shapely.LineString([u * x - n * reach, u * x + n * reach]).intersection(outline)
        for part in getattr(cut, "geoms", [cut]):
            if part.is_empty or part.length < 0.5:
                continue
            ends = np.asarray(part.coords)
            if any(part.distance(line) < wide_m for line in high):
                continue
            out.append(_bar(ends.mean(0), part.length, wide_m, deep_m, height_m, math.atan2(n[1], n[0]), kind))
    return out


def _slopes(
    rng: np.random.Generator, polygon: Array, height_m: float, holes: list[Opening], clear: list[shapely.Polygon]
) -> list[Piece]:  # fmt: skip
    """One or two slopes from a wall's knee height up to the ceiling, over no opening that is higher."""
    out: list[Piece] = []
    wanted = 1 + int(rng.random() < 0.45)
    for wall in np.repeat(rng.permutation(len(polygon)), 6):
        if len(out) == wanted:
            break
        slope = _slope(rng, polygon, int(wall), height_m)
        floor, knee_m = floor_of(slope), slope.position_m[2]
        taken = [*clear, *(_line(polygon, o) for o in holes if o.top_m + 0.08 > knee_m), *(floor_of(p) for p in out)]
        inside = shapely.Polygon(polygon).buffer(0.01).contains(floor)
        if slope.size_m[0] > 1.4 and inside and all(floor.distance(t) > 0.1 for t in taken):
            out.append(slope)
    return out


def _line(polygon: Array, o: Opening) -> shapely.LineString:
    """An opening on the plan."""
    a, u, _, _ = wall_frame(polygon, o.wall)
    return shapely.LineString([a + u * o.left_m, a + u * (o.left_m + o.width_m)])


def _slope(rng: np.random.Generator, polygon: Array, wall: int, height_m: float) -> Piece:
    a, u, n, length_m = wall_frame(polygon, wall)
    wide_m, drop_m = float(rng.uniform(0.6, 2.3)), float(rng.uniform(0.3, min(1.6, height_m - 0.9)))
    middle = a + u * length_m / 2 + n * wide_m / 2
    place = (float(middle[0]), float(middle[1]), height_m - drop_m)
    turn = math.atan2(u[1], u[0]) + math.pi
    return Piece("slope", None, place, (length_m, wide_m, drop_m), turn, (0.8, 0.8, 0.8), False)


def floor_of(piece: Piece) -> shapely.Polygon:
    """The floor that a piece is above."""
    return rectangle(piece.position_m[:2], piece.size_m[0], piece.size_m[1], piece.turn_rad)


def hung(
    rng: np.random.Generator, polygon: Array, height_m: float, holes: list[Opening], clear: list[shapely.Polygon]
) -> list[Piece]:  # fmt: skip
    """Beams, a soffit or slopes, if the room has any: over no floor to keep clear, and none in a low room."""
    way = str(rng.choice(list(WAYS), p=list(WAYS.values())))
    if way == "plain" or height_m < 2.3:
        return []
    if way == "slope":
        bars = _slopes(rng, polygon, height_m, holes, clear)
    elif way == "soffit":
        bars = _soffit(rng, polygon, height_m, holes)
    else:
        bars = _beams(rng, polygon, height_m, holes, way == "beams")
    return [b for b in bars if not any(floor_of(b).intersects(s) for s in clear)]


def under_slopes(pieces: list[Piece], bars: list[Piece]) -> list[Piece]:
    """The pieces without those that would reach into a slope, nor what stands on them."""
    slopes = [(floor_of(b), b.position_m[2]) for b in bars if b.kind == "slope"]
    gone = [
        p for p in pieces
        if any(p.position_m[2] + p.size_m[2] > knee and floor_of(p).intersects(floor) for floor, knee in slopes)
    ]  # fmt: skip
    carried = [
        p for p in pieces
        if any(p.position_m[2] > g.position_m[2] + 0.3 * g.size_m[2] and floor_of(g).intersects(floor_of(p))
               for g in gone)
    ]  # fmt: skip
    lost = {id(p) for p in (*gone, *carried)}
    return [p for p in pieces if id(p) not in lost]
