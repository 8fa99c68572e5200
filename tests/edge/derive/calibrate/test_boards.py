"""Boards and blank sheets are found where they were drawn, also in part; what is printed has the sizes it says."""

from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt
import pytest

from edge.derive.calibrate import floor
from edge.derive.calibrate.board_sheet import black_rectangles, board_pdf, board_svg
from edge.derive.calibrate.boards import PAPERS, Board, Paper, find_board
from edge.derive.calibrate.sheet import find_sheet, told_sheet
from edge.derive.calibrate.verticals import Level
from edge.derive.calibrate.views import DOWN, flat_views, pixel_rays
from edge.errors import CalibrationError
from edge.geometry.pinhole import project
from edge.scene import ImageArray
from tests.edge.derive.calibrate.drawn import A4, MODEL, K, blank, finished, floor_picture, held, sheet_on

PITCH, ROLL, HEIGHT_M = float(np.deg2rad(-38.0)), float(np.deg2rad(1.5)), 1.3
TOLD = Level(PITCH, ROLL, float(np.deg2rad(0.1)), float(np.deg2rad(0.1)), 9, 0.0)
PLACE = (0.1, 1.0, 0.4)


def lying(board: Board | None) -> ImageArray:
    """A sheet on the floor."""
    return floor_picture(PITCH, ROLL, HEIGHT_M, PLACE, posts=False, board=board)


def drawn_corners(board: Board, points_m: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Where points of a board that lies there are drawn."""
    return project(floor.in_camera(floor.on_floor(points_m, *PLACE), PITCH, ROLL, HEIGHT_M), K)[0]


@pytest.mark.parametrize("board", [A4.plain, A4.charuco], ids=["checkerboard", "ChArUco"])
def test_corners_are_where_they_were_drawn(board: Board) -> None:
    """To a third of a pixel, each known by its place on the board, whichever of the boards it could be."""
    others = [paper.plain if board.markers is None else paper.charuco for paper in (A4, PAPERS["letter"])]
    seen = find_board(flat_views(lying(board), MODEL, DOWN), others)
    assert seen is not None
    assert seen.board == board.name
    off = seen.pixels - drawn_corners(board, seen.points_m)
    if board.markers is None:  # a checkerboard of even sides may be turned by half
        turned = seen.pixels - drawn_corners(board, board.points_m.max(axis=0) - seen.points_m)
        off = min(off, turned, key=lambda o: float(np.abs(o).max()))
    assert np.abs(off).max() < 0.34


def test_a_part_of_a_board_with_markers_is_enough() -> None:
    """With a third of it covered its other corners are found, and give the height."""
    board, image = A4.charuco, lying(A4.charuco)
    outline = drawn_corners(board, board.points_m[[0, board.columns - 1, -1, -board.columns]] * (1, 0.3)).astype(int)
    cv2.fillConvexPoly(image, outline, (90, 60, 50))
    part = find_board(flat_views(image, MODEL, DOWN), [board])
    assert part is not None
    assert len(part.pixels) < len(board.points_m)
    assert floor.hang([part], (0.0, 0.0), TOLD).height_m == pytest.approx(HEIGHT_M, rel=0.01)


def test_a_blank_sheet_gives_the_height() -> None:
    """Found, or told by corners 2 px beside its own in any order: height within 1 %; told of another size it is not."""
    image = lying(None)
    views = flat_views(image, MODEL, DOWN)
    found = find_sheet(views, "a4", (PITCH, ROLL), TOLD)
    assert found is not None
    half = np.array([[-1, -1], [1, 1], [1, -1], [-1, 1]]) * (A4.width_m / 2, A4.height_m / 2)
    middle = A4.plain.points_m.max(axis=0) / 2
    clicked = drawn_corners(A4.plain, middle + half) + ((2, 0), (-2, 1), (0, -2), (1, 2))
    rays = pixel_rays(MODEL, clicked, K.width_px, K.height_px)
    for sighting in (found, told_sheet(views, rays, "a4", (PITCH, ROLL), TOLD)):
        got = floor.hang([sighting], (0.0, 0.0), TOLD)
        assert got.height_m == pytest.approx(HEIGHT_M, rel=0.01)
        assert abs(got.height_m - HEIGHT_M) < 4 * got.height_error_m
    assert find_sheet(views, "letter", (PITCH, ROLL), TOLD) is None
    with pytest.raises(CalibrationError, match="lies no LETTER sheet"):
        told_sheet(views, rays, "letter", (PITCH, ROLL), TOLD)


def test_what_is_printed_is_no_blank_sheet() -> None:
    """Nor is what stands upright, though it is white and of the paper's size; nor two sheets of which one is raised."""
    for board in (A4.plain, A4.charuco):
        assert find_sheet(flat_views(lying(board), MODEL, DOWN), "a4", (PITCH, ROLL), TOLD) is None
    image = blank()
    upright = np.eye(4)
    upright[2, 3] = 1.2
    sheet_on(image, lambda points: held(upright, points), None)
    assert find_sheet(flat_views(finished(image), MODEL, DOWN), "a4", (PITCH, ROLL), TOLD) is None
    image = blank()
    for place, raised_m in (((-0.35, 1.0, 0.4), 0.0), ((0.35, 1.0, 1.1), 0.3)):
        sheet_on(
            image,
            lambda p, place=place, raised_m=raised_m: floor.in_camera(  # type: ignore[misc]
                floor.on_floor(p, *place), PITCH, ROLL, HEIGHT_M - raised_m
            ),
            None,
        )
    with pytest.raises(CalibrationError, match="--corners"):
        find_sheet(flat_views(finished(image), MODEL, DOWN), "a4", (PITCH, ROLL), TOLD)


@pytest.mark.parametrize("paper", PAPERS.values(), ids=PAPERS.keys())
def test_a_board_with_markers_is_opencvs(paper: Paper) -> None:
    """What is printed is, dot for dot, what OpenCV draws of such a board; no two papers share a marker."""
    board, dots = paper.charuco, 6  # a dot is a sixth of a mm: a marker's bit is 36 of them
    assert board.markers is not None
    wh = np.array([board.columns + 1, board.rows + 1])
    size = np.rint(wh * board.square_m * 1000 * dots).astype(int)
    numbers = np.arange(len(board.white_squares)) + board.markers.first
    theirs = cv2.aruco.CharucoBoard(wh.tolist(), board.square_m, board.markers.side_m, board.markers.vendor, numbers)
    ours = np.full(size[::-1], 255, np.uint8)
    corner = (np.array([paper.width_m, paper.height_m]) * 1000 - wh * board.square_m * 1000) / 2
    for x, y, w, h in black_rectangles(paper, board):
        left, top = np.rint((np.array([x, y]) - corner) * dots).astype(int)
        ours[top : top + round(h * dots), left : left + round(w * dots)] = 0
    assert float(np.mean(ours != theirs.generateImage(size.tolist()))) < 0.005
    others = [p.charuco for p in PAPERS.values() if p is not paper]
    for other in others:
        assert other.markers is not None
        assert not set(numbers) & set(np.arange(len(other.white_squares)) + other.markers.first)


@pytest.mark.parametrize("paper", PAPERS.values(), ids=PAPERS.keys())
def test_what_is_printed_lies_on_the_paper(paper: Paper) -> None:
    """With 4 mm to its edges, which printers leave white; squares of their size, in millimetres and in points."""
    for board in (paper.plain, paper.charuco):
        x, y, w, h = np.array(black_rectangles(paper, board)).T
        assert min(x.min(), y.min()) >= 4
        assert (x + w).max() <= 1000 * paper.width_m - 4
        assert (y + h).max() <= 1000 * paper.height_m - 9, "the ruler and the text are below"
        side = 1000 * board.square_m
        assert (w[0], h[0]) == pytest.approx((side, side))
        assert f"h{side:.3f}v{side:.3f}".encode() in board_svg(paper, board)
        points = side * 72 / 25.4
        assert f"{points:.3f} {points:.3f} re".encode() in board_pdf(paper, board)
