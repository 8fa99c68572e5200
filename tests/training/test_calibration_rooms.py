"""How cameras hang is found in pictures of rendered rooms, and as well as is said."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from tests.training.calibration_errors import Errors, height_errors, tilt_errors
from tests.training.calibration_rooms import render

ROOM = 1
"""Of the series: furnished, with place for three sheets on its floor."""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A view and a panorama of a room, with simple furniture as there are no assets."""
    out = tmp_path_factory.mktemp("rooms")
    render(out, ROOM + 1, None, samples=6, kinds=("room",), first=ROOM)
    return out


def believed(errors: Errors, most_off: float) -> None:
    """What is found is off by no more than that, and by no more than thrice what it is said to be off."""
    off, said = np.abs(errors.off), np.array(errors.said)
    assert off.max() < most_off
    assert (off <= 3 * said).all()
    assert errors.doubted == 0


@pytest.mark.slow
def test_tilt_from_vertical_edges(folder: Path) -> None:
    """Pitch and roll within 0.3 degrees, of a perspective picture and of a panorama, nothing told of either."""
    for kind in ("view", "panorama"):
        found, refused = tilt_errors(folder, kind)
        assert refused == []
        for errors in found.values():
            believed(errors, 0.3)


@pytest.mark.slow
def test_height_from_what_lies_on_the_floor(folder: Path) -> None:
    """By a checkerboard, a ChArUco board and a blank sheet: height within 1 %, pitch within 0.3 degrees."""
    found = height_errors(folder)
    assert len(found) == 6
    for key, errors in found.items():
        believed(errors, 1.0 if key.endswith("height") else 0.3)
