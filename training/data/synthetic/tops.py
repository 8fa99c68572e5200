"""Small things on tables, worktops, beds and sofas; what stands on the tops that cameras look along."""

from __future__ import annotations

import math
from typing import Final

import numpy as np
import shapely

from training.data.synthetic.assets import Catalog
from training.data.synthetic.description import Array, Piece, rectangle
from training.data.synthetic.site import Site, sized

TOPS: Final = frozenset({"table", "coffee_table", "desk", "drawer", "nightstand", "counter", "island"})
SEATS: Final = frozenset({"bed", "sofa"})
HARD: Final = {"thing": 0.34, "cup": 0.13, "books": 0.1, "box": 0.09, "plate": 0.09, "bottle": 0.07,
               "small_plant": 0.07, "bowl": 0.05, "laptop": 0.03, "keyboard": 0.02, "table_lamp": 0.01}  # fmt: skip
"""What stands on a hard top -> its share."""
SOFT: Final = {"cushion": 0.4, "books": 0.2, "thing": 0.15, "laptop": 0.1, "box": 0.1, "plate": 0.05}
_RESTS: Final = {"bed": 0.8, "sofa": 0.51, "armchair": 0.51}
"""Height of the top of made furniture, as a share of its own; 1 if not named."""


def top_m(piece: Piece, catalog: Catalog) -> float:
    """Height above the floor of the surface that a piece offers."""
    share = catalog.rests.get(piece.asset, 1.0) if piece.asset else _RESTS.get(piece.kind, 1.0)
    return piece.position_m[2] + share * piece.size_m[2]


def on_piece(piece: Piece, off: Array) -> Array:
    """The place on the floor plan that is `off` from a piece's middle, along its own width and depth."""
    c, s = math.cos(piece.turn_rad), math.sin(piece.turn_rad)
    return np.asarray(np.array(piece.position_m[:2]) + np.array([[c, -s], [s, c]]) @ off)


def _upright(site: Site, base: Piece) -> list[shapely.Polygon]:
    """A monitor on a desk or a television on a chest, at its back, facing whoever sits there; what it covers."""
    if not (site.rng.random() < {"desk": 0.75, "drawer": 0.3}.get(base.kind, 0.0) and base.size_m[2] < 0.9):
        return []
    kind = "monitor" if base.kind == "desk" else "tv"
    _, size = sized(site, kind)
    size = (min(size[0], 0.95 * base.size_m[0]), *size[1:])
    xy = on_piece(base, np.array([0.0, base.size_m[1] / 2 - size[1] / 2 - 0.03]))
    site.pieces.append(site.make(kind, xy, top_m(base, site.catalog), base.turn_rad, size, None))
    covered = [rectangle(xy, size[0], size[1], base.turn_rad)]
    if kind == "monitor" and site.rng.random() < 0.7:
        _, keys = sized(site, "keyboard")
        at = on_piece(base, np.array([0.0, -0.2 * base.size_m[1]]))
        site.pieces.append(site.make("keyboard", at, top_m(base, site.catalog), base.turn_rad, keys, None))
        covered.append(rectangle(at, keys[0], keys[1], base.turn_rad))
    return covered


def _count(site: Site, base: Piece) -> int:
    if base.kind in SEATS:
        return int(site.rng.integers(0, 5))
    if site.rng.random() < 0.4:
        return int(site.rng.integers(0, 4))
    return min(int(site.rng.integers(6, 16)), int(30 * base.size_m[0] * base.size_m[1]))


def _put(site: Site, base: Piece, kind: str, covered: list[shapely.Polygon]) -> None:
    """One thing on a top, where nothing stands yet."""
    asset, size = sized(site, kind)
    w, d = base.size_m[0], base.size_m[1] * (0.8 if base.kind in SEATS else 1.0)
    if max(size[:2]) > min(w, d):
        return
    for _ in range(6):
        turn = float(site.rng.choice([base.turn_rad, site.rng.uniform(-math.pi, math.pi)]))
        slack = np.array([w, d]) / 2 - max(size[:2]) / 2
        xy = on_piece(base, site.rng.uniform(-slack, slack))
        box = rectangle(xy, size[0], size[1], turn)
        if not any(box.intersects(c) for c in covered):
            covered.append(box)
            site.pieces.append(site.make(kind, xy, top_m(base, site.catalog), turn, size, asset))
            return


def things_on_tops(site: Site) -> None:
    """Screens, and up to fifteen small things, on each top; a few on beds and sofas."""
    for base in [p for p in site.pieces if p.kind in TOPS or p.kind in SEATS]:
        covered = _upright(site, base)
        shares = SOFT if base.kind in SEATS else HARD
        for kind in site.rng.choice(list(shares), _count(site, base), p=list(shares.values())):
            _put(site, base, str(kind), covered)
