"""Rectified pairs of two cameras side by side.

A folder `left/` and `right/` with pictures of the same names, and `stereo.json` with the lens (as in `camera.json`) and
`baseline_m`, how far apart the cameras are. Or one video with both pictures in each frame, left one first, and the same
file named after it.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Literal

import numpy as np

from edge.errors import DataError
from edge.scene import ImageArray
from training.arrays import Lens
from training.config.values import Positive
from training.data.mix.entries import Entry
from training.data.motion.footage import Footage
from training.data.sets import video
from training.data.sets.pictures import read_picture

Packing = Literal["side_by_side", "side_by_side_half", "top_bottom", "top_bottom_half"]


def _baseline_m(path: Path, given: float | None) -> float:
    if given is not None:
        return given
    try:
        return float(json.loads(path.read_text(encoding="utf-8"))["baseline_m"])
    except (OSError, ValueError, TypeError, KeyError) as e:
        raise DataError(
            f"{path}: expected baseline_m, how far apart the cameras are ({e!r}); write it, or set the option"
        ) from e


def _folder(folder: Path, baseline_m: float | None, hfov_deg: float | None) -> Footage:
    left, right = (video.pictures_in(folder / side)[: video.MOST_FRAMES] for side in ("left", "right"))
    names = [p.stem for p in left]
    if names != [p.stem for p in right] or not names:
        alone = sorted({*names} ^ {p.stem for p in right})
        raise DataError(
            f"{folder}: left/ and right/ do not have the same pictures ({len(left)} and {len(right)}; "
            f"{', '.join(alone[:3])} alone); give each its pair under the same name"
        )
    first = read_picture(left[0])
    lens = _lens(folder / "stereo.json", (first.shape[1], first.shape[0]), hfov_deg)
    return Footage(
        folder.name,
        partial(video.frames_of, left),
        lens,
        right=partial(video.frames_of, right),
        baseline_m=_baseline_m(folder / "stereo.json", baseline_m),
    )


def _lens(path: Path, size_px: tuple[int, int], hfov_deg: float | None) -> Lens:
    if hfov_deg is not None:
        return video.lens_from_fov(*size_px, hfov_deg)
    return video.lens_in(path, size_px)


def unpacked(image: ImageArray, packing: Packing, right: bool) -> ImageArray:
    """One eye's picture of a frame that holds both; halved ones are stretched back to their shape."""
    h, w = image.shape[:2]
    if packing.startswith("side"):
        half = image[:, w // 2 : 2 * (w // 2)] if right else image[:, : w // 2]
        return np.repeat(half, 2, axis=1) if packing.endswith("half") else half
    half = image[h // 2 : 2 * (h // 2)] if right else image[: h // 2]
    return np.repeat(half, 2, axis=0) if packing.endswith("half") else half


def _eye(frames: Callable[[], Iterator[ImageArray]], packing: Packing, right: bool) -> Iterator[ImageArray]:
    return (np.ascontiguousarray(unpacked(image, packing, right)) for image in frames())


def _packed(path: Path, packing: Packing, baseline_m: float | None, hfov_deg: float | None) -> Footage:
    whole = video.opened(path, video.RATE_HZ)
    first = next(_eye(whole.frames, packing, False), None)
    if first is None:
        raise DataError(f"{path}: holds no frame that can be decoded; record it again")
    said = path.with_suffix(".json")
    return Footage(
        path.stem,
        partial(_eye, whole.frames, packing, False),
        _lens(said, (first.shape[1], first.shape[0]), hfov_deg),
        whole.rate_hz,
        right=partial(_eye, whole.frames, packing, True),
        baseline_m=_baseline_m(said, baseline_m),
    )


def read(
    folder: Path,
    *,
    baseline_m: Positive | None = None,
    hfov_deg: Positive | None = None,
    packing: Packing = "side_by_side",
) -> list[Entry[Footage]]:
    """Rectified pairs: a folder with left/ and right/, folders of these, or videos that hold both pictures.

    Args:
        folder: or a video file.
        baseline_m: between the cameras, where stereo.json does not say it.
        hfov_deg: of each camera, where stereo.json does not say the lens.
        packing: of videos: how the two pictures lie in a frame; `half` ones are squeezed to half.

    Raises:
        DataError: it is laid out otherwise.
    """
    packed = partial(_packed, packing=packing, baseline_m=baseline_m, hfov_deg=hfov_deg)
    if folder.is_file():
        return [Entry(folder.stem, folder.stem, partial(packed, folder))]
    if (folder / "left").is_dir() and (folder / "right").is_dir():
        return [Entry(folder.name, folder.name, partial(_folder, folder, baseline_m, hfov_deg))]
    entries: list[Entry[Footage]] = []
    for path in sorted(folder.iterdir(), key=video.natural) if folder.is_dir() else ():
        if path.suffix.lower() in video.VIDEOS:
            entries.append(Entry(path.stem, path.stem, partial(packed, path)))
        elif (path / "left").is_dir() and (path / "right").is_dir():
            entries.append(Entry(path.name, path.name, partial(_folder, path, baseline_m, hfov_deg)))
    if not entries:
        raise DataError(f"{folder}: expected left/ and right/ with pictures of the same names, or stereo videos")
    return entries
