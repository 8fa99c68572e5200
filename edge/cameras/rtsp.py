"""Network cameras, through OpenCV's FFmpeg."""

from __future__ import annotations

import re

import cv2

from edge.cameras.address import AmbiguousAddressError, quoted, shown
from edge.cameras.base import PictureError, RtspSpec
from edge.cameras.doubt import Doubt
from edge.cameras.live import LiveSource, environment
from edge.errors import CameraError

_SCHEME = re.compile(r"(?i)(rtsps?|https?)://[^/\s]")


class RtspSource(LiveSource):
    """A stream with explicit timeouts; without them FFmpeg waits for ever on a camera that has gone silent."""

    def __init__(self, spec: RtspSpec) -> None:
        super().__init__(
            shown(spec.url), f"It may be off or busy: nothing came for {spec.read_timeout_s:g} s, or it was closed"
        )
        self.spec = spec
        self._doubt = Doubt()

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
            self.connect(address(spec.url, self.label), cv2.CAP_FFMPEG, parameters, remedy)

    def refuse_damaged(self, damage: str | None) -> None:
        """Refuse a picture that is damaged, and those that build on it."""
        assert self._capture is not None
        alone = self._capture.get(cv2.CAP_PROP_FRAME_TYPE) == ord("I")
        if self._doubt.refuses(damage, builds_on_no_other=alone):
            raise PictureError(
                f"{self.label}: sent a damaged picture; neither it nor what builds on it is used. Use transport tcp, a "
                "smaller picture or a better network"
            )


def address(url: str, label: str) -> str:
    """The address as libraries take it.

    Raises:
        CameraError: its user and password cannot be told from its host.
    """
    try:
        return quoted(url)
    except AmbiguousAddressError as error:
        raise CameraError(
            f"{label}: where the password ends and the host begins cannot be told. Write characters of the user and "
            "password as % and their code: / as %2F, ? as %3F, # as %23, @ as %40, : as %3A"
        ) from error
