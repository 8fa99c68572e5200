"""Footage of a moving camera: video files and folders of frames, and what says which lens took them.

A folder of frames holds pictures (their names in natural order), and may hold `K.txt` (3x3, px) and `camera.json` with
`hfov_deg` or `fx_px`, `fy_px`, `cx_px`, `cy_px`, and `rate_hz`, as `edge record` writes it; a video's lens is in
`<name>.json` beside it. Pictures must be of a pinhole: undistort others first.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from edge.cameras import largest
from edge.errors import CameraError, DataError
from edge.scene import ImageArray
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


def lens_of(source: Path, size_px: tuple[int, int], hfov_deg: float | None) -> Lens:
    """What the option, or else a file beside the footage says of its lens.

    Raises:
        DataError: nothing does, or the file says something else.
    """
    if hfov_deg is not None:
        return lens_from_fov(*size_px, hfov_deg)
    said = source / "camera.json" if source.is_dir() else source.with_suffix(".json")
    if source.is_dir() and (source / "K.txt").is_file():
        return matrix_file(source / "K.txt", 3)
    if not said.is_file():
        raise DataError(
            f"{source}: nothing says which lens took it: set the option hfov_deg (the horizontal field of view), or "
            f'write {said.name} with {{"hfov_deg": 70}} beside it'
        )
    return lens_in(said, size_px)


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


def _video(path: Path, rate_hz: float, hfov_deg: float | None) -> Footage:
    film = opened(path, rate_hz)
    first = next(film.frames(), None)
    if first is None:
        raise DataError(f"{path}: holds no frame that can be decoded; record it again")
    lens = lens_of(path, (first.shape[1], first.shape[0]), hfov_deg)
    return Footage(path.stem, film.frames, lens, film.rate_hz)


def _folder(folder: Path, hfov_deg: float | None) -> Footage:
    paths = pictures_in(folder)[:MOST_FRAMES]
    first = read_picture(paths[0])
    lens = lens_of(folder, (first.shape[1], first.shape[0]), hfov_deg)
    return Footage(folder.name, partial(frames_of, paths), lens, _rate_hz(folder / "camera.json"))


def _rate_hz(said: Path) -> float | None:
    """How many frames a second a folder's `camera.json` says it has, if it does."""
    if not said.is_file():
        return None
    try:
        rate = json.loads(said.read_text(encoding="utf-8")).get("rate_hz")
        return None if rate is None else float(rate)
    except (OSError, ValueError, TypeError, AttributeError) as e:
        raise DataError(f"{said}: rate_hz is not how many frames a second there are ({e!r}); correct it") from e


def read(folder: Path, *, rate_hz: Positive = RATE_HZ, hfov_deg: Positive | None = None) -> list[Entry[Footage]]:
    """A video, a folder of frames, or a folder of these; each is a scene.

    Args:
        folder: or a video file.
        rate_hz: faster videos are thinned to it.
        hfov_deg: field of view across, where no file beside the footage says it.

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
