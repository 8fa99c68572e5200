"""Checkerboards, the ones that `edge calibrate board` prints among them, and finding them in a picture.

How many corners a board has tells which paper it was printed on; a board is found as a whole or not at all. Plain
squares, without markers in them, are found at twice the distance: an A4 board at 3 m in a picture 1280 px wide.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from edge.derive.calibrate.views import FlatView

Array = npt.NDArray[np.float64]

_FLAGS = cv2.CALIB_CB_NORMALIZE_IMAGE | cv2.CALIB_CB_EXHAUSTIVE | cv2.CALIB_CB_ACCURACY


@dataclass(frozen=True, slots=True)
class Board:
    """A checkerboard by its inner corners, where four squares meet."""

    name: str
    columns: int
    rows: int
    square_m: float

    @property
    def points_m(self) -> Array:
        """(N, 2) of the inner corners, row by row: to the right and down, seen from its printed side."""
        rows, columns = np.mgrid[0 : self.rows, 0 : self.columns]
        return np.stack([columns.ravel(), rows.ravel()], axis=1) * self.square_m


@dataclass(frozen=True, slots=True)
class Paper:
    """A sheet, and the board that is printed in its middle."""

    width_m: float
    height_m: float
    board: Board


PAPERS = {
    "a4": Paper(0.210, 0.297, Board("A4 board", 4, 6, 0.038)),
    "a3": Paper(0.297, 0.420, Board("A3 board", 6, 9, 0.038)),
    "letter": Paper(0.2159, 0.2794, Board("letter board", 4, 5, 0.038)),
}


@dataclass(frozen=True, slots=True)
class Sighting:
    """Points of one board in one view: where they are on it, and where they are seen."""

    board: str
    points_m: Array
    """(N, 2) on the board, as `Board.points_m`."""
    pixels: Array
    """(N, 2) in the view."""
    view: FlatView

    @property
    def rays(self) -> Array:
        """(N, 3) unit rays in the camera's axes."""
        return self.view.rays(self.pixels)


def find_board(views: Sequence[FlatView], boards: Sequence[Board]) -> Sighting | None:
    """The board that is seen largest in the views, whole; None where there is none.

    Boards of more corners are looked for first: a smaller one is also seen as a part of them.
    """
    for board in sorted(boards, key=lambda b: -b.columns * b.rows):
        found = [s for view in views if (s := _in_view(view, board)) is not None]
        if found:
            return max(found, key=lambda s: float(np.ptp(s.pixels, axis=0).prod()))
    return None


def _in_view(view: FlatView, board: Board) -> Sighting | None:
    found, corners = cv2.findChessboardCornersSB(view.grey, (board.columns, board.rows), flags=_FLAGS)
    if not found:
        return None
    pixels = np.asarray(corners, np.float64).reshape(-1, 2) + 0.5
    return Sighting(board.name, _facing(board, pixels), pixels, view)


def _facing(board: Board, pixels: Array) -> Array:
    """The board's points in the order of the pixels, as seen from its printed side and not from behind."""
    points = board.points_m
    first, right, down = pixels[0], pixels[board.columns - 1], pixels[-board.columns]
    across, along = right - first, down - first
    if across[0] * along[1] - across[1] * along[0] > 0:
        return points
    return np.asarray(points * (-1, 1))
