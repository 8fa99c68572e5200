"""What a run came to: the last line of `edge run`, and whether it was a good one."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field

from edge.daemon import reports
from edge.monitor.metrics import Metrics
from edge.mqtt.messages import TaskSettings
from edge.publish.statistics import PublisherStatistics
from edge.scene import TASKS, Task

_UNSENT = ("refused", "held_back", "too_large", "invalid", "unsendable")
"""Reasons for which messages are dropped that do not pass by themselves."""


@dataclass(slots=True)
class Tally:
    """What a run came to."""

    published: Counter[Task] = field(default_factory=Counter)
    superseded: int = 0
    """Retained messages that a newer one replaced before they went out."""
    kept: int = 0
    """Messages that wait on the disk for the next run."""
    dropped: int = 0
    unsent: Counter[str] = field(default_factory=Counter)
    """Of these, what could not be sent or was not taken, by reason."""
    errors: int = 0
    silent: tuple[tuple[str, Task], ...] = ()
    """Every (camera, task) that is switched on and published nothing."""


def tally(
    statistics: PublisherStatistics, metrics: Metrics, settings: Mapping[tuple[str, Task], TaskSettings]
) -> Tally:
    """From what was counted, and the tasks there are."""
    published: Counter[Task] = Counter()
    for (kind, _), count in statistics.published.items():
        if kind in TASKS:
            published[kind] += count
    silent = [
        (camera, task)
        for (camera, task), runs in settings.items()
        if runs.enabled and not statistics.published.get((task, camera))
    ]
    superseded = statistics.dropped.get("superseded", 0)  # no loss: what is newer went out, or is counted
    lost = sum(statistics.dropped.values()) - superseded + statistics.queued
    dropped = lost + sum(reports.passed_over(metrics).values())
    unsent = Counter({reason: n for reason in _UNSENT if (n := statistics.dropped.get(reason, 0))})
    never_connected = statistics.protocol is None
    errors = metrics.errors.total + metrics.camera_errors.total + never_connected
    return Tally(published, superseded, statistics.spooled, dropped, unsent, errors, tuple(silent))
