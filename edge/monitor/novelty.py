"""Whether one camera's world is inside what the network was trained on: its last day beside the training's."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np

from edge.monitor.drift_statistics import Array, chi_square_quantile

EventType = Literal["out_of_training", "back_in_training"]
Side = Literal["below", "above"]

_ALPHA = 1e-3


@dataclass(frozen=True, slots=True)
class Training:
    """What a network was trained and validated on, as its manifest has it."""

    quantiles: Mapping[str, Array]
    """Of each feature, at evenly spaced probabilities from 0 to 1."""
    joint: tuple[str, ...] = ()
    mean: Array | None = None
    precision: Array | None = None
    """Of the features in `joint`, (D,) and (D, D)."""


@dataclass(frozen=True, slots=True)
class Outside:
    """A feature that lies outside of the training's range."""

    name: str
    side: Side
    rank: float
    """Share of the training's values below the last day's median."""
    share: float
    """Of the last day's samples that lie out there."""


@dataclass(frozen=True, slots=True)
class NoveltyLimits:
    """When a camera is outside of the training."""

    tail: float = 0.005
    share: float = 0.2
    start_after: int = 3
    end_after: int = 24
    """Evaluations in a row, one an hour."""


@dataclass(frozen=True, slots=True)
class Novelty:
    """What one evaluation found."""

    outside: tuple[Outside, ...]
    distance: float | None
    """Squared Mahalanobis distance of the last day's medians; None: the training has no joint statistics."""
    too_far: bool

    @property
    def found(self) -> bool:
        """Whether the camera is outside."""
        return bool(self.outside) or self.too_far


def novelty(window: Mapping[str, Array], training: Training, limits: NoveltyLimits | None = None) -> Novelty:
    """How the last day's samples of each feature lie in the training's; what the training lacks is left out."""
    limits = limits or NoveltyLimits()
    outside = []
    for name, quantiles in training.quantiles.items():
        values = window.get(name)
        if values is None or not len(values):
            continue
        for side, share in _tails(values, quantiles, limits.tail).items():
            if share >= limits.share:
                rank = float(np.interp(np.median(values), quantiles, np.linspace(0, 1, len(quantiles))))
                outside.append(Outside(name, side, rank, share))
    distance = _distance(window, training)
    too_far = distance is not None and distance > chi_square_quantile(_ALPHA, len(training.joint))
    return Novelty(tuple(outside), distance, too_far)


def _tails(values: Array, quantiles: Array, tail: float) -> dict[Side, float]:
    low, high = np.interp((tail, 1 - tail), np.linspace(0, 1, len(quantiles)), quantiles)
    return {"below": float((values < low).mean()), "above": float((values > high).mean())}


def _distance(window: Mapping[str, Array], training: Training) -> float | None:
    if training.mean is None or training.precision is None or any(name not in window for name in training.joint):
        return None
    away = np.array([np.median(window[name]) for name in training.joint]) - training.mean
    return float(away @ training.precision @ away)


class NoveltyJudge:
    """Turns evaluations into events: out after three in a row, back after a day of none."""

    def __init__(self, limits: NoveltyLimits | None = None) -> None:
        self.out = False
        self._limits = limits or NoveltyLimits()
        self._over = self._under = 0

    def take(self, found: Novelty) -> EventType | None:
        """One evaluation, one an hour; what it makes known."""
        self._over = self._over + 1 if found.found else 0
        self._under = 0 if found.found else self._under + 1
        if not self.out and self._over >= self._limits.start_after:
            self.out = True
            return "out_of_training"
        if self.out and self._under >= self._limits.end_after:
            self.out = False
            return "back_in_training"
        return None
