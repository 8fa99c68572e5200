"""MatterportLayout and PanoAnnotator's JSON, on files written here in exactly that format."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from edge.errors import DataError
from training.data.sets.matterport import read

# The six corners of the demonstration label published with LGT-Net: column as a share of the width, and x, z.
PUBLISHED = [
    (0.7081447345651483, 3.0078125, -0.8097623087756155),
    (0.8447738331945455, 3.0078125, 2.03786496),
    (0.009142142599636915, -0.1171875, 2.03786496),
    (0.02702105153167117, -0.1171875, 0.68359375),
    (0.20330907731820486, -2.26292525056, 0.68359375),
    (0.304692157890135, -2.26292525056, -0.8097623087756155),
]
HEIGHT_M = 2.9809624004364013


def _label(order: tuple[int, ...] = (0, 1, 2, 3, 4, 5)) -> dict[str, Any]:
    """The published label with its points listed in another order; the walls lead through them as before."""
    at = {corner: i for i, corner in enumerate(order)}
    points = [
        {"coords": [PUBLISHED[i][0], 0.5], "id": 0, "xyz": [PUBLISHED[i][1], 0.0, PUBLISHED[i][2]]} for i in order
    ]
    walls = [
        {"id": 0, "normal": [1.0, 0.0, 0.0], "pointsIdx": [at[i], at[(i + 1) % 6]], "width": 1.0} for i in range(6)
    ]
    return {
        "cameraHeight": 1.6,
        "layoutHeight": HEIGHT_M,
        "layoutObj2ds": {"num": 0, "obj2ds": []},
        "layoutPoints": {"num": 6, "points": points},
        "layoutWalls": {"num": 6, "walls": walls},
        "panoId": "nothing",
    }


def _write(folder: Path, name: str, label: dict[str, Any], archive: bool = False) -> Path:
    path = folder / ("label_data" if archive else "label") / f"{name}{'_label' if archive else ''}.json"
    for sub in (path.parent, folder / "image"):
        sub.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(label))
    cv2.imwrite(str(folder / "image" / f"{name}.png"), np.zeros((32, 64, 3), np.uint8))
    return path


@pytest.mark.parametrize("order", [(0, 1, 2, 3, 4, 5), (3, 0, 5, 1, 4, 2)])
def test_a_published_label_gives_its_own_columns(tmp_path: Path, order: tuple[int, ...]) -> None:
    """Corners stand in the columns that the annotator wrote, however its points are listed; heights are its own."""
    _write(tmp_path, "2t7WUuJeko7_0736", _label(order))
    (entry,) = read(tmp_path)
    room = entry.read()
    assert (entry.name, entry.scene, entry.part) == ("2t7WUuJeko7_0736", "2t7WUuJeko7", None)
    columns = np.arctan2(*room.polygon_m.T) / (2 * np.pi) + 0.5
    np.testing.assert_allclose(np.sort(columns), np.sort([share for share, _, _ in PUBLISHED]), atol=1e-9)
    steps = np.roll(room.polygon_m, -1, axis=0) - room.polygon_m
    assert np.abs(steps).min(axis=1).max() < 1e-9  # walls along the axes: the corners are in the walls' order
    assert (room.camera_height_m, room.ceiling_height_m) == (1.6, HEIGHT_M)


@pytest.mark.parametrize("archive", [False, True])
def test_the_published_lists_are_the_parts(tmp_path: Path, archive: bool) -> None:
    """Pairs of house and panorama, in the publisher's own archive or as LGT-Net lays it out; the rest is left out."""
    for name in ("a_1", "a_2", "b_1", "c_1"):
        _write(tmp_path, name, _label(), archive)
    lists = tmp_path / ("data_list" if archive else "split")
    lists.mkdir()
    for part, lines in (("train", "a 1\na 2\n"), ("val", ""), ("test", "c 1\n")):
        (lists / f"{'mp3d_' if archive else ''}{part}.txt").write_text(lines)
    assert [(e.name, e.scene, e.part) for e in read(tmp_path)] == [
        ("a_1", "a", "train"),
        ("a_2", "a", "train"),
        ("c_1", "c", "test"),
    ]


def test_another_layout_is_refused(tmp_path: Path) -> None:
    """No labels, walls that leave a corner out, a missing key, no picture, a picture that is no panorama."""
    with pytest.raises(DataError, match=r"expected label/\*\.json"):
        read(tmp_path)
    label = _label()
    label["layoutWalls"]["walls"].pop()
    path = _write(tmp_path, "a_1", label)
    with pytest.raises(DataError, match=r"a_1\.json.*once through all"):
        read(tmp_path)
    for key in ("cameraHeight", "layoutPoints"):
        path.write_text(json.dumps({k: v for k, v in _label().items() if k != key}))
        with pytest.raises(DataError, match=rf"a_1\.json.*{key}.*PanoAnnotator"):
            read(tmp_path)
    path.write_text(json.dumps(_label()))
    picture = tmp_path / "image" / "a_1.png"
    cv2.imwrite(str(picture), np.zeros((48, 64, 3), np.uint8))
    with pytest.raises(DataError, match="twice as wide"):
        read(tmp_path)[0].read()
    picture.unlink()
    with pytest.raises(DataError, match="no picture"):
        read(tmp_path)
