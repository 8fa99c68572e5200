"""A prism room as flat surfaces that face inwards and together are closed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt
import shapely

from edge.errors import GeometryError
from edge.geometry.polygon import counter_clockwise

Array = npt.NDArray[np.float64]
Faces = npt.NDArray[np.int64]

SurfaceKind = Literal["floor", "ceiling", "wall", "cut"]

_SIGHT_LINE = 0.01
"""An edge whose line passes this near the camera (in the layout's unit) is a line of sight, not a wall."""
_SHORTEST = 1e-4
QUAD: Faces = np.array([[0, 2, 1], [0, 3, 2]])
"""Triangles of an upright rectangle from its bottom start, bottom end, top end and top start; they face inwards."""


@dataclass(frozen=True, slots=True)
class Edge:
    """One side of a room's outline, counter-clockwise seen from above; `cut`: a line of sight that closes the view."""

    side: int
    """From the outline's corner of this number to the next."""
    index: int
    """Of a wall, its place in the message's list of walls; of a cut, among the cuts."""
    start: Array
    end: Array
    cut: bool

    @property
    def name(self) -> str:
        """wall-0, wall-1, ... or cut-0, ..."""
        return f"{'cut' if self.cut else 'wall'}-{self.index}"

    @property
    def length(self) -> float:
        """In the outline's unit."""
        return float(np.hypot(*(self.end - self.start)))

    @property
    def inwards(self) -> Array:
        """(2,) unit normal that points into the room."""
        along = self.end - self.start
        return np.array([-along[1], along[0]]) / self.length


@dataclass(frozen=True, slots=True)
class Surface:
    """A flat part of a room, in the room frame, with a rectangle around it that a picture can be laid on."""

    name: str
    kind: SurfaceKind
    vertices: Array
    """(V, 3)."""
    faces: Faces
    """(F, 3), counter-clockwise seen from inside the room."""
    normal: Array
    """(3,) unit, into the room."""
    corner: Array
    """(3,) top left corner of the rectangle, as seen from inside."""
    right: Array
    """(3,) unit."""
    down: Array
    """(3,) unit."""
    size: tuple[float, float]
    """Width and height of the rectangle."""

    @property
    def area(self) -> float:
        """Of the surface itself."""
        a, b, c = (self.vertices[self.faces[:, i]] for i in range(3))
        return float(np.linalg.norm(np.cross(b - a, c - a), axis=1).sum() / 2)

    def on_rectangle(self, points: npt.ArrayLike) -> Array:
        """Points (..., 3) as fractions (..., 2) of the rectangle's width and height, from its top left."""
        away = np.asarray(points, dtype=np.float64) - self.corner
        return np.stack([away @ self.right / self.size[0], away @ self.down / self.size[1]], axis=-1)


def outline(polygon: npt.ArrayLike, extent: Literal["room", "visible"] = "room") -> list[Edge]:
    """The sides of an outline, without those that have no length.

    `extent`: as in `RoomLayout`; of a part of a room, sides that pass the camera are lines of sight.
    """
    corners = counter_clockwise(polygon)
    corners = corners[np.hypot(*(np.roll(corners, -1, axis=0) - corners).T) >= _SHORTEST]
    found: list[Edge] = []
    counts = {True: 0, False: 0}
    for side, (start, end) in enumerate(zip(corners, np.roll(corners, -1, axis=0), strict=True)):
        edge = Edge(side, 0, start, end, False)
        cut = extent == "visible" and abs(float(edge.inwards @ start)) < _SIGHT_LINE
        found.append(Edge(side, counts[cut], start, end, cut))
        counts[cut] += 1
    return found


def _triangles(polygon: Array) -> Array:
    """(3 T, 2) corners of counter-clockwise triangles that tile the polygon and have no corners but its own."""
    parts = shapely.constrained_delaunay_triangles(shapely.Polygon(polygon)).geoms
    return np.concatenate([counter_clockwise(shapely.get_coordinates(t)[:3]) for t in parts])


def room_surfaces(
    polygon: npt.ArrayLike, height: float, extent: Literal["room", "visible"] = "room"
) -> tuple[Surface, ...]:
    """Floor, ceiling and one surface a side of a prism room.

    Raises:
        GeometryError: the polygon is not simple, or the height not above 0.
    """
    edges = outline(polygon, extent)
    corners = np.array([edge.start for edge in edges])
    if height <= 0 or len(corners) < 3 or not shapely.Polygon(corners).is_valid:
        raise GeometryError("a room needs a simple floor polygon and a height above 0")
    return (*_flats(corners, height), *(_upright(edge, height) for edge in edges))


def _flats(corners: Array, height: float) -> tuple[Surface, Surface]:
    tiles = _triangles(corners)
    (x0, y0), (x1, y1) = corners.min(axis=0), corners.max(axis=0)
    size = (float(x1 - x0), float(y1 - y0))
    faces = np.arange(len(tiles)).reshape(-1, 3)
    right, forward, up = np.eye(3)

    def at(z: float) -> Array:
        return np.column_stack([tiles, np.full(len(tiles), z)])

    floor = Surface("floor", "floor", at(0.0), faces, up, np.array([x0, y1, 0.0]), right, -forward, size)
    top = np.array([x0, y0, height])
    return floor, Surface("ceiling", "ceiling", at(height), faces[:, ::-1].copy(), -up, top, right, forward, size)


def _upright(edge: Edge, height: float) -> Surface:
    low, high = np.zeros(1), np.full(1, height)
    a, b = edge.start, edge.end
    vertices = np.array([[*a, *low], [*b, *low], [*b, *high], [*a, *high]])
    right = np.append((a - b) / edge.length, 0.0)
    return Surface(
        edge.name,
        "cut" if edge.cut else "wall",
        vertices,
        QUAD,
        np.append(edge.inwards, 0.0),
        vertices[2],
        right,
        np.array([0.0, 0.0, -1.0]),
        (edge.length, height),
    )
