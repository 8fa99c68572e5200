"""Structured3D's panorama archives, on files written here as its `data_organization.md` lays them out."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from edge.errors import DataError
from tests.training.data.sets.test_horizonnet import L_ROOM, corner_lines
from training.data.sets.readers import kind_of
from training.data.sets.structured3d import part_of, read


def _write(folder: Path, scene: str, room: str, polygon: np.ndarray = L_ROOM) -> Path:
    panorama = folder / scene / "2D_rendering" / room / "panorama"
    for kind in ("full", "empty"):
        (panorama / kind).mkdir(parents=True)
        for level, light in enumerate(("raw", "cold", "warm")):
            level += 100 * (kind == "empty")
            cv2.imwrite(str(panorama / kind / f"rgb_{light}light.png"), np.full((32, 64, 4), level, np.uint8))
    (panorama / "camera_xyz.txt").write_text("-1000 2000 1600\n")
    label = panorama / "layout.txt"
    label.write_text("\n".join(corner_lines(polygon, 64)))
    return label


def test_rooms_come_back_with_their_official_part(tmp_path: Path) -> None:
    """Scene, room, part by the scene's number, and the rendering that is asked for."""
    for scene, room in (("scene_00000", "485142"), ("scene_00000", "490854"), ("scene_03100", "7")):
        _write(tmp_path, scene, room)
    found = read(tmp_path)
    assert [(e.name, e.scene, e.part) for e in found] == [
        ("scene_00000_485142", "scene_00000", "train"),
        ("scene_00000_490854", "scene_00000", "train"),
        ("scene_03100_7", "scene_03100", "val"),
    ]
    room = found[0].read()
    assert np.hypot(*(room.polygon_m[:, None] - L_ROOM).T).min(axis=0).max() < 1e-4
    assert room.ceiling_height_m == pytest.approx(2.5, abs=1e-4)
    assert room.image.max() == 0
    assert read(tmp_path, light="warm", furniture="empty")[0].read().image.max() == 102


def test_official_parts() -> None:
    """0-2999 train, 3000-3249 validation, 3250-3499 test."""
    numbers = {"train": (0, 2999), "val": (3000, 3249), "test": (3250, 3499)}
    assert all(part_of(f"scene_{n:05d}") == part for part, bounds in numbers.items() for n in bounds)


def test_known_errors_are_left_out(tmp_path: Path) -> None:
    """The publisher's errata name scenes and rooms; a label that crosses itself is left out without being named."""
    for scene, room in (("scene_01155", "1"), ("scene_01778", "858455"), ("scene_01778", "2")):
        _write(tmp_path, scene, room)
    _write(tmp_path, "scene_01779", "3", np.array([[-1.0, -1.0], [2.0, 2.0], [2.0, -1.0], [-1.0, 3.0]]))
    assert len(read(tmp_path)) == 3
    errata = tmp_path / "errata.txt"
    errata.write_text("# invalid scene\nscene_01155\n# a pair of junctions are not aligned\nscene_01778_room_858455\n")
    assert [e.name for e in read(tmp_path, errata=errata)] == ["scene_01778_2"]
    errata.write_text("room 12\n")
    with pytest.raises(DataError, match=r"errata\.txt.*room 12.*scene_"):
        read(tmp_path, errata=errata)


def test_another_layout_is_refused(tmp_path: Path) -> None:
    """No scenes, a label without its rendering, or a label with something else in it."""
    with pytest.raises(DataError, match="expected scene_.*2D_rendering"):
        read(tmp_path)
    label = _write(tmp_path, "scene_00001", "9")
    with pytest.raises(DataError, match=r"no picture .*simple/rgb_rawlight\.png"):
        read(tmp_path, furniture="simple")
    label.write_text('{"junctions": []}')
    with pytest.raises(DataError, match=r"layout\.txt.*two lines"):
        read(tmp_path)
    label.unlink()
    with pytest.raises(DataError, match=r"layout\.txt.*cannot be read"):
        read(tmp_path)


def test_options_come_from_recipes_as_text(tmp_path: Path) -> None:
    """The registry gives the reader its options, checked: another light is taken, one that is none is refused."""
    _write(tmp_path, "scene_00001", "9")
    kind = kind_of("layout", "structured3d")
    assert kind.entries(tmp_path, {"light": "warm", "camera_height_m": "1.2"})[0].read().camera_height_m == 1.2
    with pytest.raises(DataError, match="options: light.*'raw', 'cold' or 'warm'"):
        kind.entries(tmp_path, {"light": "green"})
