"""Lamps: lit ones among the furniture, those under the ceiling, and the few small ones of a dark room."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import shapely

from training.data.synthetic.assets import Catalog
from training.data.synthetic.description import Array, Piece, rectangle, vivid
from training.data.synthetic.looks import of_temperature
from training.data.synthetic.site import Site

STANDING = ("floor_lamp", "table_lamp")


def lit_lamps(site: Site, level: float) -> None:
    """Switch most lamps on that stand about; none when `level` is 0."""
    for i, piece in enumerate(site.pieces):
        if piece.kind in STANDING and level > 0 and site.rng.random() < 0.8:
            flux = level * float(site.rng.uniform(4, 14)) * (1.0 if piece.kind == "floor_lamp" else 0.5)
            site.pieces[i] = _glowing(site.rng, piece, flux)


def _glowing(rng: np.random.Generator, piece: Piece, flux: float) -> Piece:
    """The piece with the radiant power of its bulb, coloured from warm to cool white."""
    warm = float(rng.uniform(0, 1))
    color = (1.0 + 0.25 * warm, 1.0 - 0.08 * warm, 1.0 - 0.5 * warm)
    r, g, b = (flux * c for c in color)
    return replace(piece, radiance=(r, g, b))


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
    inner = next(s for k in (0.6, 0.3, 0.1, 0.0) if not (s := outline.buffer(-k)).is_empty)
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


def few_lamps(rng: np.random.Generator, polygon: Array, height_m: float, pieces: list[Piece]) -> list[Piece]:
    """The pieces with one to three small lamps of 2000 to 6500 K lit: those that stand there, or bulbs hung up."""
    out, wanted = list(pieces), int(rng.integers(1, 4))
    standing = [i for i, p in enumerate(out) if p.kind in STANDING]
    for i in rng.permutation(standing)[:wanted]:
        flux, color = float(rng.uniform(2, 10)), of_temperature(float(rng.uniform(2000, 6500)))
        out[i] = replace(out[i], radiance=(flux * color[0], flux * color[1], flux * color[2]))
    slopes = [rectangle(p.position_m[:2], p.size_m[0], p.size_m[1], p.turn_rad) for p in out if p.kind == "slope"]
    inner = shapely.Polygon(polygon).buffer(-0.3).difference(shapely.union_all(slopes))
    x0, y0, x1, y1 = inner.bounds
    for _ in range(60 * max(0, wanted - len(standing))):
        xy = rng.uniform([x0, y0], [x1, y1])
        if inner.contains(shapely.Point(xy)):
            size = (*(float(rng.uniform(0.06, 0.14)),) * 2, float(rng.uniform(0.25, 0.8)))
            flux, color = float(rng.uniform(2, 10)), of_temperature(float(rng.uniform(2000, 6500)))
            out.append(Piece(
                "bulb", None, (float(xy[0]), float(xy[1]), height_m - size[2] - 0.001), size, 0.0, (0.05, 0.05, 0.05),
                False, (flux * color[0], flux * color[1], flux * color[2]),
            ))  # fmt: skip
            wanted -= 1
        if wanted <= len(standing):
            break
    return out
