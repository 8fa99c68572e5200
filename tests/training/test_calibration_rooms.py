"""The tilt of a camera in a rendered, furnished room is found from its vertical edges."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.training.calibration_rooms import errors, render


@pytest.mark.slow
def test_the_tilt_of_a_camera_in_a_rendered_room(tmp_path: Path) -> None:
    """Pitch and roll within 0.6 degrees, of a perspective picture and of a panorama, nothing told of either.

    Its bare walls and four light paths a pixel are worse than what docs/calibration.md measured.
    """
    render(tmp_path, 1, None, samples=4)
    for kind in ("view", "panorama"):
        off, refused = errors(tmp_path, kind)
        assert refused == []
        assert off.shape == (1, 2)
        assert off.max() < 0.6
