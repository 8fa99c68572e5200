"""How an object stands: which way it is turned, how large it is and where, by its mask and the depth inside it.

Its shape comes in its own axes, so how it is turned is found by drawing it at every yaw and comparing with the mask.
How steeply the camera looks down on it is known, and so is the floor it is to stand on.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from edge.derive.objects import turned, yaw_of
from edge.perception.object_view import iou
from edge.scene import BoolArray, ObjectMesh, ObjectPlace

Array = npt.NDArray[np.float64]

YAWS = 24
_SIDE = 64
"""Masks are compared at this size: the mesh is no finer."""
_FILLED = 0.84
"""Share of that side which the longer side of a mask fills."""
_ALIKE = 0.02
"""Two yaws whose masks agree so nearly as well cannot be told apart."""
_STANDS_M = 0.15
_NEAREST, _FARTHEST = 1.0, 12.0
"""Distances that an object is drawn from, in sides of its cube."""


@dataclass(frozen=True, slots=True)
class Pose:
    """How the mesh agrees best with the mask."""

    turn_rad: float
    """About room z, counter-clockwise from above."""
    agreement: float
    """IoU of its mask and the one that was seen."""
    other_turn_rad: float | None
    """A quarter turn or more away, and as good."""
    distance: float
    """From the camera to the cube's centre, in lengths of the object's own axes."""
    centre: tuple[float, float]
    """Tangents, to the right and down, at which the view sees the cube's centre."""
    surface: float
    """Median distance along the view's axis of what is seen of it, in its own lengths."""
    spread: tuple[float, float, float]
    """Its extent along its own axes."""


def best_pose(mesh: ObjectMesh, mask: BoolArray, rotation: Array, half_tan: float) -> Pose:
    """The yaw, of `YAWS`, at which the mesh agrees best with the mask.

    Args:
        mesh: the shape.
        mask: (S, S) of a square view.
        rotation: (3, 3) room vectors from the view's.
        half_tan: tangent of half the view's field.
    """
    samples = _samples(mesh)
    seen = _normalised(mask)
    rows, columns = np.nonzero(mask)
    place = (np.stack([columns, rows], axis=1) + 0.5) / len(mask) * 2 - 1
    low, high = place.min(axis=0) * half_tan, place.max(axis=0) * half_tan
    wanted = float((high - low).max())
    turns = np.arange(YAWS) * (2 * np.pi / YAWS)
    corners = mesh.vertices.astype(np.float64)
    ways = [rotation.T @ turned(t) for t in turns]
    distances = [_drawn_from(corners @ way.T, wanted) for way in ways]
    drawn = [_flat(samples @ way.T, distance) for way, distance in zip(ways, distances, strict=True)]
    scores = np.array([iou(_splat(flat), seen) for flat in drawn])
    best = int(scores.argmax())
    away = np.minimum((np.arange(YAWS) - best) % YAWS, (best - np.arange(YAWS)) % YAWS) >= YAWS // 4
    second = int(np.where(away, scores, -1.0).argmax())
    distance, flat = distances[best], drawn[best]
    agreement = iou(_filled(mesh, _flat(corners @ ways[best].T, distance)), seen)
    offset = (low + high) / 2 - (flat.min(axis=0) + flat.max(axis=0)) / 2
    spread = mesh.vertices.max(axis=0).astype(np.float64) - mesh.vertices.min(axis=0)
    return Pose(
        float(turns[best]),
        agreement,
        float(turns[second]) if scores[best] - scores[second] < _ALIKE else None,
        distance,
        (float(offset[0]), float(offset[1])),
        _surface_distance(samples @ ways[best].T, distance),
        (float(spread[0]), float(spread[1]), float(spread[2])),
    )


def placed(
    pose: Pose, mesh: ObjectMesh, rotation: Array, along_m: float, camera_height_m: float | None
) -> tuple[tuple[float, float, float], ObjectPlace | None, str]:
    """Size (width, depth, height) in metres, the place on the floor if it stands there, and why not if it does not.

    Args:
        pose: see `best_pose`.
        mesh: the shape.
        rotation: (3, 3) room vectors from the view's.
        along_m: median distance along the view's axis of what is seen of it.
        camera_height_m: of the camera above the floor, if known.
    """
    metres = along_m / pose.surface
    width, height, depth = (metres * s for s in pose.spread)
    size = (width, depth, height)
    if camera_height_m is None:
        return size, None, "it has no place: the camera's height above the floor is not known; set camera_height_m"
    centre = rotation @ (np.array([*pose.centre, 1.0]) * pose.distance * metres)
    centre[2] += camera_height_m
    base = float(centre[2] + metres * mesh.vertices[:, 1].min())
    if abs(base) > _STANDS_M:
        side = "above" if base > 0 else "below"
        return size, None, f"it has no place: it would be {abs(base):.2f} m {side} the floor"
    at = (float(centre[0]), float(centre[1]), float(centre[2] - base))
    return size, ObjectPlace(at, yaw_of(pose.turn_rad)), ""


def _samples(mesh: ObjectMesh) -> Array:
    """Points all over the surface: corners, middles of sides and of faces."""
    corners = mesh.vertices[mesh.faces].astype(np.float64)
    sides = (corners + np.roll(corners, 1, axis=1)) / 2
    return np.concatenate([mesh.vertices.astype(np.float64), sides[:, 0], sides[:, 1], corners.mean(axis=1)])


def _flat(points: Array, distance: float) -> Array:
    """Tangents (N, 2) of points in the view's directions, whose origin is so far ahead."""
    return np.asarray(points[:, :2] / np.maximum(points[:, 2:] + distance, 0.1))


def _drawn_from(points: Array, wanted: float) -> float:
    """The distance from which the longer side of these points is `wanted`, a tangent."""
    distance = float(np.clip(1.0 / max(wanted, 1e-3), _NEAREST, _FARTHEST))
    for _ in range(4):
        flat = _flat(points, distance)
        size = float((flat.max(axis=0) - flat.min(axis=0)).max())
        distance = float(np.clip(distance * size / wanted, _NEAREST, _FARTHEST * 4))
    return distance


def _surface_distance(points: Array, distance: float) -> float:
    """Median distance along the view's axis of the points that are seen: the nearest of each of 48 x 48 pixels."""
    flat = _flat(points, distance)
    low, high = flat.min(axis=0), flat.max(axis=0)
    at = np.minimum((flat - low) / max(float((high - low).max()), 1e-9) * 48, 47).astype(np.intp)
    nearest = np.full((48, 48), np.inf)
    np.minimum.at(nearest, (at[:, 1], at[:, 0]), points[:, 2] + distance)
    return float(np.median(nearest[np.isfinite(nearest)]))


def _in_frame(flat: Array) -> Array:
    """Tangents as places in a square of `_SIDE`, the longer side filling it to `_FILLED`, the middle in its middle."""
    low, high = flat.min(axis=0), flat.max(axis=0)
    scale = _FILLED * _SIDE / max(float((high - low).max()), 1e-9)
    return np.asarray((flat - (low + high) / 2) * scale + _SIDE / 2)


def _splat(flat: Array) -> BoolArray:
    """The mask that points all over a closed surface cover."""
    at = np.clip(_in_frame(flat), 0, _SIDE - 1).astype(np.intp)
    mask = np.zeros((_SIDE, _SIDE), np.uint8)
    mask[at[:, 1], at[:, 0]] = 1
    return np.asarray(cv2.morphologyEx(mask, cv2.MORPH_CLOSE, np.ones((3, 3), np.uint8)), np.bool_)


def _filled(mesh: ObjectMesh, flat: Array) -> BoolArray:
    """The mask of the mesh whose vertices have these tangents, every face filled."""
    flat = _in_frame(flat)
    mask = np.zeros((_SIDE * 4, _SIDE * 4), np.uint8)
    for face in np.rint(flat[mesh.faces] * 4 - 0.5).astype(np.int32):
        cv2.fillConvexPoly(mask, face, (1,))
    return np.asarray(cv2.resize(mask * np.float32(1), (_SIDE, _SIDE), interpolation=cv2.INTER_AREA) >= 0.5)


def _normalised(mask: BoolArray) -> BoolArray:
    """A mask as `_in_frame` has it."""
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    low, high = np.array([columns[0], rows[0]]), np.array([columns[-1] + 1, rows[-1] + 1])
    scale = _FILLED * _SIDE / float((high - low).max())
    shift = _SIDE / 2 - 0.5 - scale * ((low + high) / 2 - 0.5)
    matrix = np.array([[scale, 0.0, shift[0]], [0.0, scale, shift[1]]])
    drawn = cv2.warpAffine(mask.astype(np.float32), matrix, (_SIDE, _SIDE), flags=cv2.INTER_LINEAR)
    return np.asarray(drawn >= 0.5)
