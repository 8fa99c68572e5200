"""Whether a picture twice as wide as high is a whole sphere, or a strip that only has that shape."""

from __future__ import annotations

import cv2
import numpy as np

from edge.scene import ImageArray

_SMALL_WH = (128, 64)
_LIKE_A_STRIP = 0.25
"""Of a panorama one of its poles' rows varies by up to an eighth of what its middle does, of most strips by a third."""
_LEAST_LEVELS = 4.0


def varies_at_both_poles(image: ImageArray) -> bool:
    """Whether its first and its last row each show different things, which of a whole sphere are one point each.

    Some cameras send a "panorama mode" of that shape which is only a strip of the sphere. A picture too flat to tell is
    taken for what it is said to be.
    """
    small = cv2.resize(image, _SMALL_WH, interpolation=cv2.INTER_AREA).astype(np.float32)
    varies = small.std(axis=1).mean(axis=-1)
    middle = float(np.median(varies[_SMALL_WH[1] // 4 : -_SMALL_WH[1] // 4]))
    least = float(min(varies[0], varies[-1]))
    return least > max(_LIKE_A_STRIP * middle, _LEAST_LEVELS)
