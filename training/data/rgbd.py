"""Folders of colour and depth pictures.

Either `rgb/` and `depth/` with files that pair in sorted order, or `<n>_rgb.png` beside `<n>_depth.png`. Depth
is 16 bit, 0 = unknown. The lens is `K.txt` (3x3, px) in the folder, or given by the caller.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt

from edge.errors import DataError
from edge.scene import ImageArray, Intrinsics
from training.data.pictures import read_picture

_SUFFIXES = {".png", ".jpg", ".jpeg", ".pgm", ".ppm"}


@dataclass(frozen=True)
class RgbdPicture:
    """A picture, its z-depth in metres (0 = unknown) and its lens."""

    name: str
    image: ImageArray
    depth_m: npt.NDArray[np.float32]
    intrinsics: Intrinsics


def _pairs(folder: Path) -> list[tuple[Path, Path]]:
    side_by_side = sorted(folder.glob("*_rgb.*"))
    if side_by_side:
        return [(p, next(iter(folder.glob(p.name.split("_rgb")[0] + "_depth.*")), p)) for p in side_by_side]
    rgb, depth = (sorted(p for p in (folder / d).glob("*") if p.suffix in _SUFFIXES) for d in ("rgb", "depth"))
    if not rgb or len(rgb) != len(depth):
        raise DataError(
            f"{folder}: expected rgb/ and depth/ with as many pictures each (found {len(rgb)} and {len(depth)}), "
            "or <n>_rgb.png beside <n>_depth.png"
        )
    return list(zip(rgb, depth, strict=True))


def _matrix(folder: Path, lens: tuple[float, float, float, float] | None) -> tuple[float, float, float, float]:
    file = folder / "K.txt"
    if lens is not None or not file.is_file():
        if lens is None:
            raise DataError(f"{folder}: no K.txt; add it (3x3 camera matrix, px) or give the lens (fx fy cx cy)")
        return lens
    k = np.loadtxt(file)
    if k.shape != (3, 3):
        raise DataError(f"{file}: expected a 3x3 camera matrix, got {k.shape}")
    return float(k[0, 0]), float(k[1, 1]), float(k[0, 2]), float(k[1, 2])


def read_rgbd(
    folder: Path, *, units_per_m: float = 1000.0, lens: tuple[float, float, float, float] | None = None
) -> list[RgbdPicture]:
    """Every pair of a folder.

    Args:
        folder: see the module.
        units_per_m: depth values in a metre.
        lens: fx, fy, cx, cy in px; None = K.txt.

    Raises:
        DataError: the folder is laid out otherwise; names what was expected where.
    """
    fx, fy, cx, cy = _matrix(folder, lens)
    out = []
    for rgb, depth in _pairs(folder):
        colour, raw = read_picture(rgb), cv2.imread(str(depth), cv2.IMREAD_UNCHANGED)
        if raw is None:
            raise DataError(f"{depth}: cannot be read as a picture; replace or remove it")
        if raw.dtype != np.uint16 or raw.ndim != 2 or raw.shape != colour.shape[:2]:
            raise DataError(f"{depth}: expected one 16-bit channel of the picture's size, got {raw.dtype} {raw.shape}")
        h, w = raw.shape
        metres = (raw.astype(np.float32) / np.float32(units_per_m)).astype(np.float32)
        out.append(RgbdPicture(rgb.stem, colour, metres, Intrinsics(w, h, fx, fy, cx, cy)))
    return out
