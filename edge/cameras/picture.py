"""Any decoded picture as RGB, 8 bit: the one form that the rest of the package sees."""

from __future__ import annotations

import contextlib
import zlib
from collections.abc import Iterator

import cv2
import numpy as np
import numpy.typing as npt

from edge.errors import CameraError, ImageError
from edge.scene import ImageArray

MIN_SIDE_PX = 16
_HASH_GRID = 64


@contextlib.contextmanager
def opencv_errors(label: str, remedy: str) -> Iterator[None]:
    """OpenCV's exceptions in the block as a `CameraError`."""
    try:
        yield
    except cv2.error as error:
        raise CameraError(f"{label}: OpenCV failed ({error.err or error}). {remedy}") from error


def rgb_from_any(picture: npt.NDArray[np.generic], *, bgr: bool = True) -> ImageArray:
    """Any decoded picture (grey, colour or with alpha; 8 or 16 bit) as (H, W, 3) uint8 RGB; alpha is dropped.

    Args:
        picture: (H, W), (H, W, 1), (H, W, 3) or (H, W, 4), uint8 or uint16.
        bgr: whether colour comes in OpenCV's order.

    Raises:
        ImageError: another type or shape, or a side under 16 px.
    """
    a = np.asarray(picture)
    if a.ndim == 3 and a.shape[2] == 1:
        a = a[..., 0]
    if a.ndim not in (2, 3) or (a.ndim == 3 and a.shape[2] not in (3, 4)):
        raise ImageError(f"a picture has 1, 3 or 4 channels, got an array of shape {a.shape}; convert it to RGB first")
    if min(a.shape[:2]) < MIN_SIDE_PX:
        raise ImageError(
            f"picture is {a.shape[1]}x{a.shape[0]} px; both sides must be at least {MIN_SIDE_PX} px, use a larger one"
        )
    if a.dtype == np.uint16:
        a = (a >> np.uint16(8)).astype(np.uint8)
    elif a.dtype != np.uint8:
        raise ImageError(f"pictures are 8 or 16 bit, got {a.dtype}; convert it to 8 bit first")
    if a.ndim == 2:
        return np.asarray(cv2.cvtColor(a, cv2.COLOR_GRAY2RGB), dtype=np.uint8)
    if bgr:
        return np.asarray(cv2.cvtColor(a, cv2.COLOR_BGR2RGB if a.shape[2] == 3 else cv2.COLOR_BGRA2RGB), dtype=np.uint8)
    return np.ascontiguousarray(a[..., :3], dtype=np.uint8)


def content_hash(image: ImageArray) -> int:
    """A number that changes when the picture does: CRC-32 of about 64 x 64 of its pixels, and of its size.

    A working sensor's noise changes some of them from one picture to the next; a frozen driver repeats them all.
    """
    height, width = image.shape[:2]
    sample = np.ascontiguousarray(image[:: max(1, height // _HASH_GRID), :: max(1, width // _HASH_GRID)])
    return zlib.crc32(sample.tobytes(), zlib.crc32(b"%d %d" % (width, height)))
