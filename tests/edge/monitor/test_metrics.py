"""Counts: one store, read by health and by Prometheus alike."""

from __future__ import annotations

import threading

from prometheus_client import generate_latest

from edge.monitor.metrics import Metrics


def test_what_was_counted_is_read_back_and_exported() -> None:
    """A count by its labels, 0 for what never happened, their total, and the same numbers in Prometheus' text."""
    metrics = Metrics()
    metrics.dropped.add("queue_full")
    metrics.dropped.add("expired", by=3)
    assert metrics.dropped["queue_full",] == 1
    assert metrics.dropped["never",] == 0
    assert metrics.dropped.read() == {("queue_full",): 1, ("expired",): 3}
    assert metrics.dropped.total == 4
    assert 'edge_messages_dropped_total{reason="expired"} 3.0' in generate_latest(metrics.registry).decode()


def test_runs_do_not_share_counts() -> None:
    """Two daemons in one process count apart."""
    one, other = Metrics(), Metrics()
    one.done.add("hall", "depth")
    assert other.done.total == 0


def test_counting_from_threads_loses_nothing() -> None:
    """Every part counts from its own thread."""
    metrics = Metrics()
    threads = [
        threading.Thread(target=lambda: [metrics.idle.add() for _ in range(500)]) for _ in range(8)
    ]  # fmt: skip
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert metrics.idle.total == 8 * 500
