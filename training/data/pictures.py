"""Reading picture files."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np

from edge.errors import DataError
from edge.scene import ImageArray


def read_picture(path: Path) -> ImageArray:
    """(H, W, 3) uint8 RGB of any picture file; 16 bits, grey and alpha are converted.

    Raises:
        DataError: it cannot be decoded.
    """
    image = cv2.imread(str(path), cv2.IMREAD_COLOR)
    if image is None:
        raise DataError(f"{path}: cannot be read as a picture; replace or remove it")
    return np.ascontiguousarray(image[..., ::-1])
