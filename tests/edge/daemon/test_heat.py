"""What a daemon does when its machine is hot."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from edge.config.heat import HeatConfig
from edge.daemon.heat import HeatWatch
from edge.errors import EdgeError
from edge.monitor.heat import HeatLimits
from edge.monitor.machine import Machine
from edge.pipeline.schedule import Cadence
from tests.edge.monitor.orin import heat, orin


class Watched:
    """A watch over a Jetson's files, with a clock that the test turns."""

    def __init__(self, root: Path, limits: HeatLimits | None, *, hangs: bool = False) -> None:
        """`hangs`: inference does not take another pace."""
        self.root, self.now_s, self.hangs = orin(root), 1000.0, hangs
        self.paces: list[int] = []
        self.events: list[tuple[str, str, dict[str, Any]]] = []
        self.watch = HeatWatch(Machine(root), limits, self.slow_down, self.tell, lambda: self.now_s)

    def slow_down(self, by: int) -> None:
        """Another pace is asked for."""
        self.paces.append(by)
        if self.hangs:
            raise EdgeError("inference did not answer")

    def tell(self, kind: str, message: str, *, data: dict[str, Any]) -> None:
        """An event."""
        self.events.append((kind, message, data))

    def at(self, celsius: float, for_s: float = 60.0) -> None:
        """The CPU is so hot for a while."""
        heat(self.root, celsius)
        for _ in range(round(for_s)):
            self.now_s += 1.0
            self.watch.look()


def test_tasks_run_more_rarely_while_it_is_hot_and_that_is_said(tmp_path: Path) -> None:
    """An Orin throttles at 99 °C: from 94 on tasks run half as often, then a quarter; as before below 86."""
    watched = Watched(tmp_path, HeatConfig().limits())
    watched.at(93.9)
    assert (watched.paces, watched.watch.degraded()) == ([], ())
    watched.at(95.0, 10)
    assert watched.paces == [2]
    assert "cpu-thermal is at 95 °C (limit 94 °C), so every task runs 2 times as rarely" in watched.watch.degraded()[0]
    watched.at(96.0, 120)
    assert watched.paces == [2, 4], "and no slower than that"
    watched.at(90.0, 300)
    assert watched.paces == [2, 4], "neither hot nor cool"
    watched.at(85.0, 120)
    assert watched.paces == [2, 4, 2, 1]
    assert watched.watch.degraded() == ()
    assert [kind for kind, *_ in watched.events] == ["hot", "hot", "hot", "cool"]
    assert watched.events[0][2] == {"slowdown": 2, "zone": "cpu-thermal", "celsius": 95.0, "hot_celsius": 94.0}


def test_nobody_asked_for_it(tmp_path: Path) -> None:
    """Switched off, or on a machine that does not say where it throttles, nothing happens at any temperature."""
    off = Watched(tmp_path / "off", None)
    silent = Watched(tmp_path / "silent", HeatConfig().limits())
    for trip in silent.root.rglob("trip_point_*"):
        trip.unlink()
    for watched in (off, silent):
        watched.at(120.0)
        assert (watched.paces, watched.events, watched.watch.degraded()) == ([], [], ())


def test_inference_that_hangs_ends_nothing(tmp_path: Path) -> None:
    """It is for the watchdog to judge; the heat is said all the same."""
    watched = Watched(tmp_path, HeatConfig().limits(), hangs=True)
    watched.at(95.0, 10)
    assert watched.events


@pytest.mark.parametrize("cadence", [Cadence(every_s=0.5), Cadence(every_frames=3)])
def test_a_slower_cadence_is_a_multiple(cadence: Cadence) -> None:
    """Of seconds or of pictures; once as rarely is itself."""
    assert cadence.slower(1) == cadence
    slower = cadence.slower(4)
    assert (slower.every_s, slower.every_frames) == ((2.0, None) if cadence.every_s else (None, 12))
