"""A camera's picture in which whatever stands in the room is made unrecognisable, whoever it is, walking or sitting.

By depth: what lies nearer than floor, walls and ceiling of the room is in the room and not of it. That is furniture
too. No model of faces or people is needed, and none can miss one; but it is only as good as depth and room are, so
there is no picture where these do not agree. Who leans against a wall is of it, by this measure.
"""

from __future__ import annotations

import cv2
import numpy as np

from edge.errors import GeometryError
from edge.geometry.view import pixels_per_radian
from edge.perception.consistency import OFF_SHELL, BesideShell, Seen, beside_shell
from edge.scene import BoolArray, ImageArray

NEARER_M = 0.3
"""Than the room's shell, from which on something stands before it."""
_FACE_M = 0.15
_GROW, _SIGMA, _CELL = 0.02, 0.02, 0.02
"""Of the picture's width: how far beyond its edge a thing is blurred too, as depth's edges are not sharp; the standard
deviation of the blur; and the least side of the cells that are made one colour before."""


def blurred(seen: Seen) -> ImageArray:
    """The picture, with cells of one colour, then blurred, wherever something stands in the room or depth is unknown.

    Cells are as large as half a face at the nearest thing, so that nothing of one can be restored.

    Raises:
        GeometryError: depth or room are not known in metres, or do not agree, so that they do not say what is where.
    """
    beside = beside_shell(seen)
    if beside is None:
        raise GeometryError("depth and the room are not both known in metres, so nobody can be told from the room")
    off = beside.off_walls_and_floor
    if off is None or off > OFF_SHELL:
        raise GeometryError("depth does not lie on the room's walls and floor, so nobody can be told from them")
    image, model = seen.frame.image, seen.frame.model
    high, wide = image.shape[:2]
    things = ~(beside.known & (beside.range_m > beside.shell_m - NEARER_M))
    cell_px = max(_CELL * wide, _nearest_face_px(beside, things, pixels_per_radian(model, wide, high)) / 2)
    hidden = _grown(things, wide, high, wraps=model.projection == "equirectangular")
    return np.where(hidden[..., None], _coarse(image, cell_px), image)


def _nearest_face_px(beside: BesideShell, things: BoolArray, px_per_rad: float) -> float:
    near_m = beside.range_m[things & (beside.range_m > 0)]
    return 0.0 if not near_m.size else px_per_rad * _FACE_M / max(float(near_m.min()), _FACE_M)


def _grown(things: BoolArray, wide: int, high: int, *, wraps: bool) -> BoolArray:
    mask = cv2.resize(things.astype(np.uint8), (wide, high), interpolation=cv2.INTER_NEAREST)
    by = max(1, round(_GROW * wide))
    mask = np.pad(mask, ((by, by), (by, by)), mode="edge")
    if wraps:
        mask[:, :by], mask[:, -by:] = mask[:, -2 * by : -by], mask[:, by : 2 * by]
    grown = cv2.dilate(mask, cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * by + 1, 2 * by + 1)))
    return np.asarray(grown[by:-by, by:-by] > 0)


def _coarse(image: ImageArray, cell_px: float) -> ImageArray:
    high, wide = image.shape[:2]
    cells = (max(1, int(wide / cell_px)), max(1, int(high / cell_px)))
    mosaic = cv2.resize(
        cv2.resize(image, cells, interpolation=cv2.INTER_AREA), (wide, high), interpolation=cv2.INTER_NEAREST
    )
    return np.asarray(cv2.GaussianBlur(mosaic, (0, 0), _SIGMA * wide), np.uint8)
