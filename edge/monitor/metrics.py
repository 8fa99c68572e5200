"""The one store of counts: every part counts here, and health, the last line of a run and Prometheus read from here.

Names and units follow Prometheus' conventions; labels are bounded by the configuration, never by what comes in.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from prometheus_client import CollectorRegistry, Counter, Histogram, disable_created_metrics, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

Labels = tuple[str, ...]
"""A value for each label."""
disable_created_metrics()  # type: ignore[no-untyped-call]  # they would double every series, and say what edge_uptime_seconds says

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
_LATENCIES_S = (0.01, 0.025, 0.05, 0.1, 0.2, 0.3, 0.5, 0.75, 1.0, 2.0, 5.0, 10.0)


class Count:
    """Something that is counted since the start, by the values of its labels; what was never counted is 0.

    For any thread. A look costs as much as there are label values, so who wants several reads them once.
    """

    def __init__(self, registry: CollectorRegistry, name: str, text: str, *labels: str) -> None:
        """`name` as Prometheus has it, without the `_total` that every counter's ends in."""
        self.labels = labels
        self._counter = Counter(name, text, labels, registry=registry)

    def add(self, *values: str, by: int = 1) -> None:
        """Count `by` more for these labels' values."""
        (self._counter.labels(*values) if values else self._counter).inc(by)

    def read(self) -> dict[Labels, int]:
        """All counts."""
        samples = [s for metric in self._counter.collect() for s in metric.samples if s.name.endswith("_total")]
        return {tuple(s.labels[label] for label in self.labels): int(s.value) for s in samples}

    @property
    def total(self) -> int:
        """Over all labels."""
        return sum(self.read().values())

    def __getitem__(self, labels: Labels) -> int:
        """How often for these labels' values."""
        return self.read().get(labels, 0)


class Metrics:
    """What a run counts."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        each = ("camera", "task")

        def count(name: str, text: str, *labels: str) -> Count:
            return Count(self.registry, name, text, *labels)

        self.done = count("edge_results", "Values inferred.", *each)
        self.missed = count(
            "edge_results_missed", "Results that were due, had frames, and that inference was too slow for.", *each
        )
        self.stale = count("edge_frames_stale", "Frames passed over because they were past the deadline.", *each)
        self.late = count(
            "edge_results_late", "Results past the deadline, though their frame was taken before it.", *each
        )
        self.errors = count("edge_task_errors", "Frames on which a task failed.", *each)
        self.batches = count("edge_inferences", "Inferences by how many pictures they took together.", "pictures")
        self.idle = count("edge_idle_turns", "How often nothing was due.")
        self.camera_errors = count("edge_camera_errors", "Failures of a camera's capture.", "camera")
        self.offered = count("edge_messages_offered", "Messages that were to be published.")
        self.restored = count("edge_messages_restored", "Messages of earlier runs that waited on the disk.")
        self.published = count(
            "edge_messages_published",
            "Messages confirmed by the broker (QoS 1) or written to the network (QoS 0); camera is empty for the "
            "bridge's own.",
            *("kind", "camera"),
        )
        self.published_bytes = count("edge_published_bytes", "Bytes of payload and topic of what was published.")
        self.dropped = count("edge_messages_dropped", "Messages that were not published, by reason.", "reason")
        self.refused = count("edge_messages_refused", "Messages that the broker refused.", "topic", "reason")
        self.review_dropped = count(
            "edge_review_dropped",
            "Pictures for review that are lost: full (for a newer one), expired, refused (by the disk).",
            "reason",
        )
        self.connections = count("edge_broker_connections", "Connections to the broker.")
        self.latency = Histogram(
            "edge_result_latency_seconds",
            "From the capture of a frame to its result, handed over to be published.",
            each,
            buckets=_LATENCIES_S,
            registry=self.registry,
        )

    def expose(self, read: Callable[[], Iterable[Reading]]) -> None:
        """Show what `read` gives, whenever somebody looks, beside what is counted."""
        self.registry.register(_Shown(read))

    def text(self) -> bytes:
        """Everything in Prometheus' text format, of type `CONTENT_TYPE`."""
        return generate_latest(self.registry)


@dataclass(frozen=True, slots=True)
class Shown:
    """Something that is read when somebody looks, and not counted by us."""

    name: str
    text: str
    labels: tuple[str, ...] = ()
    counts: bool = False
    """Whether it only rises."""


@dataclass(frozen=True, slots=True)
class Reading:
    """One value of it; `labels` as it has them."""

    of: Shown
    value: float
    labels: Labels = ()


class _Shown(Collector):
    def __init__(self, read: Callable[[], Iterable[Reading]]) -> None:
        self._read = read

    def describe(self) -> Iterable[Metric]:
        """Nothing is read to learn the names."""
        return ()

    def collect(self) -> Iterable[Metric]:
        """The families, each with its readings."""
        families: dict[str, GaugeMetricFamily | CounterMetricFamily] = {}
        for reading in self._read():
            of = reading.of
            if of.name not in families:
                kind = CounterMetricFamily if of.counts else GaugeMetricFamily
                families[of.name] = kind(of.name, of.text, labels=of.labels)
            families[of.name].add_metric(reading.labels, reading.value)
        return families.values()
