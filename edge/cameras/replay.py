"""Recordings: a folder of pictures, one picture, or a video file."""

from __future__ import annotations

import math
import time
from abc import ABC, abstractmethod
from contextlib import AbstractContextManager
from pathlib import Path
from typing import TYPE_CHECKING

import cv2

from edge.cameras import largest
from edge.cameras.base import EndOfStream, Picture, PictureError, ReplaySpec, Source
from edge.cameras.doubt import Doubt
from edge.cameras.native import NativeOutput, video_damage
from edge.cameras.picture import Depth, decoded, opencv_errors, rgb_from_any
from edge.cameras.watched import LOOK_S, WatchedFolder
from edge.errors import CameraError, ImageError
from edge.scene import BoolArray, ImageArray

if TYPE_CHECKING:
    from edge.cameras.gpano import Leveller

PICTURE_SUFFIXES = frozenset(
    {".jpg", ".jpeg", ".png", ".webp", ".bmp", ".tif", ".tiff", ".ppm", ".pgm", ".pnm", ".jp2"}
)
_OF_360_CAMERAS = frozenset({".insv", ".insp", ".lrv", ".360"})
PICTURES_FPS = 5.0
_FALLBACK_VIDEO_FPS = 25.0
_LATE_S = 1.0
_CONVERT = "Convert it, e.g. to H.264 in MP4"


class _Recording(ABC):
    """Pictures in order; `read` gives None at the end."""

    fps: float
    seen: BoolArray | None = None
    """Where the last picture shows something, see `Picture`."""

    @abstractmethod
    def read(self) -> ImageArray | None:
        """The next picture, or None after the last."""

    @abstractmethod
    def rewind(self) -> None:
        """Start again at the first picture."""

    @abstractmethod
    def close(self) -> None:
        """Let go of files."""

    @abstractmethod
    def shortfall(self) -> str | None:
        """At the end: what is missing, if the file promised more than it held."""


class _Files(_Recording):
    """Picture files; `gpano`: see `ReplaySpec`."""

    fps = PICTURES_FPS

    def __init__(self, gpano: bool) -> None:
        self._depth = Depth()
        self._leveller: Leveller | None = None
        if gpano:  # imported only then: it takes memory in each capture process
            from edge.cameras.gpano import Leveller

            self._leveller = Leveller()

    def _picture(self, path: Path) -> ImageArray:
        data = _content(path)
        image = _decoded(path, data, self._depth)
        if self._leveller is None:
            return image
        try:
            image, self.seen = self._leveller.level(image, data)
        except ImageError as error:
            raise PictureError(f"{path}: {error}") from error
        return image


class _Pictures(_Files):
    """In order of their names."""

    def __init__(self, path: Path, gpano: bool) -> None:
        super().__init__(gpano)
        self.files = [path] if path.is_file() else sorted(p for p in path.iterdir() if _is_picture(p))
        if not self.files:
            kinds = " ".join(sorted(PICTURE_SUFFIXES))
            raise CameraError(f"{path}: holds no pictures. Put some there ({kinds}), or correct `path`")
        self._next = 0

    def read(self) -> ImageArray | None:
        if self._next >= len(self.files):
            return None
        self._next += 1
        return self._picture(self.files[self._next - 1])

    def rewind(self) -> None:
        self._next = 0

    def close(self) -> None:
        self._next = len(self.files)

    def shortfall(self) -> str | None:
        return None


class _Watched(_Files):
    """Pictures of a folder as they come; without end."""

    def __init__(self, path: Path, gpano: bool) -> None:
        super().__init__(gpano)
        self._folder = WatchedFolder(path, PICTURE_SUFFIXES)

    def read(self) -> ImageArray:
        while (path := self._folder.next(time.monotonic())) is None:
            time.sleep(LOOK_S)
        return self._picture(path)

    def rewind(self) -> None:
        """There is no end to rewind from."""

    def close(self) -> None:
        """Nothing is held."""

    def shortfall(self) -> str | None:
        return None


class _Video(_Recording):
    """A video file, through FFmpeg."""

    def __init__(self, path: Path) -> None:
        self.path, self._doubt, self._printed = path, Doubt(), NativeOutput()
        try:
            self._begin()
        except BaseException:
            self._printed.close()
            raise

    def _begin(self) -> None:
        with self._opencv():
            self._capture = cv2.VideoCapture()
            self.rewind()
            fps = self._capture.get(cv2.CAP_PROP_FPS)
        self.fps = fps if math.isfinite(fps) and 0 < fps <= 1000 else _FALLBACK_VIDEO_FPS

    def read(self) -> ImageArray | None:
        with self._opencv():
            if not self._capture.grab():
                return None
        self._decoded += 1
        try:
            decoded, picture = self._capture.retrieve()
            alone = self._capture.get(cv2.CAP_PROP_FRAME_TYPE) == ord("I")
            if self._doubt.refuses(video_damage(self._printed.take()), builds_on_no_other=alone):
                raise PictureError(
                    f"{self.path}: picture {self._decoded} is damaged, or builds on one that is. Copy it again"
                )
            if decoded:
                return rgb_from_any(picture)
        except ImageError as error:
            raise PictureError(f"{self.path}: picture {self._decoded}: {error}") from error
        except cv2.error as error:
            said = f" ({error.err})" if error.err else ""
            raise PictureError(f"{self.path}: picture {self._decoded} does not decode{said}. {_CONVERT}") from error
        raise PictureError(f"{self.path}: picture {self._decoded} does not decode. {_CONVERT}")

    def _opencv(self) -> AbstractContextManager[None]:
        return opencv_errors(str(self.path), _CONVERT)

    def rewind(self) -> None:
        self._decoded = 0
        with self._opencv():
            opened = self._capture.open(str(self.path), cv2.CAP_FFMPEG)
        if not opened:
            raise CameraError(
                f"{self.path}: is not a readable video; it may be cut short or of a kind that FFmpeg does not know. "
                "Copy it again, or convert it, e.g. to H.264 in MP4"
            )
        largest.refuse_larger_stream(
            str(self.path), self._capture.get(cv2.CAP_PROP_FRAME_WIDTH), self._capture.get(cv2.CAP_PROP_FRAME_HEIGHT)
        )

    def close(self) -> None:
        self._capture.release()
        self._printed.close()

    def shortfall(self) -> str | None:
        with self._opencv():
            promised = round(self._capture.get(cv2.CAP_PROP_FRAME_COUNT))
        missing = promised - self._decoded
        if missing < max(2, 0.02 * promised):  # the promise is an estimate for some containers
            return None
        return (
            f"{self.path}: ends after {self._decoded} of {promised} pictures; it is cut short or damaged. Copy it again"
        )


class ReplaySource(Source):
    """A recording as a camera."""

    def __init__(self, spec: ReplaySpec) -> None:
        super().__init__()
        self.spec = spec
        self._recording: _Recording | None = None
        self._period_s = 0.0
        self._due_s: float | None = None
        self._served_this_round = 0

    def open(self) -> None:
        """Find the pictures, or open the video."""
        path = self.spec.path
        try:
            if not path.exists():
                raise CameraError(f"{path}: does not exist. Correct `path`: a folder of pictures or a video file")
            pictures = path.is_dir() or _is_picture(path)
            if self.spec.watch and not pictures:
                raise CameraError(f"{path}: is a video, which cannot be watched. Remove `watch`, or name a folder")
            if path.suffix.lower() in _OF_360_CAMERAS:
                raise CameraError(
                    f"{path}: is a 360 degree camera's own kind of file, which is not read. Export an equirectangular "
                    "picture or video with its maker's program"
                )
            files = _Watched if self.spec.watch else _Pictures if pictures else None
            self._recording = files(path, self.spec.gpano) if files else _Video(path)
        except OSError as error:
            raise CameraError(f"{path}: cannot be read ({error.strerror}). Check its permissions") from error
        self._period_s = 1.0 / (self.spec.fps or self._recording.fps) if self.spec.pace == "realtime" else 0.0
        self._due_s, self._served_this_round = None, 0

    def read(self) -> Picture:
        """The next picture, when it is due."""
        if self._recording is None:
            raise CameraError(f"{self.spec.path}: is not open. Open it before reading")
        image = self._recording.read()
        if image is None:
            image = self._from_the_start(self._recording)
        self._served_this_round += 1
        self._wait()
        return Picture(image, time.time(), time.monotonic(), self._recording.seen)

    def close(self) -> None:
        """Let go of files."""
        recording, self._recording = self._recording, None
        if recording is not None:
            recording.close()

    def _from_the_start(self, recording: _Recording) -> ImageArray:
        path, shortfall = self.spec.path, recording.shortfall()
        if self._served_this_round == 0:
            raise CameraError(f"{path}: not one picture in it can be used. Replace it, or correct `path`")
        if shortfall:
            self.warn(shortfall)
        if not self.spec.loop:
            raise EndOfStream(shortfall or f"{path}: played to its end. Set `loop: true` to repeat it")
        self._served_this_round = 0
        recording.rewind()
        image = recording.read()
        if image is None:
            raise CameraError(f"{path}: could be played only once; it has changed or gone. Check the file")
        return image

    def _wait(self) -> None:
        if not self._period_s:
            return
        now = time.monotonic()
        if self._due_s is None or now - self._due_s > _LATE_S:
            self._due_s = now
        time.sleep(max(0.0, self._due_s - now))
        self._due_s += self._period_s


def _is_picture(path: Path) -> bool:
    return path.is_file() and path.suffix.lower() in PICTURE_SUFFIXES and not path.name.startswith(".")


def read_picture(path: Path, depth: Depth | None = None) -> ImageArray:
    """A picture file as (H, W, 3) uint8 RGB, turned upright as its EXIF says; `depth` as for `decoded`.

    Raises:
        PictureError: it is unreadable, cut short, or of a kind or size that cannot be used.
    """
    return _decoded(path, _content(path), depth)


def _content(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise PictureError(
            f"{path}: cannot be read ({error.strerror}). Check that it exists and its permissions"
        ) from error


def _decoded(path: Path, data: bytes, depth: Depth | None) -> ImageArray:
    try:
        return decoded(data, depth)
    except ImageError as error:
        raise PictureError(f"{path}: {error}") from error
