"""HorizonNet's format, on files written here in exactly that format, and on the real rooms where they are."""

from __future__ import annotations

import pickle
from pathlib import Path

import cv2
import numpy as np
import pytest

from edge.errors import DataError
from edge.geometry.polygon import area_m2
from tests.training.conftest import SHARED, absent
from training.data.evaluation import real_layout_cases
from training.data.sets.horizonnet import read
from training.data.vary.panoramic import mirrored, shown_edges, transformed, turned

L_ROOM = np.array([[-1.5, -2.0], [2.5, -2.0], [2.5, 1.0], [0.8, 1.0], [0.8, 3.0], [-1.5, 3.0]])
CAMERA_M, CEILING_M = 1.6, 2.5
REAL = SHARED / "eval" / "layout"


def corner_lines(polygon: np.ndarray, width_px: int = 1024) -> list[str]:
    """A label's lines by HorizonNet's own formulas (`panostretch.py`: u2coorx, v2coory; v positive down)."""
    height_px, lines = width_px // 2, []
    for x, y in polygon:
        column = (np.arctan2(x, y) / (2 * np.pi) + 0.5) * width_px - 0.5
        for below_m in (CAMERA_M - CEILING_M, CAMERA_M):
            row = (np.arctan2(below_m, np.hypot(x, y)) / np.pi + 0.5) * height_px - 0.5
            lines.append(f"{column:.6f} {row:.6f}")
    return lines


def _write(folder: Path, polygon: np.ndarray = L_ROOM, name: str = "room", ending: str = "png") -> Path:
    for sub in ("img", "label_cor"):
        (folder / sub).mkdir(exist_ok=True, parents=True)
    cv2.imwrite(str(folder / "img" / f"{name}.{ending}"), np.full((32, 64, 3), (10, 20, 30), np.uint8))
    label = folder / "label_cor" / f"{name}.txt"
    label.write_text("\n".join(corner_lines(polygon, 64)) + "\n\n")
    return label


@pytest.mark.parametrize("order", [L_ROOM, L_ROOM[::-1], np.roll(L_ROOM, 3, axis=0)])
def test_a_labelled_room_comes_back(tmp_path: Path, order: np.ndarray) -> None:
    """Corners of an L, one of them hidden, give it and its height, whichever way round and wherever they start."""
    _write(tmp_path, order)
    (entry,) = read(tmp_path)
    room = entry.read()
    start = int(np.argmin(np.linalg.norm(room.polygon_m - L_ROOM[0], axis=1)))
    np.testing.assert_allclose(np.roll(room.polygon_m, -start, axis=0), L_ROOM, atol=1e-4)
    assert room.ceiling_height_m == pytest.approx(CEILING_M, abs=1e-4)
    assert (entry.name, entry.scene, entry.part) == ("room", "room", None)
    assert room.image.shape == (32, 64, 3)
    np.testing.assert_array_equal(pickle.loads(pickle.dumps(entry)).read().polygon_m, room.polygon_m)
    assert tuple(room.image[0, 0]) == (30, 20, 10)


def test_two_pictures_of_one_name_are_refused(tmp_path: Path) -> None:
    """Which of them the label is of would be a guess; what is no picture does not count."""
    _write(tmp_path)
    (tmp_path / "img" / "room.json").write_text("{}")
    assert [e.name for e in read(tmp_path)] == ["room"]
    _write(tmp_path, ending="jpg")
    with pytest.raises(DataError, match=r"room\.png: room\.jpg has the same name; remove"):
        read(tmp_path)


def test_another_camera_height_is_another_scale(tmp_path: Path) -> None:
    """A label knows the room in units of the camera's height alone."""
    _write(tmp_path)
    room = read(tmp_path, camera_height_m=0.8)[0].read()
    assert area_m2(room.polygon_m) == pytest.approx(area_m2(L_ROOM) / 4, rel=1e-4)
    assert room.ceiling_height_m == pytest.approx(CEILING_M / 2, rel=1e-4)


def test_published_parts_and_scenes(tmp_path: Path) -> None:
    """`train`, `valid` and `test` are the parts; a pattern says which pictures show one scene."""
    for part, name in (("train", "scene_00001_12"), ("train", "scene_00001_13"), ("valid", "scene_00002_1")):
        _write(tmp_path / part, name=name, ending="jpg")
    found = read(tmp_path, scene_pattern="(scene_[0-9]+)_")
    assert [(e.scene, e.part) for e in found] == [
        ("scene_00001", "train"),
        ("scene_00001", "train"),
        ("scene_00002", "val"),
    ]
    with pytest.raises(DataError, match="scene_pattern"):
        read(tmp_path, scene_pattern="(")


def test_wrong_labels_are_refused(tmp_path: Path) -> None:
    """Whatever is wrong, the message names the file and what was expected where."""
    with pytest.raises(DataError, match="label_cor"):
        read(tmp_path)
    label = _write(tmp_path)
    lines = label.read_text().split("\n")[: 2 * len(L_ROOM)]
    shifted = [*lines[:-1], "63.0 " + lines[-1].split()[1]]
    bow_tie = corner_lines(np.array([[-1.0, -1.0], [2.0, 2.0], [2.0, -1.0], [-1.0, 3.0]]), 64)
    elsewhere = corner_lines(L_ROOM + [5.0, 0.0], 64)
    for text, expected in (
        (lines[::-1], "ceiling end"),
        (lines[:3], "two lines"),
        (["a b"], "two lines"),
        ([], "two lines"),
        (["1 2 3", "4"], "two lines"),
        (shifted, "corner 6 are not in one column"),
        (bow_tie, "crosses itself"),
        (elsewhere, "outside"),
    ):
        label.write_text("\n".join(text))
        with pytest.raises(DataError, match=rf"room\.txt.*{expected}"):
            read(tmp_path)
    label.write_text("\n".join(lines))
    (tmp_path / "img" / "room.png").write_bytes(b"no picture")
    with pytest.raises(DataError, match=r"room\.png.*remove the label"):
        read(tmp_path)
    (tmp_path / "img" / "room.png").unlink()
    with pytest.raises(DataError, match="no picture"):
        read(tmp_path)


def test_columns_where_an_edge_is_hidden_do_not_count(tmp_path: Path) -> None:
    """`ignore_spans.csv` names columns of the picture; at half its width they are half as many."""
    _write(tmp_path)
    path = tmp_path / "ignore_spans.csv"
    path.write_text('name,boundary,x0,x1,reason\nroom,floor,10,19,"sofa, large"\nother,ceiling,0,63,dark\n')
    counted = real_layout_cases(tmp_path)[0].read().counted_columns(32)
    assert counted[0].all()
    np.testing.assert_array_equal(np.flatnonzero(~counted[1]), np.arange(5, 10))
    path.write_text("name,boundary,x0,x1,reason\nroom,wall,1,2,x\n")
    with pytest.raises(DataError, match="line 2.*ceiling or floor"):
        real_layout_cases(tmp_path)
    path.write_text("name,boundary,x0,x1,reason\nroom,floor,left,2,x\n")
    with pytest.raises(DataError, match="line 2.*x0"):
        real_layout_cases(tmp_path)


@pytest.mark.skipif(not REAL.is_dir(), reason=absent("eval/layout"))
def test_real_rooms_have_the_heights_published_with_them() -> None:
    """The heights of the ceiling above the camera, over the camera's, are those of the folder's README."""
    rooms = {e.name: e.read() for e in read(REAL)}
    heights = {name: (r.ceiling_height_m - r.camera_height_m) / r.camera_height_m for name, r in rooms.items()}
    published = {"dancing_hall": 2.705, "photo_studio_loft_hall": 1.401, "christmas_photo_studio_07": 1.271}
    assert heights == pytest.approx(published, abs=6e-4)
    assert {name: len(r.polygon_m) for name, r in rooms.items()} == {
        "dancing_hall": 6,
        "photo_studio_loft_hall": 4,
        "christmas_photo_studio_07": 4,
    }


def test_heights_and_hidden_edges_come_with_the_labels(tmp_path: Path) -> None:
    """As `edge review` writes them: metres by each camera's height; what is hidden teaches nothing.

    A hidden floor edge in front, on the right of the picture's middle, is there mirrored, stretched, and turned too.
    """
    _write(tmp_path)
    (tmp_path / "camera_heights.csv").write_text("name,camera_height_m\nroom,3.2\n")
    (tmp_path / "ignore_spans.csv").write_text("name,boundary,x0,x1,reason\nroom,floor,32,39,not visible\n")
    (entry,) = read(tmp_path)
    room = entry.read()
    assert area_m2(room.polygon_m) == pytest.approx(area_m2(L_ROOM) * (3.2 / CAMERA_M) ** 2)
    hidden = np.zeros((2, 64), bool)
    hidden[1, 32:40] = True
    assert np.array_equal(shown_edges(room, 64) == 0, hidden)
    assert np.array_equal(shown_edges(mirrored(room), 64) == 0, hidden[:, ::-1])
    assert np.array_equal(shown_edges(turned(room, 30), 64) == 0, np.roll(hidden, 30, axis=1))
    wide = shown_edges(transformed(room, np.diag([2.0, 1.0])), 64)
    assert np.array_equal(np.flatnonzero(wide[1] == 0), np.arange(32, 43)), "45 degrees become atan 2, 63"
    assert wide[0].all()


@pytest.mark.parametrize("row", ["room", "room,high"])
def test_a_height_that_is_none_is_refused(tmp_path: Path, row: str) -> None:
    """With file and line."""
    _write(tmp_path)
    (tmp_path / "camera_heights.csv").write_text(f"name,camera_height_m\n{row}\n")
    with pytest.raises(DataError, match=r"camera_heights\.csv, line 2"):
        read(tmp_path)
