"""Cameras that were moved."""

from __future__ import annotations

import numpy as np

from edge.monitor.moved import MovedJudge

SQUARE = np.array([[2, -2], [2, 2], [-2, 2], [-2, -2]], float)


def offered(judge: MovedJudge, from_s: float, minutes: int, polygon: np.ndarray) -> list[float]:
    """A room seen every half minute, with a centimetre of noise; when it was told that the camera was moved."""
    random = np.random.default_rng(0)
    told = []
    for k in range(2 * minutes):
        at_s = from_s + 30.0 * k
        if judge.offer(at_s, polygon + random.normal(0, 0.01, polygon.shape)) is not None:
            told.append(at_s)
    return told


def test_a_moved_camera_is_told_once_after_ten_minutes() -> None:
    """10 cm aside, held for ten minutes; then its new place is the usual one."""
    judge = MovedJudge()
    assert offered(judge, 0.0, 60, SQUARE) == []
    assert offered(judge, 3600.0, 60, SQUARE + [0.10, 0.10]) == [3600.0 + 600.0]


def test_a_camera_that_was_tilted_is_told() -> None:
    """By 2 degrees: the foot of the wall ahead comes nearer, of that behind goes farther; half a degree is none."""
    height_m, corners = 1.5, SQUARE
    for tilt_deg, told in ((2.0, [3600.0 + 600.0]), (0.5, [])):
        points = np.concatenate(
            [
                a + np.linspace(0, 1, 40, False)[:, None] * (b - a)
                for a, b in zip(corners, np.roll(corners, -1, 0), strict=True)
            ]
        )
        tilt = np.radians(tilt_deg)
        y, z = (
            points[:, 1] * np.cos(tilt) + height_m * np.sin(tilt),
            points[:, 1] * np.sin(tilt) - height_m * np.cos(tilt),
        )
        tilted = np.stack([points[:, 0], y], axis=1) * (height_m / -z)[:, None]
        judge = MovedJudge()
        offered(judge, 0.0, 60, points)
        assert offered(judge, 3600.0, 60, tilted) == told


def test_what_passes_is_no_move() -> None:
    """Five minutes of another room, rooms that jump about, and a slow settling by 10 cm a day are none."""
    judge = MovedJudge()
    offered(judge, 0.0, 60, SQUARE)
    assert offered(judge, 3600.0, 5, SQUARE * 1.5) == []
    assert offered(judge, 4000.0, 30, SQUARE) == []
    random = np.random.default_rng(1)
    assert [judge.offer(6000.0 + 60 * k, SQUARE * random.uniform(1.1, 2.0)) for k in range(60)] == [None] * 60
    slow = MovedJudge()
    assert [t for h in range(24) for t in offered(slow, 3600.0 * h, 60, SQUARE + [0.1 * h / 24, 0])] == []
