"""Any picture as RGB, 8 bit: the one form that the rest of the package sees, and the one check that it is whole.

A picture in a file, over HTTP, in a stream or in a data set for training is decoded here and nowhere else. It is
refused when its data ends early or its decoder met damage: half a picture looks sound and gives wrong results. Bytes
after its end, and a missing end marker after all of its data, are harmless.

Pictures of 16 bits hold values up to 65535. Cameras that measure 10, 12 or 14 bits and do not scale them fill only the
lower end of that range, which shows as black. `Depth` finds which: the smallest of 10, 12, 14 and 16 bits that holds
every value that the source has sent. It never falls, so that a dark picture after a bright one stays dark, and nothing
is stretched to what one picture happens to hold. Values that are 8-bit ones written twice (multiples of 257) and what a
PNG itself declares (sBIT) are 16-bit whatever their largest.
"""

from __future__ import annotations

import contextlib
import math
import re
import zlib
from collections.abc import Iterator

import cv2
import numpy as np
import numpy.typing as npt

from edge.cameras import jpeg, largest
from edge.cameras.address import without_addresses
from edge.cameras.native import picture_damage, standard_error
from edge.errors import CameraError, ImageError
from edge.scene import ImageArray

MIN_SIDE_PX = 16
_HASH_GRID = 64
_DEPTHS_BITS = (10, 12, 14, 16)
_BYTE_TWICE = 257
_PNG_START = b"\x89PNG\r\n\x1a\n"
_FILLED = re.compile("extraneous bytes before marker 0xd9$")
_BROKEN = "is not a whole picture; it is cut short, damaged or of an unknown kind. Replace it"


class Depth:
    """How many of their 16 bits a source's pictures use."""

    def __init__(self) -> None:
        self.bits: int | None = None
        """As seen so far; None before the first picture of 16 bits."""

    def eight_bits(self, picture: npt.NDArray[np.uint16], *, scaled: bool = False) -> npt.NDArray[np.uint8]:
        """The picture's upper 8 bits of those that the source uses.

        Args:
            picture: one of the source's.
            scaled: it is known to fill 16 bits.
        """
        if self.bits != 16 and (scaled or not (picture % _BYTE_TWICE).any()):
            seen = 16 if scaled or picture.any() else _DEPTHS_BITS[0]
        else:
            brightest = int(picture.max())
            seen = next(bits for bits in _DEPTHS_BITS if brightest < 1 << bits)
        self.bits = max(seen, self.bits or 0)
        return np.asarray(picture >> np.uint16(self.bits - 8), np.uint8)


@contextlib.contextmanager
def opencv_errors(label: str, remedy: str) -> Iterator[None]:
    """OpenCV's exceptions in the block as a `CameraError`."""
    try:
        yield
    except cv2.error as error:
        raise CameraError(f"{label}: OpenCV failed ({without_addresses(error.err or str(error))}). {remedy}") from error


def decoded(data: bytes, depth: Depth | None = None) -> ImageArray:
    """A picture file's content as (H, W, 3) uint8 RGB, turned upright as its EXIF says.

    Args:
        data: JPEG, PNG or another of OpenCV's kinds.
        depth: what is known of the source's pictures of 16 bits; None where this is its only one.

    Raises:
        ImageError: it is cut short or damaged, or of a kind or size that cannot be used.
    """
    if data.startswith(jpeg.START):
        markers = jpeg.walk(data)
        if markers.end is None and not markers.has_all_scans:
            raise ImageError(_BROKEN)
        # the decoder tells of data that ends early only when an end marker follows it
        data = data[: markers.end] if markers.end is not None else _without_filling(data + b"\0" + jpeg.END)
    picture, damage = _decode(data)
    if damage is not None and _FILLED.search(damage):
        picture, damage = _decode(_without_filling(data))
    if picture is None:
        raise ImageError(_BROKEN)
    if damage is not None:
        raise ImageError(f"is damaged ({damage}). Replace it")
    if picture.dtype == np.uint16:
        scaled = data.startswith(_PNG_START) and b"sBIT" in data[:256]
        picture = (depth or Depth()).eight_bits(picture.view(np.uint16), scaled=scaled)
    return rgb_from_any(picture)


def _decode(data: bytes) -> tuple[npt.NDArray[np.generic] | None, str | None]:
    """What OpenCV makes of it, and what the library below said of damage."""
    if not data:
        return None, None
    try:
        with standard_error() as printed:
            picture = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR | cv2.IMREAD_ANYDEPTH)
            return picture, picture_damage(printed.take())
    except MemoryError as error:
        raise ImageError("does not decode (no memory is left for it). Use a smaller one") from error
    except cv2.error as error:
        if largest.is_refusal(str(error)):
            size_px = jpeg.walk(data).size_px if data.startswith(jpeg.START) else None
            raise ImageError(largest.refusal(size_px)) from error
        raise ImageError(f"does not decode ({error.err}). Replace it") from error


def _without_filling(data: bytes) -> bytes:
    """A JPEG without the bytes that repeat before its end marker, with which some cameras fill it to a round size."""
    content = data.removesuffix(jpeg.END)
    content = content.rstrip(content[-1:])
    return content + (b"\0" if content.endswith(b"\xff") else b"") + jpeg.END  # 0xff of data is followed by 0


def shrunk(image: ImageArray, most_bytes: int) -> ImageArray:
    """The picture, made small enough for `most_bytes`, of the same proportions; itself where it is."""
    if image.nbytes <= most_bytes:
        return image
    height, width = image.shape[:2]
    fits = max(1, math.isqrt(most_bytes // image.shape[2] * height // width))
    return np.asarray(cv2.resize(image, (fits * width // height, fits), interpolation=cv2.INTER_AREA), np.uint8)


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
