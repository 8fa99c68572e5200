"""Environments on disk: equirectangular linear radiance in Radiance .hdr and OpenEXR .exr files.

OpenCV 5 reads no EXR; the Academy's own `OpenEXR` does.
"""

from __future__ import annotations

import logging
from collections import Counter
from functools import cache, partial
from pathlib import Path

import numpy as np
import numpy.typing as npt
import OpenEXR

from edge.cameras import largest
from edge.errors import DataError, ImageError
from training.data.mix.entries import Entry
from training.data.sets.pictures import as_stored

Radiance = npt.NDArray[np.float32]
ENDINGS = (".hdr", ".exr")
_LOW_RANGE = frozenset((".jpg", ".jpeg", ".png", ".bmp", ".webp", ".tif", ".tiff"))
_BRIGHTEST = 65504.0
"""The largest half float: what an overflowed sun is taken for."""
_LOG = logging.getLogger(__name__)
_MOST_WRONG = 0.01
"""Share of an environment's pixels that may be wrong: a sun and a few dead pixels, and no more."""
_ABSURD = 1e10
"""No light is brighter, not the sun in cd/m2 (1.6e9): such a value is an error of what wrote the file."""


def place_of(name: str) -> str:
    """`autoshop_01` of `indoor__autoshop_01.hdr`: a file's name without its kind and ending."""
    for ending in ENDINGS:
        name = name.removesuffix(ending)
    return name.split("__", 1)[-1]


def environment_files(folder: Path) -> list[Path]:
    """Every .hdr and .exr of a folder, by name.

    Raises:
        DataError: there is none, or one environment is there twice.
    """
    files = sorted(folder.iterdir()) if folder.is_dir() else []
    found = [p for p in files if p.suffix.lower() in ENDINGS]
    if not found:
        flat = sum(p.suffix.lower() in _LOW_RANGE for p in files)
        hint = f"; its {flat} pictures of 8 bits hold no radiance" if flat else ""
        raise DataError(
            f"{folder}: no .hdr or .exr files{hint}; give a folder of equirectangular environments "
            "(`edge-train fetch polyhaven` makes one)"
        )
    twice = [stem for stem, count in Counter(p.stem for p in found).items() if count > 1]
    if twice:
        raise DataError(f"{folder}: {twice[0]} is there both as .hdr and as .exr; remove one")
    return found


def _hdr(path: Path) -> Radiance:
    """RGB of a Radiance file."""
    image = as_stored(path)
    if image is None:
        raise DataError(f"{path}: no Radiance .hdr picture, or cut short; download it again or remove it")
    if image.dtype != np.float32 or image.ndim != 3:
        raise DataError(f"{path}: a picture of {image.dtype} values holds no radiance; replace it by the real .hdr")
    return np.asarray(image[..., 2::-1], dtype=np.float32)


def _exr(path: Path) -> Radiance:
    """RGB of an OpenEXR file's first part."""
    try:
        with OpenEXR.File(str(path), header_only=True) as file:
            low, high = file.header()["dataWindow"]
        largest.refuse_larger(*(int(high[i]) - int(low[i]) + 1 for i in (0, 1)))
        with OpenEXR.File(str(path), separate_channels=True) as file:
            channels = file.channels()
            planes = {name: np.asarray(channels[name].pixels) for name in "RGB" if name in channels}
            known = sorted(channels)
    except ImageError as e:
        raise DataError(f"{path}: {e}") from e
    except (RuntimeError, ValueError) as e:
        raise DataError(f"{path}: no OpenEXR picture, or cut short ({e}); download it again or remove it") from e
    if len(planes) < 3:
        raise DataError(f"{path}: channels {', '.join(known)}; expected R, G and B; export it as RGB or remove it")
    return np.stack([planes[name] for name in "RGB"], axis=-1).astype(np.float32)


def read_environment(path: Path) -> Radiance:
    """(H, 2H, 3) linear RGB radiance, finite and not negative.

    Raises:
        DataError: it cannot be read, holds no radiance or much that is none, or is not equirectangular.
    """
    if path.suffix.lower() not in ENDINGS:
        raise DataError(f"{path}: {path.suffix or 'no ending'} is no radiance; expected .hdr or .exr")
    image = _exr(path) if path.suffix.lower() == ".exr" else _hdr(path)
    if image.shape[1] != 2 * image.shape[0]:
        raise DataError(
            f"{path}: an environment is twice as wide as high, this is {image.shape[1]}x{image.shape[0]}; "
            "replace or remove it"
        )
    wrong = int((~np.isfinite(image) | (np.abs(image) > _ABSURD)).any(axis=-1).sum())
    if wrong > _MOST_WRONG * image.shape[0] * image.shape[1]:
        raise DataError(
            f"{path}: {wrong} of its pixels hold no radiance (not a number, infinite, or beyond {_ABSURD:g}); export "
            "or download it again, or remove it"
        )
    if wrong:
        _say_once(f"{path}: {wrong} pixels are not finite or beyond {_ABSURD:g}; taken for {_BRIGHTEST:g}, or 0 if NaN")
    image = np.where(image > _ABSURD, np.float32(_BRIGHTEST), image)
    return np.nan_to_num(image, nan=0.0, posinf=_BRIGHTEST, neginf=0.0).clip(min=0)


@cache
def _say_once(text: str) -> None:
    """A file is read again for every sample of it."""
    _LOG.warning("%s", text)


def read(folder: Path) -> list[Entry[Radiance]]:
    """Every environment of a folder; its place (the file's name without `kind__`) is its scene.

    Raises:
        DataError: there is none.
    """
    return [Entry(p.stem, place_of(p.name), partial(read_environment, p)) for p in environment_files(folder)]
