"""Rectangular rooms whose sides are told piece by piece, for the worked examples."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from edge.derive.heat_loss.elements import Element, Shape
from edge.derive.heat_loss.loads import Loads
from edge.derive.heat_loss.settings import Border, Opening, WallStretch


@dataclass(frozen=True)
class Piece:
    """A part of a side, of a length, with what is behind it."""

    length_m: float
    border: Border
    openings: tuple[Opening, ...] = ()


@dataclass(frozen=True)
class Rectangle:
    """A room with its camera in the middle; what is left of a side borders on a room as warm."""

    width_m: float
    depth_m: float
    height_m: float
    right: tuple[Piece, ...] = ()
    back: tuple[Piece, ...] = ()
    left: tuple[Piece, ...] = ()
    front: tuple[Piece, ...] = ()
    inner: Border = field(default_factory=lambda: Border("heated"))

    def build(self) -> tuple[Shape, tuple[WallStretch, ...]]:
        """Its shape, and a stretch for every piece; counter-clockwise from the corner behind to the right."""
        x, y = self.width_m / 2, self.depth_m / 2
        sides = (
            ((x, -y), (0.0, 1.0), self.depth_m, self.right),
            ((x, y), (-1.0, 0.0), self.width_m, self.front),
            ((-x, y), (0.0, -1.0), self.depth_m, self.left),
            ((-x, -y), (1.0, 0.0), self.width_m, self.back),
        )
        corners: list[np.ndarray] = []
        borders: list[Piece] = []
        for start, along, length_m, pieces in sides:
            rest_m = length_m - sum(p.length_m for p in pieces)
            at = np.array(start)
            for piece in (*pieces, *([Piece(rest_m, self.inner)] if rest_m > 1e-6 else [])):
                corners.append(at)
                borders.append(piece)
                at = at + piece.length_m * np.array(along)
        polygon = np.array(corners)
        azimuth = np.degrees(np.arctan2(polygon[:, 0], polygon[:, 1]))
        stretches = tuple(
            WallStretch(float(azimuth[(i + 1) % len(azimuth)]), float(azimuth[i]), piece.border, piece.openings)
            for i, piece in enumerate(borders)
        )
        return Shape(polygon, self.height_m), stretches


def loss_w(loads: Loads, *kinds: str, to: str | None = None) -> float:
    """Loss through elements of these kinds, or all."""
    return sum(float(e.loss_w[0]) for e in chosen(loads, *kinds, to=to))


def chosen(loads: Loads, *kinds: str, to: str | None = None) -> list[Element]:
    """Elements of these kinds, or all, that border on `to`, or on anything."""
    return [e for e in loads.shell.elements if (not kinds or e.kind in kinds) and to in (None, e.to)]


OUTSIDE = Border("outside")
HEATED = Border("heated")
