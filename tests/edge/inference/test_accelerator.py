"""The accelerator's thread: one, in order, and nobody's hostage."""

from __future__ import annotations

import threading
from collections.abc import Callable

import pytest

from edge.errors import EngineError
from edge.inference.accelerator import Accelerator, at_once


def test_everything_runs_on_one_thread_in_order() -> None:
    """What is given by several threads runs on a third, one thing after the other."""
    accelerator, seen = Accelerator(), []

    def give(start: int) -> None:
        for n in range(start, start + 100):
            accelerator.submit(lambda n=n: seen.append((threading.get_ident(), n)))  # type: ignore[misc]

    givers = [threading.Thread(target=give, args=(start,)) for start in (0, 1000)]
    for giver in givers:
        giver.start()
    for giver in givers:
        giver.join()
    assert accelerator.stop(5.0)
    assert {thread for thread, _ in seen} == {accelerator.thread.ident}
    for start in (0, 1000):
        assert [n for _, n in seen if start <= n < start + 100] == list(range(start, start + 100))


@pytest.mark.parametrize("make", [lambda: Accelerator().submit, lambda: at_once])
def test_an_error_is_the_callers(make: Callable[[], Callable[..., object]]) -> None:
    """It is raised where the result is asked for, and the next piece of work is done."""
    submit = make()

    def fail() -> None:
        raise EngineError("broken; rebuild it")

    with pytest.raises(EngineError, match="rebuild"):
        submit(fail).result()  # type: ignore[attr-defined]
    assert submit(lambda: 3).result() == 3  # type: ignore[attr-defined]


def test_a_network_that_hangs_is_left_behind() -> None:
    """Stopping gives up after its time, and says so."""
    accelerator, go_on = Accelerator(), threading.Event()
    accelerator.submit(go_on.wait)
    assert not accelerator.stop(0.2)
    go_on.set()
    accelerator.thread.join(5.0)
    assert not accelerator.thread.is_alive()
