"""Readers of the publishers' formats, on files written here in exactly those formats."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from edge.errors import DataError
from training.data.sets.rgbd import read


def test_colour_and_depth_come_back(tmp_path: Path) -> None:
    """16-bit millimetres with K.txt, and files side by side with a lens given."""
    depth = np.arange(20 * 24, dtype=np.uint16).reshape(20, 24)
    for folder, names in (
        (tmp_path / "a", ("rgb/0.png", "depth/0.png")),
        (tmp_path / "b", ("1_rgb.png", "1_depth.png")),
    ):
        for name, picture in zip(names, (np.full((20, 24, 3), (1, 2, 3), np.uint8), depth), strict=True):
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            cv2.imwrite(str(folder / name), picture)
    np.savetxt(tmp_path / "a" / "K.txt", [[30, 0, 12], [0, 31, 10], [0, 0, 1]])
    first = read(tmp_path / "a")[0].read()
    np.testing.assert_allclose(first.depth_m, depth / 1000, rtol=1e-6)
    assert (first.fx_px, first.fy_px) == (30, 31)
    assert tuple(first.image[0, 0]) == (3, 2, 1)
    second = read(tmp_path / "b", units_per_m=5000, lens=(1.0, 2.0, 3.0, 4.0))[0].read()
    np.testing.assert_allclose(second.depth_m, depth / 5000, rtol=1e-6)
    with pytest.raises(DataError, match=r"K\.txt"):
        read(tmp_path / "b")
    (tmp_path / "a" / "depth" / "0.png").unlink()
    with pytest.raises(DataError, match="as many pictures"):
        read(tmp_path / "a")
