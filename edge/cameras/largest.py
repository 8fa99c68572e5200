"""The largest picture that is decoded. A file of a kilobyte may declare a picture of gigabytes.

OpenCV reads the size that any kind of picture declares, and refuses what has more pixels than one of its variables says
before it takes memory for it. The variable counts from the start of a process; `import edge` sets it unless it is set,
and each capture process is started with its camera's own. For a moment a picture takes up to 25 bytes a pixel (of
floats; 16 in JPEG 2000 and AVIF, 15 in PNG of 16 bits, 6 in JPEG).
"""

from __future__ import annotations

import os

import edge
from edge.errors import CameraError, ImageError

VARIABLE = edge.MOST_PIXELS_VARIABLE
MOST_MEGAPIXELS = edge.MOST_PIXELS / 1e6
_OPENCV_MOST_PIXELS = 1 << 30
"""What it takes where nothing is said."""


def environment(most_megapixels: float) -> dict[str, str]:
    """What a process that decodes pictures up to that size is started with."""
    return {VARIABLE: str(round(most_megapixels * 1e6))}


def most_pixels() -> int:
    """Of a picture that this process decodes."""
    said = os.environ.get(VARIABLE, "")
    return int(said) if said.isdecimal() and int(said) else _OPENCV_MOST_PIXELS


def is_refusal(said: str) -> bool:
    """Whether an error of OpenCV's says that a picture declares too much."""
    return "CV_IO_MAX_IMAGE_" in said


def refusal(size_px: tuple[int, int] | None = None) -> str:
    """What is said of a picture that declares too much, with what to do; `size_px`: width and height, where known."""
    said = "" if size_px is None else f" ({size_px[0]}x{size_px[1]} px)"
    return (
        f"declares more than {most_pixels() / 1e6:g} megapixels{said}. Decoding it may take gigabytes: make "
        f"it smaller. If the memory is there, raise the limit: `most_megapixels` of a camera, {VARIABLE} for a command"
    )


def refuse_larger(width_px: int, height_px: int) -> None:
    """To be called with what is declared, before anything is decoded.

    Raises:
        ImageError: it is too much.
    """
    if width_px * height_px > most_pixels():
        raise ImageError(refusal((width_px, height_px)))


def refuse_larger_stream(label: str, width_px: float, height_px: float) -> None:
    """As `refuse_larger`, for a stream or video, whose decoder says its size once it is open.

    Raises:
        CameraError: it is too much.
    """
    if width_px * height_px > most_pixels():
        raise CameraError(f"{label}: {refusal((round(width_px), round(height_px)))}")
