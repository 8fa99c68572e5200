"""Clocks that are set, and periods over which a process slept."""

from __future__ import annotations

import time

import pytest

from edge.monitor.clock import Deadline, Periodic, WallClock


def test_a_moment_has_the_time_of_day_that_the_clock_says_now() -> None:
    """A device that starts in 1970 and learns the time an hour later says right when it started."""
    wall, monotonic = [100.0], [50.0]
    clock = WallClock(lambda: wall[0], lambda: monotonic[0])
    started_s = monotonic[0]
    assert clock.at(started_s) == 100.0
    wall[0], monotonic[0] = 1.8e9, 50.0 + 3600.0
    assert clock.at(started_s) == pytest.approx(1.8e9 - 3600.0)
    assert clock.now() == 1.8e9


@pytest.mark.parametrize("by_s", [86400.0, -3600.0, 3.0])
def test_a_step_is_noticed_once(by_s: float) -> None:
    """Forward, back, or small; the slow corrections of a time server are none."""
    wall, monotonic = [100.0], [50.0]
    clock = WallClock(lambda: wall[0], lambda: monotonic[0])
    for _ in range(10_000):
        wall[0] += 10.001
        monotonic[0] += 10.0
        assert clock.stepped() is None
    wall[0] += by_s
    assert clock.stepped() == pytest.approx(by_s, abs=0.2)
    assert clock.stepped() is None


def test_a_pause_makes_one_message_and_not_many() -> None:
    """Suspended for 15 periods: due once, then after a period again; without a pause it keeps the beat."""
    now_s = [0.0]
    periodic = Periodic(1.0, lambda: now_s[0])
    beats = []
    for tick in range(1, 31):
        now_s[0] = tick / 10
        if periodic.due():
            beats.append(now_s[0])
    assert beats == [1.0, 2.0, 3.0]
    now_s[0] = 18.2
    assert [periodic.due() for _ in range(5)] == [True, False, False, False, False]
    now_s[0] = 19.25
    assert periodic.due()


@pytest.mark.parametrize(("by_s", "noticed"), [(1.9, False), (-1.9, False), (2.0, True), (-2.0, True)])
def test_two_seconds_are_a_step_and_less_is_a_correction(by_s: float, noticed: bool) -> None:
    """As a time server steps a clock that is far off, and slews one that is not."""
    wall = [100.0]
    clock = WallClock(lambda: wall[0], lambda: 50.0)
    wall[0] += by_s
    assert (clock.stepped() is not None) == noticed


def test_the_clocks_are_the_systems_own_unless_others_are_given() -> None:
    """Now is now, a minute ago is a minute before it, and nothing has stepped."""
    clock = WallClock()
    assert clock.now() == pytest.approx(time.time(), abs=1.0)
    assert clock.at(time.monotonic() - 60.0) == pytest.approx(time.time() - 60.0, abs=1.0)
    assert clock.stepped() is None
    assert not Periodic(60.0).due()


def test_a_period_that_was_missed_just_once_is_skipped() -> None:
    """A whole period late begins anew from now; less keeps the beat, and due means due at the very moment."""
    now_s = [0.0]
    periodic = Periodic(2.0, lambda: now_s[0])
    said = {}
    for now_s[0] in (1.9, 2.0, 5.5, 5.9, 6.0, 10.0, 11.9, 12.0, 17.0, 18.9, 19.0):
        said[now_s[0]] = periodic.due()
    assert [at for at, due in said.items() if due] == [2.0, 5.5, 6.0, 10.0, 12.0, 17.0, 19.0]


def test_a_pause_before_the_first_time_makes_one_too() -> None:
    """Nobody asked for four periods after the start."""
    now_s = [0.0]
    periodic = Periodic(2.0, lambda: now_s[0])
    now_s[0] = 9.0
    assert [periodic.due() for _ in range(3)] == [True, False, False]


def test_what_shares_a_deadline_is_over_by_then() -> None:
    """Each is given what it may take at most, and all together no more than there is."""
    now_s = [7.0]
    until = Deadline(4.0, lambda: now_s[0])
    given = []
    for most_s in (1.0, 2.5, 3.0, 1.0):
        given.append(until.left_s(most_s))
        now_s[0] += given[-1]
    assert given == [1.0, 2.5, 0.5, 0.0]
    now_s[0] += 5.0
    assert until.left_s() == 0.0
