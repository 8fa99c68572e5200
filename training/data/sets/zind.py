"""Zillow Indoor Dataset: one folder a home with `zind_data.json` and `panos/`, and `zind_partition.json` beside them.

Vertices are in units of the camera's height, x to the left of the panorama's centre and y forward (the publisher's
`transformations.py`: azimuth = atan2(-x, y)). A floor's `scale_meters_per_coordinate` times the panorama's own scale
gives metres where it is known.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np

from edge.errors import DataError
from training.config.values import Positive
from training.data.mix.entries import PARTS, Entry, Part
from training.data.sets.room_labels import CAMERA_HEIGHT_M, RoomLabel, json_of, outline, reading, usable
from training.data.vary.panoramic import PanoramaRoom

_EXPECTED = (
    "ZInD's zind_data.json: merger/floor/complete_room/partial_room/pano with camera_height, ceiling_height, "
    "image_path, is_primary, is_inside, floor_plan_transformation and the layouts' vertices"
)


@dataclass(frozen=True)
class _Wanted:
    layout: str
    primary_only: bool
    flat_ceiling_only: bool
    camera_height_m: float

    def takes(self, pano: Mapping[str, Any]) -> bool:
        """Whether a panorama has the layout asked for, from inside of it, and the rest of what is wanted."""
        return (
            self.layout in pano
            and bool(pano["is_inside"])
            and (bool(pano["is_primary"]) or not self.primary_only)
            and (bool(pano.get("is_ceiling_flat", False)) or not self.flat_ceiling_only)
        )


def _partition(folder: Path) -> dict[str, Part]:
    """Home to part, as `zind_partition.json` says; empty without the file."""
    path = folder / "zind_partition.json"
    if not path.is_file():
        return {}
    with reading(path, 'ZInD\'s zind_partition.json: {"train": [home, ...], "val": [...], "test": [...]}'):
        lists = json_of(path)
        return {str(home): part for part in PARTS for home in lists[part]}


def _panoramas(data: Mapping[str, Any]) -> Iterator[tuple[str, str, Mapping[str, Any]]]:
    """(floor, name, panorama) of everything in `merger`."""
    for floor, complete_rooms in data["merger"].items():
        for partial_rooms in complete_rooms.values():
            for partial_room, panos in partial_rooms.items():
                for pano_id, pano in panos.items():
                    yield floor, f"{floor}_{partial_room}_{pano_id}", pano


def _camera_height_m(pano: Mapping[str, Any], metres: float | None, otherwise_m: float) -> float:
    if metres is None:
        return otherwise_m
    return float(pano["camera_height"]) * float(pano["floor_plan_transformation"]["scale"]) * float(metres)


def _labels(home: Path, wanted: _Wanted, part: Part | None) -> list[RoomLabel]:
    path, out = home / "zind_data.json", []
    with reading(path, _EXPECTED):
        data = json_of(path)
        scales = data.get("scale_meters_per_coordinate", {})
        for floor, name, pano in _panoramas(data):
            if not wanted.takes(pano):
                continue
            camera_m = _camera_height_m(pano, scales.get(floor), wanted.camera_height_m)
            unit_m = camera_m / float(pano["camera_height"])
            polygon = outline(np.asarray(pano[wanted.layout]["vertices"], np.float64) * [-unit_m, unit_m])
            picture = home / str(pano["image_path"])
            ceiling_m = float(pano["ceiling_height"]) * unit_m
            out.append(RoomLabel(f"{home.name}_{name}", home.name, picture, polygon, camera_m, ceiling_m, part))
    return out


def read(
    folder: Path,
    *,
    layout: Literal["layout_raw", "layout_complete", "layout_visible"] = "layout_visible",
    primary_only: bool = True,
    flat_ceiling_only: bool = True,
    camera_height_m: Positive = CAMERA_HEIGHT_M,
) -> list[Entry[PanoramaRoom]]:
    """Panoramas taken from inside the room that they are labelled with, by default those that HorizonNet trains on.

    `camera_height_m` is for floors without a scale. A home is a scene.

    Raises:
        DataError: the folder is laid out otherwise, or a label cannot be understood; names the file.
    """
    wanted, parts = _Wanted(layout, primary_only, flat_ceiling_only, camera_height_m), _partition(folder)
    homes = sorted(path.parent for path in folder.glob("*/zind_data.json"))
    if not homes:
        raise DataError(f"{folder}: expected <home>/zind_data.json and <home>/panos/*.jpg (ZInD as downloaded)")
    if parts:
        homes = [home for home in homes if home.name in parts]
    return usable(label for home in homes for label in _labels(home, wanted, parts.get(home.name)))
