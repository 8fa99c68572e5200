"""What the seams of a composed panorama tell: in which order a cube's faces come, how well a rig's pictures meet.

Two faces of a cube that share an edge show the same along it. Of an order that is wrong they do not, whatever the room.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import combinations
from typing import NamedTuple

import cv2
import numpy as np
import numpy.typing as npt

from edge.cameras.base import CubeFaces
from edge.cameras.composer import Composer
from edge.cameras.cube import FACES, Layout, cells, face_view, grid_of
from edge.cameras.exposure import exposed, gains_of
from edge.errors import GeometryError
from edge.geometry.panorama import solid_angles
from edge.geometry.pinhole import intrinsics_from_fov, rays_at
from edge.geometry.view import rotation
from edge.scene import ImageArray

_QUARTERS = 4
_SAMPLES = 64
"""Colours along an edge: faces are averaged down to so many."""
_SURELY = 1.25
"""A turned face is believed only where the faces as they are differ by so many times more at their seams."""
KNOWN = (
    Layout("frblud"),
    Layout("opengl"),
    *(Layout("matterport", front, clockwise) for clockwise in (True, False) for front in range(1, 5)),
)
_Edges = npt.NDArray[np.float64]


class _Seam(NamedTuple):
    """Two faces of an upright cube, by letter, that share an edge: top, right, bottom, left (0..3) of each."""

    one: str
    edge: int
    other: str
    other_edge: int
    reversed: bool


@lru_cache(maxsize=1)
def _cube_seams() -> tuple[_Seam, ...]:
    """The twelve edges of a cube, found by which corners of faces look the same way."""
    corners = np.array([[0, 0], [2, 0], [2, 2], [0, 2]], float)  # clockwise from the top left
    rays = rays_at(corners, intrinsics_from_fov(2, 2, np.pi / 2))
    looks = {f: np.rint(rays @ rotation(face_view(f).model).T).astype(int) for f in FACES}
    ends = {f: [(tuple(at[i]), tuple(at[(i + 1) % 4])) for i in range(4)] for f, at in looks.items()}
    return tuple(
        _Seam(one, i, other, j, ends[one][i] != ends[other][j])
        for one, other in combinations(FACES, 2)
        for i in range(4)
        for j in range(4)
        if set(ends[one][i]) == set(ends[other][j])
    )


def _edges(face: ImageArray) -> _Edges:
    """(4 turns, 4 edges, samples, 3) colours along the edges of a face turned clockwise by quarters, clockwise each."""
    own = np.stack([face[0], face[:, -1], face[-1, ::-1], face[::-1, 0]]).astype(np.float32)
    means = cv2.resize(own, (min(_SAMPLES, face.shape[0]), 4), interpolation=cv2.INTER_AREA).astype(np.float64)
    return np.array([[means[(edge - turn) % 4] for edge in range(4)] for turn in range(_QUARTERS)])


@dataclass(frozen=True, slots=True)
class Order:
    """How well the faces meet if they come in an order."""

    layout: Layout
    difference: float
    """Mean difference across the seams, of 255, with no face turned."""
    turned_difference: float
    """The same with the faces turned as they fit best."""
    rotate_deg: tuple[int, ...]
    """By how much each is then turned clockwise, in the order in which they come."""

    @property
    def best(self) -> float:
        """The difference as it would be configured."""
        return self.turned_difference if any(self.rotate_deg) else self.difference


def _fits(layout: Layout, edges: Sequence[_Edges]) -> Order:
    at = {face: i for i, face in enumerate(layout.faces)}
    total = np.zeros((_QUARTERS,) * len(FACES))
    for seam in _cube_seams():
        a, b = at[seam.one], at[seam.other]
        one, other = edges[a][:, seam.edge], edges[b][:, seam.other_edge]
        other = other[:, ::-1] if seam.reversed else other
        cost = np.abs(one[:, None] - other[None]).mean(axis=(2, 3))
        shape = [1] * len(FACES)
        shape[a] = shape[b] = _QUARTERS
        total = total + (cost if a < b else cost.T).reshape(shape)
    total /= len(_cube_seams())
    best = np.unravel_index(int(np.argmin(total)), total.shape)
    straight, turned = float(total[(0,) * len(FACES)]), float(total[best])
    if turned * _SURELY > straight:
        best, turned = (np.intp(0),) * len(FACES), straight
    return Order(layout, straight, turned, tuple(int(turn) * 90 for turn in best))


def orders(faces: Sequence[ImageArray]) -> list[Order]:
    """Every known order of a cube's faces, the one that fits best first.

    Args:
        faces: six squares of one size, in the order in which they come.

    Raises:
        GeometryError: they are not.
    """
    sizes = {face.shape[:2] for face in faces}
    if len(faces) != len(FACES) or len(sizes) != 1 or len({side for size in sizes for side in size}) != 1:
        raise GeometryError("the faces of a cube are six squares of one size; export them anew")
    edges = [_edges(face) for face in faces]
    found = [_fits(layout, edges) for layout in KNOWN]
    # Which of the four around is the front, seams tell only by how those above and below are turned.
    return sorted(found, key=lambda o: (round(o.best, 2), sum(turn > 0 for turn in o.rotate_deg)))


def faces_of(picture: ImageArray) -> list[ImageArray]:
    """The faces in one picture: row by row, of a cross in the order of `FACES`.

    Raises:
        GeometryError: it holds no cube.
    """
    height, width = picture.shape[:2]
    parts = cells(FACES, grid_of(width, height))
    boxes = [np.multiply(part, (width, height, width, height)).round().astype(int) for part in parts.values()]
    return [picture[top:bottom, left:right] for left, top, right, bottom in boxes]


def inner_difference(faces: Sequence[ImageArray]) -> float:
    """Mean difference of 255 between pixels next to each other within the faces: what a seam can be at best."""
    return float(np.mean([np.abs(np.diff(face.astype(np.int16), axis=0)).mean() for face in faces]))


def difference_as(cube: CubeFaces, faces: Sequence[ImageArray]) -> float:
    """Mean difference across the seams of faces as they are configured."""
    edges = [_edges(face) for face in faces]
    turns = [round(turn / 90) % _QUARTERS for turn in cube.rotate_deg]
    at = {face: i for i, face in enumerate(cube.faces)}
    found = []
    for seam in _cube_seams():
        a, b = at[seam.one], at[seam.other]
        other = edges[b][turns[b], seam.other_edge]
        other = other[::-1] if seam.reversed else other
        found.append(np.abs(edges[a][turns[a], seam.edge] - other).mean())
    return float(np.mean(found))


class Meeting(NamedTuple):
    """How two views of a rig meet where both see."""

    one: int
    other: int
    share: float
    """Of the sphere that both see."""
    difference: float
    """Mean difference, of 255, of their pictures as they are."""
    matched: float
    """With matched exposure."""


def meetings(composer: Composer, images: Sequence[ImageArray]) -> tuple[list[Meeting], npt.NDArray[np.float64]]:
    """How the views meet, pair by pair, and (views, 3) the gains that match their exposure.

    Args:
        composer: of the rig.
        images: one picture of each member.

    Raises:
        GeometryError: a picture does not fit its lens.
    """
    overlap, pictures = composer.overlap(images)
    gains = gains_of(pictures, overlap, len(composer.views))
    colours = overlap.samples(pictures)
    matched = overlap.samples({i: exposed(picture, gains[i]) for i, picture in pictures.items()})
    found = []
    for i, j, both in overlap.pairs:
        share = float(solid_angles(both.shape[1], both.shape[0])[both].sum() / (4 * np.pi))
        before, after = (float(np.abs(c[i].astype(np.int16) - c[j])[both].mean()) for c in (colours, matched))
        found.append(Meeting(i, j, share, before, after))
    return found, gains
