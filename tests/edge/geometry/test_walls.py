"""Walls become outlines: where neighbours meet, and where one hides the other."""

from __future__ import annotations

import numpy as np
import pytest

from edge.geometry.walls import Line, chain

AHEAD = Line(np.array([0.0, 1.0]), 2.0)
RIGHT = Line(np.array([1.0, 0.0]), 1.0)
CORNER_RAD = float(np.arctan2(1, 2))


@pytest.mark.parametrize(("off_deg", "corners"), [(0.0, 3), (5.9, 3), (-5.9, 3), (6.1, 4), (-6.1, 4)])
def test_walls_are_joined_where_they_meet_near_the_joint(off_deg: float, corners: int) -> None:
    """Within 6 degrees of where the network saw a corner walls meet in it; farther off, one wall hides the other."""
    joint_rad = CORNER_RAD + np.deg2rad(off_deg)
    outline = chain([AHEAD, RIGHT], [0.0, joint_rad, np.pi / 2], closed=False, perpendicular_step=False)
    assert len(outline) == corners
    assert outline[[0, -1]] == pytest.approx(np.array([[0, 2], [1, 0]]), abs=1e-9)
    if corners == 3:
        assert outline[1] == pytest.approx(np.array([1, 2]))
    else:  # the step runs along the line of sight
        assert np.arctan2(outline[1:3, 0], outline[1:3, 1]) == pytest.approx(joint_rad)
