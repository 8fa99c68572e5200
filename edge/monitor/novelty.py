"""Whether one camera's world is inside what the network was trained on: its last day beside the training's rooms.

A room that nobody has seen is never like the mean of those that were. It is outside where a feature is farther out than
one more room would be, of as many rooms as are known; or where all its features together are.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

from edge.monitor.drift_statistics import Array, new_room_p

EventType = Literal["out_of_training", "back_in_training"]
Side = Literal["below", "above"]

_TAIL = 0.005
"""Share of the training's values that counts as its edge, on either side."""
_SHARE = 0.2
"""Of the last day's samples beyond that edge, from which a feature may be outside."""
ALPHA, JOINT_ALPHA = 0.01, 0.001
"""Chance that a new room is said to be outside: by any feature alone; by all together."""
_START_AFTER, _END_AFTER = 3, 24
"""Evaluations in a row, one an hour."""
_NAMED = 3
"""Features that are told where all together are outside: those without which they would least be."""


@dataclass(frozen=True, slots=True)
class Known:
    """One feature of the training's pictures."""

    quantiles: Array
    """At evenly spaced probabilities from 0 to 1, of the pictures."""
    mean: float
    """Of the rooms, on the training's scale as what follows."""
    between_rooms: float
    """Standard deviation of the rooms' medians, or more."""


@dataclass(frozen=True, slots=True)
class Together:
    """How the rooms' medians were distributed together."""

    names: tuple[str, ...]
    mean: Array
    precision: Array


@dataclass(frozen=True, slots=True)
class Training:
    """What a network was trained and validated on, as its manifest has it."""

    features: Mapping[str, Known]
    rooms: int
    scaled: Callable[[str, npt.ArrayLike], Array]
    """A feature on the scale on which rooms are compared: one that keeps the order of values."""
    together: Together | None = None
    """None: how rooms differ was not measured, and the spread of all pictures stands for it, which is larger."""


@dataclass(frozen=True, slots=True)
class Outside:
    """A feature that lies outside of the training's range."""

    name: str
    side: Side
    rank: float
    """Share of the training's values below the last day's median."""
    share: float
    """Of the last day's samples that lie out there."""
    p: float
    """How likely one more room is as far out."""


@dataclass(frozen=True, slots=True)
class Novelty:
    """What the last day is beside the training."""

    outside: tuple[Outside, ...] = ()
    p: float | None = None
    """How likely one more room has such features together; None: that is not known."""
    together: tuple[str, ...] = ()
    """Where that is too unlikely, the features that make it so, the first most."""

    @property
    def is_new(self) -> bool:
        """Whether the network does not know such pictures."""
        return bool(self.outside or self.together)


def novelty(window: Mapping[str, Array], training: Training) -> Novelty:
    """The last day's samples beside the training; features that either lacks are left out."""
    shared = {name: known for name, known in training.features.items() if len(window.get(name, ()))}
    outside = []
    for name, known in shared.items():
        values = window[name]
        median = float(np.median(values))
        off = (float(training.scaled(name, median)) - known.mean) / known.between_rooms
        p = new_room_p(off**2, training.rooms)
        for side, share in _tails(values, known.quantiles).items():
            if share >= _SHARE and p < ALPHA / len(shared):
                rank = float(np.interp(median, known.quantiles, np.linspace(0, 1, len(known.quantiles))))
                outside.append(Outside(name, side, rank, share, p))
    together = training.together
    if together is None or not all(len(window.get(name, ())) for name in together.names):
        return Novelty(tuple(outside))
    medians = np.array([float(training.scaled(name, np.median(window[name]))) for name in together.names])
    p, names = _beside_rooms(medians - together.mean, together, training.rooms)
    return Novelty(tuple(outside), p, names if p < JOINT_ALPHA else ())


def _tails(values: Array, quantiles: Array) -> dict[Side, float]:
    low, high = np.interp((_TAIL, 1 - _TAIL), np.linspace(0, 1, len(quantiles)), quantiles)
    return {"below": float((values < low).mean()), "above": float((values > high).mean())}


def _beside_rooms(off: Array, together: Together, rooms: int) -> tuple[float, tuple[str, ...]]:
    """How likely a room is so far off the mean, and the features without which it would be nearest to it."""
    pulls = together.precision @ off
    nearer = pulls**2 / np.diag(together.precision)  # by how much the squared distance falls without that feature
    order = np.argsort(-nearer)[:_NAMED]
    return new_room_p(float(off @ pulls), rooms, len(off)), tuple(together.names[i] for i in order)


class NoveltyJudge:
    """Turns evaluations into events: out after three in a row, back after a day of none."""

    def __init__(self) -> None:
        self.out = False
        self._over = self._under = 0

    def take(self, is_new: bool) -> EventType | None:
        """One evaluation, one an hour; what it makes known."""
        self._over = self._over + 1 if is_new else 0
        self._under = 0 if is_new else self._under + 1
        if not self.out and self._over >= _START_AFTER:
            self.out = True
            return "out_of_training"
        if self.out and self._under >= _END_AFTER:
            self.out = False
            return "back_in_training"
        return None
