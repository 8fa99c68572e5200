"""Boards of squares, the ones that `edge calibrate board` prints among them, and finding them in a picture.

A plain checkerboard is found at the greatest distance, but as a whole or not at all. A ChArUco board (Garrido-Jurado et
al., "Automatic generation and detection of highly reliable fiducial markers under occlusion", 2014, by OpenCV) has
markers in its white squares, which number the corners: it is found where a part is covered or beyond the picture's
border too. Which paper it was printed on is told by the number of corners, or by the markers' numbers.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import cv2
import numpy as np
import numpy.typing as npt

from edge.derive.calibrate.views import FlatView, Grey
from edge.geometry.view import camera_pixels
from edge.scene import CameraModel, ImageArray

Array = npt.NDArray[np.float64]

DICTIONARIES = tuple(f"{bits}x{bits}_{count}" for bits in (4, 5, 6, 7) for count in (50, 100, 250, 1000))
"""Of markers: bits across, and how many there are."""
_FLAGS = cv2.CALIB_CB_NORMALIZE_IMAGE | cv2.CALIB_CB_ACCURACY
_FEWEST_CORNERS = 6
_SMALLEST_MARKER = 0.01
"""Its outline, as a share of the picture's longer side."""
_BIT = 8, 0.3
"""A marker's bit as it is read: px across, and the share at its rim that is blurred by its neighbours."""
_LEAST_OFF_PX, _OFF_SQUARES = 0.6, 0.04
_LEAST_REACH_PX, _REACH_SQUARES, _PLAIN_REACH_SQUARES, _SADDLE_STEPS = 2, 0.08, 0.15, 6
_LARGEST_PX = 4096
_LEAST_BEND = 4.0
"""Of a corner between squares that differ by 20 of 255, out of focus by a pixel and a half."""


class _Effort(NamedTuple):
    """How a board is looked for: in a picture drawn so many times larger, as small squares are not seen otherwise."""

    times: int
    exhaustive: bool


_EFFORTS = (_Effort(1, False), _Effort(2, False), _Effort(3, False), _Effort(2, True))


@dataclass(frozen=True, slots=True)
class Markers:
    """What stands in the white squares of a ChArUco board."""

    dictionary: str
    """One of `DICTIONARIES`."""
    side_m: float
    first: int = 0
    """The number of the board's first marker; the others follow row by row."""

    @property
    def vendor(self) -> Any:
        """OpenCV's dictionary."""
        return cv2.aruco.getPredefinedDictionary(getattr(cv2.aruco, f"DICT_{self.dictionary.upper()}"))


@dataclass(frozen=True, slots=True)
class Board:
    """A board by its inner corners, where four squares meet; its first square is black."""

    name: str
    columns: int
    rows: int
    square_m: float
    markers: Markers | None = None
    """Of a ChArUco board."""

    @property
    def points_m(self) -> Array:
        """(N, 2) of the inner corners, row by row: to the right and down, seen from its printed side."""
        rows, columns = np.mgrid[0 : self.rows, 0 : self.columns]
        return np.stack([columns.ravel(), rows.ravel()], axis=1) * self.square_m

    def with_squares(self, square_m: float) -> Board:
        """The same, printed at another scale."""
        scale = square_m / self.square_m
        markers = self.markers and replace(self.markers, side_m=self.markers.side_m * scale)
        return replace(self, square_m=square_m, markers=markers)

    @property
    def white_squares(self) -> list[tuple[int, int]]:
        """(column, row) of each, in the order of the markers."""
        return [(c, r) for r in range(self.rows + 1) for c in range(self.columns + 1) if (r + c) % 2]


@dataclass(frozen=True, slots=True)
class Paper:
    """A sheet, and what is printed in its middle: a checkerboard, or the same with markers."""

    width_m: float
    height_m: float
    plain: Board
    charuco: Board


def _paper(
    name: str, size_m: tuple[float, float], plain: tuple[int, int], marked: tuple[int, int], first: int
) -> Paper:
    """Larger squares with markers: those must be read, plain ones only be seen."""
    charuco = Board(f"{name} ChArUco board", *marked, 0.046, Markers("4x4_50", 0.036, first))
    return Paper(*size_m, Board(f"{name} board", *plain, 0.038), charuco)


PAPERS = {
    "a4": _paper("A4", (0.210, 0.297), (4, 6), (3, 5), 0),
    "a3": _paper("A3", (0.297, 0.420), (6, 9), (5, 7), 12),
    "letter": _paper("letter", (0.2159, 0.2794), (4, 5), (3, 4), 36),
}
"""Each with markers of its own numbers, so that a part of a board tells its paper."""


@dataclass(frozen=True, slots=True)
class Sighting:
    """Points of one board in one view: where they are on it, and where they are seen."""

    board: str
    points_m: Array
    """(N, 2) on the board, as `Board.points_m`; of a ChArUco board those that are seen."""
    pixels: Array
    """(N, 2) in the view."""
    view: FlatView
    noise_px: float = 0.15
    """How well they are seen, at best: one standard deviation."""

    @property
    def rays(self) -> Array:
        """(N, 3) unit rays in the camera's axes."""
        return self.view.rays(self.pixels)

    def corners(self, image: ImageArray, model: CameraModel) -> Corners:
        """The same in the camera's picture that the view was cut from: found again in it, as views are resampled."""
        height, width = image.shape[:2]
        pixels = camera_pixels(model, self.rays, (width, height))[0]
        if model.projection != "perspective":
            grey = np.asarray(cv2.cvtColor(image, cv2.COLOR_RGB2GRAY), np.uint8)
            again = _saddles(grey, pixels, _LEAST_REACH_PX)
            pixels = np.where(np.linalg.norm(again - pixels, axis=1, keepdims=True) < _LEAST_OFF_PX, again, pixels)
        return Corners(self.points_m, pixels)


@dataclass(frozen=True, slots=True)
class Corners:
    """A board in one picture of a camera."""

    points_m: Array
    """(N, 2) on the board."""
    pixels: Array
    """(N, 2) where they are seen."""


def find_board(views: Sequence[FlatView], boards: Sequence[Board]) -> Sighting | None:
    """The board that is seen largest in the views; None where there is none.

    Boards with markers are looked for first, as their squares are a checkerboard's too; then those of more corners: a
    smaller one is also seen as a part of them. What is slow is done only if nothing is found otherwise.
    """
    ordered = sorted(boards, key=lambda b: (b.markers is None, -b.columns * b.rows))
    for effort in _EFFORTS:
        for board in ordered:
            found = [s for view in views if (s := _in_view(view, board, effort)) is not None]
            if found:
                return max(found, key=lambda s: float(np.ptp(s.pixels, axis=0).prod()))
    return None


def _in_view(view: FlatView, board: Board, effort: _Effort) -> Sighting | None:
    if max(view.grey.shape) * effort.times > _LARGEST_PX and effort.times > 1:
        return None
    grey = view.grey
    if effort.times > 1:
        grey = np.asarray(
            cv2.resize(grey, None, fx=effort.times, fy=effort.times, interpolation=cv2.INTER_CUBIC), np.uint8
        )
    if board.markers is not None:
        return _numbered(view, board, board.markers, grey, effort.times)
    if _crossings(view.grey) < board.columns * board.rows:
        return None  # which OpenCV takes seconds to see
    flags = _FLAGS | (cv2.CALIB_CB_EXHAUSTIVE if effort.exhaustive else 0)
    found, corners = cv2.findChessboardCornersSB(grey, (board.columns, board.rows), flags=flags)
    if not found:
        return None
    pixels = (np.asarray(corners, np.float64).reshape(-1, 2) + 0.5) / effort.times
    if not _chequered(view.grey, pixels, board):
        return None
    pixels = _saddles(view.grey, pixels, max(_LEAST_REACH_PX, int(_PLAIN_REACH_SQUARES * np.min(_spacing(pixels)))))
    return Sighting(board.name, _facing(board, pixels), pixels, view)


def _crossings(grey: Grey) -> int:
    """How many places could be corners of a checkerboard: bent upwards one way and downwards the other."""
    soft = cv2.GaussianBlur(grey.astype(np.float32), (0, 0), 1.0)
    xx, yy, xy = (cv2.Sobel(soft, cv2.CV_32F, *order, scale=0.25) for order in ((2, 0), (0, 2), (1, 1)))
    bend = np.asarray(xy * xy - xx * yy)
    peaks = (bend == cv2.dilate(bend, np.ones((3, 3), np.uint8))) & (bend > _LEAST_BEND)
    return int(np.count_nonzero(peaks))


def _chequered(grey: Grey, pixels: Array, board: Board) -> bool:
    """Whether squares between the corners are dark and bright by turns: OpenCV also finds grids of other corners."""
    grid = pixels.reshape(board.rows, board.columns, 2)
    middles = (grid[:-1, :-1] + grid[1:, :-1] + grid[:-1, 1:] + grid[1:, 1:]) / 4
    at = (middles - 0.5).astype(np.float32)
    shade = cv2.remap(grey, at[..., 0], at[..., 1], cv2.INTER_LINEAR).astype(np.float64)
    turns = np.indices(shade.shape).sum(axis=0) % 2
    across, along = np.diff(shade, axis=1), np.diff(shade, axis=0)
    rising = np.concatenate([(across * (1 - 2 * turns[:, :-1])).ravel(), (along * (1 - 2 * turns[:-1])).ravel()])
    return bool((rising > 0).all() or (rising < 0).all())


def _numbered(view: FlatView, board: Board, markers: Markers, grey: Grey, times: int) -> Sighting | None:
    """The corners of a ChArUco board that lie between markers that are seen in the view's picture, drawn larger."""
    squares = (board.columns + 1, board.rows + 1)
    numbers = np.arange(markers.first, markers.first + len(board.white_squares))
    there = cv2.aruco.CharucoBoard(squares, board.square_m, markers.side_m, markers.vendor, numbers)
    detector = cv2.aruco.CharucoDetector(there)
    parameters, how = detector.getDetectorParameters(), detector.getCharucoParameters()
    parameters.minMarkerPerimeterRate = _SMALLEST_MARKER
    parameters.perspectiveRemovePixelPerCell, parameters.perspectiveRemoveIgnoredMarginPerCell = _BIT
    how.minMarkers = 1  # beside a corner: it is sharpened below
    detector.setDetectorParameters(parameters)
    detector.setCharucoParameters(how)
    corners, which, _, _ = detector.detectBoard(grey)
    if which is None or len(which) < _FEWEST_CORNERS:
        return None
    points = board.points_m[np.ravel(which)]
    if np.linalg.matrix_rank(points - points[0]) < 2:
        return None  # all in one row
    rough = (np.asarray(corners, np.float64).reshape(-1, 2) + 0.5) / times
    pixels, fits = _sharpened(view.grey, rough, points, board)
    if fits.sum() < _FEWEST_CORNERS or np.linalg.matrix_rank(points[fits] - points[fits][0]) < 2:
        return None
    return Sighting(board.name, points[fits], pixels[fits], view)


def _sharpened(grey: Grey, pixels: Array, points: Array, board: Board) -> tuple[Array, npt.NDArray[np.bool_]]:
    """Corners to a fraction of a pixel, from so little around each that no marker is near; and which lie in a plane."""
    square_px = float(board.square_m * np.median(_spacing(pixels) / _spacing(points)))
    near = max(_LEAST_OFF_PX, _OFF_SQUARES * square_px)
    reach = max(_LEAST_REACH_PX, int(_REACH_SQUARES * square_px))
    found = _saddles(grey, _flattened(points, pixels, near), reach)
    return found, np.linalg.norm(found - _flattened(points, found, near), axis=1) < near


def _saddles(grey: Grey, pixels: Array, reach: int) -> Array:
    """Where, near each place (N, 2), a parabola through what is around it is a saddle's (Lucchese and Mitra, 2002)."""
    y, x = (a.ravel().astype(np.float64) for a in np.mgrid[-reach : reach + 1, -reach : reach + 1])
    terms = np.stack([x * x, x * y, y * y, x, y, np.ones_like(x)], axis=1)
    weights = np.exp(-(x * x + y * y) / (2 * (reach / 1.5) ** 2))[:, None]
    fit = np.linalg.solve(terms.T @ (weights * terms), (weights * terms).T)
    around, shades = np.stack([x, y], axis=1), grey.astype(np.float32)
    for _ in range(_SADDLE_STEPS):
        at = (pixels[:, None] + around - 0.5).astype(np.float32)
        a, b, c, d, e, _ = fit @ cv2.remap(shades, at[..., 0], at[..., 1], cv2.INTER_CUBIC).T.astype(np.float64)
        bend = np.minimum(4 * a * c - b * b, -1e-9)
        step = np.stack([b * e - 2 * c * d, b * d - 2 * a * e], axis=1) / bend[:, None]
        pixels = pixels + np.clip(step, -1, 1)
    return pixels


def _flattened(points: Array, pixels: Array, near: float) -> Array:
    """Where the board's points are seen if they lie in a plane, as most of them do."""
    plane: Any = cv2.findHomography(points, pixels, cv2.RANSAC, near)[0]  # None where it finds none
    if plane is None:
        return pixels
    return np.asarray(cv2.perspectiveTransform(points[:, None], plane), np.float64).reshape(-1, 2)


def _spacing(points: Array) -> Array:
    """(N - 1,) from each point to the next."""
    return np.asarray(np.linalg.norm(np.diff(points, axis=0), axis=1))


def _facing(board: Board, pixels: Array) -> Array:
    """The board's points in the order of the pixels, as seen from its printed side and not from behind."""
    points = board.points_m
    first, right, down = pixels[0], pixels[board.columns - 1], pixels[-board.columns]
    across, along = right - first, down - first
    if across[0] * along[1] - across[1] * along[0] > 0:
        return points
    return np.asarray(points * (-1, 1))
