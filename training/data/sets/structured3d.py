"""Structured3D's panoramas: `scene_<5 digits>/2D_rendering/<room>/panorama/` with `layout.txt` and the renderings.

Labels are HorizonNet's corner lines (the publisher's `data_organization.md`). The official parts go by scene: 0-2999
train, 3000-3249 validation, 3250-3499 test. The camera's height is not published in one frame: rooms are given in units
of a camera at `camera_height_m`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

from edge.errors import DataError
from training.config.values import Positive
from training.data.mix.entries import Entry, Part
from training.data.sets.horizonnet import room_label
from training.data.sets.room_labels import CAMERA_HEIGHT_M, RoomLabel, lines_of, reading, usable
from training.data.vary.panoramic import PanoramaRoom

_SCENE = re.compile(r"scene_(\d{5})$")
_ERRATUM = re.compile(r"scene_\d{5}(_room_\w+)?$")


def part_of(scene: str) -> Part:
    """The official part of `scene_<5 digits>`."""
    number = int(scene.removeprefix("scene_"))
    return "train" if number < 3000 else "val" if number < 3250 else "test"


def _errata(path: Path | None) -> frozenset[str]:
    """Names in the publisher's `metadata/errata.txt`: `scene_01155`, or `scene_01778_room_858455` for one room."""
    if path is None:
        return frozenset()
    expected = "the publisher's metadata/errata.txt: scene_<5 digits> or scene_<5 digits>_room_<room> a line"
    with reading(path, expected):
        names = lines_of(path)
        wrong = [name for name in names if not _ERRATUM.match(name)]
        if wrong:
            raise DataError(f"{wrong[0]!r} is no scene or room")
    return frozenset(names)


def _labels(
    folder: Path, light: str, furniture: str, errata: frozenset[str], camera_height_m: float
) -> Iterator[RoomLabel]:
    for scene in sorted(p for p in folder.iterdir() if _SCENE.match(p.name)):
        if scene.name in errata:
            continue
        for panorama in sorted(scene.glob("2D_rendering/*/panorama")):
            room = panorama.parent.name
            if f"{scene.name}_room_{room}" in errata:
                continue
            picture = panorama / furniture / f"rgb_{light}light.png"
            name = f"{scene.name}_{room}"
            yield room_label(panorama / "layout.txt", picture, camera_height_m, name, scene.name, part_of(scene.name))


def read(
    folder: Path,
    *,
    light: Literal["raw", "cold", "warm"] = "raw",
    furniture: Literal["full", "simple", "empty"] = "full",
    errata: Path | None = None,
    camera_height_m: Positive = CAMERA_HEIGHT_M,
) -> list[Entry[PanoramaRoom]]:
    """Every room that is not in the `errata` file; labels that cross themselves are left out in any case.

    Raises:
        DataError: the folder is laid out otherwise, or a label cannot be understood; names the file.
    """
    found = usable(_labels(folder, light, furniture, _errata(errata), camera_height_m)) if folder.is_dir() else []
    if not found:
        raise DataError(
            f"{folder}: expected scene_<5 digits>/2D_rendering/<room>/panorama/layout.txt with "
            f"{furniture}/rgb_{light}light.png beside it (Structured3D's panorama archives, unpacked into one folder)"
        )
    return found
