"""Drift: the tests' own laws, and that a camera's judge alarms for what changed and for nothing else."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edge.monitor.drift import DAY_S, DriftJudge, DriftLimits, Feature, _Baseline
from edge.monitor.drift_statistics import (
    BINS,
    chi_square_p,
    chi_square_quantile,
    holm,
    ks_distance,
    ks_p,
    scores,
    stability_index,
)
from tests.edge.monitor.worlds import FEATURES, PER_DAY, START_S, Told, World, side_by_side, times

PAGE = Path(__file__).resolve().parents[3] / "docs" / "drift.md"
AT_ONCE = 50
"""Cameras that are simulated side by side."""
# Statistics -----------------------------------------------------------------------------------------------------------


def test_chi_square_has_its_published_quantiles() -> None:
    """Quantiles read off tables, for even and odd degrees of freedom."""
    published = {(1, 0.05): 3.841, (2, 0.001): 13.816, (9, 0.001): 27.877, (9, 0.05): 16.919, (10, 0.01): 23.209}
    for (freedom, p), quantile in published.items():
        assert chi_square_quantile(p, freedom) == pytest.approx(quantile, abs=1e-3)
        assert chi_square_p(quantile, freedom) == pytest.approx(p, rel=2e-3)
    assert chi_square_p(-1.0, 3) == 1.0


def test_kolmogorov_has_its_published_values() -> None:
    """The law's usual critical values: 1.358 at 5 %, 1.628 at 1 %, 1.949 at 0.1 %, of large samples."""
    n = 1e8
    for critical, p in ((1.358, 0.05), (1.628, 0.01), (1.949, 0.001)):
        assert float(ks_p(critical / np.sqrt(n / 2), n, n)) == pytest.approx(p, rel=0.01)
    assert float(ks_p(0.0, 100, 100)) == 1.0


@pytest.mark.parametrize("n", [60, 144, 432, 1008])
@pytest.mark.parametrize("m", [61, 432, 1008])
def test_kolmogorov_is_near_the_exact_law(n: int, m: int) -> None:
    """Of 60 samples and more: within 0.036 of it anywhere, and within a factor of 1.4 where it is below 0.01."""
    stats = pytest.importorskip("scipy.stats")
    reference = np.arange(m) / m
    for shift in np.linspace(0.02, 0.4, 12):
        live = np.arange(n) / n + shift
        (distance,) = ks_distance(live[None], reference[None])
        ours = float(ks_p(distance, n, m))
        if ours < 1e-9:  # where scipy's own gives up
            break
        exact = stats.ks_2samp(live, reference, method="exact")
        assert distance == pytest.approx(exact.statistic)
        assert abs(ours - exact.pvalue) <= 0.036
        if exact.pvalue < 0.01:
            assert 1 / 1.4 < ours / exact.pvalue < 1.4


def test_distance_counts_ties() -> None:
    """Samples of few values: the distance is that of the steps' heights, whatever the order of equal ones."""
    one, other = np.array([[0.0, 0, 1, 1]]), np.array([[0.0, 1, 1, 1]])
    assert ks_distance(one, other) == pytest.approx([0.25])
    assert ks_distance(one, one[:, ::-1]) == pytest.approx([0.0])
    of_one, of_other = scores(one, other)
    assert set(np.round(np.concatenate([of_one, of_other], axis=1)[0], 4)) == {round(1.5 / 8, 4), round(5.5 / 8, 4)}


def test_stability_index_of_no_change_is_its_threshold() -> None:
    """Of samples of one law, the index exceeds (1/n + 1/m) chi-square about as often as it should."""
    random = np.random.default_rng(3)
    n, m, columns = 200, 2000, 1500
    index = stability_index(random.standard_normal((columns, n)), random.standard_normal((columns, m)))
    threshold = (1 / n + 1 / m) * chi_square_quantile(0.01, BINS - 1)
    assert (index > threshold).mean() == pytest.approx(0.01, abs=0.008)
    assert index.mean() == pytest.approx((1 / n + 1 / m) * 9, rel=0.1)


def test_holm_rejects_in_steps() -> None:
    """The smallest is held to alpha / k, the next to alpha / (k - 1), until one fails; then none is rejected."""
    assert list(holm(np.array([0.04, 0.001, 0.02, 0.5]), 0.05)) == [False, True, False, False]
    assert list(holm(np.array([0.012, 0.001, 0.013, 0.04]), 0.05)) == [True, True, True, True]


# The judge ------------------------------------------------------------------------------------------------------------


def test_nothing_happens_to_a_camera_where_nothing_happens() -> None:
    """A week of the same world: learning, then ok, and no event."""
    judge = DriftJudge(FEATURES, "engine")
    assert judge.state == "learning"
    assert World(1).run(7, judge) == []
    assert judge.state == "ok"
    assert judge.samples == PER_DAY
    assert judge.baseline_since_s == START_S


def test_day_and_night_are_no_drift() -> None:
    """A course of the day of three standard deviations tells nothing."""
    assert World(2, by_day=3.0).run(6) == []


@pytest.mark.parametrize("memory", [0.9, 0.98])
def test_what_hangs_together_for_hours_is_no_drift(memory: float) -> None:
    """Weather that lasts: samples that depend on each other count for less."""
    assert World(4, memory=memory).run(7) == []


@pytest.mark.parametrize("memory", [0.5, 0.9])
def test_samples_that_hang_together_count_for_as_many_as_they_are_worth(memory: float) -> None:
    """(1 - r) / (1 + r), as three days show it, though the levels of hours of the day are taken out of them."""
    when = times(0, 3)
    values = np.hstack([World(900 + c, memory=memory).values(when) for c in range(60)])
    floor = np.full(values.shape[1], 1e-6)
    worth = _Baseline.of(START_S + when * DAY_S, values, floor, DriftLimits()).independent
    assert worth.mean() == pytest.approx((1 - memory) / (1 + memory), rel=0.05)


def test_a_step_is_told_within_a_day_and_its_end_too() -> None:
    """0.75 standard deviations from day 5 to 7: one start within 24 h, one end within three days after."""
    told = World(0, lambda day: 0.75 if 5 <= day < 7 else 0.0).run(10)
    assert [event.type for _, event in told] == ["drift_started", "drift_ended"]
    assert 5 < told[0][0] <= 6
    assert 7 < told[1][0] < 10
    assert [s.name for s in told[0][1].shifts] == ["f0"]
    assert told[0][1].shifts[0].shift_sigma > 0.4


def test_a_change_of_spread_is_told() -> None:
    """The same middle, three times the spread: the shape is another."""
    told = World(5, spread=lambda day: 3.0 if day >= 4 else 1.0).run(5.5)
    assert [(event.type, event.shifts[0].name) for _, event in told] == [("drift_started", "f0")]


@pytest.mark.slow
def test_dust_is_told_though_no_day_differs_much() -> None:
    """A step of 0.45 standard deviations that no day shows is told when the days have summed up."""
    told = World(6, lambda day: 0.45 if day >= 4 else 0.0).run(30)
    assert [event.type for _, event in told] == ["drift_started"]
    assert told[0][1].shifts[0].name == "f0"


def test_a_start_is_told_once_a_day() -> None:
    """A change that comes and goes and comes is told again a day after the first at the earliest."""
    judge = DriftJudge(FEATURES, "engine")
    told = World(7, lambda day: 2.0 if day >= 4 and (day % 3) < 1 else 0.0).run(11, judge)
    starts = [day for day, event in told if event.type == "drift_started"]
    assert len(starts) > 1
    assert min(np.diff(starts)) >= 1.0


def test_frames_are_thinned() -> None:
    """One sample in ten minutes, beside those that are extra; what is not finite takes the last value."""
    judge = DriftJudge(FEATURES, "engine")
    values = {f.name: float(v) for f, v in zip(FEATURES, World(8).values(times(0, 1 / PER_DAY))[0], strict=True)}
    assert not judge.offer(START_S - 1, {"f0": 1.0})  # the first must be whole
    assert judge.offer(START_S, values)
    assert not judge.offer(START_S + 599, values)
    assert judge.offer(START_S + 1, values, extra=True)  # where the scene is cut
    assert judge.offer(START_S + 601, {"f0": float("nan")})
    assert judge.state == "learning"


def test_frames_that_follow_each_other_are_no_drift() -> None:
    """A frame every 10 s that hangs together with the one before by 0.99: thinned, a week of them tells nothing."""
    random, judge = np.random.default_rng(12), DriftJudge(FEATURES, "engine")
    names, frames_a_day = [f.name for f in FEATURES], 8640
    values = random.standard_normal(len(names))
    told = []
    for k in range(7 * frames_a_day):
        at_s = START_S + 10.0 * k
        values = 0.99 * values + np.sqrt(1 - 0.99**2) * random.standard_normal(len(names))
        judge.offer(at_s, dict(zip(names, values.tolist(), strict=True)))
        told += judge.evaluate(at_s)
    assert told == []
    assert judge.samples == PER_DAY


def test_the_last_day_is_known_before_the_first_days_are_over() -> None:
    """What a network knows need not wait for the baseline: after a day there is one, of the newest samples."""
    world, judge = World(14), DriftJudge(FEATURES, "engine")
    world.run(1 - 1 / PER_DAY, judge)
    assert judge.last_day is None
    world.run(3.5, judge, from_day=1 - 1 / PER_DAY)
    day = judge.last_day
    assert day is not None and set(day) == {f.name for f in FEATURES}
    assert {len(values) for values in day.values()} == {PER_DAY}


def test_a_restart_changes_nothing() -> None:
    """Saved and restored in the middle, the judge tells the same; of another network, or damaged, it begins anew."""
    world = World(9, lambda day: 0.75 if day >= 6 else 0.0)
    judge = DriftJudge(FEATURES, "engine")
    assert world.run(5, judge) == []
    data = judge.saved()
    assert len(data) < 170_000
    after = DriftJudge(FEATURES, "engine")
    assert after.restore(data)
    told = world.run(2, after, from_day=5)
    assert [event.type for _, event in told] == ["drift_started"]
    for other, bad in (
        (DriftJudge(FEATURES, "another"), data),
        (DriftJudge(FEATURES[:-1], "engine"), data),
        (DriftJudge(FEATURES, "engine"), data[: len(data) // 2]),
        (DriftJudge(FEATURES, "engine"), b""),
        (DriftJudge(FEATURES, "engine"), bytes(len(data))),
    ):
        assert not other.restore(bad)
        assert other.state == "learning"


def test_what_hardly_changes_has_not_changed() -> None:
    """A constant that moves by a thousandth of its floor is as it was, whatever ranks would say."""
    judge = DriftJudge([Feature("corners", 0.5)], "engine")
    told = []
    for k in range(5 * PER_DAY):
        at_s = START_S + 600.0 * k
        judge.offer(at_s, {"corners": 4.0 + (0.0005 if k > 4 * PER_DAY - 60 else 0.0)})
        told += judge.evaluate(at_s)
    assert told == []
    assert judge.state == "ok"


def test_a_new_baseline_forgets() -> None:
    """After a camera was moved, its new place is learnt, and is no drift."""
    judge = DriftJudge(FEATURES, "engine")
    World(10).run(5, judge)
    judge.new_baseline()
    assert judge.state == "learning"
    assert World(11, lambda day: 9.0).run(6, judge, from_day=5) == []


# Simulated rates ------------------------------------------------------------------------------------------------------


def step(size: float) -> Callable[[float], float]:
    """A change by so many standard deviations that comes on day 5 and stays."""
    return lambda day: size if day >= 5 else 0.0


def starts(told: Sequence[Told]) -> list[list[float]]:
    """Of each camera, the days on which a drift was said to begin."""
    return [[day for day, event in events if event.type == "drift_started"] for events in told]


def test_cameras_side_by_side_are_judged_as_each_alone() -> None:
    """The simulation of many cameras tells the same events, at the same times and with the same numbers."""
    made = [lambda: World(21, step(1.0)), lambda: World(22), lambda: World(23, step(1.0), by_day=2.0)]
    alone = [make().run(6.5) for make in made]
    assert side_by_side([make() for make in made], 6.5) == alone
    assert [len(told) for told in alone] == [1, 0, 1]


def most_by_chance(expected: float) -> float:
    """Poisson's 99.9 % bound."""
    return expected + 3.1 * expected**0.5 + 1


@pytest.mark.slow
def test_rates_are_those_of_the_page() -> None:
    """Of 30 cameras: no more alarms in 750 days without a change than asked for; most steps of 0.75 within a day."""
    quiet = starts(side_by_side([World(100 + c) for c in range(30)], 4 + 25))
    assert sum(map(len, quiet)) <= most_by_chance(30 * 25 * 1e-3)
    stepped = starts(side_by_side([World(500 + c, step(0.75)) for c in range(30)], 6.05))
    assert sum(any(5 < day <= 6.05 for day in days) for days in stepped) >= 0.9 * 30


def rows_of(page: str, head: str) -> list[list[float]]:
    """The numbers in each row of the page's table that has this head."""
    table = page[page.index(head) :].split("\n\n", 1)[0].splitlines()[2:]
    return [[float(cell) for cell in row.strip("|").split("|")] for row in table]


def alarms(cameras: int, days: int, **world: Any) -> int:
    """Drifts told of cameras to which nothing happens, over so many days after the first four."""
    told = 0
    for first in range(0, cameras, AT_ONCE):
        worlds = [World(10_000 + c, **world) for c in range(first, min(first + AT_ONCE, cameras))]
        told += sum(map(len, starts(side_by_side(worlds, 4 + days))))
    return told


def hours_until_told(cameras: int, size: float) -> list[float]:
    """From a step on day 5 until it was told; infinite: not within four days."""
    after_h = []
    for first in range(0, cameras, AT_ONCE):
        worlds = [World(50_000 + c, step(size)) for c in range(first, first + AT_ONCE)]
        for days in starts(side_by_side(worlds, 9)):
            after_h.append(min((24 * (day - 5) for day in days if day > 5), default=np.inf))
    return after_h


LONG = pytest.mark.skipif(os.environ.get("DRIFT") != "long", reason="takes minutes of one core; DRIFT=long runs it")


@pytest.mark.slow
@pytest.mark.timeout(4 * 3600)
@LONG
@pytest.mark.parametrize(
    "world",
    [{}, {"by_day": 3.0}, {"memory": 0.9}, {"columns": 24}],
    ids=["chance", "course of the day", "weather", "as many features as a camera has"],
)
def test_no_more_alarms_in_ten_thousand_days_than_were_asked_for(world: dict[str, Any]) -> None:
    """Of 400 cameras, 25 days each after the first four, where nothing changes: 0.001 a day, and what chance adds."""
    told = alarms(400, 25, **world)
    print(world, told)  # shown where it fails, and with -s: what belongs on the page
    assert told <= most_by_chance(10_000 * 1e-3)


@pytest.mark.slow
@pytest.mark.timeout(4 * 3600)
@LONG
def test_steps_are_told_as_soon_as_the_page_says() -> None:
    """Each row of the page, of as many cameras as it says."""
    rows = rows_of(PAGE.read_text(encoding="utf-8"), "| step of one feature")
    assert rows
    for size, cameras, *published in rows:
        after_h = np.array(hours_until_told(round(cameras), size))
        measured = [*(100 * float(np.mean(after_h <= hours)) for hours in (24, 48)), float(np.median(after_h))]
        print(size, measured)
        assert published == pytest.approx(measured, abs=0.5)
