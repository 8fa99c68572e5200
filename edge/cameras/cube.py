"""Cube maps as six lenses: in which order their faces come, how they are turned, and how they lie in one picture.

A face is named by where it looks: front, right, back, left, up, down. Every one is as seen from inside; the upper edge
of `up` is towards the back, that of `down` towards the front (as py360convert's, and OpenGL's read as the left-handed
pictures that they are).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Literal, NamedTuple

import numpy as np

from edge.cameras.base import CubeFaces, View
from edge.errors import GeometryError
from edge.scene import CameraModel

CubeOrder = Literal["frblud", "opengl", "matterport"]
FACES = "FRBLUD"
_LOOKS_DEG = {
    "F": (0.0, 0.0),
    "R": (90.0, 0.0),
    "B": (180.0, 0.0),
    "L": (-90.0, 0.0),
    "U": (0.0, 90.0),
    "D": (0.0, -90.0),
}
_AROUND = "FRBL"
_GRIDS = {
    (6, 1): None,
    (1, 6): None,
    (3, 2): None,
    (2, 3): None,
    (4, 3): ((1, 1), (2, 1), (3, 1), (0, 1), (1, 0), (1, 2)),
}
"""Columns and rows of pictures that hold all faces, and of the cross, where each of `FACES` is."""


class Layout(NamedTuple):
    """What the faces of a cube map are, in the order in which they come."""

    order: CubeOrder = "frblud"
    front: int = 1
    """Of a Matterport skybox: which of 1..4 looks ahead."""
    clockwise: bool = True
    """Of a Matterport skybox: whether 1..4 follow each other to the right."""

    @property
    def faces(self) -> str:
        """One letter each."""
        if self.order == "frblud":
            return FACES
        if self.order == "opengl":
            return "RLUDFB"
        step = 1 if self.clockwise else -1
        return "U" + "".join(_AROUND[(step * (n - self.front)) % 4] for n in range(1, 5)) + "D"


def face_view(face: str, rotate_deg: float = 0.0) -> View:
    """A face's lens; `rotate_deg`: by how much its picture is turned clockwise to be upright."""
    yaw_rad, pitch_rad = np.deg2rad(_LOOKS_DEG[face])
    model = CameraModel("perspective", hfov_rad=np.pi / 2, yaw_rad=yaw_rad, pitch_rad=pitch_rad)
    return View(replace(model, roll_rad=float(np.deg2rad(rotate_deg))))


def views_of(cube: CubeFaces, sizes: Sequence[tuple[int, int]]) -> list[list[View]]:
    """The lenses in each picture of a cube map, by their sizes: six faces, or one picture that holds all.

    Raises:
        GeometryError: the one picture is of no shape that holds six faces.
    """
    views = [face_view(face, turn) for face, turn in zip(cube.faces, cube.rotate_deg, strict=True)]
    if len(sizes) > 1:
        return [[view] for view in views]
    parts = cells(cube.faces, grid_of(*sizes[0]))
    return [[replace(view, crop=parts[face]) for view, face in zip(views, cube.faces, strict=True)]]


def grid_of(width_px: int, height_px: int) -> tuple[int, int]:
    """Columns and rows of faces in a picture of that shape.

    Raises:
        GeometryError: none that is known.
    """
    for columns, rows in _GRIDS:
        if width_px * rows == height_px * columns:
            return columns, rows
    raise GeometryError(
        f"a picture of {width_px}x{height_px} holds no cube; give one of six square faces in a row (6:1), a column "
        "(1:6), three by two (3:2 or 2:3) or a cross (4:3)"
    )


def cells(faces: str, grid: tuple[int, int]) -> Mapping[str, tuple[float, float, float, float]]:
    """By face, its part of the picture: left, top, right, bottom in fractions. A cross has an order itself."""
    columns, rows = grid
    cross = _GRIDS[grid]
    where = (
        dict(zip(FACES, cross, strict=True)) if cross else {f: (i % columns, i // columns) for i, f in enumerate(faces)}
    )
    return {f: (x / columns, y / rows, (x + 1) / columns, (y + 1) / rows) for f, (x, y) in where.items()}
