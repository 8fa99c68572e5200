"""How publishing goes, in numbers."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

from edge.monitor.throughput import percentiles
from edge.mqtt.topics import CHANNELS, Kind
from edge.mqtt.versions import Version


@dataclass(frozen=True, slots=True)
class PublisherStatistics:
    """How publishing went since the start. Times are (median, 99th percentile) of the last few hundred, or None.

    Every message has one fate: `offered` and `restored` together are `published`, `dropped`, `queued` and `spooled`.
    """

    connected: bool
    protocol: Version | None
    reconnects: int
    offered: int
    restored: int
    """Messages of earlier runs that waited on the disk."""
    published: dict[tuple[Kind, str | None], int]
    """By kind of topic and camera; confirmed by the broker for QoS 1, written to the network for QoS 0."""
    published_bytes: int
    dropped: dict[str, int]
    queued: int
    """Messages in memory: not sent, or not confirmed."""
    spooled: int
    """Messages that are on the disk alone."""
    spool_bytes: int
    spool_oldest_s: float | None
    """For how long the oldest message there has waited while the spool was open; None: there is none."""
    encode_ms: tuple[float, float] | None
    publish_ms: tuple[float, float] | None
    busy_s: float
    """Processor time of making payloads and handing them to the connection, since the start."""
    last_error: str | None

    @property
    def confirmed(self) -> int:
        """Published messages that the broker confirmed."""
        return sum(n for (kind, _), n in self.published.items() if CHANNELS[kind].qos)


def median_and_worst(values: deque[float]) -> tuple[float, float] | None:
    """Median and 99th percentile, rounded; None of nothing."""
    found = percentiles(values.copy())
    return None if found is None else (round(found[0], 3), round(found[1], 3))
