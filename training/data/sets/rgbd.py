"""Folders of colour and depth pictures.

Either `rgb/` and `depth/`, or `<n>_rgb.png` beside `<n>_depth.png`. A picture and its depth have the same name, but for
leading zeros of its numbers and words that say which of the two it is (`rgb_7.jpg` and `depth_0007.png`); each has one.
Depth is 16 bit, 0 = unknown. The lens is `K.txt` (3x3, px) in the folder, or given by the caller.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import partial
from pathlib import Path

import cv2
import numpy as np

from edge.errors import DataError
from training.arrays import Lens
from training.config.values import Positive
from training.data.mix.entries import Entry
from training.data.sets.pictures import read_depth, read_picture
from training.data.vary.perspective import DepthPicture

_SUFFIXES = {".png", ".jpg", ".jpeg", ".pgm", ".ppm"}
_KINDS = {"rgb", "color", "colour", "image", "img", "depth", "d"}
"""Words of a file's name that say what it holds, not of which frame."""


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


def _frame(path: Path) -> tuple[str, ...]:
    """What a file's name says of which frame it is of: its words and numbers but for those of its kind."""
    words = re.findall(r"[^\W\d_]+|\d+(?:\.\d+)?", path.stem.lower())
    return tuple(w.lstrip("0") or "0" if w[0].isdigit() else w for w in words if w not in _KINDS)


def _by_frame(paths: Iterable[Path]) -> dict[tuple[str, ...], Path]:
    found: dict[tuple[str, ...], Path] = {}
    for path in paths:
        other = found.setdefault(_frame(path), path)
        if other != path:
            raise DataError(f"{path}: is of the same frame as {other.name}, going by its name; rename or remove one")
    return found


def paired(colour: Iterable[Path], depth: Iterable[Path]) -> list[tuple[Path, Path]]:
    """Each picture with its depth, by name and never by position.

    Raises:
        DataError: one is alone, or two are of one frame.
    """
    pictures, depths = _by_frame(colour), _by_frame(depth)
    alone = [p for mine, theirs in ((pictures, depths), (depths, pictures)) for f, p in mine.items() if f not in theirs]
    if alone:
        raise DataError(
            f"{alone[0]}: {'one' if len(alone) == 1 else f'the first of {len(alone)}'} without its other half: a "
            "picture and its depth have the same name or number (rgb/0007.jpg and depth/0007.png, 7_rgb.png and "
            "7_depth.png); add it, rename or remove this"
        )
    return [(picture, depths[frame]) for frame, picture in pictures.items()]


def _pairs(folder: Path) -> list[tuple[Path, Path]]:
    side_by_side, beside = _pictures(folder, "*_rgb.*"), _pictures(folder, "*_depth.*")
    if side_by_side:
        return paired(side_by_side, beside)
    colour, depth = _pictures(folder / "rgb", "*"), _pictures(folder / "depth", "*")
    if not colour or not depth:
        raise DataError(
            f"{folder}: expected rgb/ and depth/ with as many pictures each (found {len(colour)} and {len(depth)}), or "
            "<n>_rgb.png beside <n>_depth.png"
        )
    return paired(colour, depth)


def _pictures(folder: Path, pattern: str) -> list[Path]:
    return sorted(p for p in folder.glob(pattern) if p.suffix.lower() in _SUFFIXES)


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
