"""Turns of jobs, with a clock that the test turns: cadence, fairness, and that every frame is accounted for."""

from __future__ import annotations

from dataclasses import FrozenInstanceError, dataclass, field

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge.pipeline.schedule import Cadence, Schedule, Turn


@dataclass
class Job:
    """A job with a camera of its own, which takes a picture every `frame_s`."""

    cadence: Cadence
    frame_s: float
    service_s: float
    now_s: float = 0.0
    turn: Turn = field(init=False)
    served_s: list[float] = field(default_factory=list)
    waits_s: list[float] = field(default_factory=list)
    missed: int = 0

    def __post_init__(self) -> None:
        """Due from the start."""
        self.turn = Turn(self.newest, self.cadence, 0.0)

    def newest(self) -> int:
        """Number of the newest frame."""
        return 1 + int(self.now_s / self.frame_s)


def simulate(jobs: list[Job], until_s: float) -> None:
    """One accelerator serves the most overdue job, then looks again; an idle one looks every millisecond."""
    schedule: Schedule[Job] = Schedule()
    for job in jobs:
        schedule.add(job.turn, job)
    now_s = 0.0
    while now_s < until_s:
        for job in jobs:
            job.now_s = now_s
        due = schedule.due(now_s)
        if not due:
            now_s += 0.001
            continue
        job = due[0]
        late = job.turn.late_s(now_s)
        assert late is not None
        job.waits_s.append(late)
        job.missed += job.turn.take(job.newest(), now_s)
        job.served_s.append(now_s)
        now_s += job.service_s


seconds = st.floats(0.002, 0.5)
cadences = st.one_of(
    st.builds(lambda s: Cadence(every_s=s), seconds), st.builds(lambda n: Cadence(every_frames=n), st.integers(1, 7))
)
jobs = st.lists(st.builds(Job, cadences, seconds, seconds), min_size=1, max_size=8)


@settings(max_examples=150, deadline=None)
@given(jobs)
def test_nothing_starves(some: list[Job]) -> None:
    """A job that is due and has a frame waits for what is running and one turn of each other, however slow they are."""
    simulate(some, 15.0)
    a_turn_of_all = sum(job.service_s for job in some)
    for job in some:
        period = job.cadence.every_s or 0.0
        frames = job.frame_s * (job.cadence.every_frames or 1)
        longest = (
            max(period, frames, job.service_s) + job.frame_s + max(j.service_s for j in some) + a_turn_of_all + 0.002
        )
        gaps = [b - a for a, b in zip(job.served_s, job.served_s[1:], strict=False)]
        assert job.served_s[0] <= a_turn_of_all
        assert max(gaps, default=0.0) <= longest + 1e-9


@settings(max_examples=100, deadline=None)
@given(st.lists(st.builds(Job, st.builds(lambda s: Cadence(every_s=s), st.floats(0.05, 1.0)), st.just(0.01), seconds),
                min_size=1, max_size=6))  # fmt: skip
def test_an_accelerator_that_can_keep_up_does(some: list[Job]) -> None:
    """With work for less than half of the time, every cadence is kept on average and nothing is missed."""
    load = sum(job.service_s / (job.cadence.every_s or 1.0) for job in some)
    longest = sum(job.service_s for job in some)
    fits = load < 0.5 and all(longest < (job.cadence.every_s or 0.0) for job in some)
    if not fits:
        scale = 0.4 / max(load, longest / min(job.cadence.every_s or 1.0 for job in some))
        for job in some:
            job.service_s *= scale
    simulate(some, 8.0)
    for job in some:
        assert job.cadence.every_s is not None
        assert len(job.served_s) >= int(8.0 / (job.cadence.every_s + 0.02)) - 1
        assert job.missed == 0


@settings(max_examples=100, deadline=None)
@given(st.lists(st.tuples(st.booleans(), st.integers(0, 9)), min_size=1, max_size=8, unique_by=lambda pair: pair[1]))
def test_the_most_overdue_goes_first(some: list[tuple[bool, int]]) -> None:
    """Jobs by seconds and by frames alike: the order is that in which they fell due."""
    schedule: Schedule[float] = Schedule()
    frames = {since: 1 for _, since in some}
    turns = []
    for by_frames, since in some:
        cadence = Cadence(every_frames=1) if by_frames else Cadence(every_s=since + 1.0)
        turn = Turn(lambda since=since: frames[since], cadence, -1.0)  # type: ignore[misc]
        assert turn.late_s(-1.0) is not None
        turn.take(1, -1.0)
        turns.append((turn, by_frames, since))
        schedule.add(turn, since)
    for now_s in sorted({since for _, since in some}):  # somebody looks whenever a job falls due
        for turn, by_frames, since in turns:
            frames[since] = 2 if not by_frames or since <= now_s else 1
            turn.late_s(now_s)
    assert list(schedule.due(10.0)) == sorted(since for _, since in some)


@settings(max_examples=100, deadline=None)
@given(st.integers(1, 5), st.lists(st.integers(1, 20), min_size=1, max_size=30))
def test_every_wanted_frame_was_handled_or_missed(every: int, steps: list[int]) -> None:
    """Of the frames that came up to the last one handled, one in `every` was wanted: handled or counted as missed."""
    newest = 0
    turn = Turn(lambda: newest, Cadence(every_frames=every), 0.0)
    handled = missed = first = 0
    for step in steps:
        newest += step
        if turn.late_s(0.0) is not None:
            first = first or newest
            missed += turn.take(newest, 0.0)
            handled += 1
    wanted = 1 + (turn.seen - first) / every
    assert handled + missed <= wanted
    assert handled + missed >= wanted - handled


def test_a_frame_that_is_passed_over_leaves_the_job_due() -> None:
    """A stale frame is not served, but the next one is, at once."""
    newest = 1
    turn = Turn(lambda: newest, Cadence(every_s=10.0), 0.0)
    turn.skip(1)
    assert turn.late_s(5.0) is None
    newest = 2
    assert turn.late_s(5.0) == pytest.approx(5.0)


def test_a_frame_that_is_passed_over_is_not_counted_off() -> None:
    """On every tenth frame: the tenth is stale, so the next one is served, and not the tenth after it."""
    newest = 1
    turn = Turn(lambda: newest, Cadence(every_frames=10), 0.0)
    turn.take(1, 0.0)
    newest = 11
    assert turn.late_s(2.0) == 0.0
    turn.skip(11)
    assert turn.late_s(5.0) is None
    newest = 12
    assert turn.late_s(5.0) == pytest.approx(3.0)


@pytest.mark.parametrize(
    ("frames", "periods_late", "missed"),
    [(1, 5.5, 0), (3, 5.5, 2), (100, 5.5, 5), (100, 0.5, 0), (100, 1.0, 1), (2, 0.0, 0)],
)
def test_a_result_is_missed_where_a_period_passed_and_a_frame_was_there(
    frames: int, periods_late: float, missed: int
) -> None:
    """Whole periods that the turn is late, but never more than the frames that came and were not taken."""
    newest = 1
    turn = Turn(lambda: newest, Cadence(every_s=2.0), 0.0)
    assert turn.take(1, 0.0) == 0
    newest = 1 + frames
    assert turn.take(newest, 2.0 + 2.0 * periods_late) == missed


def test_the_first_frame_misses_nothing() -> None:
    """However late the first is, nothing was wanted before it came."""
    for cadence in (Cadence(every_s=1.0), Cadence(every_frames=2)):
        turn = Turn(lambda: 9, cadence, 0.0)
        assert turn.late_s(7.0) == 7.0
        assert turn.take(9, 7.0) == 0


def test_frames_that_were_wanted_are_missed() -> None:
    """Every third frame: of the nine that came since, three were wanted, of which this is one."""
    for came, missed in ((3, 0), (5, 0), (6, 1), (9, 2), (11, 2)):
        turn = Turn(lambda: 1, Cadence(every_frames=3), 0.0)
        turn.take(1, 0.0)
        assert turn.take(1 + came, 0.0) == missed


def test_a_turn_in_time_keeps_its_beat_and_a_late_one_starts_afresh() -> None:
    """Due every 2 s: served half a second late it is due 2 s after the last due time, 5 s late it is due at once."""
    newest = 1
    turn = Turn(lambda: newest, Cadence(every_s=2.0), 10.0)
    assert turn.late_s(9.9) is None
    assert turn.late_s(10.0) == 0.0
    turn.take(1, 10.5)
    newest = 2
    assert turn.late_s(11.9) is None
    assert turn.late_s(12.0) == 0.0
    turn.take(2, 17.0)
    newest = 3
    assert turn.late_s(17.0) == 0.0
    assert turn.late_s(18.0) == 1.0


def test_a_turn_by_frames_is_late_from_when_it_was_first_seen_to_be() -> None:
    """Every second frame: due when somebody first sees the second new frame, and late from then on."""
    newest = 1
    turn = Turn(lambda: newest, Cadence(every_frames=2), 0.0)
    assert turn.late_s(3.0) == 3.0
    turn.take(1, 3.0)
    newest = 2
    assert turn.late_s(4.0) is None
    newest = 3
    assert turn.late_s(5.0) == 0.0
    assert turn.late_s(8.0) == 3.0


def test_a_frame_that_was_taken_is_not_due_again() -> None:
    """Nothing is due without a new frame, neither before the first nor after the last."""
    turn = Turn(lambda: 0, Cadence(every_s=1.0), 0.0)
    assert turn.late_s(5.0) is None
    turn.take(4, 5.0)
    assert (turn.seen, turn.taken, turn.taken_s) == (4, 4, 5.0)
    for newest in (4, 3):
        turn.newest = lambda newest=newest: newest  # type: ignore[misc]
        assert turn.late_s(50.0) is None


def test_of_two_that_fell_due_together_the_one_served_longer_ago_goes_first() -> None:
    """Jobs are never compared themselves, and the order in which they came does not decide."""
    schedule: Schedule[object] = Schedule()
    turns, jobs = [Turn(lambda: 2, Cadence(every_s=1.0), 0.0) for _ in range(3)], [object() for _ in range(3)]
    for turn, job, taken_s in zip(turns, jobs, (3.0, 1.0, 2.0), strict=True):
        turn.taken_s = taken_s
        schedule.add(turn, job)
    assert list(schedule.due(5.0)) == [jobs[1], jobs[2], jobs[0]]
    turns[0].due_s = -1.0
    assert schedule.due(5.0)[0] is jobs[0]
    assert not schedule.due(-5.0)


def test_a_cadence_cannot_be_changed() -> None:
    """Jobs may share one."""
    with pytest.raises(FrozenInstanceError):
        Cadence(every_s=1.0).every_s = 2.0  # type: ignore[misc]
