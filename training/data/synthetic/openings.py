"""Doors, windows and wide openings in the walls of a plan, and the floors of what lies behind them."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import shapely

from training.data.synthetic.assets import Catalog
from training.data.synthetic.description import Array, Opening, behind, leaf_ends, wall_frame
from training.data.synthetic.looks import paint

WIDE_SHARE = 0.5
"""Share of rooms with wide openings."""
DOOR_STATES = {"open": 0.58, "none": 0.1, "shut": 0.25, "passage": 0.07}
"""What doors are like -> share: leaf open, without leaf, shut, or a dead-end corridor instead."""
ROOM_SHARES = {"room": 0.5, "hall": 0.3, "closet": 0.2}
"""What is behind a door -> share; behind a wide opening it is mostly a room."""
_APART_M = 0.06


@dataclass(frozen=True)
class Beyond:
    """The plan of what is behind an opening, before it is furnished; see `Annex`."""

    kind: str
    polygon: Array
    height_m: float

    @property
    def outline(self) -> shapely.Polygon:
        """Its floor."""
        return shapely.Polygon(self.polygon)


def fits(polygon: Array, taken: list[Opening], rooms: list[Beyond], o: Opening) -> bool:
    """Whether an opening overlaps no other, and its hole leads out of the room and into none of those behind."""
    if any(
        t.wall == o.wall and t.left_m < o.left_m + o.width_m + 0.15 and o.left_m < t.left_m + t.width_m + 0.15
        for t in taken
    ):
        return False
    hole = shapely.transform(behind(polygon, o), lambda p: p - 0.03 * wall_frame(polygon, o.wall)[2])
    return not hole.intersects(shapely.Polygon(polygon).buffer(-0.01)) and not any(
        hole.distance(r.outline) < _APART_M for r in rooms
    )


def _reach(rng: np.random.Generator, kind: str) -> tuple[float, float, float]:
    """How far something behind goes beyond the opening's left and right end, and how deep it is."""
    if kind == "closet":
        left, right, deep = (float(v) for v in rng.uniform([0.03, 0.03, 0.6], [0.6, 0.6, 1.5]))
    elif kind == "hall" and rng.random() < 0.5:
        left, right, deep = (float(v) for v in rng.uniform([0.03, 0.03, 2.0], [0.3, 0.3, 7.0]))
    elif kind == "hall":
        left, right, deep = (float(v) for v in rng.uniform([0.05, 0.05, 1.0], [4.0, 4.0, 1.7]))
    else:
        left, right, deep = (float(v) for v in rng.uniform([0.05, 0.05, 2.0], [2.8, 2.8, 5.5]))
    return left, right, deep


def _beyond(
    rng: np.random.Generator, polygon: Array, height_m: float, o: Opening, taken: list[Opening], rooms: list[Beyond]
) -> Beyond | None:
    """What lies behind an opening: the largest of a few sizes for which there is space."""
    wide = o.kind == "opening"
    kind = str(rng.choice(list(ROOM_SHARES), p=[0.8, 0.18, 0.02] if wide else list(ROOM_SHARES.values())))
    left, right, deep = _reach(rng, kind)
    lower = max(o.top_m + 0.05, float(np.clip(rng.normal(2.5, 0.2), 2.2, 3.2)))
    high_m = height_m if o.top_m > height_m - 0.02 or rng.random() < 0.75 else lower
    a, u, n, _ = wall_frame(polygon, o.wall)
    outline = shapely.Polygon(polygon)
    for k in (1.0, 0.7, 0.45, 0.25):
        x0, x1, near = o.left_m - max(0.03, k * left), o.left_m + o.width_m + max(0.03, k * right), o.recess_m
        far = near + max(0.6, k * deep)
        corners = np.array([a + u * x - n * y for x, y in ((x1, near), (x0, near), (x0, far), (x1, far))])
        floor = shapely.Polygon(corners)
        others = [*(r.outline for r in rooms), *(behind(polygon, t) for t in taken)]
        if floor.distance(outline) > 0.9 * near and all(floor.distance(s) > _APART_M for s in others):
            return Beyond(kind, corners, high_m)
    return None


def _door(rng: np.random.Generator, wall: int, length_m: float, height_m: float, catalog: Catalog) -> Opening:
    state = str(rng.choice(list(DOOR_STATES), p=list(DOOR_STATES.values())))
    passage = state == "passage"
    width_m = min(float(rng.uniform(0.8, 1.7) if passage else rng.uniform(0.72, 0.98)), length_m - 0.25)
    deep_m = float(rng.uniform(0.8, 2.5) if passage else rng.uniform(0.04, 0.15))
    return Opening(
        wall, "passage" if passage else "door", float(rng.uniform(0.1, length_m - width_m - 0.1)), width_m, 0.0,
        min(float(rng.uniform(1.95, 2.15)), height_m - 0.08), deep_m if state in ("shut", "passage") else deep_m + 0.06,
        asset=catalog.pick(rng, "door"), color=paint(rng),
        leaf_deg={"open": float(rng.uniform(20, 110)), "none": -1.0}.get(state, 0.0),
        hinge_right=bool(rng.random() < 0.5), inwards=bool(rng.random() < 0.6),
    )  # fmt: skip


def _wide(rng: np.random.Generator, wall: int, length_m: float, height_m: float) -> Opening:
    """An opening of .8 to 4 m, up to the ceiling or to a lintel, about half of them as wide as their wall allows."""
    most = min(4.0, length_m - 0.06)
    whole = rng.random() < 0.5
    width_m = most - float(rng.uniform(0, 0.5)) if whole else float(rng.uniform(0.8, most))
    width_m = max(0.8, width_m)
    high_m = height_m if rng.random() < 0.35 else max(2.0, height_m - float(rng.uniform(0.2, 0.55)))
    left_m = float(rng.uniform(0.02, max(0.021, length_m - width_m - 0.02)))
    return Opening(wall, "opening", left_m, width_m, 0.0, min(high_m, height_m), float(rng.uniform(0.08, 0.3)))


def window(rng: np.random.Generator, wall: int, length_m: float, height_m: float, catalog: Catalog) -> Opening:
    """A window, or sometimes a glazed door, in a wall of that length."""
    tall = rng.random() < 0.18
    width_m = min(float(rng.uniform(0.9, 3.4) if tall else rng.uniform(0.6, 2.6)), length_m - 0.3)
    bottom_m = float(rng.uniform(0.03, 0.1) if tall else rng.uniform(0.6, 1.15))
    top_m = height_m - float(rng.uniform(0.12, 0.6))
    return Opening(
        wall, "window", float(rng.uniform(0.12, length_m - width_m - 0.12)), width_m, bottom_m,
        max(0.5, top_m - bottom_m), float(rng.uniform(0.06, 0.25)),
        mullions=(int(rng.integers(0, 3)) if width_m > 0.9 else 0, int(rng.integers(0, 2))),
        heading_rad=float(rng.uniform(-np.pi, np.pi)),
        curtain=catalog.pick(rng, "curtain") if rng.random() < 0.35 else None,
    )  # fmt: skip


def leaf(polygon: Array, o: Opening) -> shapely.LineString:
    """Where an open leaf stands, from just off its hinge."""
    hinge, end = leaf_ends(polygon, o)
    return shapely.LineString([0.95 * hinge + 0.05 * end, end])


def _hung(polygon: Array, o: Opening, room: Beyond, leaves: list[shapely.LineString]) -> Opening:
    """The door opened as far as walls and other leaves allow; shut if they do not."""
    space = shapely.Polygon(polygon) if o.inwards else room.outline.union(behind(polygon, o, 0.001))
    for k in range(7):
        less = replace(o, leaf_deg=o.leaf_deg * (1 - k / 8))
        swept = leaf(polygon, less).buffer(0.023, cap_style="flat")
        if less.leaf_deg >= 15 and space.contains(swept) and not any(swept.distance(x) < 0.05 for x in leaves):
            return less
    return replace(o, leaf_deg=-1.0)


def _add(
    rng: np.random.Generator, polygon: Array, height_m: float, o: Opening, out: list[Opening], rooms: list[Beyond],
    leaves: list[shapely.LineString],
) -> bool:  # fmt: skip
    """Put in a door or opening and what is behind it; a door behind which there is no space is shut."""
    if not fits(polygon, out, rooms, o):
        return False
    if o.kind == "passage" or (o.kind == "door" and o.leaf_deg == 0):
        out.append(o)
        return True
    room = _beyond(rng, polygon, height_m, o, out, rooms)
    if room is None:
        if o.kind == "door":
            out.append(replace(o, leaf_deg=0.0))
        return o.kind == "door"
    if o.leaf_deg > 0:
        o = _hung(polygon, o, room, leaves)
        if o.leaf_deg > 0:
            leaves.append(leaf(polygon, o))
    out.append(replace(o, beyond=len(rooms)))
    rooms.append(room)
    return True


def openings(
    rng: np.random.Generator, polygon: Array, height_m: float, catalog: Catalog
) -> tuple[list[Opening], list[Beyond]]:  # fmt: skip
    """Doors, openings and windows that overlap nothing and lead out of the room, and the plans of what is behind."""
    out: list[Opening] = []
    rooms: list[Beyond] = []
    leaves: list[shapely.LineString] = []
    lengths = [wall_frame(polygon, i)[3] for i in range(len(polygon))]
    wide = [i for i, length in enumerate(lengths) if length > 1.15]
    by_length = np.array([lengths[i] for i in wide]) / max(sum(lengths[i] for i in wide), 1e-9)
    if wide and rng.random() < WIDE_SHARE:
        wanted = 1 + int(rng.random() < 0.4)
        for _ in range(8 * wanted):
            wall = int(rng.choice(wide, p=by_length))
            added = _add(rng, polygon, height_m, _wide(rng, wall, lengths[wall], height_m), out, rooms, leaves)
            wanted -= int(added)
            if wanted == 0:
                break
    doors = int(rng.choice([1, 2, 3, 4, 5, 6], p=[0.05, 0.12, 0.21, 0.26, 0.22, 0.14])) if wide else 0
    for _ in range(doors):
        for _ in range(6):
            wall = int(rng.choice(wide))
            if _add(rng, polygon, height_m, _door(rng, wall, lengths[wall], height_m, catalog), out, rooms, leaves):
                break
    share = float(rng.choice([0.0, 0.35, 0.7, 1.0], p=[0.15, 0.42, 0.31, 0.12]))
    for wall in wide:
        for _ in range(1 + int(lengths[wall] / 3.5)):
            pane = window(rng, wall, lengths[wall], height_m, catalog)
            if rng.random() < share and fits(polygon, out, rooms, pane):
                out.append(pane)
    return out, rooms
