"""Whole spheres are told from strips of the same shape."""

from __future__ import annotations

import numpy as np
import pytest

from edge.cameras.picture import decoded
from edge.cameras.sphere import varies_at_both_poles
from tests.edge.cameras.test_seams import ROOM


@pytest.mark.parametrize(("top", "bottom"), [(0.25, 0.75), (0.17, 0.67)])
def test_a_strip_of_a_room_is_no_sphere(top: float, bottom: float) -> None:
    """The rows at a sphere's poles each show one point; those of a strip show the room. A flat picture says nothing."""
    panorama = decoded(sorted(ROOM.glob("*.jpg"))[0].read_bytes())
    height = len(panorama)
    assert not varies_at_both_poles(panorama)
    assert varies_at_both_poles(panorama[round(top * height) : round(bottom * height)])
    assert not varies_at_both_poles(np.full((64, 128, 3), 90, np.uint8))
