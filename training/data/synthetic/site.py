"""A room while it is being furnished: what stands there, and whether there is room for more."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import shapely

from training.data.synthetic.assets import SIZES, Catalog
from training.data.synthetic.description import Array, Color, Opening, Piece, rectangle, vivid

OWN_COLORS: dict[str, Color] = {
    "monitor": (0.02, 0.02, 0.022), "tv": (0.015, 0.015, 0.016), "radiator": (0.75, 0.75, 0.73),
    "whiteboard": (0.82, 0.82, 0.82),
}  # fmt: skip


@dataclass
class Site:
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
        """A thing of that kind at that place, in a colour of its own."""
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


def sized(site: Site, kind: str) -> tuple[str | None, tuple[float, float, float]]:
    """An asset of that kind (or None) and its size in metres: its own proportions at a height such a thing has."""
    (w0, w1), (d0, d1), (h0, h1) = SIZES[kind]
    asset = site.catalog.pick(site.rng, kind)
    height_m = float(site.rng.uniform(h0, h1))
    if asset is None:
        return None, (float(site.rng.uniform(w0, w1)), float(site.rng.uniform(d0, d1)), height_m)
    w, d, h = site.catalog.extents[asset]
    k = site.catalog.scale(asset, height_m)
    if kind == "thing":
        k = float(np.exp(site.rng.uniform(np.log(0.06), np.log(0.4)))) / max(w, d, h)
    return asset, (w * k, d * k, h * k)
