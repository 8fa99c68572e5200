"""The layout baseline: the box round the camera that fits a set of rooms best, found without looking at a picture."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import shapely

from training.arrays import Array

_STEPS = 48
_WEDGE_STEPS = 28


def box_polygon(width_m: float, depth_m: float) -> Array:
    """A rectangle round the camera, along the room frame's axes."""
    x, y = width_m / 2, depth_m / 2
    return np.array([[-x, -y], [x, -y], [x, y], [-x, y]])


@dataclass(frozen=True)
class Box:
    """A box and the overlap it reaches on average; `height_m` is nan where only the floor counts."""

    width_m: float
    depth_m: float
    height_m: float
    overlap: float

    @property
    def polygon(self) -> Array:
        """(4, 2) corners of its floor, metres, the camera in the middle."""
        return box_polygon(self.width_m, self.depth_m)

    @property
    def name(self) -> str:
        """As tables name this baseline."""
        size = f"{self.width_m:.1f} x {self.depth_m:.1f}"
        height = "" if np.isnan(self.height_m) else f" x {self.height_m:.1f}"
        return f"best box round the camera ({size}{height} m)"


def _sizes(rooms: list[Array], steps: int) -> list[tuple[float, float]]:
    """Widths and depths to try: a grid in equal ratios up to the largest room's extent."""
    extents = [np.ptp(p, axis=0) for p in rooms]
    one = np.geomspace(0.5 * float(np.min(extents)), float(np.max(extents)), steps)
    return [(float(w), float(d)) for w in one for d in one]


def _overlaps(shapes: list[Array], rooms: list[Array]) -> tuple[Array, Array, Array]:
    """Shared area of every shape and room (S, R), areas of the shapes (S, 1), areas of the rooms (1, R)."""
    a = np.array([shapely.Polygon(s) for s in shapes])[:, None]
    b = np.array([shapely.Polygon(r).buffer(0) for r in rooms])[None]
    return np.asarray(shapely.area(shapely.intersection(a, b))), shapely.area(a), shapely.area(b)


def best_floor(rooms: list[Array]) -> Box:
    """The centred rectangle with the best mean 2D IoU on these very rooms, to a grid step of a few percent."""
    sizes = _sizes(rooms, _STEPS)
    shared, mine, theirs = _overlaps([box_polygon(*s) for s in sizes], rooms)
    mean = (shared / (mine + theirs - shared)).mean(axis=1)
    best = int(mean.argmax())
    return Box(*sizes[best], float("nan"), float(mean[best]))


def best_box(rooms: list[Array], heights_m: list[float]) -> Box:
    """The centred box with the best mean 3D IoU on these very rooms, to a grid step of a few percent."""
    sizes = _sizes(rooms, _STEPS)
    shared, mine, theirs = _overlaps([box_polygon(*s) for s in sizes], rooms)
    truth = np.asarray(heights_m)
    found = Box(*sizes[0], float("nan"), -1.0)
    for height in np.geomspace(truth.min(), truth.max(), _STEPS):
        common = shared * np.minimum(height, truth)
        mean = (common / (mine * height + theirs * truth - common)).mean(axis=1)
        best = int(mean.argmax())
        if mean[best] > found.overlap:
            found = Box(*sizes[best], float(height), float(mean[best]))
    return found


def wedge(distances_m: npt.ArrayLike, longitudes_rad: npt.ArrayLike) -> Array:
    """Floor polygon between the camera and the walls at these distances, in these directions."""
    r, lon = np.asarray(distances_m, float)[:, None], np.asarray(longitudes_rad, float)
    return np.vstack([r * np.stack([np.sin(lon), np.cos(lon)], axis=-1), [[0.0, 0.0]]])


def best_wedge(seen: list[Array], longitudes_rad: Array) -> Box:
    """The centred rectangle whose part between these directions has the best mean 2D IoU with the `seen` parts."""
    sin, cos = np.abs(np.sin(longitudes_rad)), np.cos(longitudes_rad)
    reach = max(float(np.abs(p).max()) for p in seen)
    one = np.geomspace(0.1 * reach, 2 * reach, _WEDGE_STEPS)
    sizes = [(float(w), float(d)) for w in one for d in one]
    tiny = 1e-9
    parts = [
        wedge(np.minimum(w / 2 / np.maximum(sin, tiny), d / 2 / np.maximum(cos, tiny)), longitudes_rad)
        for w, d in sizes
    ]
    shared, mine, theirs = _overlaps(parts, seen)
    mean = (shared / (mine + theirs - shared)).mean(axis=1)
    best = int(mean.argmax())
    return Box(*sizes[best], float("nan"), float(mean[best]))
