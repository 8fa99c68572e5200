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
    """A hole in a wall: a door, a window, or a passage into a dead-end corridor. `left_m` runs along the wall."""

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


def rectangle(center: npt.ArrayLike, width_m: float, depth_m: float, turn_rad: float) -> shapely.Polygon:
    """Footprint of a piece."""
    c, s = np.cos(turn_rad), np.sin(turn_rad)
    corners = np.array([[-1, -1], [1, -1], [1, 1], [-1, 1]]) * [width_m / 2, depth_m / 2]
    return shapely.Polygon(corners @ np.array([[c, s], [-s, c]]) + np.asarray(center))


def vivid(rng: np.random.Generator) -> Color:
    """Any furniture colour, linear, from dark to light."""
    r, g, b = np.clip(np.exp(rng.uniform(np.log(0.03), np.log(0.8))) * (1 + rng.uniform(-0.6, 0.6, 3)), 0.02, 0.9)
    return float(r), float(g), float(b)
