"""Whether what one camera sees has changed, against its own first days: a pure judge with the caller's clock.

It keeps one sample in ten minutes, and one where the scene is cut, because frames that follow each other say the same
thing again and would make any test sure of anything. The last day is compared with the baseline, hours of the day with
the same hours. What is tested for is a change that is both unlikely by chance and large.
"""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Literal

import numpy as np
import numpy.typing as npt

from edge.monitor.drift_statistics import (
    BINS,
    Array,
    chi_square_p,
    chi_square_quantile,
    holm,
    ks_distance,
    ks_p,
    scores,
    stability_index,
)

State = Literal["learning", "ok", "suspect", "drifting"]
EventType = Literal["drift_started", "drift_ended"]

HOUR_S = 3600.0
DAY_S = 24 * HOUR_S
_BLOCK_S = 4 * HOUR_S
_SAVED_AS = 1
_MEDIAN_ERROR = 1.2533
"""Of a median of normal values, beside that of their mean."""
_STEPS_IN_FLOOR = 10
_STEADY = 4.0
"""A day's median is steady if its standard error is below one over this, in standard deviations of the baseline."""


@dataclass(frozen=True, slots=True)
class Feature:
    """A number that is followed, and the least standard deviation it is taken to have, in its own unit."""

    name: str
    floor: float = 1e-6


@dataclass(frozen=True, slots=True)
class DriftLimits:
    """When a change is one."""

    sample_s: float = 600.0
    baseline_samples: int = 432
    """Three days."""
    window_samples: int = 144
    """One day."""
    block_samples: int = 12
    """Hours of the day are compared with the same hours where both have so many samples."""
    alpha: float = 1e-3
    """Of a false alarm of any feature, in a day."""
    effect_sigma: float = 0.5
    """A shift of the median below it, in standard deviations of the baseline, is too small to tell of."""
    start_after: int = 3
    end_after: int = 24
    """Evaluations in a row, one an hour."""
    cool_down_s: float = DAY_S
    slack_sigma: float = 0.25
    decision_sigma: float = 5.0
    """Of the sums of daily medians that find slow drift (CUSUM)."""


@dataclass(frozen=True, slots=True)
class Shift:
    """What became of one feature."""

    name: str
    shift_sigma: float
    """Of its median, in standard deviations of the baseline."""
    psi: float
    p: float
    """Of the change by chance, the smaller of both tests', doubled."""
    slow_sigma: float
    """Sum of the daily medians' shifts beyond the slack."""
    changed: bool


@dataclass(frozen=True, slots=True)
class DriftEvent:
    """A change that began or ended."""

    type: EventType
    at_s: float
    shifts: tuple[Shift, ...]
    """Of what changed, the largest first."""


@dataclass(slots=True)
class _Course:
    """Where the judge is: what is saved beside the samples."""

    state: State = "learning"
    since_s: float = 0.0
    over: int = 0
    below: int = 0
    last_start_s: float = -1e18
    told: bool = False
    evaluated_s: float = -1e18
    day: int = -1
    changed: list[str] = field(default_factory=list)
    """Features that changed since the drift began."""


class DriftJudge:
    """Follows the features of one camera; `offer` samples as they come, then `evaluate`, which looks once an hour."""

    def __init__(self, features: Sequence[Feature], engine: str, limits: DriftLimits | None = None) -> None:
        """Nothing is known yet.

        Args:
            features: what is followed, in the order of every sample.
            engine: sha256 of the network: what another one says is no drift.
            limits: when a change is one.
        """
        self.features, self.engine = tuple(features), engine
        self._limits = limits or DriftLimits()
        self._floor = np.array([f.floor for f in self.features])
        self._step_size = self._floor / _STEPS_IN_FLOOR
        self._reset()

    def _reset(self) -> None:
        columns = len(self.features)
        self._baseline_s, self._baseline = np.empty(0), np.empty((0, columns))
        self._window_s, self._window = np.empty(0), np.empty((0, columns))
        self._cusum = np.zeros((2, columns))
        self._course = _Course()
        self._found: tuple[Compared, npt.NDArray[np.bool_]] | None = None
        """Of the last evaluation, and which features changed."""
        self._frozen: _Baseline | None = None

    @property
    def state(self) -> State:
        """What is thought of the camera's world."""
        return self._course.state

    @property
    def since_s(self) -> float:
        """When that state began; 0: nothing came yet."""
        return self._course.since_s

    @property
    def shifts(self) -> tuple[Shift, ...]:
        """What the last evaluation found of every feature."""
        if self._found is None:
            return ()
        found, changed = self._found
        of_each = (found.shift_sigma, found.psi, found.p, self._cusum.max(axis=0))
        rows = zip(*(values.tolist() for values in of_each), changed.tolist(), strict=True)
        return tuple(Shift(f.name, *row) for f, row in zip(self.features, rows, strict=True))

    @property
    def samples(self) -> int:
        """How many the last day has."""
        return len(self._window_s)

    @property
    def last_day(self) -> dict[str, Array] | None:
        """The newest samples by feature, as many as a day has; of the first days too. None: there are fewer."""
        rows = np.vstack([self._baseline, self._window])[-self._limits.window_samples :]
        if len(rows) < self._limits.window_samples:
            return None
        return {f.name: rows[:, i] for i, f in enumerate(self.features)}

    @property
    def baseline_since_s(self) -> float | None:
        """When the baseline began; None: nothing came yet."""
        return float(self._baseline_s[0]) if len(self._baseline_s) else None

    def new_baseline(self) -> None:
        """Forget all: the camera was moved, the room was rebuilt, another network serves."""
        self._reset()

    def offer(self, at_s: float, values: Mapping[str, float], *, extra: bool = False) -> bool:
        """Take in what one frame says, if a sample is due or it is an `extra` one; whether it was taken.

        A feature that is not among `values`, or not finite, is taken as its last value; the first sample needs all.
        """
        limits = self._limits
        last_s = self._last_s()
        if last_s is not None and 0 <= at_s - last_s < limits.sample_s and not extra:
            return False
        row = np.array([values.get(f.name, np.nan) for f in self.features], dtype=np.float64)
        row = np.round(row / self._step_size) * self._step_size  # smaller changes, as of rounding, are none
        known = np.isfinite(row)
        if not known.all():
            before = self._last_row()
            if before is None:
                return False
            row = np.where(known, row, before)
        if self._course.since_s == 0.0:
            self._course.since_s = at_s
        if len(self._baseline_s) < limits.baseline_samples:
            self._baseline_s = np.append(self._baseline_s, at_s)
            self._baseline = np.vstack([self._baseline, row])
            if len(self._baseline_s) == limits.baseline_samples:
                self._become("ok", at_s)
            return True
        keep = slice(-(limits.window_samples - 1), None)
        self._window_s = np.append(self._window_s[keep], at_s)
        self._window = np.vstack([self._window[keep], row])
        return True

    def _last_s(self) -> float | None:
        times = self._window_s if len(self._window_s) else self._baseline_s
        return float(times[-1]) if len(times) else None

    def _last_row(self) -> Array | None:
        rows = self._window if len(self._window) else self._baseline
        return rows[-1] if len(rows) else None

    def evaluate(self, at_s: float) -> list[DriftEvent]:
        """What began or ended, looked for once an hour as soon as there is a baseline and a whole day after it."""
        if 0 <= at_s - self._course.evaluated_s < HOUR_S or self.samples < self._limits.window_samples:
            return []
        return self.conclude(at_s, self.compared())

    def compared(self) -> Compared:
        """The last day beside the baseline; there must be a whole day, `evaluate` sees to that."""
        if self._frozen is None:
            self._frozen = _Baseline.of(self._baseline_s, self._baseline, self._floor, self._limits)
        return self._frozen.compare(self._window_s, self._window)

    def conclude(self, at_s: float, found: Compared) -> list[DriftEvent]:
        """What an hour's comparison makes known, after those before it."""
        course, limits = self._course, self._limits
        course.evaluated_s = at_s
        self._follow_slowly(int(at_s // DAY_S), found.steady_sigma)
        slow = self._cusum.max(axis=0) > limits.decision_sigma
        changed = (holm(found.p, limits.alpha) & found.large) | slow
        self._found = found, changed
        if course.state == "drifting" or changed.any():
            now = {f.name for f, has in zip(self.features, changed, strict=True) if has}
            course.changed = sorted({*course.changed, *now})
        quiet = found.quiet & ~slow
        ended = all(quiet[i] for i, f in enumerate(self.features) if f.name in course.changed)
        return self._step(at_s, bool(changed.any()), ended)

    def _follow_slowly(self, day: int, steady_sigma: Array) -> None:
        """Sum up each day's medians beyond the slack, upwards and downwards (Page's CUSUM)."""
        if day == self._course.day:
            return
        self._course.day = day
        step = np.stack([steady_sigma, -steady_sigma]) - self._limits.slack_sigma
        self._cusum = np.minimum(np.maximum(self._cusum + step, 0.0), 2 * self._limits.decision_sigma)

    def _step(self, at_s: float, changed: bool, quiet: bool) -> list[DriftEvent]:
        course, limits = self._course, self._limits
        course.over = course.over + 1 if changed else 0
        if not changed and course.state != "drifting":
            course.changed = []
        course.below = course.below + 1 if quiet else 0
        if course.state == "drifting":
            if course.below < limits.end_after:
                return self._tell(at_s) if not course.told else []
            self._become("ok", at_s)
            course.changed = []
            return [DriftEvent("drift_ended", at_s, ())] if course.told else []
        if course.over >= limits.start_after:
            self._become("drifting", at_s)
            course.told = False
            return self._tell(at_s)
        state: State = "suspect" if course.over else "ok"
        if state != course.state:
            self._become(state, at_s)
        return []

    def _tell(self, at_s: float) -> list[DriftEvent]:
        """The start, unless one was told within the last day: then it is told as soon as that is over."""
        if at_s - self._course.last_start_s < self._limits.cool_down_s:
            return []
        self._course.told, self._course.last_start_s = True, at_s
        worst = sorted((s for s in self.shifts if s.changed), key=lambda s: -abs(s.shift_sigma))
        return [DriftEvent("drift_started", at_s, tuple(worst))]

    def _become(self, state: State, at_s: float) -> None:
        self._course.state, self._course.since_s = state, at_s

    # Kept over restarts ----------------------------------------------------------------------------------------------

    def saved(self) -> bytes:
        """All that is known, to be given to `restore` after a restart."""
        head = {"version": _SAVED_AS, "engine": self.engine, "features": [f.name for f in self.features]}
        head["course"] = asdict(self._course)
        file = io.BytesIO()
        np.savez(
            file,
            head=np.frombuffer(json.dumps(head).encode(), dtype=np.uint8),
            baseline_s=self._baseline_s,
            baseline=self._baseline,
            window_s=self._window_s,
            window=self._window,
            cusum=self._cusum,
        )
        return file.getvalue()

    def restore(self, data: bytes) -> bool:
        """Take up what `saved` gave; False, with nothing changed, if it is damaged or of another network."""
        try:
            with np.load(io.BytesIO(data), allow_pickle=False) as file:
                head = json.loads(file["head"].tobytes())
                arrays = {name: file[name].astype(np.float64) for name in _SHAPES}
            course = _Course(**head["course"])
            named = (head["version"], head["engine"], head["features"])
        except (ValueError, KeyError, OSError, EOFError, TypeError, zipfile.BadZipFile):
            return False
        columns = len(self.features)
        ours = (_SAVED_AS, self.engine, [f.name for f in self.features])
        if named != ours or not _fits(arrays, columns):
            return False
        self._reset()
        self._baseline_s, self._baseline = arrays["baseline_s"], arrays["baseline"]
        self._window_s, self._window = arrays["window_s"], arrays["window"]
        self._cusum, self._course = arrays["cusum"], course
        return True


_SHAPES = ("baseline_s", "baseline", "window_s", "window", "cusum")


def _fits(arrays: Mapping[str, Array], columns: int) -> bool:
    shapes = {name: array.shape for name, array in arrays.items()}
    n, m = len(arrays["baseline_s"]), len(arrays["window_s"])
    expected = {"baseline_s": (n,), "baseline": (n, columns), "window_s": (m,), "window": (m, columns)}
    finite = all(np.isfinite(array).all() for array in arrays.values())
    return finite and shapes == expected | {"cusum": (2, columns)}


@dataclass(frozen=True, slots=True)
class Compared:
    """What the last day is beside the baseline, of each feature."""

    shift_sigma: Array
    steady_sigma: Array
    """The same where a day's median is steady, less where samples hang together and it is not."""
    psi: Array
    p: Array
    large: npt.NDArray[np.bool_]
    """Whether the change, if it is one, is large enough to tell of."""
    quiet: npt.NDArray[np.bool_]
    """Below half of what makes a change."""


@dataclass(frozen=True, slots=True)
class _Hours:
    """The first days' samples (F, n) of some hours of the day, with the middle and spread of each feature."""

    values: Array
    median: Array
    sigma: Array

    @classmethod
    def of(cls, values: Array, floor: Array) -> _Hours:
        return cls(values, np.median(values, axis=1), np.maximum(values.std(axis=1), floor))


@dataclass(frozen=True, slots=True)
class _Baseline:
    """The first days, by hours of the day, and how much their samples depend on each other."""

    blocks: Mapping[int, _Hours]
    whole: _Hours
    independent: Array
    """How many independent samples one of them is worth, of each feature."""
    limits: DriftLimits
    ranked: dict[int, tuple[Array, Array, tuple[Array, Array]]] = field(default_factory=dict)
    """Samples that were ranked last, now and then, and their ranks."""

    @classmethod
    def of(cls, at_s: Array, values: Array, floor: Array, limits: DriftLimits) -> _Baseline:
        block, rows = _block(at_s), np.ascontiguousarray(values.T)
        blocks = {int(b): _Hours.of(rows[:, block == b], floor) for b in np.unique(block)}
        level = np.empty_like(rows)
        for b, hours in blocks.items():
            level[:, block == b] = hours.values - hours.median[:, None]
        spread = np.maximum((level**2).sum(axis=1), 1e-30)
        lag = (level[:, 1:] * level[:, :-1]).sum(axis=1) / spread
        usual = 2.0 / np.sqrt(len(values))  # of independent samples
        n, k = len(values), len(blocks)
        unbiased = (n * lag + k) / (n - k - 2)  # k levels were taken out of it, and it hangs low by 2 / n of itself
        lag = np.where(lag < usual, 0.0, np.clip(unbiased, 0.0, 0.98))
        return cls(blocks, _Hours.of(rows, floor), (1.0 - lag) / (1.0 + lag), limits)

    def compare(self, at_s: Array, window: Array) -> Compared:
        """The last day beside the baseline, block by block where both have enough, else all together."""
        block, rows = _block(at_s), np.ascontiguousarray(window.T)
        least = self.limits.block_samples
        known = {b: hours for b, hours in self.blocks.items() if hours.values.shape[1] >= least}
        of_now = {b: rows[:, block == b] for b in known}
        pairs = [(now, known[b]) for b, now in of_now.items() if now.shape[1] >= least] or [(rows, self.whole)]
        ranks = [self._ranks(i, now, then.values) for i, (now, then) in enumerate(pairs)]
        shifts = np.stack([(np.median(now, axis=1) - then.median) / then.sigma for now, then in pairs])
        shift = np.average(shifts, axis=0, weights=[float(now.shape[1]) for now, _ in pairs])
        live, reference = (np.concatenate(of, axis=1) for of in zip(*ranks, strict=True))
        return self._judged(shift, live, reference)

    def _ranks(self, place: int, now: Array, then: Array) -> tuple[Array, Array]:
        """Both among each other; of six blocks of a day, five are as they were an hour ago."""
        ranked = self.ranked.get(place)
        if ranked is None or not np.array_equal(ranked[0], now) or ranked[1] is not then:
            ranked = self.ranked[place] = (now, then, scores(now, then))
        return ranked[2]

    def _judged(self, shift: Array, live: Array, reference: Array) -> Compared:
        limits = self.limits
        n, m = live.shape[1], reference.shape[1]
        distance, psi = ks_distance(live, reference), stability_index(live, reference)
        error = (1 / n + 1 / m) / self.independent
        by_shape = np.array([chi_square_p(float(x), BINS - 1) for x in psi / error])
        by_place = ks_p(distance, n * self.independent, m * self.independent)
        p = np.minimum(1.0, 2.0 * np.minimum(by_place, by_shape))
        large = error * chi_square_quantile(limits.alpha, BINS - 1)
        effect = (np.abs(shift) >= limits.effect_sigma) | (psi >= 2 * large)
        quiet = (np.abs(shift) < limits.effect_sigma / 2) & (psi < large)
        of_a_median = _MEDIAN_ERROR * np.sqrt(error)
        steady = shift / np.maximum(1.0, _STEADY * of_a_median)
        return Compared(shift, steady, psi, p, effect, quiet)


def _block(at_s: Array) -> npt.NDArray[np.int64]:
    return np.asarray((at_s % DAY_S) // _BLOCK_S, dtype=np.int64)
