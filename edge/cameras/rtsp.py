"""Network cameras, through OpenCV's FFmpeg."""

from __future__ import annotations

import re

import cv2

from edge.cameras.base import RtspSpec, redact
from edge.cameras.live import LiveSource, environment
from edge.errors import CameraError

_SCHEME = re.compile(r"(?i)(rtsps?|https?)://[^/\s]")


class RtspSource(LiveSource):
    """A stream with explicit timeouts; without them FFmpeg waits for ever on a camera that has gone silent."""

    def __init__(self, spec: RtspSpec) -> None:
        label = redact(spec.url)
        super().__init__(
            label, f"It may be off or busy: nothing came for {spec.read_timeout_s:g} s, or the stream was closed"
        )
        self.spec = spec

    def open(self) -> None:
        """Connect, within the open timeout."""
        spec = self.spec
        if not _SCHEME.match(spec.url):
            raise CameraError(
                f"{self.label}: is not a stream's address. Write it as rtsp://user:password@host:554/path"
            )
        parameters = (
            cv2.CAP_PROP_OPEN_TIMEOUT_MSEC,
            round(spec.open_timeout_s * 1000),
            cv2.CAP_PROP_READ_TIMEOUT_MSEC,
            round(spec.read_timeout_s * 1000),
        )
        remedy = (
            f"No stream within {spec.open_timeout_s:g} s, or it was refused: check that the camera is on, the address "
            f"and path, user and password, and that transport {spec.transport} is allowed"
        )
        with environment("OPENCV_FFMPEG_CAPTURE_OPTIONS", f"rtsp_transport;{spec.transport}"):
            self.connect(spec.url, cv2.CAP_FFMPEG, parameters, remedy)
