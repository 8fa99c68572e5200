"""Random rooms as plain values: what there is, where, how lit. No renderer here, so a room can be stored and compared.

Lengths are metres in the room frame: x right, y forward, z up, origin on the floor under the panorama camera.
`turn_rad` of a thing turns it counter-clockwise seen from above; at 0 its back is towards +y.
"""

from __future__ import annotations

import dataclasses
import json
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import shapely

Array = npt.NDArray[np.float64]
Color = tuple[float, float, float]
Point = tuple[float, float, float]


@dataclass(frozen=True)
class Opening:
    """A hole in a wall: a door, a window, an `opening` without leaf or frame, a passage into a dead-end corridor.

    `left_m` runs along the wall; an annex has one more kind, `back`: the far side of the opening that leads to it.
    """

    wall: int
    kind: str
    left_m: float
    width_m: float
    bottom_m: float
    height_m: float
    recess_m: float
    asset: str | None = None
    radiance: float = 0.0
    color: Color = (1.0, 1.0, 1.0)
    mullions: tuple[int, int] = (0, 0)
    heading_rad: float = 0.0
    sun: float = 0.0
    curtain: str | None = None
    beyond: int = -1
    """Which of the room's annexes it leads to; -1: none."""
    leaf_deg: float = 0.0
    """How far a door's leaf stands open; 0: shut, negative: it has none."""
    hinge_right: bool = False
    """At which end of the opening the leaf hangs, seen along the wall."""
    inwards: bool = False
    """Whether the leaf opens into the room."""

    @property
    def top_m(self) -> float:
        """Upper edge above the floor."""
        return self.bottom_m + self.height_m


@dataclass(frozen=True)
class Surface:
    """A covering: albedo texture (an asset's name or `procedural:<kind>`), linear colour, tile size, gloss in 0..1."""

    texture: str | None
    color: Color
    tile_m: float
    gloss: float


@dataclass(frozen=True)
class Piece:
    """A thing in the room: the middle of its base, its size (width, depth, height), and how it is coloured."""

    kind: str
    asset: str | None
    position_m: Point
    size_m: Point
    turn_rad: float
    color: Color
    recolor: bool
    radiance: Color = (0.0, 0.0, 0.0)


@dataclass(frozen=True)
class View:
    """A perspective camera in the room."""

    position_m: Point
    yaw_rad: float
    pitch_rad: float
    roll_rad: float
    hfov_rad: float
    exposure: float
    """Where auto-exposure aims: median luminance (positive) or, negative, minus the level of the 99th percentile."""


@dataclass(frozen=True)
class Annex:
    """What lies behind an opening: another room, a hall or a closet, with windows, lamps and things of its own.

    Its corners run counter-clockwise in the room frame; wall 0 is the back of the opening's wall.
    """

    kind: str
    polygon_m: tuple[tuple[float, float], ...]
    height_m: float
    floor: Surface
    ceiling: Surface
    wall: Surface
    openings: tuple[Opening, ...]
    pieces: tuple[Piece, ...]

    @property
    def polygon(self) -> Array:
        """(N, 2) floor corners, counter-clockwise."""
        return np.array(self.polygon_m)


@dataclass(frozen=True)
class Room:
    """Everything a picture of the room depends on."""

    index: int
    seed: int
    style: str
    polygon_m: tuple[tuple[float, float], ...]
    height_m: float
    camera_height_m: float
    floor: Surface
    ceiling: Surface
    walls: tuple[Surface, Surface]
    accent_wall: int
    trim: Surface
    wood: Surface
    fabric: Surface
    skirting_m: float
    cornice_m: float
    openings: tuple[Opening, ...]
    pieces: tuple[Piece, ...]
    sky: str | None
    exposure: float
    views: tuple[View, ...]
    annexes: tuple[Annex, ...] = ()

    @property
    def polygon(self) -> Array:
        """(N, 2) floor corners, counter-clockwise."""
        return np.array(self.polygon_m)

    def to_json(self) -> str:
        """All of it as JSON text."""
        return json.dumps(dataclasses.asdict(self))


def wall_frame(polygon: Array, wall: int) -> tuple[Array, Array, Array, float]:
    """Start corner, unit direction along, unit inward normal, and length of a wall of a counter-clockwise polygon."""
    a, b = polygon[wall], polygon[(wall + 1) % len(polygon)]
    length_m = float(np.linalg.norm(b - a))
    u = (b - a) / length_m
    return a, u, np.array([-u[1], u[0]]), length_m


def moved(center: Array, phi: float, position: npt.ArrayLike) -> Array:
    """Places (..., 2) of a plan in a frame whose origin is `center`, turned by `phi`."""
    c, s = np.cos(phi), np.sin(phi)
    p = np.asarray(position, dtype=np.float64)
    return np.asarray((p - center) @ np.array([[c, s], [-s, c]]))


def moved_pieces(center: Array, phi: float, pieces: list[Piece]) -> tuple[Piece, ...]:
    """Pieces as `moved` moves their places."""
    out = []
    for piece in pieces:
        x, y = moved(center, phi, piece.position_m[:2])
        place = (float(x), float(y), piece.position_m[2])
        out.append(dataclasses.replace(piece, position_m=place, turn_rad=piece.turn_rad + phi))
    return tuple(out)


def behind(polygon: Array, o: Opening, margin_m: float = 0.0) -> shapely.Polygon:
    """The floor of an opening within its wall, `margin_m` more to the room and to what is beyond."""
    a, u, n, _ = wall_frame(polygon, o.wall)
    center = a + u * (o.left_m + o.width_m / 2) - n * (o.recess_m / 2)
    return rectangle(center, o.width_m, o.recess_m + 2 * margin_m, float(np.arctan2(u[1], u[0])))


def leaf_ends(polygon: Array, o: Opening) -> Array:
    """(2, 2) hinge and free end of an open door's leaf, on the floor plan."""
    a, u, n, _ = wall_frame(polygon, o.wall)
    along = o.left_m + (o.width_m - 0.03 if o.hinge_right else 0.03)
    hinge = a + u * along + n * (0.03 if o.inwards else -(o.recess_m + 0.03))
    angle = np.radians(o.leaf_deg)
    shut, out = (-u if o.hinge_right else u), (n if o.inwards else -n)
    return np.array([hinge, hinge + (o.width_m - 0.06) * (shut * np.cos(angle) + out * np.sin(angle))])


def rectangle(center: npt.ArrayLike, width_m: float, depth_m: float, turn_rad: float) -> shapely.Polygon:
    """Footprint of a piece."""
    c, s = np.cos(turn_rad), np.sin(turn_rad)
    corners = np.array([[-1, -1], [1, -1], [1, 1], [-1, 1]]) * [width_m / 2, depth_m / 2]
    return shapely.Polygon(corners @ np.array([[c, s], [-s, c]]) + np.asarray(center))


def vivid(rng: np.random.Generator) -> Color:
    """Any furniture colour, linear, from dark to light."""
    r, g, b = np.clip(np.exp(rng.uniform(np.log(0.03), np.log(0.8))) * (1 + rng.uniform(-0.6, 0.6, 3)), 0.02, 0.9)
    return float(r), float(g), float(b)
