"""Doors, windows and open passages, from where the camera sees them to where they are in its room's walls."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from edge.derive.mesh import Array, Edge, outline
from edge.geometry.polygon import wall_distances
from edge.geometry.walls import Line
from edge.scene import OpeningInView, OpeningKind, OpeningSource, RoomLayout

NARROWEST_M = 0.05


@dataclass(frozen=True, slots=True)
class Opening:
    """An opening in a wall, in the room frame and the layout's unit."""

    kind: OpeningKind
    wall: int
    """Which side of the outline it is in: from corner `wall` to the next."""
    start: tuple[float, float]
    """Its end nearer to that corner: the right one, seen from the room."""
    end: tuple[float, float]
    sill: float | None
    """Height of its lower edge; None: not known."""
    height: float | None
    """From its lower to its upper edge; None: not known."""
    source: OpeningSource
    confidence: float = 1.0

    @property
    def width(self) -> float:
        """Along the wall."""
        return float(np.hypot(self.end[0] - self.start[0], self.end[1] - self.start[1]))

    @property
    def left_rad(self) -> float:
        """Longitude of its left edge, from the camera."""
        return float(np.arctan2(*self.end))

    @property
    def right_rad(self) -> float:
        """Longitude of its right edge."""
        return float(np.arctan2(*self.start))

    @property
    def corners(self) -> Array | None:
        """(4, 3) from the bottom at `start`, as `edge.derive.mesh.QUAD` takes them; None where a height is unknown."""
        if self.sill is None or self.height is None:
            return None
        low, high = self.sill, self.sill + self.height
        ends = ((self.start, low), (self.end, low), (self.end, high), (self.start, high))
        return np.array([[*at, z] for at, z in ends])


def _turn(to_rad: float, from_rad: float) -> float:
    """From one direction to another, to the right, in (-pi, pi]."""
    return float(np.pi - (np.pi - (to_rad - from_rad)) % (2 * np.pi))


def _facing(edges: Sequence[Edge], longitude_rad: float) -> Edge | None:
    """The side that the camera sees in this direction."""
    at = np.array([longitude_rad])
    corners = np.array([edge.start for edge in edges])
    reach = float(wall_distances(corners, at)[0])
    point = reach * np.array([np.sin(longitude_rad), np.cos(longitude_rad)])
    if not np.isfinite(reach):
        return None
    off = [abs(float(edge.inwards @ (point - edge.start))) for edge in edges]
    along = [float((point - e.start) @ (e.end - e.start)) / e.length**2 for e in edges]
    there = [i for i, t in enumerate(along) if -1e-6 <= t <= 1 + 1e-6 and off[i] < 1e-6 * (1 + reach)]
    return edges[there[0]] if there else None


def placed(opening: OpeningInView, edges: Sequence[Edge], ceiling_height_m: float) -> Opening | None:
    """The opening in the wall that the camera sees between the two bearings, cut to fit it.

    None where there is no wall, or where less than 5 cm of the opening would be in it.
    """
    half = _turn(opening.to_rad, opening.from_rad) / 2
    middle = opening.from_rad + half
    edge = _facing(edges, middle)
    height = min(opening.height_m, ceiling_height_m - opening.sill_m)
    if edge is None or edge.cut or half <= 0 or height < NARROWEST_M:
        return None
    # Counter-clockwise from above, so a wall's start is on its right, seen from inside.
    right, left = (_turn(float(np.arctan2(*p)), middle) for p in (edge.start, edge.end))
    line = Line(edge.inwards, float(edge.inwards @ edge.start))
    start = edge.start if half >= right else line.on_ray(middle + half)
    end = edge.end if -half <= left else line.on_ray(middle - half)
    found = Opening(
        opening.kind,
        edge.side,
        (round(float(start[0]), 6), round(float(start[1]), 6)),
        (round(float(end[0]), 6), round(float(end[1]), 6)),
        opening.sill_m,
        round(height, 6),
        "configured",
    )
    return found if found.width >= NARROWEST_M else None


def openings_of(layout: RoomLayout, seen: Sequence[OpeningInView]) -> tuple[Opening, ...]:
    """What is known of a room's openings: those that the installer saw, and those that the model found elsewhere.

    The installer's are in metres: in a room whose size is not known they are left out.
    """
    edges = outline(layout.polygon_m, layout.extent)
    known: list[Opening] = []
    if layout.scale == "metric":
        placed_all = (placed(opening, edges, layout.ceiling_height_m) for opening in seen)
        known = [opening for opening in placed_all if opening is not None]
    found = [
        Opening(o.kind, o.wall, _rounded(o.end_m), _rounded(o.start_m), None, None, "found", round(o.confidence, 4))
        for o in layout.openings or ()
    ]
    return (*known, *(f for f in found if f.width > 0 and not any(_overlap(f, k) for k in known)))


def _rounded(point: tuple[float, float]) -> tuple[float, float]:
    return round(float(point[0]), 6), round(float(point[1]), 6)


def _overlap(one: Opening, other: Opening) -> bool:
    """Whether two openings share a part of a wall."""
    if one.wall != other.wall:
        return False
    along = np.subtract(one.end, one.start)
    here = sorted(float(np.dot(along, p)) for p in (one.start, one.end))
    there = sorted(float(np.dot(along, p)) for p in (other.start, other.end))
    return here[0] < there[1] and there[0] < here[1]
