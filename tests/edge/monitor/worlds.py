"""Simulated cameras for the drift judge: one by one, or many side by side as columns of one comparison."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import fields

import numpy as np
import numpy.typing as npt

from edge.monitor.drift import DAY_S, Compared, DriftEvent, DriftJudge, Feature

START_S = 20_000 * DAY_S
PER_DAY = 144
COLUMNS = 8


def features(columns: int) -> tuple[Feature, ...]:
    """So many, of which nothing is known beforehand."""
    return tuple(Feature(f"f{i}") for i in range(columns))


FEATURES = features(COLUMNS)

Array = npt.NDArray[np.float64]
Told = list[tuple[float, DriftEvent]]
"""Events with the day on which they were told."""


class World:
    """A camera's features: noise about a level, with a course of the day, a memory, and what happens to it."""

    def __init__(
        self,
        seed: int,
        change: Callable[[float], float] = lambda day: 0.0,
        *,
        memory: float = 0.0,
        by_day: float = 0.0,
        spread: Callable[[float], float] = lambda day: 1.0,
        columns: int = COLUMNS,
    ) -> None:
        self.random = np.random.default_rng(seed)
        self.change, self.memory, self.by_day, self.spread = change, memory, by_day, spread
        self.columns = columns
        self.noise = self.random.standard_normal(columns)

    def values(self, days: Array) -> Array:
        """(N, columns) samples at (N,) times that follow each other; the change is feature 0's."""
        fresh = np.sqrt(1 - self.memory**2) * self.random.standard_normal((len(days), self.columns))
        values = np.empty_like(fresh)
        for k, new in enumerate(fresh):
            self.noise = values[k] = self.memory * self.noise + new
        values += self.by_day * np.sin(2 * np.pi * days)[:, None]
        values[:, 0] = values[:, 0] * [self.spread(day) for day in days] + [self.change(day) for day in days]
        return values

    def run(self, days: float, judge: DriftJudge | None = None, from_day: float = 0.0) -> Told:
        """Let time pass; what was told, with the day."""
        followed = features(self.columns)
        judge = judge or DriftJudge(followed, "engine")
        told: Told = []
        when = times(from_day, days)
        for day, row in zip(when, self.values(when), strict=True):
            at_s = START_S + day * DAY_S
            judge.offer(at_s, {f.name: float(v) for f, v in zip(followed, row, strict=True)})
            told += [(float(day), event) for event in judge.evaluate(at_s)]
        return told


def times(from_day: float, days: float) -> Array:
    """When samples are taken, in days, one in ten minutes."""
    return np.arange(round(from_day * PER_DAY), round((from_day + days) * PER_DAY)) / PER_DAY


def side_by_side(worlds: Sequence[World], days: float) -> list[Told]:
    """What `World.run` tells of each, faster: all are sampled and compared at once, then each judge concludes.

    All have as many features.
    """
    columns = worlds[0].columns
    when = times(0.0, days)
    rows = np.hstack([world.values(when) for world in worlds])
    wide = DriftJudge([Feature(f"{i}") for i in range(rows.shape[1])], "engine")
    names = [f.name for f in wide.features]
    judges = [DriftJudge(features(columns), "engine") for _ in worlds]
    told: list[Told] = [[] for _ in worlds]
    hour = PER_DAY // 24
    whole = 4 * PER_DAY - 1
    """The sample with which the first three days and a day after them are over."""
    for k, (day, row) in enumerate(zip(when, rows, strict=True)):
        at_s = START_S + day * DAY_S
        wide.offer(at_s, dict(zip(names, row.tolist(), strict=True)))
        if k < whole or (k - whole) % hour:
            continue
        found = wide.compared()
        for i, judge in enumerate(judges):
            told[i] += [(float(day), event) for event in judge.conclude(at_s, _columns(found, i, columns))]
    return told


def _columns(found: Compared, camera: int, columns: int) -> Compared:
    of_it = slice(camera * columns, (camera + 1) * columns)
    return Compared(*(getattr(found, field.name)[of_it] for field in fields(Compared)))
