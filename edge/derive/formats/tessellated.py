"""A room's surfaces as many small triangles with a colour at every corner, for formats that have no textures."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from edge.derive.mesh import Array, Faces, Surface
from edge.derive.model import RoomModel

_FINEST = 0.06
_MOST_HALVINGS = 6
PLAIN = {"floor": (166, 124, 82), "ceiling": (240, 240, 235), "wall": (214, 208, 196), "cut": (180, 190, 200)}
"""RGB where no picture is known."""

Colours = npt.NDArray[np.uint8]


def _halved(corners: Array) -> Array:
    """(T, 3, D) triangles as (4 T, 3, D), cut at the middles of their sides; so neighbours still meet."""
    a, b, c = (corners[:, i] for i in range(3))
    ab, bc, ca = (a + b) / 2, (b + c) / 2, (c + a) / 2
    parts = [(a, ab, ca), (ab, b, bc), (ca, bc, c), (ab, bc, ca)]
    return np.concatenate([np.stack(p, axis=1) for p in parts])


def _merged(corners: Array) -> tuple[Array, Faces]:
    """Each corner once, and the triangles as numbers of corners."""
    flat = corners.reshape(-1, corners.shape[-1])
    _, first, inverse = np.unique(flat[:, :3].round(6), axis=0, return_index=True, return_inverse=True)
    return flat[first], np.asarray(inverse, dtype=np.int64).reshape(-1, 3)


def coloured(model: RoomModel) -> list[tuple[Surface, Array, Faces, Colours]]:
    """Of each surface: corners (V, 3), triangles (F, 3) and colours (V, 3), RGB.

    With a picture, no side of a triangle is longer than 6 cm, or the longest side of the room over 64.
    """
    atlas = None if model.texture is None else model.texture.picture()
    longest = max(float(np.hypot(*s.size)) for s in model.surfaces)
    halvings = 0 if atlas is None else min(_MOST_HALVINGS, int(np.ceil(np.log2(longest / _FINEST))))
    found = []
    for surface in model.surfaces:
        uv = None if model.texture is None else model.texture.uv.get(surface.name)
        known = surface.vertices if uv is None else np.hstack([surface.vertices, uv])
        corners = known[surface.faces]
        for _ in range(halvings):
            corners = _halved(corners)
        points, faces = _merged(corners)
        colours = np.repeat(np.array([PLAIN[surface.kind]], np.uint8), len(points), axis=0)
        if uv is not None and atlas is not None:
            height, width = atlas.shape[:2]
            at = points[:, 3:] * (width, height) - 0.5
            x, y = (np.clip(np.rint(at[:, i]).astype(int), 0, n - 1) for i, n in ((0, width), (1, height)))
            colours = atlas[y, x]
        found.append((surface, points[:, :3], faces, colours))
    return found
