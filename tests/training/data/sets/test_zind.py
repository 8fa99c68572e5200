"""Zillow Indoor Dataset, on homes written here as its `data_organization.md` lays them out."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from edge.errors import DataError
from training.data.sets.zind import read

# Camera-height units, x to the left: what is right of the camera has negative x.
VERTICES = [[-1.0, -1.0], [2.0, -1.0], [2.0, 1.5], [0.5, 1.5], [0.5, 3.0], [-1.0, 3.0]]
SCALE, METRES = 0.8, 2.0


def _layout(vertices: list[list[float]]) -> dict[str, Any]:
    return {"vertices": vertices, "windows": [], "doors": [], "openings": [], "internal": []}


def _pano(name: str, **changes: Any) -> dict[str, Any]:
    pano = {
        "label": "kitchen",
        "is_primary": True,
        "is_inside": True,
        "is_ceiling_flat": True,
        "ceiling_height": 1.75,
        "camera_height": 1.0,
        "floor_number": 1,
        "image_path": f"panos/floor_01_partial_room_03_{name}.jpg",
        "layout_raw": _layout(VERTICES),
        "layout_complete": _layout(VERTICES),
        "layout_visible": _layout(VERTICES),
        "floor_plan_transformation": {"translation": [0.1, 0.2], "rotation": 90.0, "scale": SCALE},
    }
    return {key: value for key, value in (pano | changes).items() if value is not None}


def _home(folder: Path, home: str, panos: dict[str, Any], scale: float | None = METRES) -> Path:
    (folder / home / "panos").mkdir(parents=True)
    for pano in panos.values():
        cv2.imwrite(str(folder / home / pano["image_path"]), np.zeros((32, 64, 3), np.uint8))
    data = {
        "scale_meters_per_coordinate": {"floor_01": scale},
        "merger": {"floor_01": {"complete_room_01": {"partial_room_03": panos}}},
        "redraw": {},
        "floorplan_to_redraw_transformation": {},
    }
    path = folder / home / "zind_data.json"
    path.write_text(json.dumps(data))
    return path


def test_a_room_comes_back_in_metres_as_the_publisher_projects_it(tmp_path: Path) -> None:
    """Camera height = scale of the panorama x metres of the floor; columns are those of ZInD's own formula."""
    _home(tmp_path, "000", {"pano_15": _pano("pano_15")})
    (entry,) = read(tmp_path)
    room = entry.read()
    assert (entry.name, entry.scene, entry.part) == ("000_floor_01_partial_room_03_pano_15", "000", None)
    assert room.camera_height_m == pytest.approx(SCALE * METRES)
    assert room.ceiling_height_m == pytest.approx(1.75 * SCALE * METRES)
    vx, vy = np.array(VERTICES).T
    published_column = (np.arctan2(-vx, vy) + np.pi) / (2 * np.pi)  # cartesian_to_sphere, sphere_to_pixel
    ours = np.arctan2(*room.polygon_m.T) / (2 * np.pi) + 0.5
    np.testing.assert_allclose(np.sort(ours), np.sort(published_column), atol=1e-9)
    floor_elevation = np.arctan2(-1.0, np.hypot(vx, vy))
    seen = np.arctan2(-room.camera_height_m, np.hypot(*room.polygon_m.T))
    np.testing.assert_allclose(seen[np.argsort(ours)], floor_elevation[np.argsort(published_column)], atol=1e-9)


def test_a_floor_without_scale_has_the_conventional_camera(tmp_path: Path) -> None:
    """None where the publisher could not calibrate: the room is given for the camera height asked for."""
    _home(tmp_path, "000", {"pano_1": _pano("pano_1")}, scale=None)
    room = read(tmp_path, camera_height_m=1.5)[0].read()
    assert (room.camera_height_m, room.ceiling_height_m) == (1.5, 1.75 * 1.5)
    assert np.abs(room.polygon_m).max() == pytest.approx(3.0 * 1.5)


def test_what_horizonnet_trains_on_is_the_default(tmp_path: Path) -> None:
    """Primary, from inside, flat ceiling, labelled with the visible geometry; options take more."""
    small = [[-0.5, -0.5], [0.5, -0.5], [0.5, 0.5], [-0.5, 0.5]]
    panos = {
        "pano_1": _pano("pano_1", layout_raw=_layout(small)),
        "pano_2": _pano("pano_2", is_primary=False),
        "pano_3": _pano("pano_3", is_inside=False),
        "pano_4": _pano("pano_4", is_ceiling_flat=None),
        "pano_5": _pano("pano_5", layout_visible=None),
        "pano_6": _pano("pano_6", layout_visible=_layout([[v[0] + 9, v[1]] for v in VERTICES])),
    }
    _home(tmp_path, "000", panos)

    def names(**options: Any) -> list[str]:
        return [e.name[-1] for e in read(tmp_path, **options)]

    assert names() == ["1"]
    assert names(primary_only=False) == ["1", "2"]
    assert names(flat_ceiling_only=False) == ["1", "4"]
    assert names(layout="layout_raw") == ["1", "5", "6"]
    assert np.abs(read(tmp_path, layout="layout_raw")[0].read().polygon_m).max() == pytest.approx(0.5 * SCALE * METRES)


def test_the_published_partition_is_honoured(tmp_path: Path) -> None:
    """Homes go to their part; a home in no list is left out."""
    for home in ("000", "001", "002"):
        _home(tmp_path, home, {"pano_1": _pano("pano_1")})
    partition = tmp_path / "zind_partition.json"
    partition.write_text(json.dumps({"train": ["000"], "val": [], "test": ["002"]}))
    assert [(e.scene, e.part) for e in read(tmp_path)] == [("000", "train"), ("002", "test")]
    partition.write_text("[]")
    with pytest.raises(DataError, match=r"zind_partition\.json.*train"):
        read(tmp_path)


def test_another_layout_is_refused(tmp_path: Path) -> None:
    """No homes, a key that is missing, vertices that are none, no picture, no JSON: the file and what was expected."""
    with pytest.raises(DataError, match=r"expected <home>/zind_data\.json"):
        read(tmp_path)
    path = _home(tmp_path, "000", {"pano_1": _pano("pano_1")})
    good = json.loads(path.read_text())
    for change, message in (
        ({"camera_height": None}, "KeyError 'camera_height'.*merger/floor"),
        ({"layout_visible": _layout([[0.0, 1.0]])}, "three or more corners"),
        ({"layout_visible": {"corners": []}}, "KeyError 'vertices'"),
    ):
        good["merger"]["floor_01"]["complete_room_01"]["partial_room_03"] = {"pano_1": _pano("pano_1", **change)}
        path.write_text(json.dumps(good))
        with pytest.raises(DataError, match=rf"zind_data\.json.*{message}"):
            read(tmp_path)
    for text in ("{", "[]"):
        path.write_text(text)
        with pytest.raises(DataError, match=r"zind_data\.json.*merger"):
            read(tmp_path)
    good["merger"]["floor_01"]["complete_room_01"]["partial_room_03"] = {"pano_9": _pano("pano_9")}
    path.write_text(json.dumps(good))
    with pytest.raises(DataError, match=r"no picture .*pano_9\.jpg"):
        read(tmp_path)
