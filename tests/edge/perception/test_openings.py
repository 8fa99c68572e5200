"""Openings: walls close across them, they lie where they are, and surer edges count for more."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.geometry import polygon as floor
from edge.geometry.panorama import longitudes
from edge.inference.manifest import LayoutConfidence
from edge.perception.layout import FitChoice, layout_from_boundary
from edge.publish.compose import Source, layout_message
from edge.scene import Frame, RoomLayout, WallOpening

Array = npt.NDArray[np.float64]
WIDTH, CAMERA_M, CEILING_M = 512, 1.6, 2.6
ROOM = np.array([[2.0, 3.0], [-2.0, 3.0], [-2.0, -1.5], [2.0, -1.5]])
WITH_NEXT = np.array([
    [2.0, 3.0], [0.8, 3.0], [0.8, 3.1], [2.5, 3.1], [2.5, 6.0], [-2.5, 6.0], [-2.5, 3.1], [-0.8, 3.1], [-0.8, 3.0],
    [-2.0, 3.0], [-2.0, -1.5], [2.0, -1.5],
])  # fmt: skip
"""The room with the next one, seen through an opening of 1.6 m in its far wall."""


def seen_through(angle: float, *, kind: int = 2, told: bool = True, fit: FitChoice = "auto") -> RoomLayout:
    """What becomes of a boundary that runs on into the next room, in rooms turned about the camera."""
    c, s = np.cos(angle), np.sin(angle)
    turn = np.array([[c, -s], [s, c]])
    room, whole = ROOM @ turn.T, WITH_NEXT @ turn.T
    lon = longitudes(WIDTH)
    up, down = floor.boundary_latitudes(whole, lon, CAMERA_M, CEILING_M)
    column = (np.arctan2(room[:, 0], room[:, 1]) / (2 * np.pi) + 0.5) * WIDTH - 0.5
    away = np.abs(np.arange(WIDTH)[:, None] - column)
    corners = (0.96 ** np.minimum(away, WIDTH - away)).max(axis=1)
    openings = np.full((3, WIDTH), 0.02)
    across = np.abs((lon + angle + np.pi) % (2 * np.pi) - np.pi)
    openings[kind, across <= np.arctan2(0.8, 3.0)] = 0.9
    return layout_from_boundary(
        up, down, corners, camera_height_m=CAMERA_M, fit=fit, openings=openings if told else None
    )


@given(angle=st.floats(-np.pi, np.pi))
def test_the_room_closes_at_its_opening(angle: float) -> None:
    """Told of the opening, the room ends at it, wherever it is: its area is its own, not that of two rooms."""
    room = seen_through(angle)
    assert room.area_m2 == pytest.approx(18.0, rel=0.02)
    assert len(room.polygon_m) == 4
    assert room.openings is not None
    (opening,) = room.openings
    assert opening.kind == "opening"
    assert np.linalg.norm(np.subtract(opening.end_m, opening.start_m)) == pytest.approx(1.6, abs=0.1)
    for end in (opening.start_m, opening.end_m):
        assert np.hypot(*end) == pytest.approx(np.hypot(0.8, 3.0), abs=0.06)
    a, b = room.polygon_m[opening.wall], room.polygon_m[(opening.wall + 1) % 4]
    middle = np.add(opening.start_m, opening.end_m) / 2
    (ax, ay), (mx, my) = b - a, middle - a
    assert abs(ax * my - ay * mx) / np.hypot(ax, ay) < 0.02


def test_without_being_told_the_next_room_is_part_of_it() -> None:
    """What closing is worth: the same boundary without openings gives more floor, and says nothing of openings."""
    room = seen_through(0.3, told=False, fit="raw")
    assert room.area_m2 > 20
    assert room.openings is None


def test_windows_are_named_but_nothing_is_closed_at_them() -> None:
    """A bay behind a window is part of the room: only doors and openings lead to another one."""
    room = seen_through(0.3, kind=1, fit="raw")
    assert room.area_m2 > 20
    assert [o.kind for o in room.openings or ()] == ["window"]
    assert [o.kind for o in seen_through(0.3, kind=0).openings or ()] == ["door"]


def test_the_surer_edge_gives_the_distance() -> None:
    """Floor edges hidden by furniture are too near; where they are said to be unsure, the ceiling's count."""
    up, down = floor.boundary_latitudes(ROOM, longitudes(WIDTH), CAMERA_M, CEILING_M)
    hidden = down.copy()
    hidden[100:160] -= 0.2
    corner = np.zeros(WIDTH)
    spread = np.full((2, WIDTH), 0.01)
    blind = layout_from_boundary(up, hidden, corner, camera_height_m=CAMERA_M, fit="raw", spread_rad=spread)
    spread[1, 100:160] = 0.2
    aware = layout_from_boundary(up, hidden, corner, camera_height_m=CAMERA_M, fit="raw", spread_rad=spread)
    true = floor.area_m2(ROOM)
    assert abs(aware.area_m2 - true) < 0.3 * abs(blind.area_m2 - true)


def test_confidence_is_what_the_manifest_says_of_the_signs() -> None:
    """More doubt, less overlap expected; without such a line it is how well the edges agree."""
    up, down = floor.boundary_latitudes(ROOM, longitudes(WIDTH), CAMERA_M, CEILING_M)
    line = LayoutConfidence(bias=-2.0, weights={"spread": -1.0}, pictures=10, data="rooms")

    def confidence(spread_rad: float) -> float:
        spread = np.full((2, WIDTH), spread_rad)
        found = layout_from_boundary(
            up, down, np.zeros(WIDTH), camera_height_m=CAMERA_M, spread_rad=spread, confidence=line
        )
        return found.confidence

    sure, unsure = confidence(0.01), confidence(0.1)
    assert 0 < unsure < sure < 1
    # The logistic function of a sum that falls by ln 10 where the spread is tenfold.
    odds = [np.log(p / (1 - p)) for p in (sure, unsure)]
    assert odds[0] - odds[1] == pytest.approx(np.log(10), abs=1e-6)
    assert layout_from_boundary(up, down, np.zeros(WIDTH), camera_height_m=CAMERA_M).confidence == pytest.approx(1)


def test_messages_say_openings(frame: Frame, layout: RoomLayout, source: Source) -> None:
    """Kind, azimuths, wall and width; null where the model does not look for them, none where it found none."""
    door = WallOpening("door", -0.2, 0.1, (-0.811, 4.0), (0.401, 4.0), 2, 0.91)
    said = json.loads(layout_message(frame, replace(layout, openings=(door,)), source, 0.1).model_dump_json())
    assert said["openings"] == [
        {
            "kind": "door",
            "left_deg": -11.5,
            "right_deg": 5.7,
            "wall": 2,
            "width_m": 1.21,
            "sill_m": None,
            "height_m": None,
            "confidence": 0.91,
            "source": "found",
        }
    ]
    assert layout_message(frame, layout, source, 0.1).openings is None
    assert layout_message(frame, replace(layout, openings=()), source, 0.1).openings == ()
