"""What the sources that OpenCV reads live have in common: grab, date, decode, and the end of a stream as an error."""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Iterator, Sequence

import cv2

from edge.cameras import largest
from edge.cameras.address import without_addresses
from edge.cameras.base import Picture, PictureError, Source
from edge.cameras.doubt import DECODED_AHEAD
from edge.cameras.native import NativeOutput, format_changed, video_damage
from edge.cameras.picture import opencv_errors, rgb_from_any
from edge.errors import CameraError, ImageError
from edge.scene import ImageArray

_SAME_SIZE_S = 60.0
"""Shortest time between two connections to see whether the size has changed, after one that found it had not."""


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
        self._printed: NativeOutput | None = None
        self._size_px: tuple[int, int] | None = None
        self._read = 0
        """Pictures since it was opened."""
        self._new_format = False
        self._next_look_s = 0.0

    def connect(self, target: str | int, backend: int, parameters: Sequence[int], remedy: str) -> cv2.VideoCapture:
        """Open the capture.

        Raises:
            CameraError: OpenCV could not; the message ends in `remedy`.
        """
        if self._printed is None:
            self._printed = NativeOutput()
        with opencv_errors(self.label, remedy):
            capture = cv2.VideoCapture(target, backend, list(parameters))
            opened = capture.isOpened()
            size_px = capture.get(cv2.CAP_PROP_FRAME_WIDTH), capture.get(cv2.CAP_PROP_FRAME_HEIGHT)
        printed = self._printed.take()
        if not opened:
            capture.release()
            raise CameraError(f"{self.label}: {self.why_not(printed) or f'cannot be opened. {remedy}'}")
        self._capture, self._read, self._new_format = capture, 0, False
        largest.refuse_larger_stream(self.label, *size_px)
        return capture

    def read(self) -> Picture:
        """The next picture, dated when it was grabbed, before it is decoded."""
        if self._capture is None or self._printed is None:
            raise CameraError(f"{self.label}: is not open. Open it before reading")
        with opencv_errors(self.label, self.remedy):
            if not self._capture.grab():
                raise CameraError(f"{self.label}: stopped sending pictures. {self.remedy}")
        captured_at, captured_monotonic_s = time.time(), time.monotonic()
        image = self._retrieved(self._capture)
        printed = self._printed.take()
        self._read += 1
        # The first pictures are those that the decoder's threads are set up for.
        self._new_format = self._new_format or (self._read > DECODED_AHEAD and format_changed(printed))
        if self._new_format and captured_monotonic_s >= self._next_look_s:
            return self._open_again()
        self.refuse_damaged(video_damage(printed))
        self._size_px = image.shape[1], image.shape[0]
        return Picture(image, captured_at, captured_monotonic_s)

    def why_not(self, printed: str) -> str | None:
        """Why it could not be opened and what to do, from what was printed; None: nothing better is known."""
        return None

    def refuse_damaged(self, damage: str | None) -> None:
        """Raise `PictureError` for a picture that is not to be used; `damage`: what its decoder said."""
        if damage is not None:
            raise PictureError(f"{self.label}: sent a damaged picture ({damage}), which is not used. {self.remedy}")

    def close(self) -> None:
        """Give the device back; harmless when it is not open."""
        capture, self._capture = self._capture, None
        if capture is not None:
            capture.release()
        printed, self._printed = self._printed, None
        if printed is not None:
            printed.close()

    def _retrieved(self, capture: cv2.VideoCapture) -> ImageArray:
        try:
            decoded, picture = capture.retrieve()
            if decoded:
                return rgb_from_any(picture)
        except cv2.error as error:
            if largest.is_refusal(str(error)):
                raise PictureError(f"{self.label}: sent a picture that {largest.refusal()}") from error
            said = without_addresses(error.err or str(error))
            raise PictureError(f"{self.label}: sent a picture that does not decode ({said}). {self.remedy}") from error
        except ImageError as error:
            raise PictureError(f"{self.label}: {error}") from error
        raise PictureError(f"{self.label}: sent a picture that does not decode. {self.remedy}")

    def _open_again(self) -> Picture:
        """The next picture of a stream whose decoder was set up anew; OpenCV goes on giving the size it began with."""
        before = self._size_px
        self.close()
        self.open()
        picture = self.read()
        self._next_look_s = time.monotonic() + _SAME_SIZE_S if self._size_px == before else 0.0
        return picture


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
