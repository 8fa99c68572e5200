"""What a reader's signs of doubt mean, as the manifest says: the overlap or the error to expect."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from edge.inference.manifest import DepthConfidence, DepthSign, LayoutConfidence, LayoutSign

_LARGEST = 30.0


def expected_overlap(found: LayoutConfidence, signs: Mapping[LayoutSign, float]) -> float:
    """2D IoU, 0..1, to expect of a layout with these signs."""
    total = found.bias + sum(weight * signs[name] for name, weight in found.weights.items())
    return float(1 / (1 + np.exp(-np.clip(total, -_LARGEST, _LARGEST))))


def expected_error(found: DepthConfidence, signs: Mapping[DepthSign, float]) -> float:
    """Mean relative error to expect of a depth map with these signs."""
    total = found.bias + sum(weight * signs[name] for name, weight in found.weights.items())
    return float(np.exp(np.clip(total, -_LARGEST, _LARGEST)))
