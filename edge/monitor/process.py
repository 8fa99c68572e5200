"""This process and its children: memory and processor time; and the machine's temperature."""

from __future__ import annotations

import contextlib
from collections.abc import Collection

import psutil


def memory_bytes() -> int:
    """Resident memory of this process and all its children."""
    me = psutil.Process()
    total = 0
    for process in [me, *me.children(recursive=True)]:
        with contextlib.suppress(psutil.Error):
            total += process.memory_info().rss
    return total


def cpu_s() -> float:
    """Processor time of this process and all its children, s."""
    me = psutil.Process()
    total = 0.0
    for process in [me, *me.children(recursive=True)]:
        with contextlib.suppress(psutil.Error):
            times = process.cpu_times()
            total += times.user + times.system
    return total


def temperature_celsius(zones_celsius: Collection[float]) -> float | None:
    """The hottest of the kernel's zones, else of any sensor; None where the system shows none."""
    if zones_celsius:
        return max(zones_celsius)
    if not hasattr(psutil, "sensors_temperatures"):
        return None
    readings = [r.current for group in psutil.sensors_temperatures().values() for r in group if r.current]
    return max(readings, default=None)
