"""Readers of the publishers' formats, on files written here in exactly those formats."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from edge.errors import DataError
from edge.geometry.panorama import pixel_from_angles
from training.data.evaluation import real_layout_cases
from training.data.horizonnet import read_labelled
from training.data.rgbd import read_rgbd

L_ROOM = np.array([[-1.5, -2.0], [2.5, -2.0], [2.5, 1.0], [0.8, 1.0], [0.8, 3.0], [-1.5, 3.0]])


def _label(folder: Path, polygon: np.ndarray, camera_m: float, ceiling_m: float) -> None:
    for sub in ("img", "label_cor"):
        (folder / sub).mkdir(exist_ok=True)
    cv2.imwrite(str(folder / "img" / "room.png"), np.zeros((512, 1024, 3), np.uint8))
    r, lon = np.hypot(*polygon.T), np.arctan2(*polygon.T)
    lines = []
    for lat in zip(np.arctan2(ceiling_m - camera_m, r), np.arctan2(-camera_m, r), strict=True):
        lines.append(lat)
    rows = []
    for (up, down), longitude in zip(lines, lon, strict=True):
        for latitude in (up, down):
            x, y = pixel_from_angles(longitude, latitude, 1024, 512)
            rows.append(f"{float(x):.4f} {float(y):.4f}")
    (folder / "label_cor" / "room.txt").write_text("\n".join(rows) + "\n")


def test_a_labelled_room_comes_back(tmp_path: Path) -> None:
    """Corners written from a polygon give the polygon and the height."""
    _label(tmp_path, L_ROOM, 1.6, 2.5)
    room = read_labelled(tmp_path)[0]
    np.testing.assert_allclose(room.polygon_m, L_ROOM, atol=1e-3)
    assert room.ceiling_height_m == pytest.approx(2.5, abs=1e-3)
    assert room.image.shape == (512, 1024, 3)


def test_columns_where_an_edge_is_hidden_do_not_count(tmp_path: Path) -> None:
    """`ignore_spans.csv` names columns of the picture; at half its width they are half as many."""
    _label(tmp_path, L_ROOM, 1.6, 2.5)
    path = tmp_path / "ignore_spans.csv"
    path.write_text('name,boundary,x0,x1,reason\nroom,floor,100,199,"sofa, large"\nother,ceiling,0,1023,dark\n')
    counted = real_layout_cases(tmp_path)[0].counted_columns(512)
    assert counted[0].all()
    np.testing.assert_array_equal(np.flatnonzero(~counted[1]), np.arange(50, 100))
    path.write_text("name,boundary,x0,x1,reason\nroom,wall,1,2,x\n")
    with pytest.raises(DataError, match="line 2.*ceiling or floor"):
        real_layout_cases(tmp_path)
    path.write_text("name,boundary,x0,x1,reason\nroom,floor,left,2,x\n")
    with pytest.raises(DataError, match="line 2.*x0"):
        real_layout_cases(tmp_path)


def test_wrong_labels_are_refused(tmp_path: Path) -> None:
    """No folder, no picture, swapped ends, text: each names the file and what was expected."""
    with pytest.raises(DataError, match="label_cor"):
        read_labelled(tmp_path)
    _label(tmp_path, L_ROOM, 1.6, 2.5)
    label = tmp_path / "label_cor" / "room.txt"
    lines = label.read_text().splitlines()
    for text, expected in (
        ("\n".join(lines[::-1]), "ceiling end"),
        ("\n".join(lines[:3]), "two lines"),
        ("a b\n", "two numbers"),
    ):
        label.write_text(text)
        with pytest.raises(DataError, match=expected):
            read_labelled(tmp_path)
    (tmp_path / "img" / "room.png").unlink()
    with pytest.raises(DataError, match="no picture"):
        read_labelled(tmp_path)


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
    first = read_rgbd(tmp_path / "a")[0]
    np.testing.assert_allclose(first.depth_m, depth / 1000, rtol=1e-6)
    assert (first.intrinsics.fx_px, first.intrinsics.fy_px) == (30, 31)
    assert tuple(first.image[0, 0]) == (3, 2, 1)
    second = read_rgbd(tmp_path / "b", units_per_m=5000, lens=(1.0, 2.0, 3.0, 4.0))[0]
    np.testing.assert_allclose(second.depth_m, depth / 5000, rtol=1e-6)
    with pytest.raises(DataError, match=r"K\.txt"):
        read_rgbd(tmp_path / "b")
    (tmp_path / "a" / "depth" / "0.png").unlink()
    with pytest.raises(DataError, match="as many pictures"):
        read_rgbd(tmp_path / "a")
