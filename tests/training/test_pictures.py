"""The pictures of the first page: a mesh is drawn as it is, and the engines draw all of them."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from edge.scene import ObjectMesh
from training.drawing import drawn_mesh
from training.pictures import draw

REPOSITORY = Path(__file__).resolve().parents[2]
FACES = np.array(
    [(0, 1, 3), (0, 3, 2), (4, 6, 7), (4, 7, 5), (0, 4, 5), (0, 5, 1), (2, 3, 7), (2, 7, 6), (0, 2, 6), (0, 6, 4),
     (1, 5, 7), (1, 7, 3)], np.int32
)  # fmt: skip


def box(width: float, height: float, depth: float) -> ObjectMesh:
    """A box about the origin, red where its front (+z) is and blue behind."""
    corners = np.array([(x, y, z) for x in (-0.5, 0.5) for y in (-0.5, 0.5) for z in (-0.5, 0.5)])
    colours = np.where(corners[:, 2:] > 0, (255, 0, 0), (0, 0, 255)).astype(np.uint8)
    return ObjectMesh((corners * (width, height, depth)).astype(np.float32), FACES, colours)


@pytest.mark.parametrize(("turn_rad", "wide"), [(0.0, 0.8), (np.pi / 2, 0.2), (np.pi, 0.8)])
def test_a_box_is_as_wide_and_high_as_it_is(turn_rad: float, wide: float) -> None:
    """Looked at level, its outline is its own front or side, to a pixel, and the front is what is red."""
    picture = drawn_mesh(box(0.8, 0.4, 0.2), turn_rad, 200, down_rad=0.0)
    drawn = (picture != 255).any(axis=2)
    rows, columns = np.nonzero(drawn)
    pixels_a_side = 200 * 0.8
    assert np.ptp(columns) + 1 == pytest.approx(wide * pixels_a_side, abs=2)
    assert np.ptp(rows) + 1 == pytest.approx(0.4 * pixels_a_side, abs=2)
    red, _, blue = picture[drawn].mean(axis=0)
    if turn_rad != np.pi / 2:
        assert (red > 2 * blue) == (turn_rad == 0.0)


def test_what_is_above_is_seen_from_above() -> None:
    """Looked down upon, more of a box is seen than its front."""
    level, down = (drawn_mesh(box(0.8, 0.4, 0.6), 0.0, 200, down_rad=a) for a in (0.0, 0.5))
    assert (down != 255).any(axis=2).sum() > 1.3 * (level != 255).any(axis=2).sum()


@pytest.mark.slow
def test_the_engines_draw_all_pictures(tmp_path: Path) -> None:
    """Each is written and holds something."""
    for path in draw(REPOSITORY / "engines", REPOSITORY / "edge" / "demo", tmp_path):
        assert cv2.imread(str(path)).std() > 20
