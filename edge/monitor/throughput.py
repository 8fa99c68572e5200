"""Rates and latencies of the results, per (camera, task), over a window."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Collection
from dataclasses import dataclass, field

import numpy as np

_LATENCIES_KEPT = 2048


@dataclass(slots=True)
class _Series:
    count: int = 0
    latency_ms: deque[float] = field(default_factory=lambda: deque(maxlen=_LATENCIES_KEPT))


@dataclass(frozen=True, slots=True)
class Rate:
    """One (camera, task) since the last reading."""

    camera: str
    task: str
    rate_hz: float
    latency_ms: tuple[float, float] | None
    """(median, 99th percentile), None if there was no result."""


class Throughput:
    """Counts results as they come and reads out a window at a time. Safe between threads."""

    def __init__(self, keys: list[tuple[str, str]], clock: Callable[[], float] = time.monotonic) -> None:
        """`keys`: every (camera, task) expected, so that one that never comes shows as 0 Hz."""
        self._clock = clock
        self._lock = threading.Lock()
        self._keys = keys
        self._series: dict[tuple[str, str], _Series] = {k: _Series() for k in keys}
        self._since_s = clock()

    def expect(self, keys: list[tuple[str, str]]) -> None:
        """Others are expected from now on; the window begins anew for them."""
        with self._lock:
            self._keys = keys
            self._series = {k: self._series.get(k, _Series()) for k in keys}

    def note(self, camera: str, task: str, latency_s: float) -> None:
        """A result came out, so long after its frame was captured."""
        with self._lock:
            series = self._series.setdefault((camera, task), _Series())
            series.count += 1
            series.latency_ms.append(latency_s * 1000.0)

    def window(self) -> list[Rate]:
        """Rates since the last call, and start the next window."""
        with self._lock:
            now_s = self._clock()
            elapsed_s = max(now_s - self._since_s, 1e-6)
            self._since_s = now_s
            taken, self._series = self._series, {k: _Series() for k in self._keys}
        return [Rate(c, t, s.count / elapsed_s, percentiles(s.latency_ms)) for (c, t), s in taken.items()]


def percentiles(values: Collection[float]) -> tuple[float, float] | None:
    """(median, 99th percentile), None for no values."""
    if not values:
        return None
    p50, p99 = np.percentile(np.asarray(values), (50, 99))
    return float(p50), float(p99)
