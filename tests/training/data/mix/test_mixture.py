"""Data sets mixed by weight."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest

from edge.errors import DataError
from training.data.mix.mixture import Mixture


def test_sets_are_drawn_by_weight_and_items_evenly() -> None:
    """A small set of three times the weight is drawn three times as often as a large one."""
    mixture = Mixture([(3.0, ["a", "b"]), (1.0, [str(i) for i in range(50)])])
    rng = np.random.default_rng(0)
    drawn = Counter(mixture.draw(rng) for _ in range(8000))
    small = drawn["a"] + drawn["b"]
    assert small / 8000 == pytest.approx(0.75, abs=0.02)
    assert drawn["a"] / small == pytest.approx(0.5, abs=0.03)
    assert len(drawn) == 52


def test_items_are_numbered_set_after_set() -> None:
    """By index every item of every set is there once, in order; empty sets and weights of 0 are left out."""
    mixture = Mixture([(1.0, [1, 2]), (1.0, []), (0.0, [9]), (0.5, [3, 4, 5])])
    assert [mixture[i] for i in range(len(mixture))] == [1, 2, 3, 4, 5]
    assert list(mixture) == [1, 2, 3, 4, 5]


def test_nothing_to_draw_is_refused() -> None:
    """Without any item there is nothing to learn from."""
    with pytest.raises(DataError, match="weight above 0"):
        Mixture([(1.0, []), (0.0, [1])])
