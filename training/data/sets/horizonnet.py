"""Panoramas with layouts in HorizonNet's format: `img/*.png|jpg` and `label_cor/*.txt` of the same name.

A label has two lines a corner, `x y` in px of the picture: its ceiling end, then its floor end, in the layout's order
(either way round, from any corner). As in HorizonNet's `panostretch.py`, pixel 0's centre is at 0. Two corners with one
x are an occlusion edge. `ignore_spans.csv`, where there is one, lists the columns of a picture in which its ceiling or
floor edge is not visible: `name,boundary,x0,x1,reason`. `camera_heights.csv`, where there is one, has the height of
each picture's camera: `name,camera_height_m`; `edge review` writes both.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import get_args

import numpy as np
from PIL import Image

from edge.errors import DataError
from training.arrays import Array
from training.config.values import Positive
from training.data.mix.entries import Entry, Part
from training.data.sets.room_labels import CAMERA_HEIGHT_M, RoomLabel, files_by_name, lines_of, outline, reading
from training.data.vary.panoramic import EdgeName, Hidden, PanoramaRoom

_PARTS: dict[str, Part] = {"train": "train", "valid": "val", "val": "val", "test": "test"}
_EXPECTED = "two lines `x y` (ceiling end above the horizon, floor end below) for each of 3 or more corners"
_SAME_COLUMN_PX = 1.0


@dataclass(frozen=True)
class Span:
    """Columns `x0_px`..`x1_px` (both included) in which an edge, `ceiling` or `floor`, is not visible."""

    boundary: EdgeName
    x0_px: float
    x1_px: float


def ignored_spans(folder: Path) -> dict[str, tuple[Span, ...]]:
    """By picture name, what `ignore_spans.csv` says; empty without the file.

    Raises:
        DataError: a line of it cannot be understood.
    """
    path = folder / "ignore_spans.csv"
    out: dict[str, tuple[Span, ...]] = {}
    if not path.is_file():
        return out
    with path.open(encoding="utf-8", newline="") as file:
        for number, row in enumerate(csv.DictReader(file), start=2):
            try:
                boundary, x0_px, x1_px = row["boundary"], float(row["x0"]), float(row["x1"])
                name = row["name"]
            except (KeyError, TypeError, ValueError) as e:
                raise DataError(f"{path}, line {number}: expected name,boundary,x0,x1,reason; correct it") from e
            edges: tuple[EdgeName, ...] = get_args(EdgeName)
            edge = next((e for e in edges if e == boundary), None)
            if edge is None:
                raise DataError(f"{path}, line {number}: boundary is ceiling or floor, not {boundary!r}")
            span = Span(edge, x0_px, x1_px)
            out[name] = (*out.get(name, ()), span)
    return out


def camera_heights(folder: Path) -> dict[str, float]:
    """By picture name, what `camera_heights.csv` says, metres; empty without the file.

    Raises:
        DataError: a line of it cannot be understood.
    """
    path = folder / "camera_heights.csv"
    out: dict[str, float] = {}
    if not path.is_file():
        return out
    with path.open(encoding="utf-8", newline="") as file:
        for number, row in enumerate(csv.DictReader(file), start=2):
            try:
                out[row["name"]] = float(row["camera_height_m"])
            except (KeyError, TypeError, ValueError) as e:
                raise DataError(f"{path}, line {number}: expected name,camera_height_m; correct it") from e
    return out


def room_from_corners(corners_px: Array, width_px: int, height_px: int, camera_height_m: float) -> tuple[Array, float]:
    """Floor polygon (N, 2) and ceiling height of corners (2N, 2) in the file's order.

    Raises:
        DataError: a ceiling end is not above the horizon, or a floor end not below.
    """
    lon = ((corners_px[:, 0] + 0.5) / width_px - 0.5) * 2 * np.pi
    lat = (0.5 - (corners_px[:, 1] + 0.5) / height_px) * np.pi
    ceiling, floor = lat[::2], lat[1::2]
    if (ceiling <= 0).any() or (floor >= 0).any():
        raise DataError("a corner's ceiling end is not above the horizon, or its floor end not below")
    distance = camera_height_m / np.tan(-floor)
    above = float(np.median(distance * np.tan(ceiling)))
    polygon = outline(np.stack([distance * np.sin(lon[1::2]), distance * np.cos(lon[1::2])], axis=1))
    return polygon, camera_height_m + above


def corners_in(path: Path) -> Array:
    """(2N, 2) px: what a label file holds; to be called within `reading`.

    Raises:
        DataError: it holds something else than two lines for each of three or more corners.
    """
    corners = np.array([[float(number) for number in line.split()] for line in lines_of(path)], dtype=np.float64)
    if corners.ndim != 2 or corners.shape[1] != 2 or len(corners) < 6 or len(corners) % 2:
        raise DataError(f"{len(corners)} lines")
    apart = np.abs(corners[::2, 0] - corners[1::2, 0])
    if apart.max() > _SAME_COLUMN_PX:
        raise DataError(f"the two ends of corner {int(apart.argmax()) + 1} are not in one column")
    return corners


def _hidden(span: Span, width_px: int) -> Hidden:
    """A span's columns, whole, as directions."""
    ends_rad = [((x / width_px) - 0.5) * 2 * np.pi for x in (span.x0_px, span.x1_px + 1)]
    return Hidden(span.boundary, *(np.array([np.sin(a), np.cos(a)]) for a in ends_rad))


def room_label(
    label: Path,
    picture: Path,
    camera_height_m: float,
    name: str,
    scene: str,
    part: Part | None,
    spans: tuple[Span, ...] = (),
) -> RoomLabel:
    """The room of a label file, for the size of its picture.

    Raises:
        DataError: the label cannot be understood, or the picture's size not be read.
    """
    try:
        with Image.open(picture) as image:
            width_px, height_px = image.size
    except OSError as e:
        raise DataError(f"{label}: no picture {picture} can be read ({e}); add it or remove the label") from e
    with reading(label, _EXPECTED):
        polygon, ceiling_m = room_from_corners(corners_in(label), width_px, height_px, camera_height_m)
    hidden = tuple(_hidden(span, width_px) for span in spans)
    return RoomLabel(name, scene, picture, polygon, camera_height_m, ceiling_m, part, hidden)


def _folders(folder: Path) -> Iterator[tuple[Path, Part | None]]:
    """Where `label_cor` lies: in the folder itself, or in its `train`, `valid` and `test`."""
    if (folder / "label_cor").is_dir():
        yield folder, None
        return
    for name, part in _PARTS.items():
        if (folder / name / "label_cor").is_dir():
            yield folder / name, part


def _scene_of(pattern: str, name: str) -> str:
    try:
        match = re.match(pattern, name)
    except re.error as e:
        raise DataError(f"scene_pattern: {pattern!r} is no regular expression ({e}); correct it") from e
    return match.group(1) if match and match.lastindex else name


def read(
    folder: Path, *, camera_height_m: Positive = CAMERA_HEIGHT_M, scene_pattern: str = ""
) -> list[Entry[PanoramaRoom]]:
    """Every labelled panorama of a folder, or of its `train`, `valid` and `test`.

    `scene_pattern`: a regular expression whose first group is the scene in a file's name, such as
    `(scene_[0-9]+)_`; by default every picture is a scene of its own.

    Raises:
        DataError: the folder is laid out otherwise, or a label cannot be understood; names the file.
    """
    out = []
    for base, part in _folders(folder):
        pictures, heights, spans = files_by_name(base / "img"), camera_heights(base), ignored_spans(base)
        for label in sorted((base / "label_cor").glob("*.txt")):
            picture = pictures.get(label.stem)
            if picture is None:
                raise DataError(f"{label}: no picture {base / 'img' / label.stem}.*; add it or remove the label")
            scene = _scene_of(scene_pattern, label.stem)
            height_m = heights.get(label.stem, camera_height_m)
            room = room_label(label, picture, height_m, label.stem, scene, part, spans.get(label.stem, ()))
            if room.problem is not None:
                raise DataError(f"{label}: {room.problem}; correct or remove it")
            out.append(room.entry())
    if not out:
        raise DataError(
            f"{folder}: expected label_cor/*.txt and img/ with pictures of the same names (HorizonNet's layout), "
            "there or in train/, valid/ and test/"
        )
    return out
