"""Every kind of data set by the name that recipes and `--source kind=path` give it.

To add one: write `training/data/<set>.py` with a function `read(folder: Path, *, option: type = default, ...)` that
gives a list of `Entry` (of `DepthPicture`, `PanoramaRoom` or linear radiance), and name it in its noun's table below.
Its keyword arguments are the source's `options` in a recipe; their types are checked from their annotations.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Generic, TypeVar

from pydantic import ValidationError, validate_call

from edge.errors import DataError, explain
from training.data.mix.entries import Entry
from training.data.motion.footage import Footage
from training.data.sets import (
    hdr_files,
    horizonnet,
    hypersim,
    kitti,
    matterport,
    nyu,
    rgbd,
    scannet,
    seven_scenes,
    stereo,
    structured3d,
    tum,
    video,
    walks,
    zind,
)
from training.data.sets.hdr_files import Radiance
from training.data.vary.panoramic import PanoramaRoom
from training.data.vary.perspective import DepthPicture

T = TypeVar("T")


@dataclass(frozen=True)
class Kind(Generic[T]):
    """How one kind of data set is read.

    `holds` says in a line what its folder looks like; `title` and `licence` are for the card of what is trained on it;
    `protocol` are the options of its published evaluation, which `evaluate` sets (a crop, a greatest depth).
    """

    title: str
    licence: str
    read: Callable[..., list[Entry[T]]]
    holds: str
    protocol: Mapping[str, Any] = field(default_factory=dict)

    def entries(self, folder: Path, options: Mapping[str, Any]) -> list[Entry[T]]:
        """The folder's entries.

        Raises:
            DataError: the folder is laid out otherwise or holds nothing, or an option is none of this kind's.
        """
        try:
            found = validate_call(self.read)(folder, **options)
        except ValidationError as e:
            raise DataError(f"{folder}: options: {'; '.join(explain(e, 'options'))}; correct or remove them") from e
        if not found:
            raise DataError(f"{folder}: nothing to read there; expected {self.holds}")
        return found


_OWN = "its owner's"
DEPTH: dict[str, Kind[DepthPicture]] = {
    "nyu": Kind(
        "NYU Depth v2, labelled",
        "none stated by its publisher",
        nyu.read_labelled,
        "nyu_depth_v2_labeled.mat and splits.mat",
        {"eigen_crop": True},
    ),
    "nyu_h5": Kind(
        "NYU Depth v2",
        "none stated by its publisher",
        nyu.read_h5,
        "train/<scene>/*.h5 and val/<scene>/*.h5",
        {"eigen_crop": True},
    ),
    "kitti": Kind(
        "KITTI raw and depth",
        "CC BY-NC-SA 3.0",
        kitti.read,
        "raw/<date>/<drive>/ and data_depth_annotated/{train,val}/",
        {"garg_crop": True},
    ),
    "scannet": Kind(
        "ScanNet v2",
        "ScanNet Terms of Use (not commercial)",
        scannet.read,
        "scans/sceneNNNN_MM/{color,depth,intrinsic}/",
    ),
    "seven_scenes": Kind(
        "7-Scenes",
        "MSR-LA (not commercial)",
        seven_scenes.read,
        "<scene>/seq-NN/frame-NNNNNN.{color,depth}.png",
    ),
    "tum": Kind("TUM RGB-D", "CC BY 4.0", tum.read, "rgbd_dataset_freiburgN_*/{rgb,depth}.txt"),
    "hypersim": Kind(
        "Hypersim",
        "CC BY-SA 3.0",
        hypersim.read,
        "ai_VVV_NNN/images/ and metadata_images_split_scene_v1.csv",
    ),
    "walks": Kind("rendered walks", "Apache-2.0", walks.pictures, "walk-*.h5, from `edge-train synthesize-walks`"),
    "rgbd": Kind("own RGB-D pictures", _OWN, rgbd.read, "rgb/, depth/ and K.txt, or sub-folders with these"),
}
SELF_DEPTH: dict[str, Kind[Footage]] = {
    "video": Kind("own footage of a moving camera", _OWN, video.read, "videos, or folders of frames in order"),
    "stereo": Kind("own rectified pairs", _OWN, stereo.read, "left/ and right/ with stereo.json, or stereo videos"),
    "walks": Kind("rendered walks", "Apache-2.0", walks.footage, "walk-*.h5, from `edge-train synthesize-walks`"),
    "tum": Kind("TUM RGB-D", "CC BY 4.0", tum.footage, "rgbd_dataset_freiburgN_*/rgb.txt"),
    "seven_scenes": Kind(
        "7-Scenes", "MSR-LA (not commercial)", seven_scenes.footage, "<scene>/seq-NN/frame-NNNNNN.color.png"
    ),
    "kitti": Kind("KITTI raw", "CC BY-NC-SA 3.0", kitti.footage, "<date>/<drive>/image_02/data/"),
}
LAYOUT: dict[str, Kind[PanoramaRoom]] = {
    "horizonnet": Kind(
        "panoramas in HorizonNet's format",
        _OWN,
        horizonnet.read,
        "img/*.png and label_cor/*.txt (also in train/, valid/, test/)",
    ),
    "zind": Kind(
        "Zillow Indoor Dataset",
        "ZInD Terms of Use (not commercial)",
        zind.read,
        "<home>/zind_data.json, <home>/panos/*.jpg and zind_partition.json",
    ),
    "structured3d": Kind(
        "Structured3D",
        "Structured3D Terms of Use (not commercial)",
        structured3d.read,
        "scene_<5 digits>/2D_rendering/<room>/panorama/",
    ),
    "matterport": Kind(
        "MatterportLayout",
        "Matterport3D Terms of Use (not commercial)",
        matterport.read,
        "image/*.png and label/*.json (MatterportLayout, PanoAnnotator)",
    ),
}
LIGHTING: dict[str, Kind[Radiance]] = {
    "hdri": Kind("HDRIs", _OWN, hdr_files.read, "equirectangular *.hdr or *.exr"),
}


def kind_of(task: str, name: str) -> Kind[Any]:
    """The kind of that name for what a recipe learns.

    Raises:
        DataError: there is none; lists those that there are.
    """
    tables: dict[str, Mapping[str, Kind[Any]]] = {
        "depth": DEPTH,
        "self_depth": SELF_DEPTH,
        "layout": LAYOUT,
        "lighting": LIGHTING,
    }
    table = tables.get(task, {})
    if name not in table:
        there = f"use one of {', '.join(sorted(table))}" if table else "it learns from rendered rooms (--rooms) alone"
        raise DataError(f"{name!r} is no kind of {task} data; {there}")
    return table[name]
