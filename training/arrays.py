"""Names for the kinds of numpy arrays that formulas, labels and pictures are handed on in."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float64]
"""What is computed with."""
Floats = npt.NDArray[np.float32]
"""What networks take and give."""
Lens = tuple[float, float, float, float]
"""fx, fy, cx, cy of a pinhole, px."""
