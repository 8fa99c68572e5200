"""Whether one camera's world is inside what the network was trained on: its last day beside the training's."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np

from edge.monitor.drift_statistics import Array

EventType = Literal["out_of_training", "back_in_training"]
Side = Literal["below", "above"]

_TAIL = 0.005
"""Share of the training's values that counts as its edge, on either side."""
_SHARE = 0.2
"""Of the last day's samples beyond that edge, from which a feature is outside."""
_START_AFTER, _END_AFTER = 3, 24
"""Evaluations in a row, one an hour."""


@dataclass(frozen=True, slots=True)
class Training:
    """What a network was trained and validated on, as its manifest has it."""

    quantiles: Mapping[str, Array]
    """Of each feature, at evenly spaced probabilities from 0 to 1."""


@dataclass(frozen=True, slots=True)
class Outside:
    """A feature that lies outside of the training's range."""

    name: str
    side: Side
    rank: float
    """Share of the training's values below the last day's median."""
    share: float
    """Of the last day's samples that lie out there."""


def novelty(window: Mapping[str, Array], training: Training) -> tuple[Outside, ...]:
    """The features whose last day lies outside of the training's range; what the training lacks is left out."""
    outside = []
    for name, quantiles in training.quantiles.items():
        values = window.get(name)
        if values is None or not len(values):
            continue
        for side, share in _tails(values, quantiles).items():
            if share >= _SHARE:
                rank = float(np.interp(np.median(values), quantiles, np.linspace(0, 1, len(quantiles))))
                outside.append(Outside(name, side, rank, share))
    return tuple(outside)


def _tails(values: Array, quantiles: Array) -> dict[Side, float]:
    low, high = np.interp((_TAIL, 1 - _TAIL), np.linspace(0, 1, len(quantiles)), quantiles)
    return {"below": float((values < low).mean()), "above": float((values > high).mean())}


class NoveltyJudge:
    """Turns evaluations into events: out after three in a row, back after a day of none."""

    def __init__(self) -> None:
        self.out = False
        self._over = self._under = 0

    def take(self, outside: tuple[Outside, ...]) -> EventType | None:
        """One evaluation, one an hour; what it makes known."""
        self._over = self._over + 1 if outside else 0
        self._under = 0 if outside else self._under + 1
        if not self.out and self._over >= _START_AFTER:
            self.out = True
            return "out_of_training"
        if self.out and self._under >= _END_AFTER:
            self.out = False
            return "back_in_training"
        return None
