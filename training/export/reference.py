"""The manifest's reference: what the pictures were like that a network was proved on."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from edge.inference.reference import QUANTILES, FeatureReference, Reference
from edge.perception.picture_features import PICTURE_FEATURES, picture_features
from edge.scene import ImageArray

FEWEST = 20
"""Of fewer pictures quantiles say nothing."""


def reference_of(pictures: Sequence[ImageArray]) -> Reference | None:
    """Of pictures that were not learnt from, each of another room; None: too few."""
    if len(pictures) < FEWEST:
        return None
    rows = [picture_features(picture) for picture in pictures]
    values = {name: np.array([row[name] for row in rows]) for name in PICTURE_FEATURES}
    return Reference(
        pictures=len(rows),
        features={
            name: FeatureReference(
                quantiles=tuple(np.quantile(v, np.linspace(0, 1, QUANTILES)).round(6).tolist()),
                mean=round(float(v.mean()), 6),
                std=round(float(v.std()), 6),
            )
            for name, v in values.items()
        },
    )
