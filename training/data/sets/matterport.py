"""MatterportLayout, and any panorama labelled with PanoAnnotator: `image/<name>.png|jpg` and `label/<name>.json`.

A label's points have `xyz` in metres with y up, x right and -z forward (a column's longitude is atan2(x, -z)); their
order is that of the walls' `pointsIdx`; `layoutHeight` is the ceiling's height above the floor. The names of
MatterportLayout are `<house>_<panorama>`, its parts the publisher's lists of such pairs: `split/<part>.txt` or
`data_list/mp3d_<part>.txt`.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from edge.errors import DataError
from training.arrays import Array
from training.data.mix.entries import PARTS, Entry, Part
from training.data.sets.room_labels import RoomLabel, files_by_name, json_of, lines_of, outline, reading, usable
from training.data.vary.panoramic import PanoramaRoom

_EXPECTED = (
    "PanoAnnotator's JSON: cameraHeight, layoutHeight, layoutPoints.points[].xyz and layoutWalls.walls[].pointsIdx"
)
_LABEL_ENDING = "_label"
"""The publisher's archive has `label_data/<name>_label.json`."""


def _parts(folder: Path) -> dict[str, Part]:
    """Name to part, as the lists say; empty without lists."""
    out: dict[str, Part] = {}
    for part in PARTS:
        for path in (folder / "split" / f"{part}.txt", folder / "data_list" / f"mp3d_{part}.txt"):
            if path.is_file():
                with reading(path, "the publisher's list: house and panorama a line, with a space between"):
                    out |= {"_".join(line.split()): part for line in lines_of(path)}
    return out


def _corners(label: Mapping[str, Any]) -> Array:
    """Floor corners in the walls' order, room frame."""
    points = label["layoutPoints"]["points"]
    order = [wall["pointsIdx"][0] for wall in label["layoutWalls"]["walls"]]
    if sorted(order) != list(range(len(points))):
        raise DataError("its walls do not go once through all of its points")
    xyz = np.asarray([points[i]["xyz"] for i in order], dtype=np.float64)
    return outline(xyz[:, [0, 2]] * [1.0, -1.0])


def _label(path: Path, name: str, picture: Path, part: Part | None) -> RoomLabel:
    with reading(path, _EXPECTED):
        content = json_of(path)
        camera_m, ceiling_m = float(content["cameraHeight"]), float(content["layoutHeight"])
        return RoomLabel(name, name.split("_")[0], picture, _corners(content), camera_m, ceiling_m, part)


def read(folder: Path) -> list[Entry[PanoramaRoom]]:
    """Every labelled panorama; where there are lists of parts, only those in them. A house is a scene.

    Raises:
        DataError: the folder is laid out otherwise, or a label cannot be understood; names the file.
    """
    paths = sorted([*folder.glob("label/*.json"), *folder.glob("label_data/*.json")])
    if not paths:
        raise DataError(
            f"{folder}: expected label/*.json (or label_data/*_label.json) and image/ with pictures of the same names"
        )
    parts, pictures, labels = _parts(folder), files_by_name(folder / "image"), []
    for path in paths:
        name = path.stem.removesuffix(_LABEL_ENDING)
        if not parts or name in parts:
            picture = pictures.get(name, folder / "image" / f"{name}.png")
            labels.append(_label(path, name, picture, parts.get(name)))
    return usable(labels)
