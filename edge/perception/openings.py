"""Doors, windows and openings of a room, by the panorama columns that show them.

A network's boundary may run through a door or an opening into the next room. Where it says that it looks through one,
the wall is taken to go straight from one side of it to the other.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from edge.geometry.panorama import direction_from_angles, longitudes
from edge.geometry.polygon import wall_distances
from edge.scene import BoolArray, OpeningKind, WallOpening

Array = npt.NDArray[np.float64]
KINDS: tuple[OpeningKind, ...] = ("door", "window", "opening")
"""In the order of the network's rows."""
_SURE = 0.5
_NARROWEST_RAD = np.radians(2.0)
_WIDEST_RAD = np.radians(150.0)
"""What is wider is not closed: its sides say little of where the wall is."""
_JAMB_COLUMNS = 5
_BEYOND = 1.03
"""A wall this much farther than the line between an opening's sides is one of the next room's."""


def _rings(mask: BoolArray) -> list[npt.NDArray[np.intp]]:
    """Indices of each run of True, walking right across the wrap; none where all or nothing is True."""
    n, turned = len(mask), int(np.argmin(mask))
    steps = np.diff(np.concatenate([[0], np.roll(mask, -turned).astype(np.int8), [0]]))
    if mask.all():
        return []
    ends = zip(np.flatnonzero(steps > 0), np.flatnonzero(steps < 0), strict=True)
    return [(np.arange(a, b) + turned) % n for a, b in ends]


def _points(distance: Array, at: npt.NDArray[np.intp], columns: int) -> Array:
    return distance[at, None] * direction_from_angles(longitudes(columns)[at], 0.0)[:, :2]


def closed_distances(distance: Array, probability: Array, visible: BoolArray) -> tuple[Array, BoolArray]:
    """Distances of walls (W,) that go straight across doors and openings, and where that changed them.

    Args:
        distance: of each column's wall.
        probability: (3, W) of door, window, opening.
        visible: (W,) columns that the camera sees; an opening at the edge of the view has no far side, and stays.
    """
    out, n = distance.copy(), len(distance)
    lon = longitudes(n)
    through = (probability[0] + probability[2] > _SURE) & visible
    for run in _rings(through):
        sides = [(run[0] - 1 - np.arange(_JAMB_COLUMNS)) % n, (run[-1] + 1 + np.arange(_JAMB_COLUMNS)) % n]
        if len(run) * 2 * np.pi / n > _WIDEST_RAD or not all((visible & ~through)[side].all() for side in sides):
            continue
        # A side's own columns are blurred, and its own wall may run away from the camera: the nearest of a few.
        left, right = (_points(distance, side[[np.argmin(distance[side])]], n)[0] for side in sides)
        along = right - left
        ray = direction_from_angles(lon[run], 0.0)[:, :2]
        with np.errstate(divide="ignore", invalid="ignore"):
            chord = (left[0] * along[1] - left[1] * along[0]) / (ray[:, 0] * along[1] - ray[:, 1] * along[0])
        behind = np.isfinite(chord) & (chord > 0) & (distance[run] > _BEYOND * chord)
        out[run[behind]] = chord[behind]
    return out, np.asarray(out != distance)


def wall_openings(probability: Array, visible: BoolArray, polygon: Array) -> tuple[WallOpening, ...]:
    """Doors, windows and openings of a room, from left to right.

    Args:
        probability: (3, W) of `KINDS`.
        visible: (W,) columns that the camera sees.
        polygon: (N, 2) the floor, counter-clockwise.
    """
    n = probability.shape[1]
    kind, there = probability.argmax(axis=0), (probability.max(axis=0) > _SURE) & visible
    found = []
    for number, name in enumerate(KINDS):
        for run in _rings(there & (kind == number)):
            width_rad = len(run) * 2 * np.pi / n
            if width_rad < _NARROWEST_RAD:
                continue
            start = float(longitudes(n)[run[0]] - np.pi / n)
            ends = start + np.array([0.0, width_rad / 2, width_rad])
            left, middle, right = wall_distances(polygon, ends)[:, None] * direction_from_angles(ends, 0.0)[:, :2]
            end = float((ends[2] + np.pi) % (2 * np.pi) - np.pi)
            sure = float(probability[number, run].mean())
            found.append(WallOpening(name, start, end, _pair(left), _pair(right), _wall_at(polygon, middle), sure))
    return tuple(sorted(found, key=lambda o: o.start_rad))


def _pair(point: Array) -> tuple[float, float]:
    return float(point[0]), float(point[1])


def _wall_at(polygon: Array, point: Array) -> int:
    """Which wall (from corner i to i + 1) a point of the outline lies on."""
    along = np.roll(polygon, -1, axis=0) - polygon
    share = ((point - polygon) * along).sum(axis=1) / np.maximum((along**2).sum(axis=1), 1e-12)
    nearest = polygon + np.clip(share, 0, 1)[:, None] * along
    return int(np.argmin(np.linalg.norm(nearest - point, axis=1)))
