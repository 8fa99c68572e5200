"""Hypersim (Roberts et al. 2021).

`<scene>/images/scene_<camera>_final_hdf5/frame.NNNN.color.hdf5` (linear radiance) and
`scene_<camera>_geometry_hdf5/frame.NNNN.depth_meters.hdf5` (Euclidean range, not z), each with one `dataset`; beside
the scenes `metadata_images_split_scene_v1.csv` and, where lenses matter, `metadata_camera_parameters.csv`.

Without the latter every camera is taken for the common one, 60 degrees across. With it each scene has its own; scenes
whose lens is shifted or tilted, which no pinhole describes, are left out.
"""

from __future__ import annotations

import csv
from functools import partial
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import numpy.typing as npt

from edge.errors import DataError
from edge.geometry.pinhole import rays_from_pixels
from edge.scene import ImageArray, Intrinsics
from training.config.values import Count
from training.data.mix.entries import PARTS, Entry
from training.data.vary.perspective import DepthPicture

SPLIT, LENSES = "metadata_images_split_scene_v1.csv", "metadata_camera_parameters.csv"
_COLUMNS = {"scene_name", "camera_name", "frame_id", "included_in_public_release", "split_partition_name"}
_COMMON = (1 / np.tan(np.radians(30.0)), 1024 / 768 / np.tan(np.radians(30.0)))
Projection = tuple[float, float]


def tonemapped(radiance: npt.NDArray[np.float32], known: npt.NDArray[np.bool_]) -> ImageArray:
    """The picture of linear radiance, as the publisher's tool exposes it.

    The 90th percentile of brightness (CCIR 601) of known pixels becomes 0.8 after a gamma of 2.2; where no pixel is
    known, radiance is taken as it is.
    """
    brightness = (radiance @ np.array([0.3, 0.59, 0.11], np.float32))[known]
    bright = float(np.percentile(brightness, 90)) if brightness.size else 0.8**2.2
    scale = 0.8**2.2 / bright if bright > 1e-4 else 0.0
    return np.asarray(np.rint(np.clip(scale * radiance, 0, 1) ** (1 / 2.2) * 255), dtype=np.uint8)


def z_from_range(range_m: npt.NDArray[np.float32], k: Intrinsics) -> npt.NDArray[np.float32]:
    """Depth along the optical axis of distances along the rays."""
    return np.asarray(range_m / np.linalg.norm(rays_from_pixels(k), axis=-1), dtype=np.float32)


def _dataset(path: Path) -> npt.NDArray[np.float32]:
    try:
        with h5py.File(path, "r") as file:
            return np.asarray(file["dataset"][()], dtype=np.float32)
    except (OSError, KeyError) as e:
        raise DataError(f"{path}: expected an HDF5 file with `dataset` ({e}); download the scene again") from e


def _load(colour: Path, depth: Path, projection: Projection) -> DepthPicture:
    radiance, reach = np.nan_to_num(_dataset(colour), nan=0.0, posinf=0.0), _dataset(depth)
    if radiance.ndim != 3 or radiance.shape != (*reach.shape, 3):
        raise DataError(f"{depth}: {reach.shape} does not fit its picture's {radiance.shape}; download the scene again")
    h, w = reach.shape
    k = Intrinsics(w, h, projection[0] * w / 2, projection[1] * h / 2, w / 2, h / 2)
    known = np.isfinite(reach) & (reach > 0)
    metres = z_from_range(np.where(known, reach, 0).astype(np.float32), k)
    return DepthPicture(tonemapped(radiance, known), metres, k.fx_px, k.fy_px)


def _table(path: Path, columns: set[str]) -> list[dict[str, Any]]:
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            reader = csv.DictReader(file)
            rows = list(reader)
    except OSError as e:
        raise DataError(f"{path}: cannot be read ({e.strerror}); copy it from the publisher's repository") from e
    missing = columns - set(reader.fieldnames or ())
    if missing:
        raise DataError(f"{path}: has no column {', '.join(sorted(missing))}; copy it from the publisher's repository")
    return rows


def _projections(path: Path) -> dict[str, Projection | None] | None:
    """By scene, the two diagonal terms of its projection; None for lenses that are no centred pinhole."""
    if not path.is_file():
        return None
    terms = [f"M_proj_{i}{j}" for i in range(2) for j in range(3)]
    out: dict[str, Projection | None] = {}
    for row in _table(path, {"scene_name", *terms}):
        try:
            m = np.array([row[t] for t in terms], dtype=np.float64).reshape(2, 3)
        except ValueError as e:
            raise DataError(f"{path}: {row['scene_name']}: expected numbers in M_proj ({e}); copy it again") from e
        centred = np.allclose([m[0, 1], m[0, 2], m[1, 0], m[1, 2]], 0, atol=1e-6)
        out[row["scene_name"]] = (float(m[0, 0]), float(m[1, 1])) if centred else None
    return out


def read(folder: Path, *, split_csv: Path | None = None, every: Count = 1) -> list[Entry[DepthPicture]]:
    """The publicly released frames of the scenes that are there, or one of `every`.

    Args:
        folder: holds the scenes.
        split_csv: the publisher's split; None = in the folder.
        every: take one of so many.

    Raises:
        DataError: a scene or a table is laid out otherwise; names what was expected where.
    """
    projections = _projections(folder / LENSES)
    entries = []
    split = folder / (split_csv or SPLIT)
    for row in _table(split, _COLUMNS):
        scene, camera, part = row["scene_name"], row["camera_name"], row["split_partition_name"]
        released = row["included_in_public_release"].strip().lower() == "true"
        if not released or not (folder / scene).is_dir() or int(row["frame_id"]) % every:
            continue
        projection = _COMMON if projections is None else projections.get(scene)
        if projection is None:
            continue
        if part not in PARTS:
            raise DataError(f"{split}: {part!r} is none of {', '.join(PARTS)}; copy it again")
        frame, images = f"frame.{int(row['frame_id']):04d}", folder / scene / "images"
        colour = images / f"scene_{camera}_final_hdf5" / f"{frame}.color.hdf5"
        depth = images / f"scene_{camera}_geometry_hdf5" / f"{frame}.depth_meters.hdf5"
        for path in (colour, depth):
            if not path.is_file():
                raise DataError(f"{path}: not there; download the whole scene, or remove {scene}/ to leave it out")
        entries.append(Entry(f"{scene}/{camera}/{frame}", scene, partial(_load, colour, depth, projection), part))
    if not entries:
        raise DataError(f"{folder}: no scene of the split is there; expected ai_VVV_NNN/images/ in it")
    return entries
