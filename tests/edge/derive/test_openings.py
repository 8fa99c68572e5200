"""Openings by bearing land in the wall that the camera sees there, cut to fit it."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.derive.mesh import outline
from edge.derive.openings import openings_of, placed
from edge.scene import OpeningInView, WallOpening
from tests.edge.derive.rooms import BOX, CEILING_M, L_SHAPE, layout

SIDES = outline(BOX)


def seen(left_deg: float, right_deg: float, sill_m: float = 0.0, height_m: float = 2.0) -> OpeningInView:
    """A door between two bearings."""
    return OpeningInView("door", np.deg2rad(left_deg), np.deg2rad(right_deg), sill_m, height_m)


def test_a_door_before_the_camera() -> None:
    """On the wall y = 2.5 the bearings' tangents tell where; start is nearer to the wall's start, on its right."""
    door = placed(seen(-10.0, 20.0), SIDES, CEILING_M)
    assert door is not None
    assert (door.wall, door.sill, door.height) == (2, 0.0, 2.0)
    assert door.start == pytest.approx((2.5 * np.tan(np.deg2rad(20)), 2.5), abs=1e-6)
    assert door.end == pytest.approx((-2.5 * np.tan(np.deg2rad(10)), 2.5), abs=1e-6)


@given(st.floats(-180, 180), st.floats(2.0, 60.0))
def test_an_opening_lies_in_its_wall_and_between_its_bearings(middle_deg: float, width_deg: float) -> None:
    """Whichever way it looks: both ends are on the wall, and their bearings within the two that were given."""
    opening = placed(seen(middle_deg - width_deg / 2, middle_deg + width_deg / 2), SIDES, CEILING_M)
    if opening is None:
        return
    edge = SIDES[opening.wall]
    for x, y in (opening.start, opening.end):
        away = np.array([x, y]) - edge.start
        assert abs(away @ edge.inwards) < 1e-5
        assert -1e-5 <= away @ (edge.end - edge.start) / edge.length**2 <= 1 + 1e-5
        off = (np.degrees(np.arctan2(x, y)) - middle_deg + 180) % 360 - 180
        assert abs(off) <= width_deg / 2 + 1e-3


def test_an_opening_over_a_corner_is_cut_there() -> None:
    """It belongs to the wall of its middle."""
    corner = float(np.degrees(np.arctan2(3.0, 2.5)))
    door = placed(seen(corner - 20, corner + 5), SIDES, CEILING_M)
    assert door is not None
    assert door.wall == 2
    assert door.start == pytest.approx((3.0, 2.5))


def test_an_opening_behind_the_camera() -> None:
    """Bearings over 180 degrees go on to the right."""
    door = placed(seen(170, -170), SIDES, CEILING_M)
    assert door is not None
    assert door.wall == 0
    assert door.width == pytest.approx(2 * 1.5 * np.tan(np.deg2rad(10)), abs=1e-5)


def test_an_opening_ends_at_the_ceiling() -> None:
    """What is higher than the room is cut; what would begin above it is none."""
    tall = placed(seen(0, 10, sill_m=1.0, height_m=9.0), SIDES, CEILING_M)
    assert tall is not None
    assert tall.sill + tall.height == pytest.approx(CEILING_M)
    assert placed(seen(0, 10, sill_m=3.0), SIDES, CEILING_M) is None


def test_the_nearer_wall_is_meant() -> None:
    """In an L-shaped room a bearing at the inner corner's left meets the nearer wall."""
    edges = outline(L_SHAPE)
    door = placed(seen(10, 20), edges, CEILING_M)
    assert door is not None
    assert edges[door.wall].start == pytest.approx([0.8, 1.2])


def test_a_room_without_metres_has_no_openings() -> None:
    """Sills and heights are metres: they cannot be placed in a room of unknown size."""
    assert len(openings_of(layout(), (seen(0, 10),))) == 1
    assert openings_of(layout(metric=False), (seen(0, 10),)) == ()


def test_what_is_configured_goes_before_what_was_found() -> None:
    """A found opening that overlaps a configured one in its wall is the same; others are kept, their height unknown."""
    found = tuple(
        WallOpening(
            "window",
            np.deg2rad(a),
            np.deg2rad(b),
            (2.5 * np.tan(np.deg2rad(a)), 2.5),
            (2.5 * np.tan(np.deg2rad(b)), 2.5),
            2,
            0.7,
        )
        for a, b in ((-5.0, 5.0), (20.0, 30.0))
    )
    both = openings_of(replace(layout(), openings=found), (seen(-10, 10),))
    assert [(o.kind, o.source, o.sill, o.corners is None) for o in both] == [
        ("door", "configured", 0.0, False),
        ("window", "found", None, True),
    ]
    assert [np.degrees(v) for v in (both[1].left_rad, both[1].right_rad)] == pytest.approx([20.0, 30.0], abs=1e-3)


def test_the_side_that_only_closes_the_view_has_none() -> None:
    """A line of sight is no wall."""
    part = replace(layout(np.array([[0.0, 0.0], [2.0, 3.0], [-2.0, 3.0]])), extent="visible")
    assert [o.wall for o in openings_of(part, (seen(-5, 5), seen(170, 179)))] == [1]
