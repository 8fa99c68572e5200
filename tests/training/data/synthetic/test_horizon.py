"""Openings in a panorama's columns: what the labels say is what rays meet on the plan."""

import json

import numpy as np
import pytest
import shapely

from edge.geometry.panorama import longitudes
from edge.geometry.polygon import boundary_latitudes, wall_distances
from training.data.synthetic.assets import Catalog
from training.data.synthetic.description import Opening, Piece, Room, behind
from training.data.synthetic.horizon import (
    KINDS,
    ceiling_shown,
    column_kinds,
    extended_latitudes,
    extended_plans,
    opening_segments,
    openings_of,
    slopes_of,
)
from training.data.synthetic.rooms import describe
from training.data.synthetic.shapes import furniture

WIDTH = 256
BOX = np.array([[-2.0, -2.0], [2.0, -2.0], [2.0, 2.0], [-2.0, 2.0]])
BEYOND = np.array([[2.2, -1.0], [5.0, -1.0], [5.0, 1.5], [2.2, 1.5]])


@pytest.fixture(scope="module")
def rooms() -> list[Room]:
    """Forty rooms made without assets."""
    return [describe(6, i, Catalog(), 0) for i in range(40)]


def _extended(room: Room) -> tuple[np.ndarray, np.ndarray]:
    plans = extended_plans(room.polygon, room.height_m, room.openings, [a.polygon for a in room.annexes])
    return extended_latitudes(*plans, room.camera_height_m, room.height_m, WIDTH), plans[0]


def test_closed_labels_end_at_the_wall_of_the_opening(rooms: list[Room]) -> None:
    """In each column of an opening the ray of the room's own outline ends on the line between the opening's ends."""
    lon = longitudes(WIDTH)
    seen = 0
    for room in rooms:
        segments, numbers = opening_segments(room.polygon, room.openings)
        kinds = column_kinds(room.polygon, segments, numbers, lon)
        reach = wall_distances(room.polygon, lon)
        met = reach[:, None] * np.stack([np.sin(lon), np.cos(lon)], axis=1)
        on = np.array([[shapely.LineString(s).distance(shapely.Point(p)) < 1e-6 for s in segments] for p in met])
        on = on.reshape(WIDTH, len(segments))
        assert np.array_equal(kinds > 0, on.any(axis=1))
        for column in np.flatnonzero(kinds):
            assert kinds[column] in numbers[on[column]]
            seen += 1
    assert seen > 1000


def test_extended_is_never_nearer(rooms: list[Room]) -> None:
    """Beyond openings the floor ends further away, in no column nearer; where no opening is, at the same place."""
    lon = longitudes(WIDTH)
    further = 0
    for room in rooms:
        extended, _ = _extended(room)
        ceiling, floor = boundary_latitudes(room.polygon, lon, room.camera_height_m, room.height_m)
        assert np.all(extended[1] <= -floor + 1e-6)
        assert np.all(extended[0] >= -ceiling - 1e-6)
        kinds = column_kinds(room.polygon, *opening_segments(room.polygon, room.openings), lon)
        shut = (kinds == 0) | (kinds == KINDS.index("window"))
        assert np.allclose(extended[1][shut], -floor[shut], atol=1e-6)
        assert np.allclose(extended[0][shut], -ceiling[shut], atol=1e-6)
        further += int(np.sum(extended[1] < -floor - 1e-3))
    assert further > 0.1 * WIDTH * len(rooms)


def test_extended_floor_is_what_rays_meet(rooms: list[Room]) -> None:
    """A ray goes on through an open hole until it meets a jamb or a wall of the annex, by stepping along it."""
    lon = longitudes(WIDTH)
    rng = np.random.default_rng(0)
    for room in rooms[:12]:
        extended, _ = _extended(room)
        space = [shapely.Polygon(room.polygon)]
        for o in room.openings:
            if o.kind == "passage" or o.beyond >= 0:
                space.append(behind(room.polygon, o, 0.002))
            if o.beyond >= 0:
                space.append(shapely.Polygon(room.annexes[o.beyond].polygon))
        for column in rng.integers(0, WIDTH, 40):
            steps = np.arange(0.0, 40.0, 0.01)
            points = steps[:, None] * [np.sin(lon[column]), np.cos(lon[column])]
            inside = np.any([shapely.contains_xy(s, points[:, 0], points[:, 1]) for s in space], axis=0)
            end = steps[int(np.argmin(inside))]
            distance = room.camera_height_m / np.tan(extended[1][column])
            assert distance == pytest.approx(end, abs=0.03)


def test_a_plan_that_is_known() -> None:
    """A box with an open doorway to the east, up to the ceiling or not, and a window to the north."""
    window = Opening(2, "window", 1.0, 2.0, 0.9, 1.0, 0.1)
    for high_m, open_above in ((2.0, False), (2.5, True)):
        hole = Opening(1, "opening", 1.5, 1.0, 0.0, high_m, 0.2, beyond=0)
        segments, numbers = opening_segments(BOX, [hole, window])
        kinds = column_kinds(BOX, segments, numbers, np.radians([90, 90 - 20, -90, 0, 180]))
        assert [KINDS[k] for k in kinds] == ["opening", "none", "none", "window", "none"]
        floor, ceiling = extended_plans(BOX, 2.5, [hole, window], [BEYOND])
        assert shapely.Polygon(floor).area == pytest.approx(16 + 0.2 * 1.0 + 2.8 * 2.5)
        assert shapely.Polygon(ceiling).area == pytest.approx(shapely.Polygon(floor).area if open_above else 16)
        extended = extended_latitudes(floor, ceiling, 1.5, 2.5, 360)
        assert extended[1][270] == pytest.approx(np.arctan2(1.5, 5.0), abs=1e-3)
        assert extended[0][270] == pytest.approx(-np.arctan2(1.0, 5.0 if open_above else 2.0), abs=1e-3)


def test_slopes_hide_the_ceilings_edge() -> None:
    """In a box with a slope at its north wall, columns that meet that wall, or a side wall under it, show no edge."""
    slope = Piece("slope", None, (0.0, 1.5, 1.5), (4.0, 1.0, 1.0), 0.0, (1, 1, 1), False)
    shown = ceiling_shown(BOX, slopes_of([slope]), np.radians([0, 40, 50, 60, 70, 90, 180, -50, -70]))
    assert shown.tolist() == [0, 0, 0, 0, 1, 1, 1, 0, 1]
    under = furniture("slope", slope.size_m)[0].moved((1, 1, 1), slope.turn_rad, slope.position_m)
    at_wall = under.vertices[under.vertices[:, 2] < 1.6]
    assert np.allclose(at_wall[:, 1:], [2.0, 1.5])
    assert np.allclose(under.normals @ [0, -1, -1], np.sqrt(2))
    assert not len(slopes_of([]))
    assert ceiling_shown(BOX, slopes_of([]), [0.0]).all()


def test_rooms_of_before_are_read(rooms: list[Room]) -> None:
    """Of a room stored without what openings say, their kinds follow from its description."""
    room = rooms[0]
    lon = longitudes(WIDTH)
    boundary = -np.stack(boundary_latitudes(room.polygon, lon, room.camera_height_m, room.height_m))
    told = json.loads(room.to_json())
    old = [{k: v for k, v in o.items() if k not in ("beyond", "leaf_deg", "hinge_right", "inwards")}
           for o in told["openings"]]  # fmt: skip
    item = {
        "polygon_m": room.polygon, "boundary_rad": boundary, "description": json.dumps({"openings": old}),
        "height_m": room.height_m, "camera_height_m": room.camera_height_m,
    }  # fmt: skip
    kinds, extended = openings_of(item)
    assert np.array_equal(kinds, column_kinds(room.polygon, *opening_segments(room.polygon, room.openings), lon))
    passages = any(o.kind == "passage" for o in room.openings)
    assert passages or np.allclose(extended, boundary, atol=1e-5)
    new = {**item, "opening_kind": kinds, "extended_rad": extended}
    assert openings_of(new)[0] is kinds
