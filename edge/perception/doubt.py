"""What a reader's signs of doubt mean, as the manifest says: the overlap or the error to expect."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt

from edge.inference.manifest import DepthConfidence, DepthSign, LayoutConfidence, LayoutSign
from edge.scene import Fit

Array = npt.NDArray[np.float64]
_LARGEST = 30.0
_UNFITTED: dict[Fit, float] = {"manhattan": 0.0, "general": 0.5, "raw": 1.0}


def layout_signs(
    *,
    log_distance: Array,
    log_above: float,
    agreement: Array,
    corner: Array,
    log_area: float,
    fit: Fit,
    seen: float,
    spread: Array | None,
    openings: Array | None,
) -> dict[LayoutSign, float]:
    """What may tell a good layout from a bad one, in numbers of about one.

    Args:
        log_distance: (W,) of the walls of the columns that the camera sees, in camera heights, from left to right.
        log_above: of the ceiling's height above the camera.
        agreement: (W,) how well the columns' edges agree, 0..1.
        corner: (W,) corner probability.
        log_area: of the outline.
        fit: how it was fitted.
        seen: share of all edges that lie in the picture.
        spread: (2, W) error expected of the log distance that each edge gives; None = the network does not say.
        openings: (3, W) probability of door, window, opening; None = the network does not say.
    """
    p = np.clip(corner, 1e-6, 1 - 1e-6)
    return {
        "agreement": float(agreement.mean()),
        "weakest": float(np.quantile(agreement, 0.1)),
        "roughness": 100 * float(np.abs(np.diff(log_distance)).mean()),
        "area": log_area,
        "nearest": float(log_distance.min()),
        "ceiling": log_above,
        "corners": float(-(p * np.log(p) + (1 - p) * np.log(1 - p)).mean()),
        "unfitted": _UNFITTED[fit],
        "spread": 0.0 if spread is None else float(np.log(spread).mean()),
        "openings": 0.0 if openings is None else float((openings[0] + openings[2]).mean()),
        "seen": seen,
    }


def expected_overlap(found: LayoutConfidence, signs: Mapping[LayoutSign, float]) -> float:
    """2D IoU, 0..1, to expect of a layout with these signs."""
    total = found.bias + sum(weight * signs[name] for name, weight in found.weights.items())
    return float(1 / (1 + np.exp(-np.clip(total, -_LARGEST, _LARGEST))))


def expected_error(found: DepthConfidence, signs: Mapping[DepthSign, float]) -> float:
    """Mean relative error to expect of a depth map with these signs."""
    total = found.bias + sum(weight * signs[name] for name, weight in found.weights.items())
    return float(np.exp(np.clip(total, -_LARGEST, _LARGEST)))
