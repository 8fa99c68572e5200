"""Folders of pictures without labels, of any kind: photographs, panoramas, environments."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from edge.errors import DataError
from edge.scene import ImageArray
from training.data.samples.hdri import protocol_picture
from training.data.sets import hdr_files
from training.data.sets.pictures import read_picture

ENDINGS = frozenset((".jpg", ".jpeg", ".png", ".bmp", ".webp", ".tif", ".tiff", *hdr_files.ENDINGS))
_WHITE_PERCENTILE = 97.0


def picture_files(folder: Path, match: Sequence[str] = ("*",)) -> list[Path]:
    """The picture files of a folder whose names match any of the patterns, by name.

    Raises:
        DataError: there is none.
    """
    found = {p for pattern in match for p in folder.glob(pattern) if p.suffix.lower() in ENDINGS}
    if not found:
        raise DataError(f"{folder}: no pictures (.jpg, .png, .hdr ...) match {', '.join(match)}; correct one of them")
    return sorted(found)


def read_unlabelled(path: Path) -> ImageArray:
    """(H, W, 3) uint8 RGB; of an environment, what a camera shows whose white is its 97th percentile.

    Raises:
        DataError: it cannot be read.
    """
    if path.suffix.lower() in hdr_files.ENDINGS:
        return protocol_picture(hdr_files.read_environment(path), _WHITE_PERCENTILE)[0]
    return read_picture(path)
