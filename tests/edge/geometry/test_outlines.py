"""Walls as lines, and the outlines they close, on rooms whose corners are known."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.geometry import polygon, walls
from edge.geometry.walls import Line

angles = st.floats(-3.1, 3.1)
BOX = np.array([[2.0, 3.0], [-2.0, 3.0], [-2.0, -1.5], [2.0, -1.5]])
# The box's walls in order of longitude from behind, each with the longitude of the corner before it.
WALLS = [
    Line(np.array([-1.0, 0.0]), 2.0),
    Line(np.array([0.0, 1.0]), 3.0),
    Line(np.array([1.0, 0.0]), 2.0),
    Line(np.array([0.0, -1.0]), 1.5),
]
JOINTS_RAD = [float(np.arctan2(x, y)) for x, y in ([-2, -1.5], [-2, 3], [2, 3], [2, -1.5])]


def unit(longitude_rad: float) -> np.ndarray:
    """Towards a longitude: 0 is +y, positive towards +x."""
    return np.array([np.sin(longitude_rad), np.cos(longitude_rad)])


def same_corners(found: np.ndarray, expected: np.ndarray) -> bool:
    """Whether two outlines have the same corners, whichever comes first."""
    return len(found) == len(expected) and any(
        np.allclose(np.roll(found, shift, axis=0), expected, atol=1e-9) for shift in range(len(expected))
    )


@given(facing=angles, offset_m=st.floats(0.1, 9), longitude=angles)
def test_a_ray_meets_its_wall_ahead_or_nowhere(facing: float, offset_m: float, longitude: float) -> None:
    """Where a ray meets a line lies on both and ahead; one that runs along it or away from it meets it nowhere."""
    line = Line(unit(facing), offset_m)
    met, towards = line.on_ray(longitude), float(unit(facing) @ unit(longitude))
    if towards > 1e-6:
        assert met @ line.normal == pytest.approx(offset_m)
        assert met == pytest.approx(unit(longitude) * offset_m / towards)
        assert met @ unit(longitude) > 0
    elif towards < 1e-12:
        assert np.isnan(met).all()


def test_a_ray_meets_a_wall_whose_normal_points_to_the_camera() -> None:
    """The sign of the normal is a matter of taste: -n . p = -d is the same wall."""
    assert Line(np.array([0.0, -1.0]), -3.0).on_ray(0.0) == pytest.approx([0.0, 3.0])
    assert np.isnan(Line(np.array([0.0, 1.0]), 3.0).on_ray(np.pi / 2)).all()


@given(facing=angles, offset_m=st.floats(0.1, 9), x=st.floats(-5, 5), y=st.floats(-5, 5))
def test_the_foot_is_the_nearest_point(facing: float, offset_m: float, x: float, y: float) -> None:
    """It lies on the line, and the way there runs along the normal."""
    line, point = Line(unit(facing), offset_m), np.array([x, y])
    foot = line.foot(point)
    assert foot @ line.normal == pytest.approx(offset_m, abs=1e-9)
    assert (foot - point) @ [line.normal[1], -line.normal[0]] == pytest.approx(0, abs=1e-9)


@given(facing=angles, offset_m=st.floats(0.5, 8), shift=st.floats(-3, 3))
def test_exact_points_give_their_line(facing: float, offset_m: float, shift: float) -> None:
    """Points on a wall, anywhere along it and however weighted, give it back."""
    normal, along = unit(facing), unit(facing + np.pi / 2)
    points = offset_m * normal + (np.linspace(-1, 2, 30) + shift)[:, None] * along
    line = walls.fit_line(points, np.linspace(0.1, 1, 30))
    assert np.abs(points @ line.normal - line.offset).max() < 1e-9
    assert abs(line.normal @ normal) == pytest.approx(1)


def test_a_point_of_more_weight_pulls_more() -> None:
    """Of two groups of points apart from each other, the line lies nearer to the heavier one, and to each by turns."""
    x = np.linspace(-2, 2, 40)
    points = np.stack([x, np.where(np.arange(40) % 2, 2.0, 2.1)], axis=1)
    offsets = []
    for heavy in (0, 1):
        line = walls.fit_line(points, np.where(np.arange(40) % 2 == heavy, 3.0, 1.0), rounds=1)
        offsets.append(abs(line.offset))
    assert offsets == pytest.approx([(3 * 2.1 + 2.0) / 4, (2.1 + 3 * 2.0) / 4], abs=2e-3)


def test_an_axis_line_is_the_weighted_median() -> None:
    """With its direction given, a wall goes through the weighted middle of its points, whatever the outliers."""
    normal = np.array([0.6, 0.8])
    along = np.array([-0.8, 0.6])
    offsets = np.array([2.0, 2.0, 2.0, 5.0, 9.0])
    points = offsets[:, None] * normal + np.arange(5.0)[:, None] * along
    assert walls.fit_axis_line(points, np.ones(5), normal).offset == pytest.approx(2.0)
    heavy = walls.fit_axis_line(points, np.array([1.0, 1.0, 1.0, 1.0, 9.0]), normal)
    assert heavy.offset == pytest.approx(9.0)
    assert heavy.normal == pytest.approx(normal)


@given(turn=st.floats(-0.7, 0.7))
def test_the_dominant_axis_is_that_of_a_turned_box(turn: float) -> None:
    """A box turned by an angle below 45 degrees has its walls along that angle or across it."""
    c, s = np.cos(turn), np.sin(turn)
    turned = BOX @ np.array([[c, s], [-s, c]])
    steps = np.roll(turned, -1, axis=0) - turned
    lines = [Line(np.array([dy, -dx]) / np.hypot(dx, dy), 1.0) for dx, dy in steps]
    found = walls.dominant_axis_rad(lines, np.linalg.norm(steps, axis=1))
    assert np.sin(2 * (found - turn)) == pytest.approx(0, abs=1e-9)


def test_the_longer_walls_decide_the_dominant_axis() -> None:
    """Two walls of 5 m outvote two of 1 m that stand askew to them."""
    lines = [Line(np.array([np.cos(a), np.sin(a)]), 1.0) for a in (0.1, 0.1 + np.pi / 2, 0.5, 0.5 + np.pi / 2)]
    assert walls.dominant_axis_rad(lines, np.array([5.0, 5.0, 1.0, 1.0])) == pytest.approx(0.1, abs=0.12)
    assert walls.dominant_axis_rad(lines, np.array([1.0, 1.0, 5.0, 5.0])) == pytest.approx(0.5, abs=0.12)


@given(turn=angles)
def test_a_chain_of_a_boxs_walls_is_the_box(turn: float) -> None:
    """Wherever the box stands about the camera, its walls close at its corners."""
    c, s = np.cos(turn), np.sin(turn)
    matrix = np.array([[c, s], [-s, c]])  # counter-clockwise, so longitudes fall
    lines = [Line(line.normal @ matrix, line.offset) for line in WALLS]
    outline = walls.chain(lines, [j - turn for j in JOINTS_RAD], closed=True, perpendicular_step=True)
    expected = np.array([[-2.0, -1.5], [-2.0, 3.0], [2.0, 3.0], [2.0, -1.5]]) @ matrix
    assert same_corners(outline, expected)


def test_an_open_chain_ends_on_its_outer_rays() -> None:
    """Of three walls seen between -60 and 60 degrees: where the outer rays meet the outer walls, and two corners."""
    edges = [np.deg2rad(-60.0), *JOINTS_RAD[1:3], np.deg2rad(60.0)]
    outline = walls.chain(WALLS[:3], edges, closed=False, perpendicular_step=True)
    side = 2 / np.tan(np.deg2rad(60.0))
    assert outline == pytest.approx(np.array([[-2.0, side], [-2.0, 3.0], [2.0, 3.0], [2.0, side]]))


@pytest.mark.parametrize("mirrored", [False, True])
def test_parallel_neighbours_are_joined_by_a_step(mirrored: bool) -> None:
    """A wall at 2 m ahead left of the middle and one at 3 m right of it, or the other way round.

    A Manhattan step leaves the nearer wall where the line of sight does and is square to both; else the outline runs
    along the line of sight.
    """
    joint, sign = 0.2, -1.0 if mirrored else 1.0
    near, far = (Line(np.array([0.0, 1.0]), d) for d in (2.0, 3.0))
    lines, joints = [near, far], [-0.5, joint, 0.5]
    if mirrored:
        lines, joints = [far, near], [-0.5, -joint, 0.5]
    x = sign * 2 * np.tan(joint)
    seen = [[x, 2.0], [sign * 3 * np.tan(joint), 3.0]]
    square = [[x, 2.0], [x, 3.0]]
    for perpendicular, middle in ((True, square), (False, seen)):
        outline = walls.chain(lines, joints, closed=False, perpendicular_step=perpendicular)
        ends = [lines[0].on_ray(-0.5), lines[1].on_ray(0.5)]
        assert outline == pytest.approx(np.array([ends[0], *(middle[::-1] if mirrored else middle), ends[1]]))


def test_walls_that_meet_far_from_their_joint_hide_each_other() -> None:
    """A wall that meets its neighbour 20 degrees from where the picture parts them ends there: both ends are kept."""
    ahead, right = WALLS[1], WALLS[2]
    corner = float(np.arctan2(2, 3))
    for off_deg, corners in ((3.0, 1), (-3.0, 1), (20.0, 2), (-20.0, 2)):
        joint = corner + np.deg2rad(off_deg)
        outline = walls.chain([ahead, right], [-0.2, joint, 1.4], closed=False, perpendicular_step=True)
        assert len(outline) == 2 + corners
        middle = [[2.0, 3.0]] if corners == 1 else [ahead.on_ray(joint), right.on_ray(joint)]
        assert outline[1:-1] == pytest.approx(np.array(middle))


def test_nearly_parallel_walls_do_not_meet() -> None:
    """Below 15 degrees between them the meeting point is anybody's guess, and a joint is made of both lines."""
    for between_deg, meet in ((14.0, False), (16.0, True)):
        a = np.deg2rad(between_deg)
        first, second = Line(unit(0.0), 3.0), Line(unit(a), 3.0)
        joint = a / 2  # in the direction of their meeting point, as it happens
        outline = walls.chain([first, second], [-0.3, joint, 0.6], closed=False, perpendicular_step=False)
        assert len(outline) == (3 if meet else 4)


@given(turn=angles)
def test_corners_within_a_centimetre_of_their_neighbours_line_are_redundant(turn: float) -> None:
    """A corner 9 mm off a straight wall of 2 m goes, one 11 mm off stays, inwards as outwards."""
    c, s = np.cos(turn), np.sin(turn)
    matrix = np.array([[c, s], [-s, c]])
    for bump_m, kept in ((0.009, 4), (0.011, 5), (-0.009, 4), (-0.011, 5)):
        room = np.array([[0, 0], [1, bump_m], [2, 0], [2, 2], [0, 2]], float) @ matrix
        assert len(walls.without_redundant_corners(room)) == kept


def test_a_spike_is_no_redundant_corner() -> None:
    """A corner in line with its neighbours but beyond them is the tip of a spike, and stays."""
    spike = np.array([[0, 0], [3, 0], [2, 0], [2, 2], [0, 2]], float)
    cleaned = walls.without_redundant_corners(spike)
    assert [3.0, 0.0] in cleaned.tolist()


def test_a_triangle_is_never_taken_apart() -> None:
    """Three corners are kept however flat, since fewer are no room."""
    flat = np.array([[0, 0], [1, 0.001], [2, 0]], float)
    assert walls.without_redundant_corners(flat).tolist() == flat.tolist()
    assert polygon.area_m2(flat) == pytest.approx(0.001)
