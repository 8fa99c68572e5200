"""Folders of colour and depth pictures.

Either `rgb/` and `depth/` with files that pair in sorted order, or `<n>_rgb.png` beside `<n>_depth.png`. Depth
is 16 bit, 0 = unknown. The lens is `K.txt` (3x3, px) in the folder, or given by the caller.
"""

from __future__ import annotations

from functools import partial
from pathlib import Path

import cv2
import numpy as np

from edge.errors import DataError
from training.config.values import Positive
from training.data.mix.entries import Entry
from training.data.sets.pictures import read_depth, read_picture
from training.data.vary.perspective import DepthPicture

_SUFFIXES = {".png", ".jpg", ".jpeg", ".pgm", ".ppm"}
Lens = tuple[float, float, float, float]


def matrix_file(path: Path, size: int) -> Lens:
    """fx, fy, cx, cy of a text file with a camera matrix of `size` x `size`.

    Raises:
        DataError: it is missing or holds something else.
    """
    try:
        k = np.loadtxt(path, ndmin=2)
    except (OSError, ValueError) as e:
        raise DataError(f"{path}: expected a {size}x{size} camera matrix in px ({e}); add it as published") from e
    if k.shape != (size, size):
        raise DataError(f"{path}: expected a {size}x{size} camera matrix, got {k.shape}; replace it")
    return float(k[0, 0]), float(k[1, 1]), float(k[0, 2]), float(k[1, 2])


def depth_picture(
    colour: Path, depth: Path, focal_px: tuple[float, float], *, units_per_m: float = 1000.0, unknown: int = 0
) -> DepthPicture:
    """A picture and its depth from two files; a picture larger than its depth is averaged down to it.

    Args:
        colour: any picture.
        depth: one 16-bit channel.
        focal_px: fx, fy for the colour file's size.
        units_per_m: depth values in a metre.
        unknown: depth value that means so, beside 0.

    Raises:
        DataError: a file cannot be read, is of another type, or the two have different shapes.
    """
    image, metres = read_picture(colour), read_depth(depth, units_per_m, unknown)
    (h, w), (dh, dw) = image.shape[:2], metres.shape
    if abs(w * dh / (h * dw) - 1) > 0.02 or dw > w:
        raise DataError(
            f"{depth}: {dw}x{dh} is another shape than its picture's, {w}x{h}; check that they belong together"
        )
    if (w, h) != (dw, dh):
        image = np.asarray(cv2.resize(image, (dw, dh), interpolation=cv2.INTER_AREA), dtype=np.uint8)
    return DepthPicture(image, metres, focal_px[0] * dw / w, focal_px[1] * dh / h)


def _pairs(folder: Path) -> list[tuple[Path, Path]]:
    side_by_side = sorted(folder.glob("*_rgb.*"))
    if side_by_side:
        depths = {p.name.rpartition("_depth.")[0]: p for p in sorted(folder.glob("*_depth.*"))}
        alone = [p for p in side_by_side if p.name.rpartition("_rgb.")[0] not in depths]
        if alone:
            raise DataError(f"{alone[0]}: there is no <n>_depth.png beside it; add it or remove the picture")
        return [(p, depths[p.name.rpartition("_rgb.")[0]]) for p in side_by_side]
    rgb, depth = (sorted(p for p in (folder / d).glob("*") if p.suffix.lower() in _SUFFIXES) for d in ("rgb", "depth"))
    if not rgb or len(rgb) != len(depth):
        raise DataError(
            f"{folder}: expected rgb/ and depth/ with as many pictures each (found {len(rgb)} and {len(depth)}), "
            "or <n>_rgb.png beside <n>_depth.png"
        )
    return list(zip(rgb, depth, strict=True))


def _matrix(folder: Path, lens: Lens | None) -> Lens:
    file = folder / "K.txt"
    if lens is not None:
        return lens
    if not file.is_file():
        raise DataError(f"{folder}: no K.txt; add it (3x3 camera matrix, px) or give the lens (fx fy cx cy)")
    return matrix_file(file, 3)


def read(folder: Path, *, units_per_m: Positive = 1000.0, lens: Lens | None = None) -> list[Entry[DepthPicture]]:
    """The pairs of a folder, or of each of its sub-folders where it has none itself; a folder is a scene.

    Raises:
        DataError: it is laid out otherwise; names what was expected where.
    """
    try:
        own = (folder / "rgb").is_dir() or any(folder.glob("*_rgb.*"))
        scenes = [] if own else sorted(p for p in folder.iterdir() if p.is_dir())
    except OSError as e:
        raise DataError(f"{folder}: cannot be read ({e.strerror}); give a folder with rgb/, depth/ and K.txt") from e
    entries = []
    for scene in scenes or [folder]:
        focal_px = _matrix(scene, lens)[:2]
        for colour, depth in _pairs(scene):
            load = partial(depth_picture, colour, depth, focal_px, units_per_m=units_per_m)
            entries.append(Entry(f"{scene.name}/{colour.stem}", scene.name, load))
    return entries
