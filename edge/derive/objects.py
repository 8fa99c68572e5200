"""Objects in a room: their surface and their footprint in its axes, and which of them a room's model has."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import numpy.typing as npt

from edge.derive.surface_nets import normals_of
from edge.geometry.colour import linear
from edge.scene import FoundObject

Array = npt.NDArray[np.float64]

_UPRIGHT = np.array([[1.0, 0.0, 0.0], [0.0, 0.0, -1.0], [0.0, 1.0, 0.0]])
"""Room axes from the object's at a turn of 0: y up, its front towards who looks along room +y."""


def turned(turn_rad: float) -> Array:
    """(3, 3) room vectors from the object's own at a turn about room z, counter-clockwise from above."""
    c, s = np.cos(turn_rad), np.sin(turn_rad)
    return np.asarray(np.array([[c, -s, 0.0], [s, c, 0.0], [0.0, 0.0, 1.0]]) @ _UPRIGHT)


def yaw_of(turn_rad: float) -> float:
    """The bearing, 0 = room +y and positive to the right, that the object's front faces at a turn."""
    front = turned(turn_rad)[:, 2]
    return float(np.arctan2(front[0], front[1]))


def turn_of(yaw_rad: float) -> float:
    """The turn about room z at which the object's front faces that bearing."""
    return float((np.pi - yaw_rad + np.pi) % (2 * np.pi) - np.pi)


def standing(objects: Iterable[FoundObject]) -> tuple[FoundObject, ...]:
    """Those that have a shape and a place."""
    return tuple(o for o in objects if o.mesh is not None and o.place is not None and o.metres is not None)


def in_room(found: FoundObject) -> tuple[Array, Array, npt.NDArray[np.int64], npt.NDArray[np.uint8]]:
    """Of one that stands in the room: corners and normals (V, 3) in its frame, triangles (F, 3), sRGB (V, 3)."""
    mesh, place, metres = found.mesh, found.place, found.metres
    assert mesh is not None
    assert place is not None
    assert metres is not None
    turn = turned(turn_of(place.yaw_rad)).T
    points = mesh.vertices.astype(np.float64) * metres @ turn + place.at_m
    return points, normals_of(mesh) @ turn, mesh.faces.astype(np.int64), mesh.colours


def base_of(found: FoundObject) -> Array | None:
    """(3,) the middle of the underside of its box, room frame, m; None where it has no place."""
    if found.place is None:
        return None
    if found.mesh is None or found.metres is None:
        return np.array(found.place.at_m)
    low, high = found.mesh.vertices.min(axis=0), found.mesh.vertices.max(axis=0)
    own = np.array([(low[0] + high[0]) / 2, low[1], (low[2] + high[2]) / 2], np.float64) * found.metres
    return np.asarray(turned(turn_of(found.place.yaw_rad)) @ own + found.place.at_m)


def footprint(found: FoundObject) -> Array | None:
    """(4, 2) its box on the floor, in order, its front between first and last; None without place or size."""
    base = base_of(found)
    if base is None or found.place is None or found.size_m is None:
        return None
    across, deep = found.size_m[0] / 2, found.size_m[1] / 2
    own = np.array([[across, 0.0, deep], [across, 0.0, -deep], [-across, 0.0, -deep], [-across, 0.0, deep]])
    return np.asarray((own @ turned(turn_of(found.place.yaw_rad)).T + base)[:, :2])


def mean_colour(found: FoundObject) -> tuple[float, float, float]:
    """Linear RGB, over its vertices."""
    assert found.mesh is not None
    red, green, blue = linear(found.mesh.colours).mean(axis=0)
    return float(red), float(green), float(blue)
