"""A grid of occupancy as a closed, smooth, coloured mesh.

Surface nets (Gibson, "Constrained Elastic Surface Nets", MICCAI 1998): one vertex in every cube of eight cells that the
surface passes, at the mean of where it crosses the cube's edges; four of them around every crossed edge make a face. An
empty layer around the grid closes it. Faces of a cube that are filled at two opposite corners alone would make sheets
meet in an edge of four faces; one of their other corners is filled first, so every edge has exactly two faces.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from edge.errors import GeometryError
from edge.scene import ObjectMesh

Array = npt.NDArray[np.float64]
Grid = npt.NDArray[np.float32]

_LAMBDA, _MU = 0.5, -0.53
"""Taubin, "A Signal Processing Approach to Fair Surface Design" (1995): a step inwards, a larger one outwards."""
_MOST_CELLS = 64
_JUST_ABOVE = 1e-3
_CORNERS = np.array([[i >> 2 & 1, i >> 1 & 1, i & 1] for i in range(8)])


def mesh_of(
    occupancy: Grid, colour: Grid, *, level: float = 0.5, extent: float = 1.0, smoothing_steps: int = 5
) -> ObjectMesh:
    """The surface at which the occupancy passes the level.

    Args:
        occupancy: (N, N, N) probabilities, axes x, y, z; N at most 64.
        colour: (3, N, N, N) sRGB 0..1; what lies in empty cells does not count.
        level: a cell that is likelier filled is inside.
        extent: side of the cube, whose centre is the origin.
        smoothing_steps: of Taubin's smoothing, which keeps the volume.

    Raises:
        GeometryError: nothing is inside, or the grid is none.
    """
    n = occupancy.shape[0] if occupancy.ndim == 3 else 0
    if occupancy.shape != (n, n, n) or colour.shape != (3, n, n, n) or not 1 < n <= _MOST_CELLS:
        raise GeometryError(
            f"a grid of {occupancy.shape} with colours {colour.shape} is no object; give N x N x N cells, "
            f"N at most {_MOST_CELLS}"
        )
    values = _without_ambiguity(np.pad(np.asarray(occupancy, np.float64), 1), level)
    if not (values > level).any():
        raise GeometryError("no cell of the grid is likely enough to be filled; there is no object in it")
    vertices, faces = _surface(values, level)
    for _ in range(smoothing_steps):
        vertices = _smoothed(_smoothed(vertices, faces, _LAMBDA), faces, _MU)
    colours = _colours(vertices - 1.0, np.clip(occupancy, 0.0, 1.0), colour)  # without the empty layer
    at = ((vertices - 1.0) / n - 0.5) * extent
    return ObjectMesh(at.astype(np.float32), faces.astype(np.int32), colours)


def volume_of(mesh: ObjectMesh) -> float:
    """What it encloses: the sum of the signed tetrahedra to the origin; positive if faces look outwards."""
    a, b, c = (mesh.vertices[mesh.faces[:, i]].astype(np.float64) for i in range(3))
    return float(np.einsum("ij,ij->i", a, np.cross(b, c)).sum() / 6)


def normals_of(mesh: ObjectMesh) -> Array:
    """(V, 3) unit normals, the mean of the faces around each vertex weighted by their area."""
    corners = mesh.vertices[mesh.faces].astype(np.float64)
    of_faces = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    summed = np.zeros((len(mesh.vertices), 3))
    for i in range(3):
        np.add.at(summed, mesh.faces[:, i], of_faces)
    return np.asarray(summed / np.maximum(np.linalg.norm(summed, axis=1, keepdims=True), 1e-12))


def _without_ambiguity(values: Array, level: float) -> Array:
    """The padded grid, with the likelier corner filled where a square is filled at two opposite corners alone."""
    filled = values.copy()
    while True:
        changed = False
        for axis in range(3):
            u, v = (a for a in range(3) if a != axis)
            inside = filled > level
            a, b, c, d = (_shifted(inside, (u, i), (v, j)) for i, j in ((0, 0), (0, 1), (1, 0), (1, 1)))
            for where, (one, other) in (((a & d & ~b & ~c), ((0, 1), (1, 0))), ((b & c & ~a & ~d), ((0, 0), (1, 1)))):
                at = np.argwhere(where)
                if not len(at):
                    continue
                first, second = at.copy(), at.copy()
                first[:, [u, v]] += one
                second[:, [u, v]] += other
                take = filled[tuple(first.T)] >= filled[tuple(second.T)]
                chosen = np.where(take[:, None], first, second)
                filled[tuple(chosen.T)] = np.maximum(filled[tuple(chosen.T)], level + _JUST_ABOVE)
                changed = True
        if not changed:
            return np.asarray(filled)


def _shifted(values: npt.NDArray[np.bool_], *by: tuple[int, int]) -> npt.NDArray[np.bool_]:
    """The corner of every square that lies so far along these axes."""
    cut = [slice(None)] * 3
    for axis, step in by:
        cut[axis] = slice(step, values.shape[axis] - 1 + step)
    return np.asarray(values[tuple(cut)])


def _surface(values: Array, level: float) -> tuple[Array, npt.NDArray[np.int64]]:
    """Vertices in cells, 0 at the outer edge of the padded grid; triangles, counter-clockwise from outside."""
    inside = values > level
    size = np.array(values.shape) - 1
    summed, crossings = np.zeros((*size, 3)), np.zeros(size)
    quads = []
    for axis in range(3):
        u, v = (axis + 1) % 3, (axis + 2) % 3
        low = [slice(None)] * 3
        high = [slice(None)] * 3
        low[axis], high[axis] = slice(0, -1), slice(1, None)
        one, other = values[tuple(low)], values[tuple(high)]
        at = np.argwhere(inside[tuple(low)] != inside[tuple(high)])
        start, end = one[tuple(at.T)], other[tuple(at.T)]
        point = at.astype(np.float64)
        point[:, axis] += (level - start) / (end - start)
        around = []
        for du, dv in ((1, 1), (0, 1), (0, 0), (1, 0)):
            cube = at.copy()
            cube[:, u] -= du
            cube[:, v] -= dv
            np.add.at(summed, tuple(cube.T), point)
            np.add.at(crossings, tuple(cube.T), 1.0)
            around.append(np.ravel_multi_index(tuple(cube.T), tuple(size)))
        quad = np.stack(around, axis=1)
        outwards = start > level  # the filled end comes first: the face looks along the axis
        quads.append(np.where(outwards[:, None], quad, quad[:, ::-1]))
    active = crossings.ravel() > 0
    number = np.cumsum(active) - 1
    vertices = summed.reshape(-1, 3)[active] / crossings.ravel()[active, None]
    faces = number[np.concatenate(quads)]
    # The shorter diagonal splits each face.
    corners = vertices[faces]
    first = np.linalg.norm(corners[:, 0] - corners[:, 2], axis=1) <= np.linalg.norm(
        corners[:, 1] - corners[:, 3], axis=1
    )
    halves = np.where(first[:, None, None], faces[:, [[0, 1, 2], [0, 2, 3]]], faces[:, [[1, 2, 3], [1, 3, 0]]])
    return vertices + 0.5, halves.reshape(-1, 3)


def _smoothed(vertices: Array, faces: npt.NDArray[np.int64], factor: float) -> Array:
    """Each vertex moved so far towards the mean of its neighbours."""
    summed, count = np.zeros_like(vertices), np.zeros(len(vertices))
    for i, j in ((0, 1), (1, 2), (2, 0)):  # each edge is met once in each direction
        ends, neighbours = faces[:, i], vertices[faces[:, j]]
        for axis in range(3):
            summed[:, axis] += np.bincount(ends, neighbours[:, axis], len(vertices))
        count += np.bincount(ends, minlength=len(vertices))
    return np.asarray(vertices + factor * (summed / count[:, None] - vertices))


def _colours(at: Array, occupancy: npt.ArrayLike, colour: Grid) -> npt.NDArray[np.uint8]:
    """(V, 3) sRGB by trilinear look-up, each cell counted by how likely it is filled; `at`: in cells, 0 to N."""
    weights = np.asarray(occupancy, np.float64)
    n = weights.shape[0]
    place = np.clip(at - 0.5, 0.0, n - 1.0)
    low = np.minimum(place.astype(np.intp), n - 2)
    share = place - low
    summed, total = np.zeros((len(at), 3)), np.full(len(at), 1e-9)
    for corner in _CORNERS:
        cell = tuple((low + corner).T)
        weight = np.prod(np.where(corner, share, 1.0 - share), axis=1) * weights[cell]
        summed += weight[:, None] * np.stack([channel[cell] for channel in colour], axis=1)
        total += weight
    return np.asarray(np.clip(summed / total[:, None] * 255 + 0.5, 0, 255), dtype=np.uint8)
