"""Where a camera's pictures come from: `cameras[].source`, one section a kind."""

from __future__ import annotations

from dataclasses import replace
from typing import Annotated, Literal

from pydantic import AfterValidator, Field

from edge.cameras.address import AmbiguousAddressError, quoted
from edge.cameras.base import CsiSpec, HttpSpec, ReplaySpec, RtspSpec, SingleSpec, V4l2Spec
from edge.config.values import ExistingPath, Positive, Rate, Section, SidePx, problem
from edge.scene import Projection


def _unambiguous(url: str) -> str:
    try:
        quoted(url)
    except AmbiguousAddressError:
        raise problem(
            "where the password ends and the host begins cannot be told",
            "Write characters of the user and password as % and their code: / as %2F, ? as %3F, # as %23, @ as %40",
        ) from None
    return url


Address = Annotated[str, AfterValidator(_unambiguous)]
"""Of a network camera. Only scheme, host and port of it are ever shown."""


class ReplayConfig(Section):
    """Pictures of a folder, in order of their names, or a video file."""

    type: Literal["replay"]
    path: ExistingPath = Field(description="folder of pictures or a video file", examples=["clips/hall.mp4"])
    loop: bool = Field(default=True, description="start again at the end")
    pace: Literal["realtime", "fast"] = Field(default="realtime", description="fast: as fast as frames are taken")
    fps: Rate | None = Field(default=None, description="pictures a second; default: the video's own, 5 for a folder")
    watch: bool = Field(
        default=False,
        description="a folder that is uploaded to: its newest picture, then each that comes, in order of arrival",
    )
    gpano: bool = Field(
        default=True,
        description="of a panorama's stills: follow what they say (GPano) of the part of the sphere that they are, "
        "heading, pitch and roll",
    )

    @property
    def spec(self) -> ReplaySpec:
        """As the capture process takes it."""
        return ReplaySpec(
            path=self.path, loop=self.loop, pace=self.pace, fps=self.fps, watch=self.watch, gpano=self.gpano
        )


class V4l2Config(Section):
    """A USB or other Video4Linux camera."""

    type: Literal["v4l2"]
    device: str = Field(
        default="/dev/video0",
        pattern=r"^/dev/\S+$",
        description="device file; /dev/v4l/by-id/... stays the same after a restart",
    )
    width_px: SidePx | None = Field(default=1280, description="picture width asked for, px; null: the driver's choice")
    height_px: SidePx | None = Field(default=720, description="picture height asked for, px; null: the driver's choice")
    fps: Rate | None = Field(default=30.0, description="pictures a second asked for; null: the driver's choice")
    fourcc: Annotated[str, Field(pattern=r"^[A-Za-z0-9 ]{4}$")] | None = Field(
        default="MJPG", description="pixel format asked for, four letters; null: the driver's choice"
    )

    @property
    def spec(self) -> V4l2Spec:
        """As the capture process takes it."""
        return V4l2Spec(
            device=self.device, width_px=self.width_px, height_px=self.height_px, fps=self.fps, fourcc=self.fourcc
        )


class RtspConfig(Section):
    """A network camera."""

    type: Literal["rtsp"]
    url: Address = Field(
        pattern=r"^(rtsps?|https?)://\S+$",
        description="rtsp, rtsps, or http(s) that serves MJPEG; user and password may be in it",
        examples=["rtsp://10.0.0.9/live"],
        repr=False,
        json_schema_extra={"writeOnly": True},
    )
    transport: Literal["tcp", "udp"] = Field(default="tcp", description="tcp: no torn pictures; udp: less delay")
    open_timeout_s: Positive = Field(default=10.0, description="longest wait for the connection, s")
    read_timeout_s: Positive = Field(default=5.0, description="longest wait for a picture, s")
    decoder: Literal["auto", "cpu", "hardware"] = Field(
        default="auto",
        description="of H.264 and H.265: auto: a Jetson's own (through GStreamer) where there is one; cpu; hardware: "
        "asked for also where none is seen",
    )

    @property
    def spec(self) -> RtspSpec:
        """As the capture process takes it."""
        return RtspSpec(
            url=self.url,
            transport=self.transport,
            open_timeout_s=self.open_timeout_s,
            read_timeout_s=self.read_timeout_s,
            decoder=self.decoder,
        )


class HttpConfig(Section):
    """A network camera that gives a single picture (JPEG or PNG) each time its address is asked for."""

    type: Literal["http"]
    url: Address = Field(
        pattern=r"^https?://\S+$",
        description="http or https; user and password (basic or digest) may be in it",
        examples=["http://10.0.0.9/snapshot.jpg"],
        repr=False,
        json_schema_extra={"writeOnly": True},
    )
    every_s: Positive = Field(default=1.0, description="time between two pictures, s")
    timeout_s: Positive = Field(default=10.0, description="longest wait for a picture, s")
    verify_certificate: bool = Field(
        default=True, description="of https; false for a camera that signed its own certificate"
    )
    gpano: bool = Field(
        default=True,
        description="of a panorama's stills: follow what they say (GPano) of the part of the sphere that they are, "
        "heading, pitch and roll",
    )

    @property
    def spec(self) -> HttpSpec:
        """As the capture process takes it."""
        return HttpSpec(
            url=self.url,
            every_s=self.every_s,
            timeout_s=self.timeout_s,
            verify_certificate=self.verify_certificate,
            gpano=self.gpano,
        )


class CsiConfig(Section):
    """A camera on a Jetson's CSI port (needs an OpenCV with GStreamer, as JetPack's)."""

    type: Literal["csi"]
    sensor_id: int = Field(default=0, ge=0, le=15, description="number of the sensor")
    width_px: SidePx = Field(default=1280, description="picture width, px")
    height_px: SidePx = Field(default=720, description="picture height, px")
    fps: Rate = Field(default=30.0, description="pictures a second")
    flip: int = Field(default=0, ge=0, le=7, description="nvvidconv's flip-method; 2 = turned by 180 degrees")

    @property
    def spec(self) -> CsiSpec:
        """As the capture process takes it."""
        return CsiSpec(
            sensor_id=self.sensor_id, width_px=self.width_px, height_px=self.height_px, fps=self.fps, flip=self.flip
        )


SingleSourceConfig = ReplayConfig | V4l2Config | RtspConfig | HttpConfig | CsiConfig
SourceConfig = Annotated[SingleSourceConfig, Field(discriminator="type")]


def spec_for(source: SingleSourceConfig, projection: Projection) -> SingleSpec:
    """As the capture process takes it: only a panorama's pictures are asked what part of the sphere they are."""
    spec = source.spec
    if isinstance(spec, ReplaySpec | HttpSpec):
        return replace(spec, gpano=spec.gpano and projection == "equirectangular")
    return spec
