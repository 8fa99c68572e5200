"""Network cameras that give one picture each time they are asked."""

from __future__ import annotations

import re
import time
from typing import TYPE_CHECKING

from edge.cameras.address import shown
from edge.cameras.base import HttpSpec, Picture, PictureError, Source
from edge.cameras.http import Answer, HttpClient
from edge.cameras.picture import Depth, decoded
from edge.cameras.rtsp import address
from edge.errors import CameraError, ImageError
from edge.scene import BoolArray, ImageArray

if TYPE_CHECKING:
    from edge.cameras.gpano import Leveller

_SCHEME = re.compile(r"(?i)https?://[^/\s]")
_MOST_BYTES = 64 << 20
_MOST_FAILURES = 3
"""Requests in a row that may fail before the camera counts as failed."""


class StillSource(Source):
    """Asks for a picture again and again, every so many seconds."""

    def __init__(self, spec: HttpSpec) -> None:
        super().__init__()
        self.spec, self.label = spec, shown(spec.url)
        self._client: HttpClient | None = None
        self._depth = Depth()
        self._leveller: Leveller | None = None
        if spec.gpano:  # imported only then: it takes memory in each capture process
            from edge.cameras.gpano import Leveller

            self._leveller = Leveller()
        self._due_s = 0.0
        self._failures = 0

    def open(self) -> None:
        """Check the address; the first picture is asked for by `read`."""
        if not _SCHEME.match(self.spec.url):
            raise CameraError(f"{self.label}: is not an address of pictures. Write it as http://host/path")
        self._client = HttpClient(
            address(self.spec.url, self.label),
            timeout_s=self.spec.timeout_s,
            verify_certificate=self.spec.verify_certificate,
        )
        self._due_s, self._failures = time.monotonic(), _MOST_FAILURES - 1  # the first must succeed

    def read(self) -> Picture:
        """The picture that the camera gives when it is due."""
        if self._client is None:
            raise CameraError(f"{self.label}: is not open. Open it before reading")
        now_s = time.monotonic()
        time.sleep(max(0.0, self._due_s - now_s))
        self._due_s = max(self._due_s, now_s) + self.spec.every_s
        try:
            data, captured_at, captured_monotonic_s = self._ask(self._client)
            image, seen = self._decoded(data)
        except CameraError as error:
            self._failures += 1
            if self._failures >= _MOST_FAILURES:
                raise CameraError(str(error)) from error
            raise PictureError(str(error)) from error
        self._failures = 0
        return Picture(image, captured_at, captured_monotonic_s, seen)

    def close(self) -> None:
        """Forget the camera; harmless when it is not open."""
        client, self._client = self._client, None
        if client is not None:
            client.close()

    def _ask(self, client: HttpClient) -> tuple[bytes, float, float]:
        """The answer's content, and when it came: seconds since the Unix epoch, and on the monotonic clock."""
        answer = client.get()
        captured = time.time(), time.monotonic()
        try:
            return content(answer, self.label, time.monotonic() + self.spec.timeout_s), *captured
        finally:
            answer.close()

    def _decoded(self, data: bytes) -> tuple[ImageArray, BoolArray | None]:
        try:
            image = decoded(data, self._depth)
            return (image, None) if self._leveller is None else self._leveller.level(image, data)
        except ImageError as error:
            raise CameraError(f"{self.label}: gave a picture that cannot be used: {error}") from error


def content(answer: Answer, label: str, deadline_s: float) -> bytes:
    """The content of an answer that is one picture.

    Raises:
        CameraError: it is something else, too large, or did not come until then.
    """
    kind = answer.content_type
    if kind.startswith("multipart/"):
        raise CameraError(f"{label}: gives a stream, not a single picture. Use `type: rtsp` with this address")
    if kind.startswith("text/"):
        raise CameraError(
            f"{label}: gives {kind}, not a picture; often a page to log in. Correct the path of the address, which "
            "the camera's manual has"
        )
    parts: list[bytes] = []
    size_bytes = answer.length_bytes or 0
    if size_bytes <= _MOST_BYTES:
        size_bytes = 0
        while size_bytes <= _MOST_BYTES and (data := answer.read(deadline_s)):
            parts.append(data)
            size_bytes += len(data)
    if size_bytes > _MOST_BYTES:
        raise CameraError(f"{label}: gives more than {_MOST_BYTES >> 20} MiB. Ask the camera for a smaller picture")
    return b"".join(parts)
