"""Network cameras that send JPEG after JPEG over HTTP (multipart/x-mixed-replace), and other streams over HTTP."""

from __future__ import annotations

import re
import time

from edge.cameras.address import shown
from edge.cameras.base import Picture, PictureError, RtspSpec, Source
from edge.cameras.http import Answer, HttpClient
from edge.cameras.picture import decoded
from edge.cameras.rtsp import RtspSource, address
from edge.errors import CameraError, ImageError

_MOST_BYTES = 64 << 20
_HEAD_END = re.compile(rb"\r?\n\r?\n")
_LENGTH = re.compile(rb"(?im)^content-length:\s*(\d{1,9})\s*$")
_FIRST_LINE = re.compile(rb"--+([^\s-][^\r\n]*)\r?\n")
_MOST_HEAD_BYTES = 16384


class MjpegSource(Source):
    """A stream of pictures over HTTP, each checked by itself and of its own size. What is no MJPEG goes to FFmpeg."""

    def __init__(self, spec: RtspSpec) -> None:
        super().__init__()
        self.spec, self.label = spec, shown(spec.url)
        self._client: HttpClient | None = None
        self._parts: _Parts | None = None
        self._other: RtspSource | None = None

    def open(self) -> None:
        """Connect, within the open timeout."""
        spec = self.spec
        self._client = HttpClient(
            address(spec.url, self.label), timeout_s=spec.open_timeout_s, verify_certificate=False
        )
        answer = self._client.get()
        if answer.content_type.startswith("multipart/"):
            self._parts = _Parts(answer, self.label)
            return
        kind = answer.content_type
        answer.close()
        if kind.startswith("image/"):
            raise CameraError(
                f"{self.label}: gives a single picture ({kind}), not a stream. Use `type: http` with this address and "
                "`every_s: 1`"
            )
        self._other = RtspSource(spec)
        self._other.open()

    def read(self) -> Picture:
        """The next picture, dated when all of it had come."""
        if self._other is not None:
            return self._other.read()
        if self._parts is None:
            raise CameraError(f"{self.label}: is not open. Open it before reading")
        data = self._parts.next(time.monotonic() + self.spec.read_timeout_s)
        captured_at, captured_monotonic_s = time.time(), time.monotonic()
        try:
            return Picture(decoded(data), captured_at, captured_monotonic_s)
        except ImageError as error:
            raise PictureError(f"{self.label}: sent a picture that cannot be used: {error}") from error

    def close(self) -> None:
        """Hang up; harmless when it is not open."""
        parts, self._parts = self._parts, None
        if parts is not None:
            parts.answer.close()
        client, self._client = self._client, None
        if client is not None:
            client.close()
        other, self._other = self._other, None
        if other is not None:
            other.close()


class _Parts:
    """The parts of a multipart answer, one after the other: RFC 2046, 5.1, as cameras write it."""

    def __init__(self, answer: Answer, label: str) -> None:
        self.answer, self.label = answer, label
        self._boundary = _beginning(answer.boundary.encode()) if answer.boundary else None
        self._buffer = bytearray()

    def next(self, deadline_s: float) -> bytes:
        """The content of the next part.

        Raises:
            CameraError: the stream ended, or no whole part came until the deadline.
        """
        if self._boundary is None:
            line = self._found(_FIRST_LINE, deadline_s)[1]
            self._boundary = _beginning(bytes(line))
        self._drop(self._found(self._boundary, deadline_s).end())
        head_end = self._found(_HEAD_END, deadline_s, _MOST_HEAD_BYTES).end()
        stated = _LENGTH.search(bytes(self._buffer[:head_end]))
        self._drop(head_end)
        if stated is not None:
            length = int(stated[1])
            while len(self._buffer) < min(length, _MOST_BYTES):
                self._more(deadline_s)
            content = bytes(self._buffer[:length])
            if not self._boundary.search(content):  # a wrong length runs into the next part
                self._drop(length)
                return content
        return bytes(self._buffer[: self._found(self._boundary, deadline_s).start()]).rstrip(b"\r\n")

    def _found(self, pattern: re.Pattern[bytes], deadline_s: float, most_bytes: int = _MOST_BYTES) -> re.Match[bytes]:
        while (found := pattern.search(self._buffer)) is None:
            if len(self._buffer) > most_bytes:
                raise CameraError(f"{self.label}: sends no stream of pictures that is understood. Use its rtsp address")
            self._more(deadline_s)
        return found

    def _drop(self, count: int) -> None:
        del self._buffer[:count]

    def _more(self, deadline_s: float) -> None:
        data = self.answer.read(deadline_s)
        if not data:
            raise CameraError(f"{self.label}: stopped sending pictures. The camera ended the stream; it may be busy")
        self._buffer += data


def _beginning(boundary: bytes) -> re.Pattern[bytes]:
    """What begins a part."""
    return re.compile(rb"(?:\A|\n)--+" + re.escape(boundary))
