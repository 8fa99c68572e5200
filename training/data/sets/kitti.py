"""KITTI: raw drives (Geiger et al. 2013) with the improved depth of the depth benchmark (Uhrig et al. 2017).

`raw`: `<date>/<drive>/image_0C/data/<frame>.png` and `<date>/calib_cam_to_cam.txt`, where C is 2 or 3 and a drive is
called `<date>_drive_NNNN_sync`. `annotated`: `{train,val}/<drive>/proj_depth/groundtruth/image_0C/<frame>.png`,
16 bit, 256 a metre, 0 = unknown. Without lists, the benchmark's train and val are the split (val is called test here).

A list is Eigen's split (Eigen et al. 2014) in one of the two forms in which it is passed around: lines `<picture>
<depth> <focal>` with paths inside `raw` and `annotated` (`None` = no depth), or `<date>/<drive> <frame> <l|r>`.
Evaluation counts Garg's crop, up to 80 m (Garg et al. 2016).
"""

from __future__ import annotations

import re
from dataclasses import replace
from functools import lru_cache, partial
from pathlib import Path

import numpy as np

from edge.errors import DataError
from training.arrays import Array
from training.config.values import Count
from training.data.mix.entries import PARTS, Entry, Part
from training.data.motion.footage import Footage
from training.data.sets.rgbd import depth_picture
from training.data.sets.video import MOST_FRAMES, frames_of
from training.data.vary.framing import cropped
from training.data.vary.perspective import DepthPicture

UNITS_PER_M = 256.0
LARGEST_M = 80.0
GARG = (0.40810811, 0.99189189, 0.03594771, 0.96405229)
"""Garg's crop: first and last row and column as shares of the picture's size."""
_PICTURE = re.compile(r"^(?P<date>\d{4}_\d\d_\d\d)/(?P<drive>\w+)/image_(?P<camera>0[23])/data/(?P<frame>\d{10})\.png$")
_SIDES = {"l": "02", "r": "03"}
_EYES = ("02", "03")
Crop = tuple[int, int, int, int]


@lru_cache(maxsize=16)
def projection(calibration: Path, camera: str) -> Array:
    """(3, 4) projection of a rectified camera, `02` or `03`, from calib_cam_to_cam.txt, px.

    Raises:
        DataError: the file is missing or has no such camera.
    """
    try:
        text = calibration.read_text(encoding="utf-8")
        values = re.search(rf"^P_rect_{camera}:(.*)$", text, re.MULTILINE)
        return np.array(values.group(1).split() if values else [], dtype=np.float64).reshape(3, 4)
    except (OSError, ValueError) as e:
        raise DataError(
            f"{calibration}: expected a line P_rect_{camera}: with 12 numbers; unpack the date's calib.zip there"
        ) from e


def focal_px(calibration: Path, camera: str) -> tuple[float, float]:
    """fx, fy of a rectified camera; raises as `projection`."""
    p = projection(calibration, camera)
    return float(p[0, 0]), float(p[1, 1])


def _load(colour: Path, depth: Path, lens_px: tuple[float, float], crop: Crop | None, garg_crop: bool) -> DepthPicture:
    picture = depth_picture(colour, depth, lens_px, units_per_m=UNITS_PER_M)
    metres = picture.depth_m
    if garg_crop:
        h, w = metres.shape
        top, bottom, left, right = (int(share * n) for share, n in zip(GARG, (h, h, w, w), strict=True))
        counted = np.zeros(metres.shape, np.bool_)
        counted[top:bottom, left:right] = True
        metres = np.where(counted & (metres <= LARGEST_M), metres, 0).astype(np.float32)
    picture = DepthPicture(picture.image, metres, picture.fx_px, picture.fy_px)
    return picture if crop is None else cropped(picture, *crop)


class _Folders:
    """Where pictures and depth of one installation lie."""

    def __init__(self, folder: Path, raw: str, annotated: str) -> None:
        self.raw, self.annotated = folder / raw, folder / annotated
        if not any((self.annotated / part).is_dir() for part in ("train", "val")):
            raise DataError(
                f"{self.annotated}: expected train/ and val/ of the improved depth (data_depth_annotated.zip) there; "
                "unpack it, or name its place in the option `annotated`"
            )
        if not any(self.raw.glob("20??_??_??")):
            raise DataError(
                f"{self.raw}: expected folders of raw drives by date, like 2011_09_26, there; unpack them, or name "
                "their place in the option `raw`"
            )

    def depth(self, drive: str, camera: str, frame: str) -> Path | None:
        """The improved depth of a picture, in whichever part it is; None where the benchmark has none."""
        inside = Path(drive) / "proj_depth" / "groundtruth" / f"image_{camera}" / f"{frame}.png"
        return next((p for part in ("train", "val") if (p := self.annotated / part / inside).is_file()), None)

    def entry(
        self, match: re.Match[str], depth: Path, part: Part, crop: Crop | None, garg_crop: bool
    ) -> Entry[DepthPicture]:
        """The entry of a picture's path inside `raw`."""
        date, drive, camera, frame = match.group("date", "drive", "camera", "frame")
        colour = self.raw / match.group()
        if not colour.is_file():
            raise DataError(f"{colour}: not there, but its depth is; unpack the raw drive {drive}")
        lens_px = focal_px(self.raw / date / "calib_cam_to_cam.txt", camera)
        name = f"{drive}/image_{camera}/{frame}"
        return Entry(name, drive, partial(_load, colour, depth, lens_px, crop, garg_crop), part)


def _listed(path: Path) -> list[re.Match[str]]:
    """Pictures that a list names; those without depth are left out."""
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except OSError as e:
        raise DataError(f"{path}: cannot be read ({e.strerror}); correct the option that names it") from e
    out = []
    for number, words in enumerate((line.split() for line in lines), start=1):
        if not words or words[1:2] == ["None"]:
            continue
        picture = words[0]
        if len(words) == 3 and words[2] in _SIDES and words[1].isdigit():
            picture = f"{words[0]}/image_{_SIDES[words[2]]}/data/{int(words[1]):010d}.png"
        match = _PICTURE.match(picture)
        if match is None:
            raise DataError(
                f"{path}, line {number}: expected `<date>/<drive>/image_02/data/<frame>.png <depth> <focal>` or "
                f"`<date>/<drive> <frame> l|r`, got {' '.join(words)!r}; give one of Eigen's lists"
            )
        out.append(match)
    return out


def read(
    folder: Path,
    *,
    raw: str = "raw",
    annotated: str = "data_depth_annotated",
    train_list: Path | None = None,
    val_list: Path | None = None,
    test_list: Path | None = None,
    crop: Crop | None = None,
    garg_crop: bool = False,
) -> list[Entry[DepthPicture]]:
    """Pictures that have improved depth.

    Args:
        folder: holds `raw` and `annotated`, see the module.
        raw: where the drives are.
        annotated: where the depth is.
        train_list: pictures to learn from, a file in `folder` or anywhere; without lists the benchmark's split is used.
        val_list: pictures to validate on.
        test_list: pictures to measure on.
        crop: top, left, height, width in px of the part to take.
        garg_crop: depth outside of Garg's crop or beyond 80 m becomes unknown.

    Raises:
        DataError: folder or lists are laid out otherwise; names what was expected where.
    """
    folders = _Folders(folder, raw, annotated)
    lists = dict(zip(PARTS, (train_list, val_list, test_list), strict=True))
    entries = []
    if any(lists.values()):
        for part, path in lists.items():
            for match in _listed(folder / path) if path is not None else ():
                depth = folders.depth(*match.group("drive", "camera", "frame"))
                if depth is not None:
                    entries.append(folders.entry(match, depth, part, crop, garg_crop))
        return entries
    benchmark: tuple[tuple[str, Part], ...] = (("train", "train"), ("val", "test"))
    for name, part in benchmark:
        for depth in sorted((folders.annotated / name).glob("*/proj_depth/groundtruth/image_0[23]/*.png")):
            drive, camera = depth.parts[-5], depth.parent.name
            found = _PICTURE.match(f"{drive[:10]}/{drive}/{camera}/data/{depth.name}")
            if found is None:
                raise DataError(f"{depth}: expected <drive>/proj_depth/groundtruth/image_02/<10 digits>.png; rename it")
            entries.append(folders.entry(found, depth, part, crop, garg_crop))
    return entries


def _footage(drive: Path, every: int, stereo: bool) -> Footage:
    eyes = [sorted((drive / f"image_{camera}" / "data").glob("*.png"))[::every][:MOST_FRAMES] for camera in _EYES]
    left, right = (projection(drive.parent / "calib_cam_to_cam.txt", camera) for camera in _EYES)
    lens = (float(left[0, 0]), float(left[1, 1]), float(left[0, 2]), float(left[1, 2]))
    film = Footage(drive.name, partial(frames_of, eyes[0]), lens, 10.0 / every)
    if not stereo:
        return film
    baseline_m = float(left[0, 3] - right[0, 3]) / lens[0]
    return replace(film, right=partial(frames_of, eyes[1]), baseline_m=baseline_m)


def footage(folder: Path, *, every: Count = 1, stereo: bool = False) -> list[Entry[Footage]]:
    """The raw drives as footage of the left colour camera, or with `stereo` as pairs of both.

    Args:
        folder: holds `<date>/<drive>/image_02/data/` and `<date>/calib_cam_to_cam.txt`.
        every: take one of so many frames.
        stereo: learn from the other eye, not from the frames before and after.

    Raises:
        DataError: no drives are there.
    """
    drives = sorted(p for p in folder.glob("20??_??_??/*_drive_*") if (p / "image_02" / "data").is_dir())
    if not drives:
        raise DataError(f"{folder}: expected <date>/<drive>/image_02/data/ as KITTI's raw data has them; unpack it")
    return [Entry(d.name, d.name, partial(_footage, d, every, stereo)) for d in drives]
