"""What stands in a room, and where: along the walls, in the middle, on tables, on walls and under the ceiling."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
import shapely

from training.data.synthetic.assets import SIZES, Catalog
from training.data.synthetic.description import Array, Color, Opening, Piece, rectangle, vivid, wall_frame

WALL_PLANS: dict[str, list[tuple[str, float]]] = {
    "living": [("sofa", 1), ("shelf", 0.7), ("drawer", 0.7), ("armchair", 0.6), ("sofa", 0.4), ("plant", 0.7),
               ("fireplace", 0.2), ("floor_lamp", 0.6), ("plant", 0.4), ("shelf", 0.3), ("chair", 0.3)],
    "bedroom": [("bed", 1), ("nightstand", 0.8), ("drawer", 0.7), ("shelf", 0.5), ("floor_lamp", 0.4),
                ("wardrobe", 0.7), ("plant", 0.4), ("desk", 0.4), ("chair", 0.5), ("nightstand", 0.4)],
    "kitchen": [("fridge", 0.6), ("counter", 0.5), ("counter", 0.5), ("oven", 0.3), ("trash", 0.6), ("shelf", 0.2),
                ("plant", 0.3), ("drawer", 0.2)],
    "dining": [("drawer", 0.8), ("shelf", 0.6), ("plant", 0.6), ("chair", 0.4), ("floor_lamp", 0.4), ("drawer", 0.3)],
    "office": [("desk", 1), ("shelf", 0.9), ("shelf", 0.6), ("desk", 0.8), ("desk", 0.6), ("drawer", 0.5),
               ("plant", 0.5), ("trash", 0.6), ("chair", 0.7), ("chair", 0.4)],
    "bathroom": [("bathtub", 0.8), ("basin", 1), ("toilet", 1), ("washer", 0.5), ("trash", 0.4), ("plant", 0.2)],
    "hall": [("wardrobe", 0.4), ("drawer", 0.5), ("chair", 0.3), ("plant", 0.4), ("shelf", 0.2)],
    "clutter": [("shelf", 0.7), ("drawer", 0.7), ("chair", 0.7), ("plant", 0.7), ("trash", 0.7), ("sofa", 0.7),
                ("armchair", 0.7), ("desk", 0.7), ("fridge", 0.3), ("bed", 0.4), ("stool", 0.7), ("shelf", 0.5),
                ("wardrobe", 0.4)],
}  # fmt: skip
CENTRE_PLANS: dict[str, list[tuple[str, float]]] = {
    "living": [("carpet", 0.7), ("coffee_table", 0.9), ("armchair", 0.3)],
    "bedroom": [("carpet", 0.6), ("stool", 0.2)],
    "kitchen": [("table", 0.6), ("counter", 0.3), ("stool", 0.4)],
    "dining": [("carpet", 0.4), ("table", 1.0)],
    "office": [("carpet", 0.3), ("desk", 0.6), ("desk", 0.4), ("screen", 0.5), ("table", 0.3)],
    "bathroom": [("carpet", 0.3)],
    "hall": [("carpet", 0.5)],
    "clutter": [("carpet", 0.4), ("table", 0.6), ("stool", 0.6), ("chair", 0.6), ("coffee_table", 0.4)],
}
LOOSE = {"crate": 0.4, "plant": 0.2, "trash": 0.1, "stool": 0.1, "chair": 0.12, "box": 0.08}
"""What lies about on the floor -> its share."""
OWN_COLORS: dict[str, Color] = {
    "monitor": (0.02, 0.02, 0.022), "tv": (0.015, 0.015, 0.016), "radiator": (0.75, 0.75, 0.73),
    "whiteboard": (0.82, 0.82, 0.82),
}  # fmt: skip
TOPS = frozenset({"table", "coffee_table", "desk", "drawer", "nightstand", "counter"})


@dataclass
class _Site:
    """The room while it is being furnished."""

    rng: np.random.Generator
    polygon: Array
    outline: shapely.Polygon
    holes: list[Opening]
    catalog: Catalog
    keep_out: list[shapely.Polygon]
    pieces: list[Piece]
    footprints: list[shapely.Polygon]

    def free(self, box: shapely.Polygon) -> bool:
        """Whether a footprint is inside the room and touches nothing."""
        return bool(self.outline.buffer(-0.005).contains(box)) and not any(
            box.intersects(o) for o in (*self.keep_out, *self.footprints)
        )

    def holes_behind(self, wall: int, along_m: float, width_m: float) -> list[Opening]:
        """Openings that a thing of that width at that place on the wall would cover in part."""
        left, right = along_m - width_m / 2, along_m + width_m / 2
        return [o for o in self.holes if o.wall == wall and o.left_m < right and left < o.left_m + o.width_m]

    def make(self, kind: str, xy: npt.ArrayLike, z_m: float, turn_rad: float, size: tuple[float, float, float],
             asset: str | None) -> Piece:  # fmt: skip
        x, y = (float(v) for v in np.asarray(xy))
        color, recolor = vivid(self.rng), bool(self.rng.random() < 0.55)
        return Piece(kind, asset, (x, y, z_m), size, turn_rad, OWN_COLORS.get(kind, color), recolor)

    def stand(self, kind: str, xy: Array, turn_rad: float, size: tuple[float, float, float], asset: str | None,
              slack_m: float = 0.0) -> bool:  # fmt: skip
        """Put a thing on the floor, if there is room for it and so much about it."""
        box = rectangle(xy, size[0], size[1], turn_rad)
        if not self.free(box.buffer(slack_m) if slack_m > 0 else box):
            return False
        self.footprints.append(box)
        self.pieces.append(self.make(kind, xy, 0.0, turn_rad, size, asset))
        return True


def _sized(site: _Site, kind: str) -> tuple[str | None, tuple[float, float, float]]:
    """An asset of that kind (or None) and its size in metres: its own proportions at a height such a thing has."""
    (w0, w1), (d0, d1), (h0, h1) = SIZES[kind]
    asset = site.catalog.pick(site.rng, kind)
    height_m = float(site.rng.uniform(h0, h1))
    if asset is None:
        return None, (float(site.rng.uniform(w0, w1)), float(site.rng.uniform(d0, d1)), height_m)
    w, d, h = site.catalog.extents[asset]
    k = site.catalog.scale(asset, height_m)
    return asset, (w * k, d * k, h * k)


def _against_wall(site: _Site, kind: str) -> bool:
    asset, size = _sized(site, kind)
    for _ in range(24):
        wall = int(site.rng.integers(len(site.polygon)))
        a, u, n, length_m = wall_frame(site.polygon, wall)
        if length_m < size[0] + 0.1:
            continue
        along = float(site.rng.uniform(size[0] / 2 + 0.03, length_m - size[0] / 2 - 0.03))
        if any(size[2] > o.bottom_m + 0.1 for o in site.holes_behind(wall, along, size[0] + 0.1)):
            continue
        gap = float(site.rng.uniform(0.02, 0.06)) if kind != "desk" else 0.03
        center = a + u * along + n * (size[1] / 2 + gap)
        turn = math.atan2(u[1], u[0]) + math.pi
        box = rectangle(center, size[0] + 0.02, size[1], turn)
        if site.free(box):
            site.footprints.append(box)
            site.pieces.append(site.make(kind, center, 0.0, turn, size, asset))
            if kind == "desk":
                _seat(site, center, n, size, turn)
            return True
    return False


def _seat(site: _Site, center: Array, inward: Array, size: tuple[float, float, float], turn: float) -> None:
    asset, chair = _sized(site, "chair")
    spot = center + inward * (size[1] / 2 + chair[1] / 2 + float(site.rng.uniform(-0.1, 0.15)))
    box = rectangle(spot, chair[0], chair[1], turn)
    if site.outline.contains(box) and not any(box.intersects(o) for o in site.keep_out):
        site.footprints.append(box)
        site.pieces.append(
            site.make("chair", spot, 0.0, turn + math.pi + float(site.rng.normal(0, 0.25)), chair, asset)
        )


def _in_middle(site: _Site, kind: str) -> bool:
    asset, size = _sized(site, kind)
    x0, y0, x1, y1 = site.outline.bounds
    flat = kind == "carpet"
    for _ in range(20):
        xy = site.rng.uniform([x0, y0], [x1, y1])
        turn = float(site.rng.integers(0, 4)) * math.pi / 2 + (float(site.rng.normal(0, 0.3)) if kind == "chair" else 0)
        box = rectangle(xy, size[0], size[1], turn)
        if flat and site.outline.contains(box):
            site.pieces.append(site.make(kind, xy, 0.003, turn, (size[0], size[1], min(size[2], 0.02)), asset))
            return True
        if not flat and site.outline.contains(box.buffer(0.3)) and site.free(box.buffer(0.1)):
            site.footprints.append(box)
            site.pieces.append(site.make(kind, xy, 0.0, turn, size, asset))
            if kind == "table":
                _chairs_around(site, xy, size, turn)
            elif kind == "desk":
                _seat(site, xy, np.array([math.sin(turn), -math.cos(turn)]), size, turn)
            return True
    return False


def _chairs_around(site: _Site, xy: Array, size: tuple[float, float, float], turn: float) -> None:
    asset, chair = _sized(site, "chair")
    own = rectangle(xy, size[0] * 0.5, size[1] * 0.5, turn)
    for k in range(4):
        if site.rng.random() < 0.25:
            continue
        angle = turn + k * math.pi / 2
        out = np.array([math.sin(angle), -math.cos(angle)])
        reach = (size[1] if k % 2 == 0 else size[0]) / 2 + chair[1] * float(site.rng.uniform(0.1, 0.5))
        spot = xy + out * reach
        box = rectangle(spot, chair[0], chair[1], angle)
        others = [f for f in site.footprints if not f.intersects(own)]
        if site.outline.contains(box) and not any(box.intersects(o) for o in (*site.keep_out, *others)):
            site.footprints.append(box)
            site.pieces.append(
                site.make("chair", spot, 0.0, angle + math.pi + float(site.rng.normal(0, 0.15)), chair, asset)
            )


def _kitchen_row(site: _Site, height_m: float) -> None:
    """Counters side by side along a wall, with cabinets above them."""
    for _ in range(6):
        wall = int(site.rng.integers(len(site.polygon)))
        a, u, n, length_m = wall_frame(site.polygon, wall)
        if length_m < 1.9:
            continue
        unit_m, deep_m, high_m = 0.6, float(site.rng.uniform(0.58, 0.64)), float(site.rng.uniform(0.86, 0.94))
        count = min(int(site.rng.integers(3, 8)), int((length_m - 0.1) / unit_m))
        first = float(site.rng.uniform(0.04, length_m - 0.04 - count * unit_m)) + unit_m / 2
        turn, front = math.atan2(u[1], u[0]) + math.pi, site.catalog.pick(site.rng, "counter")
        cabinet = site.catalog.pick(site.rng, "cabinet") if site.rng.random() < 0.75 else ""
        before = len(site.pieces)
        for k in range(count):
            kind = str(site.rng.choice(["counter", "oven", "washer"], p=[0.8, 0.12, 0.08]))
            along = first + k * unit_m
            above = site.holes_behind(wall, along, unit_m)
            if any(high_m > o.bottom_m for o in above):
                continue
            asset = front if kind == "counter" else site.catalog.pick(site.rng, kind)
            size = (unit_m - 0.004, deep_m, high_m)
            stands = site.stand(kind, a + u * along + n * (deep_m / 2 + 0.01), turn, size, asset)
            if stands and cabinet != "" and not above and height_m > 2.25:
                at = a + u * along + n * 0.185
                site.pieces.append(site.make("cabinet", at, 1.45, turn, (unit_m - 0.004, 0.36, 0.7), cabinet))
        _alike(site, before)
        if len(site.pieces) > before + 1:
            return


def _alike(site: _Site, first: int) -> None:
    """Paint a row of pieces in one colour."""
    row = site.pieces[first:]
    site.pieces[first:] = [replace(p, color=row[0].color, recolor=row[0].recolor) for p in row]


def _scattered(site: _Site, camera: Array, count: int) -> None:
    """Boxes, plants and stools on the floor, half of them about the camera, where they hide the floor's edge."""
    x0, y0, x1, y1 = site.outline.bounds
    for _ in range(count):
        kind = str(site.rng.choice(list(LOOSE), p=list(LOOSE.values())))
        asset, size = _sized(site, kind)
        turn = float(site.rng.uniform(-math.pi, math.pi))
        angle, reach_m = site.rng.uniform(-math.pi, math.pi), site.rng.uniform(0.45, 1.5)
        near = camera + reach_m * np.array([math.sin(angle), math.cos(angle)])
        xy = near if site.rng.random() < 0.5 else site.rng.uniform([x0, y0], [x1, y1])
        stands = site.stand(kind, xy, turn, size, asset, slack_m=0.02)
        if stands and kind == "crate" and site.rng.random() < 0.35:
            smaller = (size[0] * 0.9, size[1] * 0.9, size[2] * float(site.rng.uniform(0.6, 1.0)))
            site.pieces.append(site.make(kind, xy, size[2], turn + 0.1 * float(site.rng.normal()), smaller, asset))


def _radiators(site: _Site) -> None:
    for o in site.holes:
        if o.kind == "window" and o.bottom_m > 0.65 and site.rng.random() < 0.45:
            a, u, n, _ = wall_frame(site.polygon, o.wall)
            _, size = _sized(site, "radiator")
            turn = math.atan2(u[1], u[0]) + math.pi
            at = a + u * (o.left_m + o.width_m / 2) + n * (size[1] / 2 + 0.03)
            site.stand("radiator", at, turn, (min(size[0], o.width_m), *size[1:]), None)


def _upright(site: _Site, base: Piece) -> None:
    """A monitor on a desk or a television on a chest, at its back, facing whoever sits there."""
    kind = "monitor" if base.kind == "desk" else "tv"
    _, size = _sized(site, kind)
    size = (min(size[0], 0.95 * base.size_m[0]), *size[1:])
    c, s = math.cos(base.turn_rad), math.sin(base.turn_rad)
    back = base.size_m[1] / 2 - size[1] / 2 - 0.03
    xy = np.array(base.position_m[:2]) + back * np.array([-s, c])
    site.pieces.append(site.make(kind, xy, base.position_m[2] + base.size_m[2], base.turn_rad, size, None))


def _on_tops(site: _Site) -> None:
    for base in [p for p in site.pieces if p.kind in TOPS]:
        if site.rng.random() < {"desk": 0.75, "drawer": 0.3}.get(base.kind, 0.0) and base.size_m[2] < 0.9:
            _upright(site, base)
            continue
        for _ in range(int(site.rng.integers(0, 3))):
            kind = str(
                site.rng.choice(["small_plant", "plate", "table_lamp", "box", "books"], p=[0.3, 0.2, 0.15, 0.2, 0.15])
            )
            asset, size = _sized(site, kind)
            off = site.rng.uniform(-0.3, 0.3, 2) * [base.size_m[0], base.size_m[1]]
            c, s = math.cos(base.turn_rad), math.sin(base.turn_rad)
            xy = np.array(base.position_m[:2]) + np.array([[c, -s], [s, c]]) @ off
            z = base.position_m[2] + base.size_m[2] * (0.99 if base.kind != "counter" else 0.985)
            site.pieces.append(site.make(kind, xy, z, float(site.rng.uniform(-math.pi, math.pi)), size, asset))


def _on_walls(site: _Site, height_m: float) -> None:
    for _ in range(int(site.rng.integers(0, 6))):
        kind = str(site.rng.choice(["picture", "wall_shelf", "whiteboard", "mirror"], p=[0.72, 0.15, 0.07, 0.06]))
        asset, size = _sized(site, kind)
        if kind == "picture":
            asset = site.catalog.pick_picture(site.rng)
        wall = int(site.rng.integers(len(site.polygon)))
        a, u, n, length_m = wall_frame(site.polygon, wall)
        if length_m < size[0] + 0.3:
            continue
        along = float(site.rng.uniform(size[0] / 2 + 0.1, length_m - size[0] / 2 - 0.1))
        z = float(site.rng.uniform(1.25, max(1.3, height_m - size[2] - 0.25)))
        inside = bool(site.holes_behind(wall, along, size[0] + 0.5))
        center = a + u * along + n * (size[1] / 2 + 0.002)
        box = rectangle(center, size[0], size[1], math.atan2(u[1], u[0]))
        tall = [rectangle(p.position_m[:2], p.size_m[0], p.size_m[1], p.turn_rad) for p in site.pieces
                if p.position_m[2] + p.size_m[2] > z]  # fmt: skip
        if inside or z + size[2] > height_m - 0.1 or any(box.intersects(t) for t in tall):
            continue
        site.pieces.append(site.make(kind, center, z, math.atan2(u[1], u[0]) + math.pi, size, asset))


def _lit_lamps(site: _Site, level: float) -> None:
    for i, piece in enumerate(site.pieces):
        if piece.kind in ("floor_lamp", "table_lamp") and level > 0 and site.rng.random() < 0.8:
            flux = level * float(site.rng.uniform(4, 14)) * (1.0 if piece.kind == "floor_lamp" else 0.5)
            site.pieces[i] = _glowing(site.rng, piece, flux)


def _glowing(rng: np.random.Generator, piece: Piece, flux: float) -> Piece:
    """The piece with the radiant power of its bulb, coloured from warm to cool white."""
    warm = float(rng.uniform(0, 1))
    color = (1.0 + 0.25 * warm, 1.0 - 0.08 * warm, 1.0 - 0.5 * warm)
    r, g, b = (flux * c for c in color)
    return Piece(piece.kind, piece.asset, piece.position_m, piece.size_m, piece.turn_rad, piece.color, piece.recolor,
                 (r, g, b))  # fmt: skip


def ceiling_lamps(
    rng: np.random.Generator, polygon: Array, height_m: float, catalog: Catalog, level: float, needed: bool = False
) -> list[Piece]:
    """Lamps under the ceiling: hanging ones from the assets, or flush panels; unlit when `level` is 0.

    With `needed`, the room has no other light, and there is at least one.
    """
    outline = shapely.Polygon(polygon)
    count = max(1, round(outline.area / 18)) if rng.random() < 0.85 else int(needed)
    panel = rng.random() < 0.4 or not catalog.furniture.get("ceiling_lamp")
    asset = None if panel else catalog.pick(rng, "ceiling_lamp")
    out = []
    inner = outline.buffer(-0.6) if not outline.buffer(-0.6).is_empty else outline.buffer(-0.3)
    wide = float(rng.uniform(0.25, 1.1))
    size = (wide, wide if rng.random() < 0.6 else float(rng.uniform(0.15, 0.4)), 0.04)
    if asset is not None:
        w, d, h = catalog.extents[asset]
        k = catalog.scale(asset, float(rng.uniform(0.25, 0.65)) if h > 0.3 * w else float(rng.uniform(0.08, 0.14)))
        size = (w * k, d * k, h * k)
    for _ in range(count):
        x0, y0, x1, y1 = inner.bounds
        for _ in range(50):
            xy = rng.uniform([x0, y0], [x1, y1])
            if inner.contains(shapely.Point(xy)):
                kind = "panel_lamp" if asset is None else "ceiling_lamp"
                where = (float(xy[0]), float(xy[1]), height_m - size[2] - 0.001)
                piece = Piece(kind, asset, where, size, 0.0, vivid(rng), False)
                out.append(_glowing(rng, piece, level * float(rng.uniform(15, 35))) if level > 0 else piece)
                break
    return out


def furnish(
    rng: np.random.Generator, polygon: Array, height_m: float, holes: list[Opening], camera: Array, catalog: Catalog,
    lamp_level: float, use: str | None = None,
) -> tuple[list[Piece], list[shapely.Polygon]]:  # fmt: skip
    """Furniture for a room still in its plan's own frame, and the floor it takes.

    Args:
        rng: decides everything.
        polygon: (N, 2) counter-clockwise corners.
        height_m: of the ceiling.
        holes: doors and windows to keep clear.
        camera: (2,) where the camera stands.
        catalog: what there is to choose from.
        lamp_level: 0 leaves standing lamps dark.
        use: one of `WALL_PLANS`, or None to draw it.
    """
    keep_out = [shapely.Point(camera).buffer(0.38)]
    for o in holes:
        if o.kind != "window":
            a, u, n, _ = wall_frame(polygon, o.wall)
            middle = a + u * (o.left_m + o.width_m / 2) + n * 0.4
            keep_out.append(rectangle(middle, o.width_m, 0.8, math.atan2(u[1], u[0])))
    site = _Site(rng, polygon, shapely.Polygon(polygon), holes, catalog, keep_out, [], [])
    chosen = use or str(rng.choice(list(WALL_PLANS), p=[0.24, 0.18, 0.1, 0.12, 0.12, 0.06, 0.06, 0.12]))
    how = rng.random()
    density = 0.0 if how < 0.08 and not use else float(rng.uniform(0.7, 1.6) if how < 0.8 else rng.uniform(1.6, 2.6))
    repeat = 1 + int(site.outline.area > 22) + int(site.outline.area > 40) + int(density > 1.6)
    if density > 0 and (chosen == "kitchen" or (chosen in ("living", "dining") and rng.random() < 0.15)):
        _kitchen_row(site, height_m)
    for _ in range(repeat):
        for kind, chance in WALL_PLANS[chosen]:
            if rng.random() < chance * density:
                _against_wall(site, kind)
        for kind, chance in CENTRE_PLANS[chosen]:
            if rng.random() < chance * density:
                _in_middle(site, kind)
    if density > 0:
        _radiators(site)
        _scattered(site, camera, int(rng.poisson(1.6 * density)))
        _on_tops(site)
        _on_walls(site, height_m)
    _lit_lamps(site, lamp_level)
    site.pieces = [p for p in site.pieces if p.position_m[2] + p.size_m[2] < height_m - 0.02]
    return site.pieces, site.footprints
