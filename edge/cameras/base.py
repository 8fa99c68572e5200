"""What every source of pictures is, how one is described, and how its errors read."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Literal

from edge.errors import CameraError
from edge.scene import ImageArray


class EndOfStream(CameraError):
    """A recording has been played to its end and does not loop."""


class PictureError(CameraError):
    """One picture cannot be used; the source is sound and the next one may be good."""


@dataclass(frozen=True, slots=True)
class Picture:
    """One picture as it left its source. `image` is (H, W, 3) uint8 RGB and belongs to the receiver."""

    image: ImageArray
    captured_at: float
    """Seconds since the Unix epoch, UTC."""
    captured_monotonic_s: float


@dataclass(frozen=True, slots=True)
class ReplaySpec:
    """A folder of pictures, one picture, or a video file.

    `pace` "realtime" keeps the recording's rate; "fast" goes as fast as the reader takes frames, and skips none.
    `fps` None means the video's own rate, or 5 for pictures. `watch`: the newest picture of the folder, and each that
    comes after it.
    """

    path: Path
    loop: bool = True
    pace: Literal["realtime", "fast"] = "realtime"
    fps: float | None = None
    watch: bool = False


@dataclass(frozen=True, slots=True)
class V4l2Spec:
    """A Video4Linux device: its number, or a path such as /dev/video0 or one below /dev/v4l/by-id.

    Size, rate and `fourcc` (four characters, e.g. MJPG or YUYV) None mean the driver's choice.
    """

    device: int | str
    width_px: int | None = None
    height_px: int | None = None
    fps: float | None = None
    fourcc: str | None = None


@dataclass(frozen=True, slots=True)
class RtspSpec:
    """A network camera; rtsp:// and rtsps://, or http(s):// for one that serves MJPEG."""

    url: str = field(repr=False)
    transport: Literal["tcp", "udp"] = "tcp"
    open_timeout_s: float = 10.0
    read_timeout_s: float = 5.0
    decoder: Literal["auto", "cpu", "hardware"] = "auto"
    """auto: the hardware's where this machine has one."""


@dataclass(frozen=True, slots=True)
class HttpSpec:
    """A network camera that gives one picture each time it is asked, by GET."""

    url: str = field(repr=False)
    every_s: float = 1.0
    timeout_s: float = 10.0
    """Longest time for one picture, all its data included."""
    verify_certificate: bool = True


@dataclass(frozen=True, slots=True)
class CsiSpec:
    """A camera on a Jetson's CSI connector, read through the Argus daemon; `flip` is nvvidconv's flip-method, 0..7."""

    sensor_id: int = 0
    width_px: int = 1280
    height_px: int = 720
    fps: float = 30.0
    flip: int = 0


SourceSpec = ReplaySpec | V4l2Spec | RtspSpec | HttpSpec | CsiSpec


class Source(ABC):
    """A source of pictures. Not thread-safe; `read` blocks until a picture is there."""

    def __init__(self) -> None:
        self._warnings: list[str] = []
        self.shortfall: str | None = None
        """Why it works less well than this machine could, if it does, and what to do."""

    @abstractmethod
    def open(self) -> None:
        """Make the source ready.

        Raises:
            CameraError: it is not there, not permitted, or does not answer.
        """

    @abstractmethod
    def read(self) -> Picture:
        """The next picture.

        Raises:
            PictureError: this one cannot be used; reading on is sensible.
            EndOfStream: there are no more.
            CameraError: the source failed; close it and open it again.
        """

    @abstractmethod
    def close(self) -> None:
        """Give the device back; harmless when it is not open."""

    def warn(self, message: str) -> None:
        """Keep something worth telling that does not stop the source."""
        self._warnings.append(message)

    def take_warnings(self) -> list[str]:
        """What has been kept since the last call."""
        taken, self._warnings = self._warnings, []
        return taken

    def __enter__(self) -> Source:
        self.open()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
