"""A running daemon seen from outside: its health, its metrics, its log."""

from __future__ import annotations

import json
import re
import urllib.error
import urllib.request
from collections.abc import Callable

import pytest
from prometheus_client.parser import text_string_to_metric_families

from tests.brokers import wait_until
from tests.integration.conftest import PANORAMA, DaemonProcess

Starter = Callable[..., DaemonProcess]


def get(port: int, path: str) -> tuple[int, str]:
    """Status and text of an address."""
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=10) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()
    except OSError:
        return 0, ""


def port_of(run: DaemonProcess) -> int:
    """Where it said that it serves."""
    assert run.said("health and metrics on http://127.0.0.1:"), run.lines
    found = next(found for line in run.lines if (found := re.search(r"metrics on http://127.0.0.1:(\d+)/", line)))
    return int(found[1])


@pytest.mark.slow
def test_health_and_metrics_of_a_daemon(daemon: Starter) -> None:
    """Alive at once, ready with broker, engines and camera; metrics of real work; a log of one object a line."""
    run = daemon("--log-json", cameras=[PANORAMA])
    port = port_of(run)
    assert get(port, "/healthz") == (200, "alive\n")
    wait_until(lambda: get(port, "/readyz")[0] == 200, 60)
    wait_until(lambda: 'edge_results_total{camera="panorama",task="layout"}' in get(port, "/metrics")[1], 60)
    families = {f.name: f for f in text_string_to_metric_families(get(port, "/metrics")[1])}
    samples = {(s.name, *s.labels.values()): s.value for f in families.values() for s in f.samples}
    assert samples["edge_camera_state", "panorama", "online"] == 1
    assert samples["edge_camera_state", "panorama", "offline"] == 0
    assert samples["edge_broker_connected",] == samples["edge_ready",] == samples["edge_heat_slowdown_ratio",] == 1
    assert samples["edge_camera_frames_total", "panorama"] > 0
    assert samples["edge_memory_resident_bytes",] > 50e6
    assert families["edge_result_latency_seconds"].type == "histogram"
    assert {"depth", "layout", "lighting"} <= {s.labels["task"] for s in families["edge_engine_info"].samples}
    run.terminate()
    lines = [json.loads(line) for line in run.lines if not line.startswith("published: ")]
    assert {"at", "level", "logger", "message", "pid", "thread"} <= set.intersection(*(set(line) for line in lines))
    assert any(line["message"].startswith("loading depth engine") for line in lines)
