"""How far lengths are off, beside confidence: the law that made them is found again."""

from __future__ import annotations

import numpy as np
import pytest

from edge.derive.heat_loss.settings import Uncertainty
from training.measure.lengths import BASE, DOUBT, LengthSpread


@pytest.mark.parametrize("doubt", [0.3, 1.0])
def test_the_law_that_errors_were_drawn_from_is_found(doubt: float) -> None:
    """Of 2000 rooms of different confidence, to a twentieth, with the shares that a normal law has."""
    random = np.random.default_rng(1)
    confidence = random.uniform(0.5, 0.95, 2000)
    sigma = BASE + doubt * (1 - confidence)
    found = LengthSpread(confidence, sigma[:, None] * random.standard_normal((2000, 2)))
    assert found.doubt == pytest.approx(doubt, rel=0.05)
    assert found.within(1, doubt) == pytest.approx(0.683, abs=0.02)
    assert found.within(1.645, doubt) == pytest.approx(0.9, abs=0.02)
    assert found.within(1, doubt / 4) < 0.4
    assert f"likeliest 0.02 + {found.doubt:.2f}" in str(found)


def test_a_heat_loss_takes_what_was_measured() -> None:
    """One law in two packages that do not import each other."""
    assert (Uncertainty().layout, Uncertainty().layout_doubt) == (BASE, DOUBT)
