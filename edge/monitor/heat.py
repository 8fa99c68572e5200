"""When the machine is hot, and how much slower its tasks run then: a judge with the caller's clock.

A machine that throttles itself slows everything down, unevenly and at once. Before it does, tasks are made rarer: by a
factor that doubles while it stays hot, and halves again while it is cool. Between hot and cool nothing changes.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from edge.monitor.machine import Zone


@dataclass(frozen=True, slots=True)
class HeatLimits:
    """When it is hot and what is done about it."""

    hot_celsius: float | None = None
    """From here on it is hot; None: so far below where each zone throttles, if the kernel says where."""
    below_throttling_celsius: float = 5.0
    cool_by_celsius: float = 8.0
    """It is cool again so far below hot."""
    step_s: float = 30.0
    """Shortest time between two changes: what a change does shows only after a while."""
    most_slowdown: int = 4


@dataclass(frozen=True, slots=True)
class Excess:
    """The zone that is nearest to its limit, or furthest beyond it."""

    zone: Zone
    hot_celsius: float

    @property
    def celsius(self) -> float:
        """Above the limit; negative below."""
        return self.zone.celsius - self.hot_celsius


def excess(zones: Iterable[Zone], limits: HeatLimits) -> Excess | None:
    """The worst zone; None where none has a limit."""
    found = []
    for zone in zones:
        hot_celsius = limits.hot_celsius
        if hot_celsius is None and zone.throttles_at_celsius is not None:
            hot_celsius = zone.throttles_at_celsius - limits.below_throttling_celsius
        if hot_celsius is not None:
            found.append(Excess(zone, hot_celsius))
    return max(found, key=lambda e: e.celsius, default=None)


class HeatRule:
    """Says by how much tasks are to run slower: 1, 2, 4, ... up to the limit."""

    def __init__(self, limits: HeatLimits) -> None:
        self.limits = limits
        self.slowdown = 1
        self.worst: Excess | None = None
        """As last judged."""
        self._changed_s: float | None = None

    def judge(self, zones: Iterable[Zone], now_s: float) -> bool:
        """Take in what the zones say; whether `slowdown` changed."""
        self.worst = worst = excess(zones, self.limits)
        above = -self.limits.cool_by_celsius if worst is None else worst.celsius
        wanted = self.slowdown
        if above >= 0:
            wanted = min(self.slowdown * 2, self.limits.most_slowdown)
        elif above <= -self.limits.cool_by_celsius:
            wanted = max(self.slowdown // 2, 1)
        early = self._changed_s is not None and now_s - self._changed_s < self.limits.step_s
        if wanted == self.slowdown or early:
            return False
        self.slowdown, self._changed_s = wanted, now_s
        return True

    @property
    def degraded(self) -> tuple[str, ...]:
        """What to say while tasks run slower."""
        if self.slowdown == 1 or self.worst is None:
            return ()
        zone, limit = self.worst.zone, self.worst.hot_celsius
        return (
            f"hot: {zone.name} is at {zone.celsius:.0f} °C (limit {limit:.0f} °C), so every task runs {self.slowdown} "
            "times as rarely; cool the device (fan, dust, sun), lower its power mode, or raise every_s",
        )
