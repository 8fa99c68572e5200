"""Triangles to grids: soft occupancy by flood fill, colours of the surface, points on it.

Flood filling needs no closed or well oriented mesh, unlike a test of what is inside.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from edge.geometry.colour import encode_srgb
from training.data.synthetic.objects import EXTENT, GRID, LONGEST
from training.data.synthetic.objects.models import Body

Floats = npt.NDArray[np.float64]
_FINE = 2
"""Finer cells to a cell, along each axis."""
_POINTS_A_CELL = 16.0
_FEWEST, _MOST = 60_000, 1_500_000
POINTS = 2048
"""Points on the surface that are kept, for distances between shapes."""


class Grids(NamedTuple):
    """What a thing fills of its cube; axes x, y, z."""

    occupancy: npt.NDArray[np.uint8]
    """(G, G, G), 255 = all of the cell."""
    colour: npt.NDArray[np.uint8]
    """(G, G, G, 3) sRGB, of the nearest surface."""
    surface: npt.NDArray[np.float32]
    """(`POINTS`, 3)."""


def fitted(vertices: Floats, longest: float = LONGEST) -> Floats:
    """The vertices with their box's middle at the origin and its longest side of that length."""
    low, high = vertices.min(0), vertices.max(0)
    size = float((high - low).max())
    return np.asarray((vertices - (low + high) / 2) * (longest / max(size, 1e-12)))


def surface_points(corners: Floats, count: int, rng: np.random.Generator) -> tuple[Floats, npt.NDArray[np.int64]]:
    """Random points, evenly over triangles (F, 3, 3), and which triangle each is on."""
    a, b, c = corners[:, 0], corners[:, 1], corners[:, 2]
    area = np.linalg.norm(np.cross(b - a, c - a), axis=1)
    face = np.sort(rng.choice(len(area), count, p=area / area.sum()))
    u, v = rng.random((2, count))
    folded = u + v > 1
    u, v = np.where(folded, 1 - u, u)[:, None], np.where(folded, 1 - v, v)[:, None]
    return a[face] + u * (b - a)[face] + v * (c - a)[face], face


def _cells(points: Floats, side: int) -> npt.NDArray[np.int64]:
    return np.clip(((points / EXTENT + 0.5) * side).astype(np.int64), 0, side - 1)


def solid(shell: npt.NDArray[np.bool_]) -> npt.NDArray[np.bool_]:
    """The shell and all that cannot be reached from outside it."""
    return np.asarray(ndimage.binary_fill_holes(shell))


def soft_occupancy(shell: npt.NDArray[np.bool_]) -> npt.NDArray[np.float32]:
    """Shares of cells filled, from the finer cells that the surface passes: half of each of those counts.

    Counting them whole would make every thing half a fine cell too fat all round.
    """
    fine = solid(shell).astype(np.float32) - 0.5 * shell
    side = fine.shape[0] // _FINE
    return np.asarray(fine.reshape(side, _FINE, side, _FINE, side, _FINE).mean(axis=(1, 3, 5)), dtype=np.float32)


def _nearest_colours(points: Floats, srgb: npt.NDArray[np.float32], side: int) -> npt.NDArray[np.uint8]:
    """Mean colour of the points in each cell; cells without any have the nearest such cell's."""
    where = np.ravel_multi_index(tuple(_cells(points, side).T), (side,) * 3)
    count = np.bincount(where, minlength=side**3)
    mean = np.stack([np.bincount(where, srgb[:, k], side**3) for k in range(3)], -1) / np.maximum(count, 1)[:, None]
    grid, empty = mean.reshape(side, side, side, 3), (count == 0).reshape(side, side, side)
    nearest = ndimage.distance_transform_edt(empty, return_distances=False, return_indices=True)
    return np.asarray(np.rint(255 * grid[tuple(nearest)]), dtype=np.uint8)


def grids_of(body: Body, seed: int, side: int = GRID) -> Grids:
    """The grids of a body that is fitted into its cube."""
    rng = np.random.default_rng(seed)
    corners, fine = body.corners, _FINE * side
    area = 0.5 * float(
        np.linalg.norm(np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]), axis=1).sum()
    )
    count = int(np.clip(_POINTS_A_CELL * area * (fine / EXTENT) ** 2, _FEWEST, _MOST))
    points, face = surface_points(corners, count, rng)
    shell = np.zeros((fine,) * 3, bool)
    shell[tuple(_cells(points, fine).T)] = True
    srgb = encode_srgb(body.colours).astype(np.float32)[body.part[face]]
    kept = rng.choice(count, POINTS, replace=False)
    return Grids(
        np.rint(255 * soft_occupancy(shell)).astype(np.uint8),
        _nearest_colours(points, srgb, side),
        points[kept].astype(np.float32),
    )
