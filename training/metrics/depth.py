"""Depth metrics of Eigen et al. (2014), each per picture.

Alignments before measuring: `metric` none; `median` the prediction scaled to the truth's median; `affine` the
least-squares scale and shift of the prediction (for relative depth).
"""

from __future__ import annotations

from typing import Literal

import numpy as np
import numpy.typing as npt

Alignment = Literal["metric", "median", "affine"]
Array = npt.NDArray[np.float64]
_SMALLEST_M = 1e-3


def aligned(predicted: Array, truth: Array, alignment: Alignment) -> Array:
    """The prediction (N,) brought to the truth (N,) as the alignment allows, kept positive."""
    if alignment == "median":
        predicted = predicted * (np.median(truth) / np.median(predicted))
    elif alignment == "affine":
        design = np.stack([predicted, np.ones_like(predicted)], axis=1)
        scale, shift = np.linalg.lstsq(design, truth, rcond=None)[0]
        predicted = predicted * scale + shift
    return np.maximum(predicted, _SMALLEST_M)


def depth_errors(predicted: npt.ArrayLike, truth: npt.ArrayLike, alignment: Alignment = "metric") -> dict[str, float]:
    """AbsRel, RMSE (m), log10, delta1..3 over the pixels whose truth is known (> 0).

    Args:
        predicted: metres, any shape.
        truth: metres, the same shape, 0 = unknown; at least one must be known.
        alignment: see the module.
    """
    t = np.asarray(truth, dtype=np.float64)
    p = np.asarray(predicted, dtype=np.float64)[t > 0]
    t = t[t > 0]
    p = aligned(p, t, alignment)
    ratio = np.maximum(p / t, t / p)
    return {
        "absrel": float((np.abs(p - t) / t).mean()),
        "rmse_m": float(np.sqrt(((p - t) ** 2).mean())),
        "log10": float(np.abs(np.log10(p) - np.log10(t)).mean()),
        "delta1": float((ratio < 1.25).mean()),
        "delta2": float((ratio < 1.25**2).mean()),
        "delta3": float((ratio < 1.25**3).mean()),
    }


def per_image(pairs: list[tuple[Array, Array]], alignment: Alignment = "metric") -> dict[str, float]:
    """The mean over pictures of each picture's errors."""
    rows = [depth_errors(p, t, alignment) for p, t in pairs]
    return {name: float(np.mean([r[name] for r in rows])) for name in rows[0]}
