"""Network cameras, through OpenCV's FFmpeg."""

from __future__ import annotations

import http
import re

import cv2
import numpy as np

from edge.cameras.address import AmbiguousAddressError, quoted, shown
from edge.cameras.base import PictureError, RtspSpec
from edge.cameras.doubt import Doubt
from edge.cameras.live import LiveSource, environment
from edge.cameras.native import refusal, unreachable
from edge.cameras.picture import opencv_errors
from edge.errors import CameraError

_SCHEME = re.compile(r"(?i)(rtsps?|https?)://[^/\s]")

_REFUSALS = {
    401: "refused user and password (401). Correct them in the address",
    403: "refused (403): this user may not see that stream. Allow it on the camera's own page",
    404: "has no stream at that path (404). Correct the path of the address; the camera's manual has it",
}


class RtspSource(LiveSource):
    """A stream with explicit timeouts; without them FFmpeg waits for ever on a camera that has gone silent."""

    def __init__(self, spec: RtspSpec, *, decoded: bool = True) -> None:
        """`decoded` False: it gives packets (`packet`), and no pictures."""
        super().__init__(
            shown(spec.url), f"It may be off or busy: nothing came for {spec.read_timeout_s:g} s, or it was closed"
        )
        self.spec = spec
        self._doubt, self._decoded = Doubt(), decoded

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
            *(() if self._decoded else (cv2.CAP_PROP_FORMAT, -1)),
        )
        remedy = (
            f"No stream within {spec.open_timeout_s:g} s, or it was refused: check that the camera is on, the address "
            f"and path, user and password, and that transport {spec.transport} is allowed"
        )
        with environment("OPENCV_FFMPEG_CAPTURE_OPTIONS", f"rtsp_transport;{spec.transport}"):
            self.connect(address(spec.url, self.label), cv2.CAP_FFMPEG, parameters, remedy)

    @property
    def codec(self) -> str:
        """Of a stream that gives packets: h264, hevc, ..."""
        assert self._capture is not None
        code = int(self._capture.get(cv2.CAP_PROP_FOURCC))
        return code.to_bytes(4, "little").decode(errors="replace").strip("\0 ").lower()

    def parameters(self) -> bytes:
        """What a decoder of its packets needs to know first, where that is not in them; empty if nothing."""
        assert self._capture is not None
        return self._retrieved_bytes(self._capture, int(self._capture.get(cv2.CAP_PROP_CODEC_EXTRADATA_INDEX)))

    def packet(self) -> bytes:
        """The next packet: one picture, encoded.

        Raises:
            CameraError: the stream ended, or sent nothing in time.
        """
        assert self._capture is not None
        assert self._printed is not None
        if not self._capture.grab():
            raise CameraError(f"{self.label}: stopped sending pictures. {self.remedy}")
        self._printed.take()
        return self._retrieved_bytes(self._capture, 0)

    def _retrieved_bytes(self, capture: cv2.VideoCapture, index: int) -> bytes:
        with opencv_errors(self.label, self.remedy):
            there, data = capture.retrieve(flag=index)
        return np.asarray(data, np.uint8).tobytes() if there and data is not None else b""

    def why_not(self, printed: str) -> str | None:
        """What the camera answered, or why it could not be asked."""
        status = refusal(printed)
        if status == http.HTTPStatus.UNAUTHORIZED and "@" not in self.spec.url:
            return "asks for user and password (401). Write them into the address: rtsp://USER:PASSWORD@..."
        if status is not None:
            return _REFUSALS.get(status, f"did not give a stream ({status}). It may be busy: restart it")
        reason = unreachable(printed)
        if reason is None:
            return None
        return f"cannot be reached ({reason}). Check that the camera is on, and host and port of the address"

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
