"""Failing tasks: each is known, and few events say so."""

from __future__ import annotations

from edge.daemon.failing import Failing
from edge.errors import EdgeError, EngineError, GeometryError

DEPTH, LAYOUT = ("hall", "depth"), ("hall", "layout")


def test_errors_whose_text_varies_are_said_once_a_minute() -> None:
    """A hundred frames that fail in the same way within ten seconds are one event, and one more a minute later."""
    now_s = [0.0]
    failing, said = Failing(lambda: now_s[0]), 0
    for number in range(100):
        now_s[0] = number / 10
        said += failing.failed(LAYOUT, GeometryError(f"only {number} panorama columns are seen"))
    assert said == 1
    now_s[0] = 60.1
    assert failing.failed(LAYOUT, GeometryError("only 7 panorama columns are seen"))


def test_another_kind_of_error_is_said_soon() -> None:
    """A second later; kinds that take turns with every frame are not said with every frame."""
    now_s = [0.0]
    failing, said = Failing(lambda: now_s[0]), 0
    assert failing.failed(LAYOUT, GeometryError("a"))
    now_s[0] = 1.5
    assert failing.failed(LAYOUT, EngineError("b"))
    for number in range(40):
        now_s[0] = 3.0 + number / 40
        said += failing.failed(LAYOUT, EngineError("b") if number % 2 else GeometryError("a"))
    assert said <= 2


def test_tasks_fail_apart_and_recover() -> None:
    """The errors are those of tasks that fail now; one that fails again after it recovered is not said at once."""
    failing = Failing(lambda: 0.0)
    error = EdgeError("x")
    assert failing.failed(DEPTH, error)
    assert failing.failed(LAYOUT, error)
    failing.succeeded(DEPTH)
    assert failing.errors() == {LAYOUT: error}
    assert not failing.failed(DEPTH, error)


def test_the_same_is_said_again_after_a_minute_and_another_kind_after_a_second() -> None:
    """Counted from when it was said last, not from when it happened last."""
    now_s = [0.0]
    failing = Failing(lambda: now_s[0])
    said = []
    for now_s[0] in (0.0, 59.5, 60.0, 119.5, 120.0):
        said.append(failing.failed(LAYOUT, GeometryError("a")))
    assert said == [True, False, True, False, True]
    said = []
    for now_s[0] in (120.9, 121.0, 180.9, 181.0):
        said.append(failing.failed(LAYOUT, EngineError("b")))
    assert said == [False, True, False, True]


def test_a_task_that_was_gone_is_said_anew() -> None:
    """It fails with another configuration, or another model: nobody has heard of that. Those that stayed are not."""
    failing = Failing(lambda: 0.0)
    error = EdgeError("x")
    failing.failed(DEPTH, error)
    failing.failed(LAYOUT, error)
    failing.forget([LAYOUT])
    assert failing.errors() == {LAYOUT: error}
    assert failing.failed(DEPTH, error)
    assert not failing.failed(LAYOUT, error)


def test_errors_are_those_of_the_moment_they_were_asked_for() -> None:
    """The latest of each task; one that succeeds without having failed is nothing new."""
    failing = Failing(lambda: 0.0)
    failing.succeeded(DEPTH)
    first, second = EdgeError("first"), EdgeError("second")
    failing.failed(DEPTH, first)
    before = failing.errors()
    failing.failed(DEPTH, second)
    assert before == {DEPTH: first}
    assert failing.errors() == {DEPTH: second}
    assert Failing().failed(DEPTH, first)
