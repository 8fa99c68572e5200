"""What the sources that OpenCV reads live have in common: grab, date, decode, and the end of a stream as an error."""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Iterator, Sequence

import cv2

from edge.cameras.base import Picture, PictureError, Source
from edge.cameras.picture import opencv_errors, rgb_from_any
from edge.errors import CameraError, ImageError


class LiveSource(Source):
    """A device or stream behind cv2.VideoCapture.

    Args:
        label: what messages call it; free of secrets.
        remedy: what to do when it stops sending.
    """

    def __init__(self, label: str, remedy: str) -> None:
        super().__init__()
        self.label, self.remedy = label, remedy
        self._capture: cv2.VideoCapture | None = None

    def connect(self, target: str | int, backend: int, parameters: Sequence[int], remedy: str) -> cv2.VideoCapture:
        """Open the capture.

        Raises:
            CameraError: OpenCV could not; the message ends in `remedy`.
        """
        with opencv_errors(self.label, remedy):
            capture = cv2.VideoCapture(target, backend, list(parameters))
            opened = capture.isOpened()
        if not opened:
            capture.release()
            raise CameraError(f"{self.label}: cannot be opened. {remedy}")
        self._capture = capture
        return capture

    def read(self) -> Picture:
        """The next picture, dated when it was grabbed, before it is decoded."""
        if self._capture is None:
            raise CameraError(f"{self.label}: is not open. Open it before reading")
        with opencv_errors(self.label, self.remedy):
            if not self._capture.grab():
                raise CameraError(f"{self.label}: stopped sending pictures. {self.remedy}")
            captured_at, captured_monotonic_s = time.time(), time.monotonic()
            decoded, picture = self._capture.retrieve()
            if not decoded:
                raise PictureError(f"{self.label}: sent a picture that does not decode. {self.remedy}")
            try:
                return Picture(rgb_from_any(picture), captured_at, captured_monotonic_s)
            except ImageError as error:
                raise PictureError(f"{self.label}: {error}") from error

    def close(self) -> None:
        """Give the device back; harmless when it is not open."""
        capture, self._capture = self._capture, None
        if capture is not None:
            capture.release()


@contextlib.contextmanager
def environment(name: str, value: str) -> Iterator[None]:
    """Set an environment variable for as long as the block lasts; OpenCV takes some options in no other way."""
    before = os.environ.get(name)
    os.environ[name] = value
    try:
        yield
    finally:
        if before is None:
            del os.environ[name]
        else:
            os.environ[name] = before
