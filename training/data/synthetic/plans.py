"""Floor plans: outlines of many kinds, with bays, niches, chimney breasts, pillars and cut corners put to them."""

from __future__ import annotations

import numpy as np
import shapely

from training.data.synthetic.description import Array, wall_frame

STYLES = {
    "box": 0.27, "L": 0.19, "T": 0.08, "U": 0.06, "notch": 0.07, "pillar": 0.05, "cut": 0.07, "trapezoid": 0.06,
    "slant": 0.07, "hexagon": 0.03, "corridor": 0.05,
}  # fmt: skip
"""Kind of outline -> its share."""
SMALL = ("box", "box", "pillar", "cut", "trapezoid")
"""Kinds that make a closet."""
EXTRAS = ("bay", "niche", "breast", "pillar", "chamfer")
LEAST_WALL_M = 0.15


def _with_wings(rng: np.random.Generator, style: str, w: float, d: float) -> list[list[float]]:
    if style == "T":
        left, right = float(rng.uniform(0.1, 0.35)), float(rng.uniform(0.65, 0.9))
        b, b2 = (float(v) * d for v in rng.uniform(0.2, 0.5, 2))
        return [[0, 0], [w, 0], [w, d - b], [right, d - b], [right, d], [left, d], [left, d - b2], [0, d - b2]]
    if style == "U":
        left, right = float(rng.uniform(0.22, 0.4)), float(rng.uniform(0.6, 0.78))
        deep = float(rng.uniform(0.25, 0.6)) * d
        return [[0, 0], [w, 0], [w, d], [right, d], [right, d - deep], [left, d - deep], [left, d], [0, d]]
    left = float(rng.uniform(0.15, 0.6))
    right, deep = left + float(rng.uniform(0.12, 0.3)), float(rng.uniform(0.08, 0.35)) * d
    return [[0, 0], [w, 0], [w, d], [right, d], [right, d - deep], [left, d - deep], [left, d], [0, d]]


def _outline(rng: np.random.Generator, style: str) -> list[list[float]]:
    """An outline about 1 wide, counter-clockwise."""
    w, d = 1.0, float(rng.uniform(0.55, 1.0))
    a, b = float(rng.uniform(0.2, 0.55)) * w, float(rng.uniform(0.2, 0.55)) * d
    if style in ("T", "U", "notch"):
        return _with_wings(rng, style, w, d)
    if style == "L":
        return [[0, 0], [w, 0], [w, d - b], [w - a, d - b], [w - a, d], [0, d]]
    if style == "pillar":
        p, q = float(rng.uniform(0.06, 0.14)), float(rng.uniform(0.06, 0.14))
        return [[0, 0], [w, 0], [w, d - p], [w - q, d - p], [w - q, d], [0, d]]
    if style == "cut":
        return [[0, 0], [w, 0], [w, d - 0.6 * b], [w - 0.6 * a, d], [0, d]]
    if style == "trapezoid":
        skew, top = (float(v) for v in rng.uniform(-0.15, 0.15, 2))
        return [[0, 0], [w, 0], [w - abs(skew), d], [abs(skew) * 0.5, d * (1 + top)]]
    if style == "slant":  # an L with no two walls at right angles
        lean, drop = (float(v) for v in rng.uniform(-0.12, 0.12, 2))
        return [[0, 0], [w, drop], [w + lean, d - b], [w - a, d - b + 0.5 * drop], [w - a + lean, d], [lean, d]]
    if style == "hexagon":
        angles = np.linspace(0, 2 * np.pi, int(rng.integers(5, 9)), endpoint=False)
        return [[0.5 + 0.5 * float(np.cos(t)), 0.5 * d + 0.5 * d * float(np.sin(t))] for t in angles]
    depth = float(rng.uniform(0.2, 0.38)) if style == "corridor" else d
    return [[0, 0], [w, 0], [w, depth], [0, depth]]


def _at_wall(rng: np.random.Generator, polygon: Array, kind: str) -> Array | None:
    """The plan with a bay or niche behind one of its walls, or a chimney breast before it."""
    wall = int(rng.integers(len(polygon)))
    a, u, n, length_m = wall_frame(polygon, wall)
    if length_m < 1.8:
        return None
    wide = float(rng.uniform(0.5, 0.7)) * min(length_m, 4.5) if kind != "breast" else float(rng.uniform(0.3, 1.4))
    start = float(rng.uniform(0.2, length_m - wide - 0.2))
    deep, inset = float(rng.uniform(0.2, 0.9)), 0.0
    if kind == "breast":
        deep = -0.6 * deep
    elif kind == "bay":
        inset = float(rng.uniform(0.15, 0.3)) * wide
    new = [a + u * start, a + u * (start + inset) - n * deep, a + u * (start + wide - inset) - n * deep,
           a + u * (start + wide)]  # fmt: skip
    return np.insert(polygon, wall + 1, new, axis=0)


def _at_corner(rng: np.random.Generator, polygon: Array, kind: str) -> Array | None:
    """The plan with one corner cut off, or filled by a pillar."""
    k = int(rng.integers(len(polygon)))
    _, u0, _, before_m = wall_frame(polygon, (k - 1) % len(polygon))
    p, u1, _, after_m = wall_frame(polygon, k)
    if min(before_m, after_m) < 1.2 or u0[0] * u1[1] - u0[1] * u1[0] < 0.3:
        return None
    back, on = (float(v) for v in rng.uniform(0.2, 0.9, 2))
    new = [p - u0 * back, p + u1 * on]
    if kind == "pillar":
        new = [p - 0.6 * u0 * back, p - 0.6 * u0 * back + 0.6 * u1 * on, p + 0.6 * u1 * on]
    return np.insert(np.delete(polygon, k, axis=0), k, new, axis=0)


def _is_plan(polygon: Array) -> bool:
    outline = shapely.Polygon(polygon)
    walls = np.linalg.norm(np.roll(polygon, -1, axis=0) - polygon, axis=1)
    if not outline.is_valid or walls.min() < LEAST_WALL_M:
        return False
    inner = outline.buffer(-0.3)
    return inner.geom_type == "Polygon" and not outline.buffer(-0.45).is_empty


def _area_m2(rng: np.random.Generator) -> float:
    kind = rng.random()
    low, high = (2.6, 6.5) if kind < 0.1 else (6.5, 40.0) if kind < 0.87 else (40.0, 85.0)
    return float(np.exp(rng.uniform(np.log(low), np.log(high))))


def floor_plan(rng: np.random.Generator) -> tuple[str, Array]:
    """A plan of 2.5..90 m2, the style of its outline and its counter-clockwise corners (N, 2), somewhere in the plane.

    About a quarter are plain rectangles; two fifths of all have bays, niches, chimney breasts, pillars or cut corners
    put to them, so that there are plans of 4 to 16 corners.
    """
    target_m2 = _area_m2(rng)
    style = str(rng.choice(list(STYLES), p=list(STYLES.values())))
    if target_m2 < 6.5:
        style = str(rng.choice(SMALL))
    elif style in ("L", "T", "U", "notch", "slant"):
        target_m2 = max(target_m2, 12.0)
    outline = np.array(_outline(rng, style))
    if rng.random() < 0.5:
        outline = (outline * [-1, 1])[::-1]
    polygon = outline * np.sqrt(target_m2 / shapely.Polygon(outline).area)
    if target_m2 < 6.5:  # no closet narrower than a person with a tripod
        polygon = polygon * np.maximum(1.0, 1.45 / np.ptp(polygon, axis=0))
    extras = int(rng.choice([0, 1, 2, 3], p=[0.58, 0.22, 0.13, 0.07])) if target_m2 > 8 else 0
    for kind in rng.choice(EXTRAS, extras):
        change = _at_wall if kind in ("bay", "niche", "breast") else _at_corner
        changed = change(rng, polygon, str(kind))
        if changed is not None and _is_plan(changed):
            polygon = changed
    return style, polygon
