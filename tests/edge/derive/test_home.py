"""Rooms beside each other: areas are those of their floors, walls and doors that meet are found, guesses fit."""

from __future__ import annotations

import io

import ezdxf
import numpy as np
import pytest
import trimesh
from hypothesis import given, settings
from hypothesis import strategies as st

from edge.derive.formats.dxf import home_dxf
from edge.derive.formats.plan import home_plan_svg
from edge.derive.formats.sizes import home_sizes_csv
from edge.derive.glb import home_glb
from edge.derive.home import PlacedRoom, placed, sizes_of, snapped
from edge.errors import GeometryError
from tests.edge.derive.homes import room

TURNS = st.floats(-np.pi, np.pi)
SHIFTS = st.floats(-5, 5)


def test_total_area_counts_what_two_rooms_cover_once() -> None:
    """4 x 3 and 4 x 3, one metre into each other: 24 m² of rooms, 21 m² of home, 3 m² said to overlap."""
    sizes = sizes_of([PlacedRoom(room("a", 4, 3)), PlacedRoom(room("b", 4, 3), 3.0)])
    assert sizes.rooms_area_m2 == pytest.approx(24)
    assert sizes.area_m2 == pytest.approx(21)
    assert [(o.rooms, o.area_m2) for o in sizes.overlaps] == [((0, 1), pytest.approx(3))]
    assert sizes.volume_m3 == pytest.approx(60)


@settings(max_examples=30, deadline=None)
@given(TURNS, SHIFTS, SHIFTS, TURNS)
def test_a_door_in_two_rooms_tells_where_the_second_is(turn: float, x: float, y: float, way: float) -> None:
    """However the first room lies, and whichever way its camera looked: the doors meet, a wall's thickness apart."""
    hall = PlacedRoom(room("hall", 5, 3, ((1, 1.2, 0.9),)), x, y, turn)
    kitchen = room("kitchen", 3, 4, ((2, 0.8, 0.95), (0, 1.0, 1.4)), eye=(0.3, 0.6))
    c, s = np.cos(way), np.sin(way)
    guess = placed([hall], kitchen, 0.12)
    sizes = sizes_of([hall, guess])
    assert [p.openings for p in sizes.passages] == [(0, 0)]
    (wall,) = sizes.shared_walls
    assert wall.gap_m == pytest.approx(0.12, abs=1e-6)
    assert sizes.overlaps == ()
    middles = [r.ends(r.model.openings[0]).mean(axis=0) for r in (hall, guess)]
    assert np.hypot(*(middles[0] - middles[1])) == pytest.approx(0.12, abs=1e-6)
    turned = PlacedRoom(hall.model, c * x - s * y, s * x + c * y, turn + way)
    again = placed([turned], kitchen, 0.12)
    assert sizes_of([turned, again]).area_m2 == pytest.approx(sizes.area_m2)


def test_without_a_common_door_a_room_is_put_beside_and_not_over() -> None:
    """Windows join nothing, nor do doors of other widths; two guesses that fit take the one that overlaps least."""
    hall = PlacedRoom(room("hall", 5, 3, ((1, 1.2, 0.9),)))
    other = placed([hall], room("cellar", 3, 3, ((0, 1.5, 2.0),)))
    assert sizes_of([hall, other]).overlaps == ()
    assert sizes_of([hall, other]).passages == ()
    assert placed([], hall.model).x_m == 0
    between = [hall, PlacedRoom(room("bath", 2, 3), 3.6)]  # behind the hall's door there is a room already
    third = placed(between, room("store", 2, 2, ((3, 1.0, 0.9),)))
    assert sizes_of([*between, third]).overlaps == ()


@settings(max_examples=30, deadline=None)
@given(st.floats(-0.4, 0.4), st.floats(-0.2, 0.2), st.floats(-10, 10), TURNS)
def test_a_room_dropped_near_a_wall_lies_against_it(dx: float, dy: float, tilt_deg: float, turn: float) -> None:
    """Parallel, a wall's thickness away, corner to corner; whichever way the whole home lies."""
    a = PlacedRoom(room("a", 4, 3)).turned_about(np.array([1.0, 2.0]), turn)
    b = PlacedRoom(room("b", 3, 3), 3.6).turned_about(np.array([3.6, 0.0]), np.radians(tilt_deg))
    b = b.moved(np.array([dx, dy])).turned_about(np.array([1.0, 2.0]), turn)
    found = snapped([a, b], 1, 0.1)
    (wall,) = sizes_of([a, found]).shared_walls
    assert wall.gap_m == pytest.approx(0.1, abs=1e-6)
    assert wall.length_m == pytest.approx(3, abs=1e-6)


def test_far_from_every_wall_a_room_stays() -> None:
    """A metre away, or turned by 30 degrees, nothing moves by itself."""
    a = PlacedRoom(room("a", 4, 3))
    for b in (PlacedRoom(room("b", 3, 3), 4.6), PlacedRoom(room("b", 3, 3), 3.8, 0.0, np.radians(30))):
        assert snapped([a, b], 1) == b


def test_a_door_draws_closer_than_a_corner() -> None:
    """Two doors that nearly meet are made to, though the rooms' corners then do not."""
    a = PlacedRoom(room("a", 4, 3, ((1, 1.0, 0.9),)))
    b = PlacedRoom(room("b", 3, 3, ((3, 1.8, 0.9),)), 3.7, -0.1)
    found = snapped([a, b], 1, 0.1)
    (passage,) = sizes_of([a, found]).passages
    assert passage.width_m == pytest.approx(0.9)
    middles = [r.ends(r.model.openings[0]).mean(axis=0) for r in (a, found)]
    assert middles[0][1] == pytest.approx(middles[1][1])


def test_a_home_in_other_programs() -> None:
    """The GLB's volume and places, the DXF's walls, the plan's area and the table's rows are those of the rooms."""
    rooms = [PlacedRoom(room("hall", 5, 3, ((1, 1.2, 0.9),))), PlacedRoom(room("bath", 2, 3), 4.1, 0.4, np.pi / 2)]
    scene = trimesh.load(io.BytesIO(home_glb("flat", rooms)), file_type="glb")
    corners = np.concatenate([r.to_home(r.model.polygon) for r in rooms])
    (x0, y0), (x1, y1) = corners.min(axis=0), corners.max(axis=0)
    assert np.allclose(scene.bounds, [[x0, 0, -y1], [x1, 2.5, -y0]], atol=1e-4)
    drawing = ezdxf.read(io.StringIO(home_dxf("flat", rooms).decode()))
    assert drawing.audit().errors == []
    assert len(drawing.modelspace().query('LINE[layer=="WALLS"]')) == 8
    svg = home_plan_svg("flat <1>", rooms).decode()
    assert 'data-area-m2="21.0000"' in svg
    assert "flat &lt;1&gt;" in svg
    assert "overlap" not in svg
    table = home_sizes_csv("flat", rooms).decode().splitlines()
    assert [row.split(",")[0] for row in table[1:4]] == ["home", "room", "room"]
    for write in (home_glb, home_plan_svg):
        with pytest.raises(GeometryError, match="add one"):
            write("empty", [])
