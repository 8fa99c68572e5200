"""The manifest's reference: quantiles of the proof's pictures, from the device's own code."""

from __future__ import annotations

import numpy as np
import pytest
from pydantic import ValidationError

from edge.inference.reference import FeatureReference, Reference
from edge.perception.picture_features import PICTURE_FEATURES, picture_features
from training.export.reference import FEWEST, reference_of


def test_reference_is_of_the_pictures() -> None:
    """Every feature's quantiles run from its least to its greatest value; too few pictures give none."""
    random = np.random.default_rng(0)
    pictures = [np.full((32, 64, 3), random.integers(0, 255), np.uint8) for _ in range(FEWEST)]
    assert reference_of(pictures[1:]) is None
    found = reference_of(pictures)
    assert found is not None
    assert (found.pictures, tuple(found.features)) == (FEWEST, PICTURE_FEATURES)
    light = [picture_features(p)["luminance"] for p in pictures]
    of_light = found.features["luminance"].quantiles
    assert (of_light[0], of_light[50], of_light[100]) == pytest.approx(
        (min(light), float(np.median(light)), max(light)), abs=1e-6
    )
    assert Reference.model_validate_json(found.model_dump_json()) == found


def test_falling_quantiles_are_refused() -> None:
    """They are no distribution."""
    with pytest.raises(ValidationError, match="do not fall"):
        FeatureReference(quantiles=tuple(np.linspace(1, 0, 101)), mean=0.5, std=0.3)
