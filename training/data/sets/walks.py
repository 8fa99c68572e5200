"""Rendered walks (format: `training/data/synthetic/walks.py`): footage to learn from, or pictures to measure on."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from pathlib import Path

import h5py
import numpy as np

from edge.errors import DataError
from edge.scene import ImageArray
from training.arrays import Lens
from training.config.values import Positive
from training.data.mix.entries import Entry
from training.data.motion.footage import Footage
from training.data.vary.perspective import DepthPicture


def _frames(path: Path, name: str) -> Iterator[ImageArray]:
    with h5py.File(path, "r") as file:
        for number in range(len(file[name])):
            yield file[name][number]


def _footage(path: Path, stereo: bool, poses: bool) -> Footage:
    with h5py.File(path, "r") as file:
        fx, fy, cx, cy = (float(x) for x in file["intrinsics"][()])
        lens: Lens = (fx, fy, cx, cy)
        T = file["T_room_camera"][()] if poses else None
        baseline_m, has_right = float(file.attrs["baseline_m"]), "right" in file
    if stereo and not has_right:
        raise DataError(f"{path}: has no second camera; render walks with --baseline 0.1")
    right = partial(_frames, path, "right") if stereo else None
    return Footage(path.stem, partial(_frames, path, "image"), lens, 10.0, T, right, baseline_m if stereo else None)


def _files(folder: Path) -> list[Path]:
    found = sorted(folder.glob("walk-*.h5"))
    if not found:
        raise DataError(f"{folder}: no walk-*.h5 there; render some with `edge-train synthesize-walks --out {folder}`")
    return found


def footage(folder: Path, *, stereo: bool = False, poses: bool = False) -> list[Entry[Footage]]:
    """The walks of a folder as footage, without their depth; each is a scene.

    Args:
        folder: of walks.
        stereo: with the second camera's pictures.
        poses: with the true ones.

    Raises:
        DataError: none is there.
    """
    return [Entry(p.stem, _scene(p), partial(_footage, p, stereo, poses)) for p in _files(folder)]


def _scene(path: Path) -> str:
    return f"{path.parent.name}/{path.stem}"


def _picture(path: Path, number: int) -> DepthPicture:
    with h5py.File(path, "r") as file:
        k = file["intrinsics"][()]
        depth = file["depth_m"][number].astype(np.float32)
        return DepthPicture(file["image"][number], depth, float(k[0]), float(k[1]))


def pictures(folder: Path, *, every: Positive = 5) -> list[Entry[DepthPicture]]:
    """Frames of the walks with their true depth, to measure with; raises as `footage`."""
    out = []
    for path in _files(folder):
        with h5py.File(path, "r") as file:
            count = len(file["image"])
        for number in range(0, count, int(every)):
            out.append(Entry(f"{path.stem}/{number:03d}", _scene(path), partial(_picture, path, number)))
    return out
