"""Random rooms: openings, looks, furniture, light and cameras, drawn from a seed. No renderer here.

Two things are left to the trainer on purpose. The panorama camera stands level, so that its layout is exact; a tilted
one is a turned picture, which `training.data` makes at will. And pictures are clean: exposure is drawn here, but noise,
blur, response and compression belong to a camera and are drawn anew for every sample by `training.data.vary`.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import numpy.typing as npt
import shapely
from shapely.geometry.base import BaseGeometry

from edge.geometry.polygon import wall_distances
from training.data.synthetic.assets import Catalog
from training.data.synthetic.description import (
    Array,
    Color,
    Opening,
    Piece,
    Room,
    Surface,
    View,
    rectangle,
    wall_frame,
)
from training.data.synthetic.furnish import ceiling_lamps, furnish
from training.data.synthetic.plans import floor_plan

GENERATOR = "rooms-2"
"""Changes whenever the same seed would give another room."""


def room_seed(seed: int, index: int) -> int:
    """The seed of one room, whichever worker makes it."""
    return int(np.random.SeedSequence([seed, index]).generate_state(1)[0])


# --- openings ------------------------------------------------------------------------------------------------------


def _fits(polygon: Array, taken: list[Opening], o: Opening) -> bool:
    if any(
        t.wall == o.wall and t.left_m < o.left_m + o.width_m + 0.15 and o.left_m < t.left_m + t.width_m + 0.15
        for t in taken
    ):
        return False
    a, u, n, _ = wall_frame(polygon, o.wall)
    center = a + u * (o.left_m + o.width_m / 2) - n * (o.recess_m / 2 + 0.03)
    behind = rectangle(center, o.width_m, o.recess_m, float(np.arctan2(u[1], u[0])))
    return not behind.intersects(shapely.Polygon(polygon).buffer(-0.01))


def _door(rng: np.random.Generator, wall: int, length_m: float, height_m: float, catalog: Catalog) -> Opening:
    passage = rng.random() < 0.3
    width_m = min(float(rng.uniform(0.8, 1.7) if passage else rng.uniform(0.72, 0.98)), length_m - 0.25)
    return Opening(
        wall, "passage" if passage else "door", float(rng.uniform(0.1, length_m - width_m - 0.1)), width_m, 0.0,
        min(float(rng.uniform(1.95, 2.15)), height_m - 0.08),
        float(rng.uniform(0.8, 2.5) if passage else rng.uniform(0.04, 0.15)),
        asset=catalog.pick(rng, "door"), color=_paint(rng),
    )  # fmt: skip


def _window(rng: np.random.Generator, wall: int, length_m: float, height_m: float, catalog: Catalog) -> Opening:
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


def openings(rng: np.random.Generator, polygon: Array, height_m: float, catalog: Catalog) -> list[Opening]:
    """Doors, passages and windows that overlap nothing and lead out of the room."""
    out: list[Opening] = []
    lengths = [wall_frame(polygon, i)[3] for i in range(len(polygon))]
    wide = [i for i, length in enumerate(lengths) if length > 1.15]
    for _ in range(int(rng.integers(1, 4)) if wide else 0):
        wall = int(rng.choice(wide))
        door = _door(rng, wall, lengths[wall], height_m, catalog)
        if _fits(polygon, out, door):
            out.append(door)
    share = float(rng.choice([0.0, 0.35, 0.7, 1.0], p=[0.15, 0.42, 0.31, 0.12]))
    for wall in wide:
        for _ in range(1 + int(lengths[wall] / 3.5)):
            window = _window(rng, wall, lengths[wall], height_m, catalog)
            if rng.random() < share and _fits(polygon, out, window):
                out.append(window)
    return out


# --- looks ---------------------------------------------------------------------------------------------------------


def _paint(rng: np.random.Generator) -> Color:
    """A wall paint, linear: mostly off-white, sometimes a colour."""
    if rng.random() < 0.6:
        value, tint = rng.uniform(0.5, 0.9), rng.uniform(-0.04, 0.04, 3)
        r, g, b = np.clip(value + tint, 0.05, 0.92)
    else:
        r, g, b = np.clip(rng.uniform(0.12, 0.8) * (1 + rng.uniform(-0.55, 0.55, 3)), 0.03, 0.85)
    return float(r), float(g), float(b)


def _surface(rng: np.random.Generator, catalog: Catalog, role: str, gloss: float) -> Surface:
    texture = catalog.pick_texture(rng, role)
    neutral = role in ("floor", "wood")
    color = (1.0, 1.0, 1.0) if neutral and rng.random() < 0.6 else _paint(rng)
    return Surface(texture, color, float(rng.uniform(0.8, 2.2)), gloss)


MOODS = {"white": 0.24, "painted": 0.27, "mixed": 0.35, "wood": 0.07, "dark": 0.07}
"""How a room looks as a whole -> share. Only `mixed` has brick, concrete or tiles on its walls."""


def _wall_covering(rng: np.random.Generator, catalog: Catalog, mood: str) -> Surface:
    tile_m = float(rng.uniform(0.8, 2.2))
    if mood == "mixed":
        return _surface(rng, catalog, "wall", 0.0)
    if mood == "wood":
        tone = float(np.exp(rng.uniform(np.log(0.06), np.log(0.4))))
        return Surface(catalog.pick_texture(rng, "wood"), (1.3 * tone, tone, 0.7 * tone), tile_m, 0.2)
    if mood == "painted":
        return Surface(None, _paint(rng), tile_m, 0.0)
    value = rng.uniform(0.72, 0.9) if mood == "white" else np.exp(rng.uniform(np.log(0.03), np.log(0.2)))
    r, g, b = (float(v) for v in np.clip(value * (1 + rng.uniform(-0.04, 0.04, 3)), 0.02, 0.92))
    return Surface(None, (r, g, b), tile_m, 0.0)


def _ceiling(rng: np.random.Generator, catalog: Catalog, mood: str) -> Surface:
    if mood == "wood" and rng.random() < 0.5:
        return _wall_covering(rng, catalog, mood)
    if rng.random() < 0.2:
        return _surface(rng, catalog, "ceiling", 0.0)
    value = float(rng.uniform(0.6, 0.9))
    return Surface(None, (value, value, value), 1.0, 0.0)


def _height_m(rng: np.random.Generator, area_m2: float) -> float:
    if rng.random() < (0.35 if area_m2 > 40 else 0.1):
        return float(rng.uniform(2.9, 4.0))
    return float(np.clip(rng.normal(2.6, 0.22), 2.2, 3.3))


def _camera_height_m(rng: np.random.Generator, height_m: float) -> float:
    """Mostly a tripod or a person's eyes; sometimes on a table, or high up as cameras on walls are."""
    usual = rng.random() < 0.75
    return float(min(np.clip(rng.normal(1.55, 0.17), 1.1, 2.0) if usual else rng.uniform(0.8, 2.4), height_m - 0.35))


def _lit(rng: np.random.Generator, holes: list[Opening], catalog: Catalog) -> tuple[list[Opening], str | None, float]:
    """Give the windows their sky; returns openings, the sky's name, and how bright lamps are against it (0 = off)."""
    windows = [o for o in holes if o.kind == "window"]
    night = bool(rng.random() < 0.3)
    sky = catalog.pick_sky(rng, night=night)
    level = float(np.exp(rng.uniform(np.log(0.01), np.log(0.3)) if night else rng.uniform(np.log(2), np.log(25))))
    color = (0.05, 0.07, 0.12) if night else (0.85, 0.95, 1.1)
    out = [
        replace(o, radiance=level * float(rng.uniform(0.8, 1.2)), color=color,
                sun=0.0 if night or rng.random() < 0.7 else level * float(rng.uniform(0.6, 4)))
        if o.kind == "window" else o
        for o in holes
    ]  # fmt: skip
    dark = night or not windows
    lamps_on = dark or rng.random() < 0.4
    return out, sky, float(np.exp(rng.uniform(np.log(0.4), np.log(3)))) if lamps_on else 0.0


def exposure_target(rng: np.random.Generator) -> float:
    """What auto-exposure aims at; see `View.exposure`."""
    if rng.random() < 0.75:
        return float(np.clip(0.21 * 2.0 ** rng.normal(0.0, 0.6), 0.05, 0.6))
    return -float(np.clip(1.0 * 2.0 ** rng.normal(0.0, 0.35), 0.4, 2.5))


# --- the whole room ------------------------------------------------------------------------------------------------


def _free_point(rng: np.random.Generator, area: BaseGeometry) -> Array:
    x0, y0, x1, y1 = area.bounds
    for _ in range(2000):
        p = rng.uniform([x0, y0], [x1, y1])
        if area.contains(shapely.Point(p)):
            return np.asarray(p)
    inside = area.representative_point()
    return np.array([inside.x, inside.y])


def _clearance_m(view: View, polygon: Array, tall: BaseGeometry) -> tuple[float, float]:
    """Distances that a view sees along a fan of its horizon: their median and their spread (of the log)."""
    p = np.asarray(view.position_m[:2])
    fan = view.yaw_rad + np.linspace(-0.4, 0.4, 7) * view.hfov_rad
    reach = wall_distances(polygon - p, fan)
    ends = p + reach[:, None] * np.stack([np.sin(fan), np.cos(fan)], axis=1)
    here = shapely.Point(p)
    met = shapely.intersection(shapely.linestrings(np.stack([np.broadcast_to(p, ends.shape), ends], axis=1)), tall)
    reach = np.where(shapely.is_empty(met), reach, np.minimum(reach, shapely.distance(here, met)))
    return float(np.median(reach)), float(np.std(np.log(np.maximum(reach, 0.05))))


def _in_sight(view: View, pieces: list[Piece]) -> int:
    """How many pieces stand within a view's angle, at most 5 m away."""
    if not pieces:
        return 0
    there = np.array([p.position_m[:2] for p in pieces]) - view.position_m[:2]
    off = (np.arctan2(there[:, 0], there[:, 1]) - view.yaw_rad + np.pi) % (2 * np.pi) - np.pi
    return int(np.sum((np.abs(off) < view.hfov_rad / 2) & (np.hypot(*there.T) < 5.0)))


def _view(
    rng: np.random.Generator, polygon: Array, free: BaseGeometry, height_m: float, pieces: list[Piece]
) -> View:  # fmt: skip
    """The best of a few cameras drawn at random: one that looks into the room, not at a wall before its lens."""
    candidates = []
    for _ in range(8):
        p = _free_point(rng, free)
        pitch_deg = rng.uniform(-75, 60) if rng.random() < 0.08 else rng.uniform(-32, 10)
        roll_deg = float(np.clip(rng.normal(0, 2.5), -10, 10))
        z = float(min(rng.uniform(0.6, 2.3), height_m - 0.2))
        candidates.append(View(
            (float(p[0]), float(p[1]), z), float(rng.uniform(-np.pi, np.pi)), float(np.radians(pitch_deg)),
            float(np.radians(roll_deg)), float(np.radians(rng.uniform(45, 110))), exposure_target(rng),
        ))  # fmt: skip
    scores = []
    for view in candidates:
        tall = [rectangle(p.position_m[:2], p.size_m[0], p.size_m[1], p.turn_rad) for p in pieces
                if p.position_m[2] < view.position_m[2] < p.position_m[2] + p.size_m[2] + 0.1]  # fmt: skip
        middle_m, spread = _clearance_m(view, polygon, shapely.unary_union(tall))
        furnished = 0.25 * min(_in_sight(view, pieces), 4)
        scores.append(min(middle_m, 3.0) + 1.5 * min(spread, 0.6) + furnished + 0.8 * rng.random())
    return candidates[int(np.argmax(scores))]


def _moved(room_xy: Array, phi: float, position: npt.ArrayLike) -> Array:
    c, s = np.cos(phi), np.sin(phi)
    p = np.asarray(position, dtype=np.float64)
    return np.asarray((p - room_xy) @ np.array([[c, s], [-s, c]]))


def describe(seed: int, index: int, catalog: Catalog, views: int = 3, style: str | None = None) -> Room:
    """The room of that number in that series; the same arguments always give the same room.

    Args:
        seed: of the series.
        index: of the room in it.
        catalog: what furniture, textures and skies there are.
        views: perspective cameras besides the panorama.
        style: room use; drawn at random if not given.
    """
    own = room_seed(seed, index)
    rng = np.random.default_rng(own)
    plan_style, plan = floor_plan(rng)
    mood = str(rng.choice(list(MOODS), p=list(MOODS.values())))
    height_m = _height_m(rng, shapely.Polygon(plan).area)
    holes, sky, lamp_level = _lit(rng, openings(rng, plan, height_m, catalog), catalog)
    camera_height_m = _camera_height_m(rng, height_m)
    outline = shapely.Polygon(plan)
    camera = _free_point(rng, outline.buffer(-0.45) if not outline.buffer(-0.45).is_empty else outline.buffer(-0.4))
    fabric = _surface(rng, catalog, "fabric", 0.0)
    pieces, footprints = furnish(rng, plan, height_m, holes, camera, catalog, lamp_level, style)
    lit = any(o.kind == "window" for o in holes) or any(max(p.radiance) > 0 for p in pieces)
    pieces += ceiling_lamps(rng, plan, height_m, catalog, lamp_level, needed=not lit)
    phi = float(rng.uniform(-np.pi, np.pi))
    polygon = _moved(camera, phi, plan)
    moved = []
    for piece in pieces:
        x, y = _moved(camera, phi, piece.position_m[:2])
        moved.append(
            replace(piece, position_m=(float(x), float(y), piece.position_m[2]), turn_rad=piece.turn_rad + phi)
        )
    blocked = shapely.unary_union([f.buffer(0.3) for f in footprints]) if footprints else shapely.Polygon()
    free = outline.buffer(-0.4).difference(blocked)
    if free.area < 0.2:
        free = shapely.Point(camera).buffer(0.2)
    free = shapely.transform(free, lambda p: _moved(camera, phi, p))
    return Room(
        index=index, seed=own, style=plan_style,
        polygon_m=tuple((float(x), float(y)) for x, y in polygon),
        height_m=height_m, camera_height_m=camera_height_m,
        floor=_surface(rng, catalog, "floor", float(rng.choice([0.0, 0.35, 0.7]))),
        ceiling=_ceiling(rng, catalog, mood),
        walls=(_wall_covering(rng, catalog, mood),
               _wall_covering(rng, catalog, "painted" if mood == "white" else mood)),
        accent_wall=int(rng.integers(0, len(plan))) if rng.random() < 0.35 else -1,
        trim=Surface(None, (0.8, 0.8, 0.78) if mood == "white" else _paint(rng), 1.0, 0.3),
        wood=_surface(rng, catalog, "wood", 0.3), fabric=fabric,
        skirting_m=float(rng.uniform(0.05, 0.13)) if rng.random() < 0.7 else 0.0,
        cornice_m=float(rng.uniform(0.03, 0.1)) if rng.random() < 0.3 else 0.0,
        openings=tuple(holes), pieces=tuple(moved), sky=sky, exposure=exposure_target(rng),
        views=tuple(_view(rng, polygon, free, height_m, moved) for _ in range(views)),
    )  # fmt: skip


def relit(room: Room) -> Room:
    """The same room with a lit panel on its ceiling above the panorama camera, for lamps that furniture shuts in."""
    size = (0.6, 0.6, 0.04)
    panel = Piece(
        "panel_lamp", None, (0.0, 0.0, room.height_m - size[2] - 0.001), size, 0.0, (0.8, 0.8, 0.8), False,
        (22.0, 20.0, 17.0),
    )  # fmt: skip
    return replace(room, pieces=(*room.pieces, panel))
