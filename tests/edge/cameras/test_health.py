"""The judge of cameras, on a clock of its own."""

from __future__ import annotations

import pytest

from edge.cameras.health import Health, State


def health(frozen_after_s: float | None = 60.0) -> Health:
    """A camera whose capture was started at 100 s; pictures after number 7."""
    made = Health(stall_timeout_s=10.0, first_picture_timeout_s=30.0, frozen_after_s=frozen_after_s)
    made.started(100.0, 7)
    return made


def states(judged: Health) -> list[str]:
    """The states that were told since the last call."""
    return [text.partition(":")[0] for kind, text in judged.take_news() if kind == "state"]


def test_nothing_is_told_until_something_changes() -> None:
    """A camera is offline until its first picture, then online, which is told once."""
    front = health()
    assert front.judge(101.0, 0, 0.0) is None
    assert front.judge(102.0, 7, 0.0) is None
    assert (front.state, front.take_news()) == ("offline", [])
    assert front.judge(103.0, 8, 0.0) is None
    assert front.judge(104.0, 9, 0.0) is None
    assert front.take_news() == [("state", "online")]


@pytest.mark.parametrize(("pictures", "limit_s"), [([], 30.0), ([(101.0, 8)], 10.0)])
def test_silence_has_a_limit(pictures: list[tuple[float, int]], limit_s: float) -> None:
    """The first picture may take longer than the ones after it; at the limit it is well, past it it hangs."""
    front = health()
    for at_s, sequence in pictures:
        front.judge(at_s, sequence, 0.0)
    since_s, sequence = pictures[-1] if pictures else (100.0, 7)
    assert front.judge(since_s + limit_s, sequence, 0.0) is None
    reason = front.judge(since_s + limit_s + 0.1, sequence, 0.0)
    assert reason is not None
    assert f"for {limit_s:g} s" in reason
    assert ("first picture" in reason) == (not pictures)


def test_a_reader_that_takes_its_time_is_no_stall() -> None:
    """While capture waits for the reader, silence does not count; from then on it does."""
    front = health()
    front.judge(101.0, 8, 0.0)
    assert front.judge(150.0, 8, 0.0, none_is_due=True) is None
    assert front.judge(160.0, 8, 0.0) is None
    assert front.judge(160.1, 8, 0.0) is not None


def test_content_that_stands_still_is_frozen_until_it_moves() -> None:
    """Just below the limit it is online, at the limit frozen with the reason; a change makes it online, free of it."""
    front = health()
    for at_s, unchanged_s in ((101.0, 59.9), (102.0, 60.0), (103.0, 61.0), (104.0, 0.0)):
        front.judge(at_s, int(at_s), unchanged_s)
    told = [text for _, text in front.take_news()]
    assert [text.partition(":")[0] for text in told] == ["online", "frozen", "online"]
    assert "has not changed for 60 s" in told[1]
    assert front.last_error is None


def test_unchecked_content_may_stand_still() -> None:
    """Without a limit a still picture is a good one."""
    front = health(frozen_after_s=None)
    front.judge(101.0, 8, 1e6)
    assert front.state == "online"


@pytest.mark.parametrize("state", ["offline", "stalled"])
def test_failures_are_told_once_and_counted(state: State) -> None:
    """The same reason again is no news; another is. A picture then clears the reason."""
    front = health()
    front.judge(101.0, 8, 0.0)
    front.take_news()
    assert state in ("offline", "stalled")
    for reason in ("unplugged", "unplugged", "refused"):
        front.failed(state, reason)
    assert front.take_news() == [("error", "unplugged"), ("state", f"{state}: unplugged"), ("error", "refused")]
    assert (front.state, front.last_error, front.failures) == (state, "refused", 3)
    front.started(200.0, 8)
    front.judge(201.0, 9, 0.0)
    assert (states(front), front.last_error) == (["online"], None)


def test_failures_are_forgotten_when_pictures_go_on_coming() -> None:
    """One picture is not enough: they must come for as long as a stall takes."""
    front = health()
    front.failed("offline", "unplugged")
    front.started(200.0, 7)
    for at_s, failures in ((201.0, 1), (210.9, 1), (211.0, 0)):
        front.judge(at_s, int(at_s * 10), 0.0)
        assert front.failures == failures
    front.failed("offline", "unplugged")
    front.started(300.0, 3000)
    front.judge(320.0, 3001, 0.0)
    assert front.failures == 1


def test_a_stop_is_no_error() -> None:
    """Stopped as asked for it is offline, which is told; a recording's end is its reason."""
    front = health()
    front.judge(101.0, 8, 0.0)
    front.stopped("played to its end")
    assert front.take_news() == [("state", "online"), ("state", "offline: played to its end")]
    assert (front.last_error, front.failures) == ("played to its end", 0)
