"""Footage of a moving camera: video files and folders of frames, and what says which lens took them.

A folder of frames holds pictures (their names in natural order), and may hold `K.txt` (3x3, px) and `camera.json` with
`hfov_deg` (a number, or "find") or `fx_px`, `fy_px`, `cx_px`, `cy_px`, and with
`camera_height_m` above the floor and `rate_hz`, as `edge record` writes it; of a
video this is in `<name>.json` beside it. Pictures must be of a pinhole: undistort others first. A folder `masks/` in
one of frames holds a picture for each, `<frame's name>.png`, not black where people are or anything else moves by
itself.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Literal

import cv2
import numpy as np

from edge.cameras import largest
from edge.errors import CameraError, DataError
from edge.scene import BoolArray, ImageArray
from training.arrays import Lens
from training.config.values import Positive
from training.data.mix.entries import Entry
from training.data.motion.footage import Footage
from training.data.sets.pictures import read_picture
from training.data.sets.rgbd import matrix_file

VIDEOS = {".mp4", ".mkv", ".avi", ".mov", ".webm"}
PICTURES = {".png", ".jpg", ".jpeg", ".webp"}
MOST_FRAMES = 1500
RATE_HZ = 10.0
_LENS_KEYS = ("fx_px", "fy_px", "cx_px", "cy_px")


def natural(path: Path) -> tuple[object, ...]:
    """To sort names by: their numbers as numbers, so that frame 10 comes after frame 9."""
    return tuple(int(part) if part.isdigit() else part for part in re.split(r"(\d+)", path.name.lower()))


def pictures_in(folder: Path) -> list[Path]:
    """The pictures of a folder, in natural order."""
    return sorted((p for p in folder.iterdir() if p.suffix.lower() in PICTURES), key=natural)


def frames_of(paths: list[Path]) -> Iterator[ImageArray]:
    """The pictures, one after the other."""
    return (read_picture(path) for path in paths)


def lens_from_fov(width_px: int, height_px: int, hfov_deg: float) -> Lens:
    """A pinhole with square pixels and its axis in the middle."""
    f = width_px / 2 / float(np.tan(np.radians(hfov_deg) / 2))
    return f, f, width_px / 2, height_px / 2


def lens_of(source: Path, size_px: tuple[int, int], hfov_deg: float | Literal["find"] | None) -> Lens | None:
    """What the option, or else a file beside the footage says of its lens; None: it is to be found from the film.

    Raises:
        DataError: nothing does, or the file says something else.
    """
    if hfov_deg == "find":
        return None
    if hfov_deg is not None:
        return lens_from_fov(*size_px, hfov_deg)
    said = source / "camera.json" if source.is_dir() else source.with_suffix(".json")
    if source.is_dir() and (source / "K.txt").is_file():
        return matrix_file(source / "K.txt", 3)
    if not said.is_file():
        raise DataError(
            f"{source}: nothing says which lens took it: set the option hfov_deg (the horizontal field of view), or "
            f'write {said.name} with {{"hfov_deg": 70}} beside it; "find" in place of the number finds it from the film'
        )
    if _content(said).get("hfov_deg") == "find":
        return None
    return lens_in(said, size_px)


def _content(path: Path) -> dict[str, Any]:
    """What a JSON file says, if anything."""
    try:
        said = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return said if isinstance(said, dict) else {}


def _height_m(path: Path) -> float | None:
    """What a footage's own JSON file says of `camera_height_m`, above the floor.

    Raises:
        DataError: it is no positive number.
    """
    said = _content(path).get("camera_height_m")
    if said is None:
        return None
    if not isinstance(said, int | float) or not said > 0:
        raise DataError(f"{path}: camera_height_m: {said!r} is no height in metres; correct or remove it")
    return float(said)


def lens_in(path: Path, size_px: tuple[int, int]) -> Lens:
    """The lens that a JSON file says, for pictures of that size.

    Raises:
        DataError: it cannot be read or says something else.
    """
    try:
        content: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        if "hfov_deg" in content:
            return lens_from_fov(*size_px, float(content["hfov_deg"]))
        fx, fy, cx, cy = (float(content[key]) for key in _LENS_KEYS)
    except (OSError, ValueError, TypeError, KeyError, AttributeError) as e:
        raise DataError(f"{path}: expected hfov_deg, or {', '.join(_LENS_KEYS)} ({e!r}); correct it") from e
    return fx, fy, cx, cy


def _capture(path: Path) -> cv2.VideoCapture:
    capture = cv2.VideoCapture(str(path))
    if not capture.isOpened():
        raise DataError(f"{path}: cannot be read as a video; convert it: ffmpeg -i {path.name} film.mp4")
    try:
        largest.refuse_larger_stream(
            str(path), capture.get(cv2.CAP_PROP_FRAME_WIDTH), capture.get(cv2.CAP_PROP_FRAME_HEIGHT)
        )
    except CameraError as e:
        capture.release()
        raise DataError(str(e)) from e
    return capture


def _video_frames(path: Path, every: int) -> Iterator[ImageArray]:
    capture = _capture(path)
    try:
        for number in range(every * MOST_FRAMES):
            if not capture.grab():
                return
            if number % every == 0:
                whole, image = capture.retrieve()
                if whole:
                    yield np.ascontiguousarray(image[..., ::-1])
    finally:
        capture.release()


@dataclass(frozen=True)
class Opened:
    """A video's frames, thinned, and how many a second are left."""

    frames: Callable[[], Iterator[ImageArray]]
    rate_hz: float


def opened(path: Path, rate_hz: float) -> Opened:
    """A video that can be read, thinned to about that rate.

    Raises:
        DataError: it cannot.
    """
    capture = _capture(path)
    own_hz = float(capture.get(cv2.CAP_PROP_FPS)) or 30.0
    capture.release()
    every = max(1, round(own_hz / rate_hz))
    return Opened(partial(_video_frames, path, every), own_hz / every)


def _video(path: Path, rate_hz: float, hfov_deg: float | Literal["find"] | None) -> Footage:
    film = opened(path, rate_hz)
    first = next(film.frames(), None)
    if first is None:
        raise DataError(f"{path}: holds no frame that can be decoded; record it again")
    lens = lens_of(path, (first.shape[1], first.shape[0]), hfov_deg)
    return Footage(path.stem, film.frames, lens, film.rate_hz, camera_height_m=_height_m(path.with_suffix(".json")))


def _folder(folder: Path, hfov_deg: float | Literal["find"] | None) -> Footage:
    paths = pictures_in(folder)[:MOST_FRAMES]
    first = read_picture(paths[0])
    lens = lens_of(folder, (first.shape[1], first.shape[0]), hfov_deg)
    said = folder / "camera.json"
    return Footage(
        folder.name, partial(frames_of, paths), lens, _rate_hz(said),
        masks=_masks(folder, paths), camera_height_m=_height_m(said),
    )  # fmt: skip


def _rate_hz(said: Path) -> float | None:
    """How many frames a second a folder's `camera.json` says it has, if it does."""
    if not said.is_file():
        return None
    try:
        rate = json.loads(said.read_text(encoding="utf-8")).get("rate_hz")
        return None if rate is None else float(rate)
    except (OSError, ValueError, TypeError, AttributeError) as e:
        raise DataError(f"{said}: rate_hz is not how many frames a second there are ({e!r}); correct it") from e


def _masks(folder: Path, frames: list[Path]) -> Callable[[], Iterator[BoolArray]] | None:
    """Those of a folder of frames; None where it has none.

    Raises:
        DataError: it has some, and a frame has none.
    """
    beside = folder / "masks"
    if not beside.is_dir():
        return None
    paths = [beside / f"{frame.stem}.png" for frame in frames]
    lacking = [path.name for path in paths if not path.is_file()]
    if lacking:
        raise DataError(
            f"{beside}: {len(lacking)} of {len(paths)} frames have no mask ({', '.join(lacking[:3])}); add black ones "
            "where nothing moves by itself"
        )
    return lambda: (read_picture(path).max(axis=-1) > 0 for path in paths)


def read(
    folder: Path, *, rate_hz: Positive = RATE_HZ, hfov_deg: Positive | Literal["find"] | None = None
) -> list[Entry[Footage]]:
    """A video, a folder of frames, or a folder of these; each is a scene.

    Args:
        folder: or a video file.
        rate_hz: faster videos are thinned to it.
        hfov_deg: field of view across, where no file beside the footage says it; find: from the film itself.

    Raises:
        DataError: nothing there is a video or a picture.
    """
    if folder.is_file():
        return [Entry(folder.stem, folder.stem, partial(_video, folder, rate_hz, hfov_deg))]
    if not folder.is_dir():
        raise DataError(f"{folder}: not there; give a video, or a folder of frames or videos")
    if pictures_in(folder):
        return [Entry(folder.name, folder.name, partial(_folder, folder, hfov_deg))]
    entries: list[Entry[Footage]] = []
    for path in sorted(folder.iterdir(), key=natural):
        if path.suffix.lower() in VIDEOS:
            entries.append(Entry(path.stem, path.stem, partial(_video, path, rate_hz, hfov_deg)))
        elif path.is_dir() and pictures_in(path):
            entries.append(Entry(path.name, path.name, partial(_folder, path, hfov_deg)))
    if not entries:
        raise DataError(f"{folder}: no video ({', '.join(sorted(VIDEOS))}) and no pictures there or one folder below")
    return entries
