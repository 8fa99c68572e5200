"""NYU Depth v2 (Silberman et al. 2012), in its publisher's labelled file or as the common h5 folders.

Labelled: `nyu_depth_v2_labeled.mat` (MATLAB 7.3, that is HDF5 with the axes reversed: images (N, 3, 640, 480), depths
and rawDepths (N, 640, 480), scenes (1, N) references to text) and `splits.mat` (trainNdxs and testNdxs, from 1).
H5: `train/<scene>/*.h5` and `val/<scene>/*.h5`, each with rgb (3, 480, 640) and depth (480, 640) in metres.
Evaluation counts Eigen's crop, up to 10 m (Eigen et al. 2014).
"""

from __future__ import annotations

import re
from functools import partial
from pathlib import Path
from typing import Any, Literal

import h5py
import numpy as np
import numpy.typing as npt
import scipy.io

from edge.errors import DataError
from training.config.values import Count
from training.data.mix.entries import Entry, Part
from training.data.vary.perspective import DepthPicture

FOCAL_PX = (518.85790117450188, 519.46961112127485)
"""fx, fy of the colour camera at 640x480 (the toolbox's camera_params.m)."""
EIGEN_ROWS, EIGEN_COLUMNS = slice(45, 471), slice(41, 601)
LARGEST_M = 10.0
_LABELLED, _SPLITS = "nyu_depth_v2_labeled.mat", "splits.mat"


def _picture(image: Any, depth: Any, eigen_crop: bool, where: str) -> DepthPicture:
    if image.shape != (480, 640, 3) or depth.shape != (480, 640) or image.dtype != np.uint8:
        raise DataError(
            f"{where}: expected a 640x480 picture and its depth, got {image.dtype} {image.shape} and {depth.shape}; "
            "download it again"
        )
    metres = np.nan_to_num(depth.astype(np.float32), nan=0.0, posinf=0.0, neginf=0.0)
    if eigen_crop:
        counted = np.zeros(metres.shape, np.bool_)
        counted[EIGEN_ROWS, EIGEN_COLUMNS] = True
        metres = np.where(counted & (metres <= LARGEST_M), metres, 0)
    return DepthPicture(np.ascontiguousarray(image), np.ascontiguousarray(metres, np.float32), *FOCAL_PX)


def _scene(name: str) -> str:
    """`kitchen_0028` of `kitchen_0028a`: recordings of one place differ in a last letter."""
    return re.sub(r"(?<=\d)[a-z]$", "", name)


# --- labelled --------------------------------------------------------------------------------------------------------


def _open(path: Path) -> Any:
    try:
        return h5py.File(path, "r")
    except OSError as e:
        raise DataError(f"{path}: no MATLAB 7.3 (HDF5) file ({e}); download it as published") from e


def _labelled_picture(path: Path, index: int, depths: str, eigen_crop: bool) -> DepthPicture:
    with _open(path) as file:
        image, depth = file["images"][index].T, file[depths][index].T
    return _picture(image, depth, eigen_crop, f"{path}, picture {index + 1}")


def _scenes(path: Path, depths: str) -> list[str]:
    with _open(path) as file:
        missing = [n for n in ("images", depths, "scenes") if n not in file]
        if missing:
            raise DataError(f"{path}: has no {', '.join(missing)}; expected the labelled data set as published")
        images, scenes = file["images"].shape, file["scenes"]
        if len(images) != 4 or images[1:] != (3, 640, 480) or scenes.shape != (1, images[0]):
            raise DataError(
                f"{path}: expected images (N, 3, 640, 480) and scenes (1, N) as MATLAB writes them, got {images} and "
                f"{scenes.shape}; give the published file, not a converted one"
            )
        return ["".join(map(chr, file[reference][()].ravel())) for reference in scenes[0]]


def _parts(path: Path, count: int) -> dict[int, Part]:
    """By index from 0, what splits.mat says; empty without the file."""
    if not path.is_file():
        return {}
    try:
        content = scipy.io.loadmat(path)
        named: list[tuple[Part, npt.NDArray[np.int64]]] = [
            ("train", content["trainNdxs"].ravel().astype(np.int64)),
            ("test", content["testNdxs"].ravel().astype(np.int64)),
        ]
    except (KeyError, ValueError, OSError, NotImplementedError) as e:
        raise DataError(f"{path}: expected trainNdxs and testNdxs ({e}); download splits.mat as published") from e
    out: dict[int, Part] = {int(i) - 1: part for part, numbers in named for i in numbers}
    if sorted(out) != list(range(count)) or sum(len(numbers) for _, numbers in named) != count:
        raise DataError(f"{path}: does not split the {count} pictures beside it, each once; download both as published")
    return out


def read_labelled(
    folder: Path, *, depth: Literal["filled", "raw"] = "filled", eigen_crop: bool = False
) -> list[Entry[DepthPicture]]:
    """The labelled pictures; depth with its holes filled in, as published results are measured on, or as recorded.

    Raises:
        DataError: a file is missing or laid out otherwise.
    """
    path = folder if folder.suffix == ".mat" else folder / _LABELLED
    if not path.is_file():
        raise DataError(f"{path}: not there; put {_LABELLED} and {_SPLITS} into the folder as downloaded")
    depths = "depths" if depth == "filled" else "rawDepths"
    scenes = _scenes(path, depths)
    parts = _parts(path.parent / _SPLITS, len(scenes))
    return [
        Entry(f"{i + 1:04d}", _scene(s), partial(_labelled_picture, path, i, depths, eigen_crop), parts.get(i))
        for i, s in enumerate(scenes)
    ]


# --- h5 --------------------------------------------------------------------------------------------------------------


def _h5_picture(path: Path, eigen_crop: bool) -> DepthPicture:
    try:
        with h5py.File(path, "r") as file:
            image, depth = file["rgb"][()], file["depth"][()]
    except (OSError, KeyError) as e:
        raise DataError(f"{path}: expected an HDF5 file with rgb and depth ({e}); unpack it again") from e
    if image.ndim != 3 or image.shape[0] != 3:
        raise DataError(f"{path}: expected rgb (3, 480, 640), got {image.shape}; give the h5 split as distributed")
    return _picture(np.moveaxis(image, 0, -1), depth, eigen_crop, str(path))


def read_h5(folder: Path, *, every: Count = 1, eigen_crop: bool = False) -> list[Entry[DepthPicture]]:
    """The h5 split; its `val` is the official test set. `every`: take one of so many pictures of a training scene.

    Raises:
        DataError: the folder is laid out otherwise.
    """
    entries = []
    folders: tuple[tuple[str, Part], ...] = (("train", "train"), ("val", "test"))
    for name, part in folders:
        for scene in sorted(p for p in (folder / name).glob("*") if p.is_dir()):
            for path in sorted(scene.glob("*.h5"))[:: every if part == "train" else 1]:
                load = partial(_h5_picture, path, eigen_crop)
                entries.append(Entry(f"{name}/{scene.name}/{path.stem}", _scene(scene.name), load, part))
    if not entries:
        raise DataError(f"{folder}: expected train/<scene>/*.h5 and val/<scene>/*.h5; give the folder that holds both")
    return entries
