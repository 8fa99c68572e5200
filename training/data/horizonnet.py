"""Panoramas with layouts in HorizonNet's format: `img/*.png|jpg` and `label_cor/*.txt` of the same name.

A label has two lines a corner, `x y` in px of the picture: its ceiling end, then its floor end, in the layout's order.
Two corners with one x are an occlusion edge. `ignore_spans.csv`, where there is one, lists the columns of a picture in
which its ceiling or floor edge is not visible: `name,boundary,x0,x1,reason`.
"""

from __future__ import annotations

import csv
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from edge.errors import DataError
from edge.geometry.polygon import counter_clockwise
from edge.scene import ImageArray
from training.data.pictures import read_picture

Array = npt.NDArray[np.float64]
CAMERA_HEIGHT_M = 1.6
"""HorizonNet's convention where nothing else is known."""


@dataclass(frozen=True)
class LabelledPanorama:
    """A picture and its room, in metres for the camera height given."""

    name: str
    image: ImageArray
    polygon_m: Array
    ceiling_height_m: float
    camera_height_m: float


@dataclass(frozen=True)
class Span:
    """Columns `x0_px`..`x1_px` (both included) in which an edge, `ceiling` or `floor`, is not visible."""

    boundary: str
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
                span = Span(row["boundary"], float(row["x0"]), float(row["x1"]))
                name = row["name"]
            except (KeyError, TypeError, ValueError) as e:
                raise DataError(f"{path}, line {number}: expected name,boundary,x0,x1,reason; correct it") from e
            if span.boundary not in ("ceiling", "floor"):
                raise DataError(f"{path}, line {number}: boundary is ceiling or floor, not {span.boundary!r}")
            out[name] = (*out.get(name, ()), span)
    return out


def room_from_corners(corners_px: Array, width_px: int, height_px: int, camera_height_m: float) -> tuple[Array, float]:
    """Floor polygon (N, 2) and ceiling height of corners (2N, 2) in the file's order.

    Raises:
        DataError: a ceiling end is not above the horizon, or a floor end not below.
    """
    lon = ((corners_px[:, 0] / width_px) - 0.5) * 2 * np.pi
    lat = (0.5 - corners_px[:, 1] / height_px) * np.pi
    ceiling, floor = lat[::2], lat[1::2]
    if (ceiling <= 0).any() or (floor >= 0).any():
        raise DataError("a corner's first line is its ceiling end, above the horizon, its second the floor end, below")
    distance = camera_height_m / np.tan(-floor)
    outline = np.stack([distance * np.sin(lon[1::2]), distance * np.cos(lon[1::2])], axis=1)
    above = float(np.median(distance * np.tan(ceiling)))
    return counter_clockwise(outline), camera_height_m + above


def read_labelled(folder: Path, camera_height_m: float = CAMERA_HEIGHT_M) -> list[LabelledPanorama]:
    """Every labelled panorama of a folder.

    Raises:
        DataError: the folder is laid out otherwise, or a label cannot be understood; names the file.
    """
    labels = sorted((folder / "label_cor").glob("*.txt"))
    if not labels:
        raise DataError(
            f"{folder}: expected label_cor/*.txt and img/ with pictures of the same names (HorizonNet's layout)"
        )
    out = []
    for label in labels:
        picture = next((p for p in (folder / "img").glob(label.stem + ".*")), None)
        if picture is None:
            raise DataError(f"{label}: no picture {folder / 'img' / label.stem}.*; add it or remove the label")
        image = read_picture(picture)
        try:
            corners = np.loadtxt(label, dtype=np.float64, ndmin=2)
        except ValueError as e:
            raise DataError(f"{label}: expected two numbers a line, x y: {e}") from e
        if corners.shape[1] != 2 or len(corners) < 6 or len(corners) % 2:
            raise DataError(f"{label}: expected two lines (ceiling, floor) for each of 3 or more corners")
        try:
            polygon, height = room_from_corners(corners, image.shape[1], image.shape[0], camera_height_m)
        except DataError as e:
            raise DataError(f"{label}: {e}") from e
        out.append(LabelledPanorama(label.stem, image, polygon, height, camera_height_m))
    return out
