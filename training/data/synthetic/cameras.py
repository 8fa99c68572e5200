"""Perspective cameras in a room: across it, close to its tables and beds, under them, near walls, in corners."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import shapely
from shapely.geometry.base import BaseGeometry

from edge.geometry.polygon import wall_distances
from training.data.synthetic.assets import Catalog
from training.data.synthetic.description import Array, Piece, View, rectangle, wall_frame
from training.data.synthetic.looks import exposure_target
from training.data.synthetic.tops import SEATS, TOPS, on_piece, top_m

SHARES = {"room": 0.3, "top": 0.44, "legs": 0.09, "wall": 0.1, "corner": 0.07}
"""Where a camera is -> share of views; in a room without such furniture a close one is across the room or at a wall."""
TRIES = 30
FLOOR, FLOOR_SHARE = 0.05, 0.05
"""A close camera that sees more floor than this is taken in so many cases only: what is below need not be the floor."""
SPACE_M = 0.12
"""Least distance of a camera from whatever is there."""
FIRST_M = 0.2
"""Least depth in the middle of a view."""


@dataclass(frozen=True)
class Interior:
    """The room that cameras are put into, in its own frame."""

    polygon: Array
    height_m: float
    free: BaseGeometry
    """Floor that nothing stands on or near."""
    pieces: tuple[Piece, ...]
    few_lamps: bool
    catalog: Catalog


def free_point(rng: np.random.Generator, area: BaseGeometry) -> Array:
    """A point of an area, at random."""
    x0, y0, x1, y1 = area.bounds
    for _ in range(2000):
        p = rng.uniform([x0, y0], [x1, y1])
        if area.contains(shapely.Point(p)):
            return np.asarray(p)
    inside = area.representative_point()
    return np.array([inside.x, inside.y])


# --- what a camera meets -------------------------------------------------------------------------------------------


def _boxes(pieces: tuple[Piece, ...]) -> tuple[Array, Array, Array]:
    """Middles (K, 3), half sizes (K, 3) and turns (K,) of pieces; of tables only the slab that is their top."""
    middle, half, turn = [], [], []
    for p in pieces:
        low = 0.8 * p.size_m[2] if p.kind in ("table", "desk", "coffee_table") else 0.0
        middle.append([*p.position_m[:2], p.position_m[2] + (low + p.size_m[2]) / 2])
        half.append([p.size_m[0] / 2, p.size_m[1] / 2, (p.size_m[2] - low) / 2])
        turn.append(p.turn_rad)
    return np.array(middle).reshape(-1, 3), np.array(half).reshape(-1, 3), np.array(turn)


def _local(vectors: Array, turn: Array) -> Array:
    """Vectors (K, ..., 3) in the axes of K turned boxes."""
    c, s = (f(turn).reshape(-1, *(1,) * (vectors.ndim - 2)) for f in (np.cos, np.sin))
    x, y = vectors[..., 0], vectors[..., 1]
    return np.stack([c * x + s * y, -s * x + c * y, vectors[..., 2]], axis=-1)


def clearance_m(room: Interior, point: Array) -> float:
    """Distance of a place from walls, floor, ceiling and the nearest piece's box; not positive inside something."""
    inside = shapely.Polygon(room.polygon)
    here = shapely.Point(point[:2])
    walls = float(inside.exterior.distance(here)) * (1 if inside.contains(here) else -1)
    middle, half, turn = _boxes(room.pieces)
    if not len(turn):
        return float(min(walls, point[2], room.height_m - point[2]))
    off = np.abs(_local(point - middle, turn)) - half
    out = np.linalg.norm(np.maximum(off, 0), axis=1)
    nearest = np.where(off.max(axis=1) < 0, off.max(axis=1), out)
    return float(min(walls, point[2], room.height_m - point[2], nearest.min()))


def _directions(view: View, columns: int, rows: int) -> Array:
    """Unit vectors (rows * columns, 3) over the middle of a view, roll left out."""
    x, y = np.meshgrid(np.linspace(-0.6, 0.6, columns), np.linspace(0.5, -0.5, rows))
    k = np.tan(view.hfov_rad / 2)
    forward = np.array([np.sin(view.yaw_rad) * np.cos(view.pitch_rad), np.cos(view.yaw_rad) * np.cos(view.pitch_rad),
                        np.sin(view.pitch_rad)])  # fmt: skip
    right = np.array([np.cos(view.yaw_rad), -np.sin(view.yaw_rad), 0.0])
    up = np.cross(right, forward)
    d = forward + k * (x.reshape(-1, 1) * right + y.reshape(-1, 1) * up)
    return np.asarray(d / np.linalg.norm(d, axis=1, keepdims=True))


def _ahead(room: Interior, view: View) -> tuple[float, float]:
    """Distance that four fifths of a view's middle reach at least, and the share of it that shows the floor."""
    d = _directions(view, 7, 7)
    p = np.asarray(view.position_m)
    with np.errstate(divide="ignore", invalid="ignore"):
        flat = np.hypot(d[:, 0], d[:, 1])
        reach = wall_distances(room.polygon - p[:2], np.arctan2(d[:, 0], d[:, 1])) / flat
        level = np.where(d[:, 2] < 0, -p[2] / d[:, 2], (room.height_m - p[2]) / d[:, 2])
        floor = (d[:, 2] < 0) & (level < reach)
        reach = np.minimum(reach, level)
        middle, half, turn = _boxes(room.pieces)
        if len(turn):
            origin = _local(p - middle, turn)[:, None]
            ray = _local(np.broadcast_to(d, (len(turn), *d.shape)), turn)
            a, b = (-half[:, None] - origin) / ray, (half[:, None] - origin) / ray
            enter, leave = np.minimum(a, b).max(-1), np.maximum(a, b).min(-1)
            met = np.where((enter <= leave) & (leave > 0), np.maximum(enter, 0), np.inf).min(axis=0)
            floor &= met > reach
            reach = np.minimum(reach, met)
    return float(np.quantile(reach, 0.2)), float(floor.mean())


def _view(
    rng: np.random.Generator, room: Interior, xy: Array, z_m: float, yaw_rad: float, pitch_deg: float, *,
    roll_deg: float = 3.0, hfov_deg: tuple[float, float] = (45, 90),
) -> View:  # fmt: skip
    """A camera held by hand: roll as from a normal distribution, field of view within a range."""
    roll = float(np.clip(rng.normal(0, roll_deg), -15, 15))
    return View(
        (float(xy[0]), float(xy[1]), float(z_m)), float((yaw_rad + np.pi) % (2 * np.pi) - np.pi),
        float(np.radians(pitch_deg)), float(np.radians(roll)), float(np.radians(rng.uniform(*hfov_deg))),
        exposure_target(rng, room.few_lamps),
    )  # fmt: skip


# --- kinds of cameras ----------------------------------------------------------------------------------------------


def _over_top(rng: np.random.Generator, room: Interior) -> View | None:
    """Close to the edge of a table, worktop, bed, chest or sofa and above it, looking along what is on it."""
    bases = [p for p in room.pieces if (p.kind in TOPS or p.kind in SEATS) and p.size_m[2] < 1.2]
    if not bases:
        return None
    base = bases[int(rng.integers(len(bases)))]
    half, level = np.array(base.size_m[:2]) / 2, top_m(base, room.catalog)
    side, along, off_m = int(rng.integers(4)), float(rng.uniform(-0.9, 0.9)), float(rng.uniform(-0.2, 0.5))
    local = np.array([along * half[0], (half[1] + off_m) * (1 if side == 1 else -1)])
    if side > 1:
        local = np.array([(half[0] + off_m) * (1 if side == 3 else -1), along * half[1]])
    xy = on_piece(base, local)
    target = on_piece(base, rng.uniform(-0.7, 0.7, 2) * half)
    z_m = level + float(rng.uniform(0.25, 0.9))
    there = np.array([*target, level + float(rng.uniform(0.0, 0.25))]) - [*xy, z_m]
    aim = np.degrees(np.arctan2(there[2], np.hypot(*there[:2])))
    pitch_deg = float(np.clip(aim + rng.normal(4, 8), -60, -5))
    yaw_rad = float(np.arctan2(there[0], there[1]) + np.radians(rng.normal(0, 10)))
    return _view(rng, room, xy, z_m, yaw_rad, pitch_deg, roll_deg=4.5)


def _among_legs(rng: np.random.Generator, room: Interior) -> View | None:
    """Low beside a table or chairs, looking at their legs or under them."""
    bases = [p for p in room.pieces if p.kind in ("table", "desk", "chair", "coffee_table", "stool", "rack", "bed")]
    if not bases:
        return None
    base = bases[int(rng.integers(len(bases)))]
    angle, reach_m = rng.uniform(-np.pi, np.pi), max(base.size_m[:2]) / 2 + rng.uniform(0.15, 0.9)
    xy = np.array(base.position_m[:2]) + reach_m * np.array([np.sin(angle), np.cos(angle)])
    yaw_rad = float(angle + np.pi + np.radians(rng.normal(0, 18)))
    return _view(rng, room, xy, float(rng.uniform(0.15, 0.6)), yaw_rad, float(rng.uniform(-12, 20)))


def _near_wall(rng: np.random.Generator, room: Interior) -> View | None:
    """At arm's length from a wall, looking at it or along it."""
    a, u, n, length_m = wall_frame(room.polygon, int(rng.integers(len(room.polygon))))
    xy = a + u * rng.uniform(0, length_m) + n * rng.uniform(0.4, 1.2)
    yaw_rad = float(np.arctan2(-n[0], -n[1]) + np.radians(rng.choice([-1, 1]) * rng.uniform(15, 75)))
    z_m = min(float(rng.uniform(0.6, 1.9)), room.height_m - 0.2)
    return _view(rng, room, xy, z_m, yaw_rad, float(rng.uniform(-35, 25)), roll_deg=4.5)


def _in_corner(rng: np.random.Generator, room: Interior) -> View | None:
    """Under the ceiling in a corner, or on top of a cupboard's height at a wall, as cameras are mounted."""
    k = int(rng.integers(len(room.polygon)))
    p, before, after = room.polygon[k], room.polygon[k - 1], room.polygon[(k + 1) % len(room.polygon)]
    into = sum((q - p) / np.linalg.norm(q - p) for q in (before, after))
    if np.linalg.norm(into) < 0.2:
        return None
    xy = p + into / np.linalg.norm(into) * rng.uniform(0.25, 0.5)
    yaw_rad = float(np.arctan2(into[0], into[1]) + np.radians(rng.normal(0, 12)))
    z_m = room.height_m - float(rng.uniform(0.13, 0.6))
    return _view(rng, room, xy, z_m, yaw_rad, float(rng.uniform(-42, -8)), roll_deg=1.0, hfov_deg=(65, 110))


def _in_sight(view: View, pieces: tuple[Piece, ...]) -> int:
    """How many pieces stand within a view's angle, at most 5 m away."""
    if not pieces:
        return 0
    there = np.array([p.position_m[:2] for p in pieces]) - view.position_m[:2]
    off = (np.arctan2(there[:, 0], there[:, 1]) - view.yaw_rad + np.pi) % (2 * np.pi) - np.pi
    return int(np.sum((np.abs(off) < view.hfov_rad / 2) & (np.hypot(*there.T) < 5.0)))


def _reach_m(view: View, polygon: Array, tall: BaseGeometry) -> tuple[float, float]:
    """Distances that a view sees along a fan of its horizon: their median and their spread (of the log)."""
    p = np.asarray(view.position_m[:2])
    fan = view.yaw_rad + np.linspace(-0.4, 0.4, 7) * view.hfov_rad
    reach = wall_distances(polygon - p, fan)
    ends = p + reach[:, None] * np.stack([np.sin(fan), np.cos(fan)], axis=1)
    here = shapely.Point(p)
    met = shapely.intersection(shapely.linestrings(np.stack([np.broadcast_to(p, ends.shape), ends], axis=1)), tall)
    reach = np.where(shapely.is_empty(met), reach, np.minimum(reach, shapely.distance(here, met)))
    return float(np.median(reach)), float(np.std(np.log(np.maximum(reach, 0.05))))


def _across(rng: np.random.Generator, room: Interior) -> View | None:
    """The best of a few cameras drawn at random: one that looks into the room, not at a wall before its lens."""
    candidates = []
    for _ in range(8):
        p = free_point(rng, room.free)
        pitch_deg = rng.uniform(-75, 60) if rng.random() < 0.08 else rng.uniform(-32, 10)
        z_m = float(min(rng.uniform(0.6, 2.3), room.height_m - 0.2))
        yaw_rad = float(rng.uniform(-np.pi, np.pi))
        candidates.append(_view(rng, room, p, z_m, yaw_rad, float(pitch_deg), roll_deg=2.5, hfov_deg=(45, 110)))
    scores = []
    for view in candidates:
        tall = [rectangle(p.position_m[:2], p.size_m[0], p.size_m[1], p.turn_rad) for p in room.pieces
                if p.position_m[2] < view.position_m[2] < p.position_m[2] + p.size_m[2] + 0.1]  # fmt: skip
        middle_m, spread = _reach_m(view, room.polygon, shapely.unary_union(tall))
        furnished = 0.25 * min(_in_sight(view, room.pieces), 4)
        blocked = 2.0 * (clearance_m(room, np.array(view.position_m)) < SPACE_M)
        scores.append(min(middle_m, 3.0) + 1.5 * min(spread, 0.6) + furnished - blocked + 0.8 * rng.random())
    return candidates[int(np.argmax(scores))]


_KINDS: dict[str, Callable[[np.random.Generator, Interior], View | None]] = {
    "top": _over_top, "legs": _among_legs, "wall": _near_wall, "corner": _in_corner, "room": _across,
}  # fmt: skip


def camera(rng: np.random.Generator, room: Interior) -> View:
    """A camera of a kind drawn at random, in free space; across the room where there is no place for a closer one."""
    kind = str(rng.choice(list(SHARES), p=list(SHARES.values())))
    for _ in range(TRIES if kind != "room" else 0):
        view = _KINDS[kind](rng, room)
        if view is None:
            kind = "wall"
            continue
        if clearance_m(room, np.array(view.position_m)) >= SPACE_M:
            first_m, floor = _ahead(room, view)
            if first_m >= FIRST_M and (floor < FLOOR or rng.random() < FLOOR_SHARE):
                return view
    for _ in range(3):
        view = _across(rng, room)
        if view is not None and clearance_m(room, np.array(view.position_m)) >= SPACE_M:
            return view
    return _above_floor(rng, room)


def _above_floor(rng: np.random.Generator, room: Interior) -> View:
    """A camera over free floor wherever there is space for one, whatever it looks at."""
    best: tuple[float, View] | None = None
    for _ in range(60):
        xy, z_m = free_point(rng, room.free), float(rng.uniform(0.5, room.height_m - 0.3))
        space = clearance_m(room, np.array([*xy, z_m]))
        if best is None or space > best[0]:
            best = space, _view(rng, room, xy, z_m, float(rng.uniform(-np.pi, np.pi)), float(rng.uniform(-32, 10)))
    assert best is not None
    return best[1]
