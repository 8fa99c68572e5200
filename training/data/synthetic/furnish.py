"""What stands in a room, and where: along the walls, in the middle, on tables, on walls and under the ceiling."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import shapely

from training.data.synthetic.assets import Catalog
from training.data.synthetic.description import Array, Opening, Piece, rectangle, wall_frame
from training.data.synthetic.lamps import lit_lamps
from training.data.synthetic.openings import leaf
from training.data.synthetic.site import Site, sized
from training.data.synthetic.tops import TOPS, things_on_tops

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
    "kitchen": [("table", 0.6), ("island", 0.4), ("stool", 0.4)],
    "dining": [("carpet", 0.4), ("table", 1.0)],
    "office": [("carpet", 0.3), ("desk", 0.6), ("desk", 0.4), ("screen", 0.5), ("table", 0.3)],
    "bathroom": [("carpet", 0.3)],
    "hall": [("carpet", 0.5)],
    "clutter": [("carpet", 0.4), ("table", 0.6), ("stool", 0.6), ("chair", 0.6), ("coffee_table", 0.4)],
}
LOOSE = {"crate": 0.36, "plant": 0.2, "trash": 0.1, "stool": 0.1, "chair": 0.12, "box": 0.06, "rack": 0.06}
"""What lies about on the floor -> its share."""
LINES = {"wardrobe": 0.3, "shelf": 0.24, "drawer": 0.2, "fridge": 0.06, "desk": 0.08, "sofa": 0.06, "nightstand": 0.06}
"""What stands side by side where furniture lines the walls -> its share."""
LINED_SHARE = 0.15


def _against_wall(site: Site, kind: str) -> bool:
    asset, size = sized(site, kind)
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


def _seat(site: Site, center: Array, inward: Array, size: tuple[float, float, float], turn: float) -> None:
    asset, chair = sized(site, "chair")
    spot = center + inward * (size[1] / 2 + chair[1] / 2 + float(site.rng.uniform(-0.1, 0.15)))
    box = rectangle(spot, chair[0], chair[1], turn)
    if site.outline.contains(box) and not any(box.intersects(o) for o in site.keep_out):
        site.footprints.append(box)
        site.pieces.append(
            site.make("chair", spot, 0.0, turn + math.pi + float(site.rng.normal(0, 0.25)), chair, asset)
        )


def _in_middle(site: Site, kind: str) -> bool:
    asset, size = sized(site, kind)
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


def _chairs_around(site: Site, xy: Array, size: tuple[float, float, float], turn: float) -> None:
    asset, chair = sized(site, "chair")
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


def _kitchen_row(site: Site, height_m: float) -> None:
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
            kind = str(site.rng.choice(["counter", "oven", "washer", "tall_unit"], p=[0.68, 0.12, 0.08, 0.12]))
            along, tall_m = first + k * unit_m, min(2.0 + 0.3 * float(site.rng.random()), height_m - 0.1)
            above = site.holes_behind(wall, along, unit_m)
            size = (unit_m - 0.004, deep_m, tall_m if kind == "tall_unit" else high_m)
            if any(size[2] > o.bottom_m for o in above):
                continue
            asset = front if kind == "counter" else site.catalog.pick(site.rng, kind)
            stands = site.stand(kind, a + u * along + n * (deep_m / 2 + 0.01), turn, size, asset)
            if stands and cabinet != "" and not above and height_m > 2.25 and kind != "tall_unit":
                at = a + u * along + n * 0.185
                site.pieces.append(site.make("cabinet", at, 1.45, turn, (unit_m - 0.004, 0.36, 0.7), cabinet))
        _alike(site, before)
        if len(site.pieces) > before + 1:
            return


def _lined(site: Site) -> None:
    """Furniture side by side along every wall, where openings leave space."""
    for wall in range(len(site.polygon)):
        a, u, n, length_m = wall_frame(site.polygon, wall)
        x, turn = float(site.rng.uniform(0.03, 0.4)), math.atan2(u[1], u[0]) + math.pi
        while x < length_m - 0.4:
            kind = str(site.rng.choice(list(LINES), p=list(LINES.values())))
            asset, size = sized(site, kind)
            along = x + size[0] / 2
            x += size[0] + float(site.rng.choice([0.01, site.rng.uniform(0.05, 0.7)]))
            if along + size[0] / 2 > length_m or any(
                size[2] > o.bottom_m + 0.1 for o in site.holes_behind(wall, along, size[0] + 0.06)
            ):
                continue
            site.stand(kind, a + u * along + n * (size[1] / 2 + 0.02), turn, size, asset)


def _alike(site: Site, first: int) -> None:
    """Paint a row of pieces in one colour."""
    row = site.pieces[first:]
    site.pieces[first:] = [replace(p, color=row[0].color, recolor=row[0].recolor) for p in row]


def _scattered(site: Site, camera: Array | None, count: int) -> None:
    """Boxes, plants and stools on the floor, half of them about the camera, where they hide the floor's edge."""
    x0, y0, x1, y1 = site.outline.bounds
    for _ in range(count):
        kind = str(site.rng.choice(list(LOOSE), p=list(LOOSE.values())))
        asset, size = sized(site, kind)
        turn = float(site.rng.uniform(-math.pi, math.pi))
        angle, reach_m = site.rng.uniform(-math.pi, math.pi), site.rng.uniform(0.45, 1.5)
        xy = site.rng.uniform([x0, y0], [x1, y1])
        if camera is not None and site.rng.random() < 0.5:
            xy = camera + reach_m * np.array([math.sin(angle), math.cos(angle)])
        stands = site.stand(kind, xy, turn, size, asset, slack_m=0.02)
        if stands and kind == "crate" and site.rng.random() < 0.35:
            smaller = (size[0] * 0.9, size[1] * 0.9, size[2] * float(site.rng.uniform(0.6, 1.0)))
            site.pieces.append(site.make(kind, xy, size[2], turn + 0.1 * float(site.rng.normal()), smaller, asset))


def _radiators(site: Site) -> None:
    for o in site.holes:
        if o.kind == "window" and o.bottom_m > 0.65 and site.rng.random() < 0.45:
            a, u, n, _ = wall_frame(site.polygon, o.wall)
            _, size = sized(site, "radiator")
            turn = math.atan2(u[1], u[0]) + math.pi
            at = a + u * (o.left_m + o.width_m / 2) + n * (size[1] / 2 + 0.03)
            site.stand("radiator", at, turn, (min(size[0], o.width_m), *size[1:]), None)


def _on_walls(site: Site, height_m: float) -> None:
    for _ in range(int(site.rng.integers(0, 6))):
        kind = str(site.rng.choice(["picture", "wall_shelf", "whiteboard", "mirror"], p=[0.72, 0.15, 0.07, 0.06]))
        asset, size = sized(site, kind)
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


def furnish(
    rng: np.random.Generator, polygon: Array, height_m: float, holes: list[Opening], clear: list[shapely.Polygon],
    catalog: Catalog, lamp_level: float, use: str | None = None, camera: Array | None = None,
) -> tuple[list[Piece], list[shapely.Polygon]]:  # fmt: skip
    """Furniture for a room still in its plan's own frame, and the floor it takes.

    Args:
        rng: decides everything.
        polygon: (N, 2) counter-clockwise corners.
        height_m: of the ceiling.
        holes: doors, openings and windows to keep clear.
        clear: more floor to leave free.
        catalog: what there is to choose from.
        lamp_level: 0 leaves standing lamps dark.
        use: one of `WALL_PLANS`, or None to draw it.
        camera: (2,) where the camera stands; None for a room beside it, which is furnished lightly.
    """
    keep_out = [*clear, *_doorways(polygon, holes)]
    if camera is not None:
        keep_out.append(shapely.Point(camera).buffer(0.38))
    site = Site(rng, polygon, shapely.Polygon(polygon), holes, catalog, keep_out, [], [])
    chosen = use or str(rng.choice(list(WALL_PLANS), p=[0.24, 0.18, 0.1, 0.12, 0.12, 0.06, 0.06, 0.12]))
    how = rng.random()
    density = 0.0 if how < 0.08 and not use else float(rng.uniform(0.7, 1.6) if how < 0.8 else rng.uniform(1.6, 2.6))
    if camera is None:
        density = min(density, 1.0)
    if density > 0:
        _stand_about(site, chosen, density, height_m)
        _radiators(site)
        _scattered(site, camera, int(rng.poisson(1.6 * density)))
        if camera is not None:
            things_on_tops(site)
        _on_walls(site, height_m)
    lit_lamps(site, lamp_level)
    site.pieces = [p for p in site.pieces if p.position_m[2] + p.size_m[2] < height_m - 0.02]
    return site.pieces, site.footprints


def _doorways(polygon: Array, holes: list[Opening]) -> list[shapely.Polygon]:
    """Floor that stays free before doors and openings, and where their leaves stand."""
    out = []
    for o in holes:
        if o.kind != "window":
            a, u, n, _ = wall_frame(polygon, o.wall)
            deep_m = 0.4 if o.kind in ("opening", "back") else 0.8
            middle = a + u * (o.left_m + o.width_m / 2) + n * deep_m / 2
            out.append(rectangle(middle, o.width_m, deep_m, math.atan2(u[1], u[0])))
            if o.leaf_deg > 0 and o.inwards:
                out.append(leaf(polygon, o).buffer(0.05))
    return out


def _stand_about(site: Site, use: str, density: float, height_m: float) -> None:
    """The furniture of a use, along the walls and in the middle."""
    rng = site.rng
    if use == "kitchen" or (use in ("living", "dining") and rng.random() < 0.15):
        _kitchen_row(site, height_m)
    if rng.random() < LINED_SHARE:
        _lined(site)
    repeat = 1 + int(site.outline.area > 22) + int(site.outline.area > 40) + int(density > 1.6)
    for _ in range(repeat):
        for kind, chance in WALL_PLANS[use]:
            if rng.random() < chance * density:
                _against_wall(site, kind)
        for kind, chance in CENTRE_PLANS[use]:
            if rng.random() < chance * density:
                _in_middle(site, kind)
    for kind in rng.permutation(["table", "coffee_table", "desk", "drawer"]):
        if not any(p.kind in TOPS for p in site.pieces):
            _against_wall(site, str(kind))
