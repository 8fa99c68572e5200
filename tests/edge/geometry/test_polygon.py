"""Floor polygons and the walls they are made of."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.errors import GeometryError
from edge.geometry import polygon, walls
from edge.geometry.panorama import longitudes

L_SHAPE = np.array([[3, 3], [0.8, 3], [0.8, 1.2], [-2, 1.2], [-2, -2], [3, -2]], float)


@given(turn=st.floats(-np.pi, np.pi), dx=st.floats(-5, 5), dy=st.floats(-5, 5))
def test_area_does_not_change_under_motion(turn: float, dx: float, dy: float) -> None:
    """Rotation and translation keep the area; the L's is known exactly."""
    c, s = np.cos(turn), np.sin(turn)
    moved = L_SHAPE @ np.array([[c, s], [-s, c]]) + [dx, dy]
    assert polygon.area_m2(moved) == pytest.approx(5 * 5 - 2.8 * 1.8)


def test_orientation_is_made_counter_clockwise() -> None:
    """Whichever way the corners ran, afterwards they run counter-clockwise."""
    for p in (L_SHAPE, L_SHAPE[::-1]):
        assert polygon.signed_area_m2(polygon.counter_clockwise(p)) > 0


def test_bow_tie_is_not_simple() -> None:
    """An outline that crosses itself is told apart."""
    assert polygon.is_simple(L_SHAPE)
    assert not polygon.is_simple([[0, 0], [1, 1], [1, 0], [0, 1]])


def test_iou_of_known_squares() -> None:
    """Two unit squares half over each other share a third of their union; a polygon is all of itself."""
    square = np.array([[0, 0], [1, 0], [1, 1], [0, 1]], float)
    assert polygon.iou(square, square + [0.5, 0]) == pytest.approx(1 / 3)
    assert polygon.iou(square, square) == pytest.approx(1)
    assert polygon.iou(square, square + [2, 0]) == 0


def test_wall_distances_in_a_box() -> None:
    """In a box they are the textbook d / cos(angle) to the wall that is hit first."""
    box = np.array([[2, 3], [-2, 3], [-2, -1.5], [2, -1.5]], float)
    lon = longitudes(360)
    expected = np.minimum(
        np.where(np.cos(lon) > 0, 3, 1.5) / np.abs(np.cos(lon)), 2 / np.maximum(np.abs(np.sin(lon)), 1e-12)
    )
    assert polygon.wall_distances(box, lon) == pytest.approx(expected)


def test_nearest_wall_hides_the_next() -> None:
    """Behind the L's inner corner the nearer wall is met."""
    assert polygon.wall_distances(L_SHAPE, [np.deg2rad(-30)])[0] == pytest.approx(1.2 / np.cos(np.deg2rad(30)))


def test_degenerate_polygons_are_refused() -> None:
    """Two corners, or a NaN, are no polygon."""
    for bad in ([[0, 0], [1, 1]], [[0, 0], [1, np.nan], [0, 1]]):
        with pytest.raises(GeometryError):
            polygon.area_m2(bad)


@given(angle=st.floats(-np.pi, np.pi), offset=st.floats(0.5, 8))
def test_line_fit_survives_outliers(angle: float, offset: float) -> None:
    """A fifth of the points far off the wall do not move it by a centimetre."""
    normal = np.array([np.cos(angle), np.sin(angle)])
    t = np.linspace(-2, 2, 100)
    points = offset * normal + t[:, None] * np.array([-normal[1], normal[0]])
    points[:20] += normal * np.random.default_rng(1).uniform(0.3, 1.0, (20, 1))
    line = walls.fit_line(points, np.ones(100), rounds=10)
    assert np.abs(line.foot(offset * normal) - offset * normal).max() < 0.01


def test_redundant_corners_go_and_real_ones_stay() -> None:
    """Repeated and collinear corners are dropped; the shape keeps its area."""
    padded = np.array([[0, 0], [1, 0], [2, 0], [2, 0], [2, 2], [0, 2], [0, 1]], float)
    cleaned = walls.without_redundant_corners(padded)
    assert len(cleaned) == 4
    assert polygon.area_m2(cleaned) == pytest.approx(4)
