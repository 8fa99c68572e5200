"""What every source of pictures is, how one is described, and how its errors read."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import TracebackType
from typing import Literal

from edge.errors import CameraError
from edge.scene import BoolArray, CameraModel, ImageArray

MOST_WIDTH_PX = 6144
"""Of a composed panorama: a wider one and its mask do not fit the memory that a camera's pictures go through."""


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
    seen: BoolArray | None = None
    """(H, W) where it shows something, the same object until that changes; None: everywhere."""


@dataclass(frozen=True, slots=True)
class ReplaySpec:
    """A folder of pictures, one picture, or a video file.

    `pace` "realtime" keeps the recording's rate; "fast" goes as fast as the reader takes frames, and skips none.
    `fps` None means the video's own rate, or 5 for pictures. `watch`: the newest picture of the folder, and each that
    comes after it. `gpano`: pictures are panoramas, and what they say of themselves is followed (`edge.cameras.gpano`).
    """

    path: Path
    loop: bool = True
    pace: Literal["realtime", "fast"] = "realtime"
    fps: float | None = None
    watch: bool = False
    gpano: bool = False


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
    gpano: bool = False
    """As for `ReplaySpec`."""


@dataclass(frozen=True, slots=True)
class CsiSpec:
    """A camera on a Jetson's CSI connector, read through the Argus daemon; `flip` is nvvidconv's flip-method, 0..7."""

    sensor_id: int = 0
    width_px: int = 1280
    height_px: int = 720
    fps: float = 30.0
    flip: int = 0


SingleSpec = ReplaySpec | V4l2Spec | RtspSpec | HttpSpec | CsiSpec


@dataclass(frozen=True, slots=True)
class View:
    """One lens of a picture that others are composed with: its projection and how it is turned in the rig."""

    model: CameraModel
    crop: tuple[float, float, float, float] = (0.0, 0.0, 1.0, 1.0)
    """The part of the picture that is this lens's: left, top, right, bottom in fractions of width and height."""
    seek_circle: bool = False
    """Of an uncalibrated fisheye: look for its circle in the pictures; until it is found it is taken to be as given."""


@dataclass(frozen=True, slots=True)
class Member:
    """A source of a composed one, and the lenses in its pictures. `label` is what messages call it."""

    label: str
    spec: SingleSpec
    views: tuple[View, ...] = ()


@dataclass(frozen=True, slots=True)
class CubeFaces:
    """The faces of a cube map in the order in which they come, a letter of `edge.cameras.cube.FACES` each.

    `rotate_deg`: by how much each is turned clockwise to be upright.
    """

    faces: str
    rotate_deg: tuple[float, ...] = (0.0,) * 6


@dataclass(frozen=True, slots=True)
class ComposedSpec:
    """A panorama composed of the pictures of one or several sources.

    `width_px` None: as fine as the pictures. Pictures taken within `spread_s` of each other are composed; a source that
    sent nothing for `stale_after_s` is left out. `nadir_mask_rad`: so far round straight down nothing is shown. `cube`:
    the members, without views of their own, are its six faces, or one picture that holds all.
    """

    members: tuple[Member, ...]
    width_px: int | None = None
    spread_s: float = 0.05
    stale_after_s: float = 2.0
    match_exposure: bool = True
    nadir_mask_rad: float = 0.0
    cube: CubeFaces | None = None

    @property
    def recorded(self) -> bool:
        """Whether its pictures come from recordings, whose pictures of one number belong together."""
        return all(isinstance(m.spec, ReplaySpec) and not m.spec.watch for m in self.members)


SourceSpec = SingleSpec | ComposedSpec


def recording_of(spec: SourceSpec) -> ReplaySpec | None:
    """The recording that sets the pace of a source; None for a live one."""
    if isinstance(spec, ComposedSpec):
        return recording_of(spec.members[0].spec) if spec.recorded or len(spec.members) == 1 else None
    return spec if isinstance(spec, ReplaySpec) else None


def absolute(spec: SourceSpec) -> SourceSpec:
    """The same with absolute paths: the capture process runs in another folder."""
    if isinstance(spec, ComposedSpec):
        return replace(spec, members=tuple(replace(m, spec=_absolute(m.spec)) for m in spec.members))
    return _absolute(spec)


def _absolute(spec: SingleSpec) -> SingleSpec:
    return replace(spec, path=spec.path.absolute()) if isinstance(spec, ReplaySpec) else spec


class Source(ABC):
    """A source of pictures. Not thread-safe; `read` blocks until a picture is there."""

    def __init__(self) -> None:
        self.degraded: tuple[str, ...] = ()
        """Why its pictures show less than they should."""
        self._warnings: list[str] = []

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
