"""Reading picture files."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt

from edge.cameras import largest
from edge.cameras.picture import decoded
from edge.errors import DataError, ImageError
from edge.scene import ImageArray


def read_picture(path: Path) -> ImageArray:
    """(H, W, 3) uint8 RGB of any picture file, as the device decodes it; 16 bits, grey and alpha are converted.

    Raises:
        DataError: it cannot be decoded, is cut short or damaged.
    """
    try:
        return decoded(path.read_bytes())
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror}); add it, or remove what names it") from error
    except ImageError as error:
        raise DataError(f"{path}: {error}; or remove it") from error


def as_stored(path: Path) -> npt.NDArray[np.generic] | None:
    """A picture's numbers, of whatever type and channels (in OpenCV's order); None: it cannot be decoded.

    Raises:
        DataError: it declares more than is decoded.
    """
    try:
        data = path.read_bytes()
        return cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED) if data else None
    except cv2.error as error:
        if largest.is_refusal(str(error)):
            raise DataError(f"{path}: {largest.refusal()}") from error
        return None
    except (OSError, MemoryError):
        return None


def read_depth(path: Path, units_per_m: float, unknown: int = 0) -> npt.NDArray[np.float32]:
    """(H, W) metres of a picture with one 16-bit channel; 0 where it holds 0 or `unknown`.

    Raises:
        DataError: it cannot be decoded or is of another type.
    """
    raw = as_stored(path)
    if raw is None:
        raise DataError(f"{path}: cannot be read as a picture; replace or remove it")
    if raw.dtype != np.uint16 or raw.ndim != 2:
        raise DataError(
            f"{path}: expected depth as one 16-bit channel, got {raw.dtype} {raw.shape}; give the publisher's own file"
        )
    known = np.where(raw == unknown, 0, raw).astype(np.float32)
    return np.asarray(known / np.float32(units_per_m), dtype=np.float32)
