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


def test_shapes_that_are_no_polygon_are_refused() -> None:
    """Points in space, a bare list and an infinite corner: the message says what a polygon is."""
    for bad in (np.zeros((4, 3)), np.zeros(6), [[0, 0], [1, np.inf], [0, 1]]):
        with pytest.raises(GeometryError, match="at least 3 finite corners"):
            polygon.area_m2(bad)


def test_counter_clockwise_is_positive() -> None:
    """With x right and y forward: right, forward, left is counter-clockwise, of area +1; turning keeps the corners."""
    square = np.array([[0, 0], [1, 0], [1, 1], [0, 1]], float)
    assert polygon.signed_area_m2(square) == 1
    assert polygon.signed_area_m2(square[::-1]) == -1
    assert polygon.counter_clockwise(square).tolist() == square.tolist()
    assert polygon.counter_clockwise(square[::-1]).tolist() == square.tolist()


def test_a_line_is_not_simple() -> None:
    """An outline without an area is none, nor is one that touches itself."""
    assert not polygon.is_simple([[0, 0], [1, 0], [2, 0]])
    assert not polygon.is_simple([[0, 0], [2, 0], [2, 2], [1, 0], [0, 2]])


def test_simplifying_keeps_what_is_further_off_than_the_tolerance() -> None:
    """A bump of 0.1 m goes at 0.11 and stays at 0.09; the outline is not closed twice."""
    bumped = np.array([[0, 0], [1, 0.1], [2, 0], [2, 2], [0, 2]], float)
    assert len(polygon.simplified(bumped, 0.11)) == 4
    assert sorted(polygon.simplified(bumped, 0.09).tolist()) == sorted(bumped.tolist())


def test_the_camera_is_inside_or_on_the_outline() -> None:
    """The origin by default, else the given point; the outline counts as inside."""
    square = np.array([[-1, -1], [1, -1], [1, 1], [-1, 1]], float)
    assert polygon.contains(square)
    assert not polygon.contains(square + [3, 0])
    assert polygon.contains(square, (1.0, 0.5))
    assert not polygon.contains(square, (1.01, 0.5))


def test_overlap_of_polygons_without_an_area_is_nothing() -> None:
    """Two lines share no area, and have none."""
    line = [[0, 0], [1, 0], [2, 0]]
    assert polygon.iou(line, line) == 0


@given(turn=st.floats(-np.pi, np.pi))
def test_no_ray_slips_through_a_corner(turn: float) -> None:
    """Straight at a corner, where two walls end, the room is as deep as the corner is far, whatever was rounded."""
    c, s = np.cos(turn), np.sin(turn)
    box = np.array([[2, 3], [-2, 3], [-2, -1.5], [2, -1.5]]) @ np.array([[c, s], [-s, c]])
    found = polygon.wall_distances(box, np.arctan2(box[:, 0], box[:, 1]))
    assert found == pytest.approx(np.hypot(box[:, 0], box[:, 1]))


def test_nothing_is_met_outside() -> None:
    """From outside a room, rays that miss it meet no wall; those that hit it meet the near side first."""
    box = np.array([[-1, 2], [1, 2], [1, 4], [-1, 4]], float)
    assert polygon.wall_distances(box, [0.0, np.pi, np.pi / 2, -0.6]).tolist() == [2.0, np.inf, np.inf, np.inf]


def test_boundary_of_a_prism_room() -> None:
    """At 2 m a floor 2 m below is 45 degrees down, and a ceiling 2 / sqrt 3 m above 30 degrees up."""
    box = np.array([[2, 2], [-2, 2], [-2, -2], [2, -2]], float)
    ceiling, floor = polygon.boundary_latitudes(box, [0.0, np.pi / 2], 2.0, 2.0 + 2 / np.sqrt(3))
    assert floor == pytest.approx(np.deg2rad([-45, -45]))
    assert ceiling == pytest.approx(np.deg2rad([30, 30]))
