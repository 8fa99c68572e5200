"""Looks at the machine's temperatures, and has tasks run more rarely while it is hot."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from typing import Any, Protocol

from edge.errors import EdgeError
from edge.monitor.clock import Periodic
from edge.monitor.heat import HeatLimits, HeatRule
from edge.monitor.machine import Machine

_log = logging.getLogger(__name__)

_EVERY_S = 5.0


class Tell(Protocol):
    """Told what happened, for `bridge/event`."""

    def __call__(self, kind: str, message: str, *, data: dict[str, Any]) -> None:
        """One event."""
        ...


class HeatWatch:
    """For the supervisor's thread; `degraded` for any."""

    def __init__(
        self,
        machine: Machine,
        limits: HeatLimits | None,
        slow_down: Callable[[int], None],
        tell: Tell,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """`limits` None: it only looks; `slow_down`: runs every task so many times as rarely."""
        self._machine, self._slow_down, self._tell = machine, slow_down, tell
        self._rule = None if limits is None else HeatRule(limits)
        self._clock, self._due = clock, Periodic(_EVERY_S, clock)

    def look(self) -> bool:
        """If it is time to; whether the pace changed."""
        if self._rule is None or not self._due.due() or not self._rule.judge(self._machine.zones(), self._clock()):
            return False
        try:
            self._slow_down(self._rule.slowdown)
        except EdgeError as error:  # inference hangs, which the watchdog sees
            _log.error("%s", error)
        worst, slowdown = self._rule.worst, self._rule.slowdown
        data: dict[str, Any] = {"slowdown": slowdown}
        if worst is not None:
            data |= {"zone": worst.zone.name, "celsius": worst.zone.celsius, "hot_celsius": worst.hot_celsius}
        kind = "cool" if slowdown == 1 else "hot"
        text = self._rule.degraded[0] if slowdown > 1 else "cool again: every task runs as often as configured"
        _log.warning("%s", text)
        self._tell(kind, text, data=data)
        return True

    def degraded(self) -> tuple[str, ...]:
        """That tasks run more rarely, and why."""
        return () if self._rule is None else self._rule.degraded
