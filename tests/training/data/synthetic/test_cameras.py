"""Perspective cameras: what is known of a room with one table in it."""

import numpy as np
import pytest
import shapely

from training.data.synthetic.assets import Catalog
from training.data.synthetic.cameras import FIRST_M, SPACE_M, Interior, camera, clearance_m
from training.data.synthetic.description import Piece

BOX = np.array([[-2.0, -2.0], [2.0, -2.0], [2.0, 2.0], [-2.0, 2.0]])
TABLE = Piece("table", None, (0.0, 0.5, 0.0), (1.6, 0.8, 0.75), 0.0, (0.5, 0.5, 0.5), False)
CHEST = Piece("drawer", None, (-1.5, -1.7, 0.0), (0.9, 0.5, 0.8), np.pi / 2, (0.5, 0.5, 0.5), False)


def _room(*pieces: Piece) -> Interior:
    floor = shapely.Polygon(BOX).buffer(-0.4)
    return Interior(BOX, 2.5, floor, pieces, False, Catalog())


@pytest.mark.parametrize(
    ("point", "clearance"),
    [
        ((0.0, 0.5, 1.25), 0.5),  # over the middle of the table
        ((1.1, 0.5, 0.7), 0.3),  # beside its top
        ((0.0, 0.5, 0.3), 0.3),  # under it
        ((0.0, 0.5, 0.7), -0.05),  # in its top
        ((1.5, -1.5, 1.2), 0.5),  # near two walls
        ((0.0, -1.0, 2.4), 0.1),  # under the ceiling
        ((-1.5, -1.0, 0.4), 0.25),  # before the end of a turned chest
        ((3.0, 0.0, 1.0), -1.0),  # outside
    ],
)
def test_clearance_of_known_places(point: tuple[float, float, float], clearance: float) -> None:
    """Distance to the nearest box, wall, floor or ceiling; a table counts only with its top."""
    assert clearance_m(_room(TABLE, CHEST), np.array(point)) == pytest.approx(clearance, abs=1e-9)


def test_cameras_by_a_table_look_at_it() -> None:
    """Of cameras in a room with a table and a chest half are over one of the two, all in free space."""
    room, rng = _room(TABLE, CHEST), np.random.default_rng(0)
    views = [camera(rng, room) for _ in range(120)]
    assert all(clearance_m(room, np.array(v.position_m)) >= SPACE_M for v in views)
    over = 0
    for v in views:
        for p in (TABLE, CHEST):
            there = np.subtract(p.position_m[:2], v.position_m[:2])
            off = (np.arctan2(*there) - v.yaw_rad + np.pi) % (2 * np.pi) - np.pi
            above = 0.2 < v.position_m[2] - p.size_m[2] < 0.95 and v.pitch_rad < -0.05
            over += above and np.hypot(*there) < 1.6 and abs(off) < 0.9
    assert 0.3 < over / len(views) < 0.8


def test_cameras_in_an_empty_room() -> None:
    """Without furniture cameras are across the room, at its walls and in its corners, never against a wall."""
    room, rng = _room(), np.random.default_rng(1)
    views = [camera(rng, room) for _ in range(60)]
    assert all(clearance_m(room, np.array(v.position_m)) >= SPACE_M for v in views)
    assert FIRST_M > SPACE_M
    assert len({v.position_m for v in views}) == 60
