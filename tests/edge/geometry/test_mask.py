"""Outlines as pixels."""

from __future__ import annotations

import numpy as np
import pytest
from shapely import Polygon, box

from edge.geometry.mask import covered

OUTLINES = {
    "box": ((0.25, 0.25), (0.75, 0.25), (0.75, 0.75), (0.25, 0.75)),
    "sliver": ((0.1, 0.1), (0.9, 0.12), (0.9, 0.121)),
    "corner": ((0.8, 0.8), (1.0, 0.8), (1.0, 1.0), (0.8, 1.0)),
    "l": ((0.1, 0.1), (0.6, 0.1), (0.6, 0.4), (0.3, 0.4), (0.3, 0.9), (0.1, 0.9)),
}


@pytest.mark.parametrize("name", OUTLINES)
@pytest.mark.parametrize("size", [(40, 24), (33, 57)])
def test_every_pixel_that_is_touched_is_covered(name: str, size: tuple[int, int]) -> None:
    """Of whatever an outline touches no part stays; what is three pixels away from it stays whole."""
    width, height = size
    shape = Polygon([(x * width, y * height) for x, y in OUTLINES[name]])
    got = covered([OUTLINES[name]], width, height)
    assert got.shape == (height, width)
    for y in range(height):
        for x in range(width):
            pixel = box(x, y, x + 1, y + 1)
            if shape.intersects(pixel) and not shape.touches(pixel):
                assert got[y, x], (x, y)
            if shape.distance(pixel) > 3:
                assert not got[y, x], (x, y)


def test_outlines_that_overlap_cover_both() -> None:
    """An overlap is covered, and nothing is where there is no outline."""
    one, other = OUTLINES["box"], OUTLINES["l"]
    both = covered([one, other], 60, 40)
    assert (both == covered([one], 60, 40) | covered([other], 60, 40)).all()
    assert not covered([], 60, 40).any()
    assert np.all(covered([((0, 0), (1, 0), (1, 1), (0, 1))], 60, 40))
