"""How `edge run` ends: the daemon is not kept waiting by who watches it."""

from __future__ import annotations

import time
from contextlib import ExitStack
from typing import Any, cast

import pytest

from edge.commands import run


class Stopping:
    """A daemon of which only the end matters."""

    def stop(self) -> str:
        """Takes half a second."""
        time.sleep(0.5)
        return "tally"


@pytest.mark.parametrize(("takes_s", "at_most_s"), [(0.5, 0.9), (30.0, 0.9)])
def test_page_and_daemon_end_together(monkeypatch: pytest.MonkeyPatch, takes_s: float, at_most_s: float) -> None:
    """They do not wait for each other; a page that hangs is waited for no longer than it is said to be."""
    monkeypatch.setattr(run, "_BESIDE_S", 0.3)
    beside = ExitStack()
    beside.callback(time.sleep, takes_s)
    begun_s = time.monotonic()
    assert run._stopped(cast(Any, Stopping()), beside) == "tally"
    assert time.monotonic() - begun_s < at_most_s
