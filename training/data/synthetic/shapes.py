"""Triangles: quads, boxes, cylinders, prisms' walls, and furniture put together from them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Solid:
    """Unshared triangles (3n, 3) with a normal a corner, texture coordinates in metres, and what they are made of."""

    vertices: Array
    normals: Array
    uv: Array
    role: str
    """floor, ceiling, slope, wall0, wall1, trim, wood, fabric, matt, gloss, leaf, glow."""

    @property
    def area_m2(self) -> float:
        """Surface."""
        a, b, c = self.vertices[0::3], self.vertices[1::3], self.vertices[2::3]
        return float(np.linalg.norm(np.cross(b - a, c - a), axis=1).sum() / 2)

    def moved(self, scale: npt.ArrayLike, turn_rad: float, to: npt.ArrayLike) -> Solid:
        """Scaled a axis, then turned counter-clockwise about z, then shifted; texture coordinates follow the scale."""
        c, s = np.cos(turn_rad), np.sin(turn_rad)
        turn = np.array([[c, s, 0], [-s, c, 0], [0, 0, 1]])
        k = np.asarray(scale, dtype=np.float64)
        normals = self.normals / k
        normals = normals / np.maximum(np.linalg.norm(normals, axis=1, keepdims=True), 1e-12)
        vertices = self.vertices * k
        return Solid(vertices @ turn + np.asarray(to), normals @ turn, box_uv(vertices, normals), self.role)


def box_uv(vertices: Array, normals: Array) -> Array:
    """Texture coordinates in metres by projecting each triangle along its main axis."""
    axis = np.repeat(np.abs(normals.reshape(-1, 3, 3).mean(1)).argmax(1), 3)
    u = np.where(axis == 0, vertices[:, 1], vertices[:, 0])
    v = np.where(axis == 2, vertices[:, 1], vertices[:, 2])
    return np.stack([u, v], axis=1)


def quad(corners: npt.ArrayLike, role: str, uv: npt.ArrayLike | None = None) -> Solid:
    """Two triangles of four corners (4, 3) that run counter-clockwise seen from the side that shows."""
    p = np.asarray(corners, dtype=np.float64)
    order = [0, 1, 2, 0, 2, 3]
    n = np.cross(p[1] - p[0], p[3] - p[0])
    normals = np.tile(n / np.linalg.norm(n), (6, 1))
    vertices = p[order]
    return Solid(vertices, normals, box_uv(vertices, normals) if uv is None else np.asarray(uv, float)[order], role)


def box(center: npt.ArrayLike, size: npt.ArrayLike, role: str, turn_rad: float = 0.0) -> Solid:
    """A box about its centre."""
    corners = []
    for axis in range(3):
        u, v = (axis + 1) % 3, (axis + 2) % 3
        for sign in (-1.0, 1.0):
            square = np.zeros((4, 3))
            square[:, axis] = sign
            square[:, u] = np.array([-1, 1, 1, -1]) * sign
            square[:, v] = [-1, -1, 1, 1]
            corners.append(quad(square / 2, role))
    return joined(corners, role).moved(size, turn_rad, center)


def cylinder(base: npt.ArrayLike, radius: float, top_radius: float, height: float, role: str, sides: int = 16) -> Solid:
    """An upright cylinder or cone standing on `base`, caps included."""
    a = np.linspace(0, 2 * np.pi, sides + 1)
    ring = np.stack([np.cos(a), np.sin(a)], axis=1)
    parts = []
    for i in range(sides):
        p, q = ring[i], ring[i + 1]
        parts.append(
            quad(
                [[*(p * radius), 0], [*(q * radius), 0], [*(q * top_radius), height], [*(p * top_radius), height]], role
            )
        )
        for z, r, flip in ((0.0, radius, True), (height, top_radius, False)):
            first, second = (q, p) if flip else (p, q)
            mid = (first + second) / 2
            parts.append(quad([[0, 0, z], [*(first * r), z], [*(mid * r), z], [*(second * r), z]], role))
    return joined(parts, role).moved((1, 1, 1), 0.0, base)


def joined(solids: list[Solid], role: str) -> Solid:
    """Several as one."""
    return Solid(
        np.concatenate([s.vertices for s in solids]), np.concatenate([s.normals for s in solids]),
        np.concatenate([s.uv for s in solids]), role,
    )  # fmt: skip


def unshared(vertices: Array, faces: npt.NDArray[np.int64], normals: Array, role: str) -> Solid:
    """An indexed mesh as unshared triangles, normals kept."""
    v, n = vertices[faces].reshape(-1, 3), normals[faces].reshape(-1, 3)
    return Solid(v, n, box_uv(v, n), role)


def _legs(w: float, d: float, h: float, t: float, role: str) -> list[Solid]:
    return [
        box([x * (w - t) / 2, y * (d - t) / 2, h / 2], [t, t, h], role) for x in (-1, 1) for y in (-1, 1)
    ]  # fmt: skip


def _table(w: float, d: float, h: float) -> list[Solid]:
    return [box([0, 0, h - 0.02], [w, d, 0.04], "wood"), *_legs(w * 0.94, d * 0.92, h - 0.04, 0.06, "wood")]


def _seat(w: float, d: float, h: float) -> list[Solid]:
    seat = 0.5 * h
    back = box([0, d / 2 - 0.02, (seat + h) / 2], [w, 0.04, h - seat], "wood")
    return [box([0, 0, seat], [w, d, 0.05], "wood"), back, *_legs(w, d, seat, 0.04, "wood")]


def _sofa(w: float, d: float, h: float) -> list[Solid]:
    arm = 0.12 * w if w < 1.2 else 0.16
    return [
        box([0, -0.05 * d, 0.28 * h], [w, 0.9 * d, 0.46 * h], "fabric"),
        box([0, 0.4 * d, 0.5 * h], [w, 0.2 * d, h], "fabric"),
        *[box([x * (w - arm) / 2, 0, 0.36 * h], [arm, d, 0.72 * h], "fabric") for x in (-1, 1)],
    ]


def _bed(w: float, d: float, h: float) -> list[Solid]:
    return [
        box([0, 0, 0.2 * h], [w, d, 0.4 * h], "wood"),
        box([0, -0.01, 0.6 * h], [0.96 * w, 0.97 * d, 0.4 * h], "fabric"),
        box([0, d / 2 - 0.03, 0.9 * h], [w, 0.06, 1.8 * h], "wood"),
        box([0, 0.36 * d, 0.85 * h], [0.7 * w, 0.18 * d, 0.18 * h], "matt"),
    ]  # fmt: skip


def _shelf(w: float, d: float, h: float) -> list[Solid]:
    boards = max(2, int(h / 0.36))
    levels = [box([0, 0, 0.012 + (h - 0.024) * i / boards], [w, d, 0.024], "wood") for i in range(boards + 1)]
    sides = [box([x * (w / 2 - 0.012), 0, h / 2], [0.024, d, h], "wood") for x in (-1, 1)]
    books = [
        box([-0.1 * w + 0.15 * w * (i % 3), 0.02, (h * i / boards) + 0.14], [0.45 * w, 0.6 * d, 0.22], "gloss")
        for i in range(boards)
    ]
    return [*levels, *sides, box([0, d / 2 - 0.006, h / 2], [w, 0.012, h], "wood"), *books]


def _chest(w: float, d: float, h: float) -> list[Solid]:
    rows = max(1, int(h / 0.25))
    fronts = [
        box([0, -d / 2 - 0.008, h * (i + 0.5) / rows], [0.94 * w, 0.016, 0.88 * h / rows], "gloss") for i in range(rows)
    ]
    return [box([0, 0, h / 2], [w, d, h], "wood"), *fronts]


def _plant(w: float, d: float, h: float) -> list[Solid]:
    r = min(w, d) / 2
    return [cylinder([0, 0, 0], 0.45 * r, 0.6 * r, 0.3 * h, "gloss", 12),
            cylinder([0, 0, 0.3 * h], 0.35 * r, r, 0.4 * h, "leaf", 9),
            cylinder([0, 0, 0.7 * h], r, 0.2 * r, 0.3 * h, "leaf", 9)]  # fmt: skip


def _lamp(w: float, d: float, h: float) -> list[Solid]:
    r = min(w, d) / 2
    foot = cylinder([0, 0, 0], 0.7 * r, 0.7 * r, 0.03, "matt")
    pole = cylinder([0, 0, 0.03], 0.015, 0.015, 0.78 * h, "matt", 8)
    return [foot, pole, cylinder([0, 0, 0.76 * h], r, 0.7 * r, 0.24 * h, "glow")]


def _monitor(w: float, d: float, h: float) -> list[Solid]:
    return [
        box([0, 0, 0.008], [0.4 * w, d, 0.016], "gloss"),
        box([0, 0.2 * d, 0.25 * h], [0.05, 0.03, 0.5 * h], "gloss"),
        box([0, 0, 0.58 * h], [w, 0.025, 0.84 * h], "gloss"),
    ]


def _radiator(w: float, d: float, h: float) -> list[Solid]:
    ribs = max(3, int(w / 0.08))
    bars = [box([w * ((i + 0.5) / ribs - 0.5), 0, 0.54 * h], [0.7 * w / ribs, d, 0.92 * h], "gloss")
            for i in range(ribs)]  # fmt: skip
    return [*bars, box([0, 0, 0.54 * h], [w, 0.3 * d, 0.8 * h], "gloss"), *_legs(0.9 * w, d, 0.1 * h, 0.02, "gloss")]


def _wardrobe(w: float, d: float, h: float) -> list[Solid]:
    doors = max(2, round(w / 0.5))
    leaf, front = [w / doors - 0.008, 0.016, 0.93 * h], -d / 2 - 0.008
    fronts = [box([w * ((i + 0.5) / doors - 0.5), front, 0.52 * h], leaf, "wood") for i in range(doors)]
    grips = [w * ((i + 0.9 - 0.8 * (i % 2)) / doors - 0.5) for i in range(doors)]
    knobs = [box([x, front - 0.017, 0.5 * h], [0.015, 0.02, 0.14], "gloss") for x in grips]
    return [box([0, 0, h / 2], [w, d, h], "wood"), *fronts, *knobs]


def _laptop(w: float, d: float, h: float) -> list[Solid]:
    back = d / 2 - 0.01
    return [box([0, 0, 0.009], [w, d, 0.018], "gloss"), box([0, back, h / 2], [w, 0.012, h], "gloss")]


def _bottle(w: float, d: float, h: float) -> list[Solid]:
    r = min(w, d) / 2
    return [cylinder([0, 0, 0], r, r, 0.6 * h, "gloss", 12),
            cylinder([0, 0, 0.6 * h], r, 0.35 * r, 0.15 * h, "gloss", 12),
            cylinder([0, 0, 0.75 * h], 0.35 * r, 0.35 * r, 0.25 * h, "gloss", 12)]  # fmt: skip


def _cup(w: float, d: float, h: float) -> list[Solid]:
    r = min(w, d) / 2
    handle = [box([r + 0.012, 0, z * h], [0.03, 0.012, 0.012], "gloss") for z in (0.3, 0.75)]
    handle.append(box([r + 0.022, 0, 0.52 * h], [0.01, 0.012, 0.45 * h], "gloss"))
    return [cylinder([0, 0, 0], 0.8 * r, r, h, "gloss", 12), *handle]


def _rack(w: float, d: float, h: float) -> list[Solid]:
    """Bars for laundry or clothes between two frames."""
    t = 0.018
    bars = [box([0, d * ((i + 0.5) / 5 - 0.5), h - t], [w, t, t], "gloss") for i in range(5)]
    feet = [box([x * (w - t) / 2, 0, t / 2], [t, d, t], "gloss") for x in (-1, 1)]
    rungs = [box([x * (w - t) / 2, 0, h - t], [t, d, t], "gloss") for x in (-1, 1)]
    return [*bars, *feet, *rungs, *_legs(w, 0.5 * d, h, t, "gloss")]


def _books(w: float, d: float, h: float) -> list[Solid]:
    """A pile, none quite as large as the lowest."""
    count = max(1, int(h / 0.035))
    sizes = [[w * (1 - 0.07 * (i % 3)), d * (1 - 0.05 * (i % 4)), 0.96 * h / count] for i in range(count)]
    return [box([0, 0, h * (i + 0.5) / count], sizes[i], "gloss", 0.12 * (i % 3 - 1)) for i in range(count)]


def _bulb(w: float, d: float, h: float) -> list[Solid]:
    """A lit bulb on a cord."""
    r = min(w, d) / 2
    cord = box([0, 0, (h + 1.6 * r) / 2], [0.01, 0.01, h - 1.6 * r], "matt")
    glass = [cylinder([0, 0, 0], 0.5 * r, r, 0.8 * r, "glow", 10),
             cylinder([0, 0, 0.8 * r], r, 0.4 * r, 0.8 * r, "glow", 10)]  # fmt: skip
    return [cord, joined(glass, "glow")]


def _slope(w: float, d: float, h: float) -> list[Solid]:
    """The underside of a roof that comes down towards +y, and its two ends."""
    x, y = w / 2, d / 2
    under = quad([[-x, y, 0], [x, y, 0], [x, -y, h], [-x, -y, h]], "slope")
    ends = [quad([[s, y, 0], [s, y, h], [s, -y, h], [s, 0, h / 2]], "slope") for s in (-x, x)]
    return [under, *ends]


_BUILDERS = {
    "slope": _slope,
    "laptop": _laptop, "bottle": _bottle, "cup": _cup, "rack": _rack, "books": _books, "bulb": _bulb, "island": _chest,
    "tall_unit": _wardrobe,
    "monitor": _monitor, "tv": _monitor, "radiator": _radiator, "wardrobe": _wardrobe,
    "table": _table, "coffee_table": _table, "desk": _table, "chair": _seat, "sofa": _sofa, "armchair": _sofa,
    "bed": _bed, "shelf": _shelf, "wall_shelf": _shelf, "drawer": _chest, "nightstand": _chest, "counter": _chest,
    "fridge": _chest, "oven": _chest, "plant": _plant, "small_plant": _plant, "floor_lamp": _lamp, "table_lamp": _lamp,
}  # fmt: skip
_ROLES = {"carpet": "fabric", "picture": "picture", "mirror": "mirror", "panel_lamp": "glow", "bathtub": "gloss",
          "crate": "matt", "screen": "fabric", "cushion": "fabric", "beam": "matt", "wooden_beam": "wood"}  # fmt: skip


def furniture(kind: str, size_m: tuple[float, float, float]) -> list[Solid]:
    """A piece put together from boxes and cylinders: base middle at the origin, back towards +y."""
    w, d, h = size_m
    build = _BUILDERS.get(kind)
    if build is not None:
        return build(w, d, h)
    if kind in ("stool", "trash", "plate", "bowl"):
        return [cylinder([0, 0, 0], min(w, d) / 2.2, min(w, d) / 2, h, "gloss")]
    return [box([0, 0, h / 2], [w, d, h], _ROLES.get(kind, "gloss"))]
