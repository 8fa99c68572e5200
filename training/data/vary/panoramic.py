"""Geometric changes of panoramas that change a room's layout in a known way, and the targets of the layout network.

A room is a floor polygon (N, 2) in the room frame with the camera at the origin, and two heights. Stretching the room
along its walls moves pixels exactly (HorizonNet's pano stretch); so do mirroring and turning.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal, TypeVar

import cv2
import numpy as np
import numpy.typing as npt

from edge.geometry.panorama import latitudes, longitudes
from edge.geometry.polygon import boundary_latitudes, wall_distances
from edge.scene import BoolArray, ImageArray
from training.arrays import Array

Value = TypeVar("Value", np.uint8, np.float32)
EdgeName = Literal["ceiling", "floor"]
CORNER_DECAY = 0.96
"""HorizonNet's corner target falls by this per column of a panorama 1024 columns wide."""
_GUESSED = 0.3
_MIRROR = np.diag([-1.0, 1.0])
_NO_TURN = 1e-6
"""Radians; what is hidden over less is hidden all round."""
_NEAREST_WALL_M, _FARTHEST_WALL_M = 0.4, 30.0


@dataclass(frozen=True)
class Openings:
    """Doors, windows and openings of a room on its plan (x right, y forward), and what is seen through them."""

    segments_m: Array
    """(K, 2, 2) their ends, on the room's outline."""
    kinds: npt.NDArray[np.uint8]
    """(K,) 1 door, 2 window, 3 opening."""
    floor_m: Array
    """(N, 2) outline of the room's floor with all floor that open doors and openings show."""
    ceiling_m: Array
    """(M, 2) outline of its ceiling likewise, past openings that reach it."""
    slopes_m: Array
    """(S, 4, 2) floors under ceilings that slope down to a wall."""

    def moved(self, plane: npt.ArrayLike) -> Openings:
        """After a linear map (2, 2) of the floor plane."""
        m = np.asarray(plane, dtype=np.float64).T
        outlines = (moved_polygon(self.floor_m, plane), moved_polygon(self.ceiling_m, plane))
        return Openings(self.segments_m @ m, self.kinds, *outlines, self.slopes_m @ m)


def moved_openings(openings: Openings | None, plane: npt.ArrayLike) -> Openings | None:
    """After a linear map (2, 2) of the floor plane, where they are known."""
    return None if openings is None else openings.moved(plane)


@dataclass(frozen=True)
class Hidden:
    """Part of an edge that cannot be seen: from one direction clockwise to another, vectors (2,) on the floor plane."""

    edge: EdgeName
    start: Array
    end: Array


@dataclass(frozen=True)
class PanoramaRoom:
    """A level panorama and the room it shows.

    `polygon_m` (N, 2) is the floor, x right and y forward, counter-clockwise, the camera at (0, 0); both heights are
    above the floor.
    """

    image: ImageArray
    polygon_m: Array
    camera_height_m: float
    ceiling_height_m: float
    openings: Openings | None = None
    """None = not known."""
    hidden: tuple[Hidden, ...] = ()
    """What of its edges nothing is to be learnt of."""


def wall_axis_rad(polygon: npt.ArrayLike) -> float:
    """Direction of the longest wall, measured from +x."""
    p = np.asarray(polygon, dtype=np.float64)
    edges = np.roll(p, -1, axis=0) - p
    longest = edges[np.argmax((edges**2).sum(axis=1))]
    return float(np.arctan2(longest[1], longest[0]))


def stretch_matrix(along: float, across: float, axis_rad: float) -> Array:
    """(2, 2) that stretches the floor plane by `along` in the direction `axis_rad` and by `across` at right angles."""
    c, s = np.cos(axis_rad), np.sin(axis_rad)
    turn = np.array([[c, -s], [s, c]])
    return np.asarray(turn @ np.diag([along, across]) @ turn.T)


def moved_picture(picture: npt.NDArray[Value], plane: npt.ArrayLike, *, blend: bool = True) -> npt.NDArray[Value]:
    """What the same camera sees of a panorama (H, 2H, ...) after a linear map (2, 2) of the floor plane.

    A point p goes to `plane` p and keeps its height: a direction d of the new picture was seen along inverse(plane) d.
    `blend`: bilinear, else the nearest pixel.
    """
    m = np.asarray(plane, dtype=np.float64)
    h, w = picture.shape[:2]
    lon = longitudes(w)
    back = np.stack([np.sin(lon), np.cos(lon)], axis=-1) @ np.linalg.inv(m).T
    x = (np.arctan2(back[:, 0], back[:, 1]) / (2 * np.pi) + 0.5) * w - 0.5
    slope = np.tan(latitudes(h)).astype(np.float32)[:, None] / np.hypot(back[:, 0], back[:, 1]).astype(np.float32)
    y = (0.5 - np.arctan(slope) / np.float32(np.pi)) * np.float32(h) - np.float32(0.5)
    xs = np.broadcast_to((x + 1).astype(np.float32), (h, w))
    wrapped = np.concatenate([picture[:, -1:], picture, picture[:, :1]], axis=1)
    how = cv2.INTER_LINEAR if blend else cv2.INTER_NEAREST
    image = cv2.remap(wrapped, np.ascontiguousarray(xs), y, how, borderMode=cv2.BORDER_REPLICATE)
    return np.asarray(image, dtype=picture.dtype)


def moved_polygon(polygon: Array, plane: npt.ArrayLike) -> Array:
    """A counter-clockwise polygon (N, 2) after a linear map (2, 2) of the floor plane, still counter-clockwise."""
    m = np.asarray(plane, dtype=np.float64)
    moved = polygon @ m.T
    return np.asarray(moved[::-1] if np.linalg.det(m) < 0 else moved)


def moved_hidden(hidden: tuple[Hidden, ...], plane: npt.ArrayLike) -> tuple[Hidden, ...]:
    """Hidden edges after a linear map (2, 2) of the floor plane."""
    m = np.asarray(plane, dtype=np.float64)
    ends = ((h, (m @ h.start, m @ h.end)) for h in hidden)
    return tuple(Hidden(h.edge, *(e[::-1] if np.linalg.det(m) < 0 else e)) for h, e in ends)


def _moved(room: PanoramaRoom, plane: npt.ArrayLike, image: ImageArray) -> PanoramaRoom:
    return replace(
        room,
        image=image,
        polygon_m=moved_polygon(room.polygon_m, plane),
        openings=moved_openings(room.openings, plane),
        hidden=moved_hidden(room.hidden, plane),
    )


def transformed(room: PanoramaRoom, plane: npt.ArrayLike) -> PanoramaRoom:
    """The room after a linear map (2, 2) of the floor plane, and the picture that the same camera takes of it."""
    return _moved(room, plane, moved_picture(room.image, plane))


def mirrored(room: PanoramaRoom) -> PanoramaRoom:
    """Left and right exchanged."""
    return _moved(room, _MIRROR, np.ascontiguousarray(room.image[:, ::-1]))


def turned(room: PanoramaRoom, columns: int) -> PanoramaRoom:
    """The picture moved to the right by whole columns: the room turned by as much about the camera."""
    angle = 2 * np.pi * columns / room.image.shape[1]
    c, s = np.cos(angle), np.sin(angle)
    return _moved(room, np.array([[c, s], [-s, c]]), np.roll(room.image, columns, axis=1))


def random_stretch_matrix(polygon: Array, rng: np.random.Generator, largest: float) -> Array | None:
    """(2, 2) along a room's walls by up to `largest` or its inverse each way; None if a wall came too near or far."""
    factors = np.exp(rng.uniform(-np.log(largest), np.log(largest), 2))
    m = stretch_matrix(factors[0], factors[1], wall_axis_rad(polygon))
    radius = np.linalg.norm(polygon @ m.T, axis=1)
    nearest = float(wall_distances(polygon @ m.T, np.linspace(-np.pi, np.pi, 64, endpoint=False)).min())
    return None if radius.max() > _FARTHEST_WALL_M or nearest < _NEAREST_WALL_M else m


def random_stretch(room: PanoramaRoom, rng: np.random.Generator, largest: float) -> PanoramaRoom:
    """The room after `random_stretch_matrix`; the same one if there is none."""
    m = random_stretch_matrix(room.polygon_m, rng, largest)
    return room if m is None else transformed(room, m)


def boundary_target(room: PanoramaRoom, columns: int) -> npt.NDArray[np.float32]:
    """(2, columns) latitudes, positive DOWN: ceiling edge, floor edge."""
    ceiling, floor = boundary_latitudes(
        room.polygon_m, longitudes(columns), room.camera_height_m, room.ceiling_height_m
    )
    return -np.stack([ceiling, floor]).astype(np.float32)


def shown_edges(room: PanoramaRoom, columns: int) -> npt.NDArray[np.float32]:
    """(2, columns) of ceiling and floor edge: 1, and 0 where the room's is hidden."""
    shown, at = np.ones((2, columns), np.float32), longitudes(columns)
    for hidden in room.hidden:
        first, last = (float(np.arctan2(*v)) for v in (hidden.start, hidden.end))
        width = (last - first) % (2 * np.pi)
        inside = (at - first) % (2 * np.pi) <= (width if width > _NO_TURN else 2 * np.pi)
        shown[0 if hidden.edge == "ceiling" else 1, inside] = 0.0
    return shown


def edge_weights(boundary: npt.NDArray[np.float32], mask: BoolArray | None) -> npt.NDArray[np.float32]:
    """How much each edge (2, columns; latitudes, positive down) counts where only `mask` (H, W) is seen.

    1 in view; `_GUESSED` above or below a view that shows the column; 0 in columns out of view.
    """
    if mask is None:
        return np.ones_like(boundary)
    height_px, width_px = mask.shape
    x = np.arange(boundary.shape[1]) * width_px // boundary.shape[1]
    y = ((boundary / np.pi + 0.5) * height_px).astype(int).clip(0, height_px - 1)
    return np.where(mask[y, x], 1.0, np.where(np.asarray(mask.any(axis=0))[x], _GUESSED, 0.0)).astype(np.float32)


def corner_columns(polygon: npt.ArrayLike, columns: int) -> Array:
    """Continuous column of each corner that the camera sees (column i's centre is i + 0.5)."""
    p = np.asarray(polygon, dtype=np.float64)
    lon = np.arctan2(p[:, 0], p[:, 1])
    own = np.hypot(p[:, 0], p[:, 1])
    # A corner on an occlusion edge is seen from one side of its own direction only.
    nearest = np.maximum(wall_distances(p, lon - 1e-5), wall_distances(p, lon + 1e-5))
    return np.asarray((lon[own <= nearest * 1.005] / (2 * np.pi) + 0.5) * columns)


def corner_target(polygon: npt.ArrayLike, columns: int) -> npt.NDArray[np.float32]:
    """(1, columns) HorizonNet's corner target of the corners that the camera sees."""
    return corner_peaks(corner_columns(polygon, columns), columns)


def corner_peaks(at: Array, columns: int) -> npt.NDArray[np.float32]:
    """(1, columns) HorizonNet's corner target: 0.96 to the power of the distance to the nearest of the columns `at`."""
    offset = np.arange(columns)[:, None] + 0.5 - at
    distance = np.abs((offset + columns / 2) % columns - columns / 2).min(axis=1)
    return np.asarray(CORNER_DECAY ** (distance * 1024 / columns), dtype=np.float32)[None]
