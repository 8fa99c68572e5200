"""Random rooms: plan, openings, furniture, light and cameras, drawn from a seed. No renderer here."""

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
    Room,
    Surface,
    View,
    rectangle,
    wall_frame,
)
from training.data.synthetic.furnish import ceiling_lamps, furnish

GENERATOR = "rooms-1"
"""Changes whenever the same seed would give another room."""


def room_seed(seed: int, index: int) -> int:
    """The seed of one room, whichever worker makes it."""
    return int(np.random.SeedSequence([seed, index]).generate_state(1)[0])


# --- plans ---------------------------------------------------------------------------------------------------------


def _outline(rng: np.random.Generator, style: str) -> list[list[float]]:
    w, d = 1.0, float(rng.uniform(0.55, 1.0))
    a, b = float(rng.uniform(0.2, 0.55)) * w, float(rng.uniform(0.2, 0.55)) * d
    if style == "L":
        return [[0, 0], [w, 0], [w, d - b], [w - a, d - b], [w - a, d], [0, d]]
    if style == "T":
        left, right = float(rng.uniform(0.1, 0.35)), float(rng.uniform(0.65, 0.9))
        b2 = float(rng.uniform(0.2, 0.5)) * d
        return [[0, 0], [w, 0], [w, d - b], [right, d - b], [right, d], [left, d], [left, d - b2], [0, d - b2]]
    if style == "notch":
        left = float(rng.uniform(0.15, 0.6))
        right, deep = left + float(rng.uniform(0.12, 0.3)), float(rng.uniform(0.08, 0.35)) * d
        return [[0, 0], [w, 0], [w, d], [right, d], [right, d - deep], [left, d - deep], [left, d], [0, d]]
    if style == "pillar":
        p, q = float(rng.uniform(0.06, 0.14)), float(rng.uniform(0.06, 0.14))
        return [[0, 0], [w, 0], [w, d - p], [w - q, d - p], [w - q, d], [0, d]]
    if style == "cut":
        return [[0, 0], [w, 0], [w, d - 0.6 * b], [w - 0.6 * a, d], [0, d]]
    if style == "trapezoid":
        skew, top = rng.uniform(-0.15, 0.15, 2)
        return [[0, 0], [w, 0], [w - abs(skew), d], [abs(skew) * 0.5, d * (1 + top)]]
    return [[0, 0], [w, 0], [w, d], [0, d]]


def floor_plan(rng: np.random.Generator) -> tuple[str, Array]:
    """A plan of 6..60 m2, its style and its counter-clockwise corners (N, 2), somewhere in the plane."""
    style = str(
        rng.choice(["box", "L", "T", "notch", "pillar", "cut", "trapezoid"], p=[0.34, 0.22, 0.1, 0.1, 0.08, 0.08, 0.08])
    )
    outline = np.array(_outline(rng, style))
    if rng.random() < 0.5:
        outline = (outline * [-1, 1])[::-1]
    target_m2 = float(np.exp(rng.uniform(np.log(6.5), np.log(58))))
    if style in ("L", "T", "notch"):
        target_m2 = max(target_m2, 12.0)
    scale = np.sqrt(target_m2 / shapely.Polygon(outline).area)
    return style, outline * scale


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
    width_m = min(float(rng.uniform(0.6, 2.6)), length_m - 0.3)
    bottom_m = float(rng.uniform(0.03, 0.1) if rng.random() < 0.15 else rng.uniform(0.6, 1.15))
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
    for _ in range(int(rng.integers(1, 4))):
        wall = int(rng.choice(wide))
        door = _door(rng, wall, lengths[wall], height_m, catalog)
        if _fits(polygon, out, door):
            out.append(door)
    share = float(rng.choice([0.0, 0.35, 0.7], p=[0.15, 0.5, 0.35]))
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


def _view(rng: np.random.Generator, polygon: Array, free: BaseGeometry, height_m: float) -> View:
    p = _free_point(rng, free)
    yaws = rng.uniform(-np.pi, np.pi, 4)
    far = np.minimum(wall_distances(polygon - p, yaws), 4.0)
    yaw = float(yaws[rng.choice(4, p=far / far.sum())])
    pitch_deg = rng.uniform(-90, 90) if rng.random() < 0.12 else rng.uniform(-25, 10)
    roll_deg = float(np.clip(rng.normal(0, 2.5), -10, 10))
    z = float(min(rng.uniform(0.8, 2.0), height_m - 0.2))
    return View(
        (float(p[0]), float(p[1]), z), yaw, float(np.radians(pitch_deg)), float(np.radians(roll_deg)),
        float(np.radians(rng.uniform(50, 115))), exposure_target(rng),
    )  # fmt: skip


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
    height_m = float(np.clip(rng.normal(2.65, 0.3), 2.2, 3.6))
    holes, sky, lamp_level = _lit(rng, openings(rng, plan, height_m, catalog), catalog)
    camera_height_m = float(min(np.clip(rng.normal(1.55, 0.18), 1.1, 1.9), height_m - 0.35))
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
    blocked = shapely.unary_union([f.buffer(0.2) for f in footprints]) if footprints else shapely.Polygon()
    free = outline.buffer(-0.4).difference(blocked)
    if free.area < 0.2:
        free = shapely.Point(camera).buffer(0.2)
    free = shapely.transform(free, lambda p: _moved(camera, phi, p))
    return Room(
        index=index, seed=own, style=plan_style,
        polygon_m=tuple((float(x), float(y)) for x, y in polygon),
        height_m=height_m, camera_height_m=camera_height_m,
        floor=_surface(rng, catalog, "floor", float(rng.choice([0.0, 0.35, 0.7]))),
        ceiling=_surface(rng, catalog, "ceiling", 0.0) if rng.random() < 0.25
        else Surface(None, tuple(float(v) for v in np.full(3, rng.uniform(0.6, 0.9))), 1.0, 0.0),  # type: ignore[arg-type]
        walls=(_surface(rng, catalog, "wall", 0.0), _surface(rng, catalog, "wall", 0.0)),
        accent_wall=int(rng.integers(0, len(plan))) if rng.random() < 0.35 else -1,
        trim=Surface(None, _paint(rng), 1.0, 0.3),
        wood=_surface(rng, catalog, "wood", 0.3), fabric=fabric,
        skirting_m=float(rng.uniform(0.05, 0.13)) if rng.random() < 0.7 else 0.0,
        cornice_m=float(rng.uniform(0.03, 0.1)) if rng.random() < 0.3 else 0.0,
        openings=tuple(holes), pieces=tuple(moved), sky=sky, exposure=exposure_target(rng),
        views=tuple(_view(rng, polygon, free, height_m) for _ in range(views)),
    )  # fmt: skip
