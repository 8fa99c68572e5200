"""What metrics show of a running daemon: the exposition's form, its names, what a machine gives."""

from __future__ import annotations

import re
from pathlib import Path

from prometheus_client import Metric
from prometheus_client.parser import text_string_to_metric_families

from edge.daemon import readings
from edge.monitor.machine import Machine
from edge.monitor.metrics import Count, Metrics, Reading, Shown
from tests.edge.monitor.orin import orin

REPOSITORY = Path(__file__).resolve().parents[3]
UNITS = ("_seconds", "_bytes", "_celsius", "_ratio")
"""Base units of Prometheus' naming page; https://prometheus.io/docs/practices/naming/."""
NO_UNIT = ("ms", "milliseconds", "minutes", "hours", "kb", "kib", "mb", "mib", "megabytes", "percent", "fahrenheit")


def shown() -> dict[str, Shown]:
    """Everything that is read when somebody looks, by its name."""
    return {s.name: s for s in vars(readings).values() if isinstance(s, Shown)}


def exposed() -> dict[str, Metric]:
    """The families of a daemon, with one reading of each, through the text and back."""
    metrics = Metrics()
    metrics.expose(lambda: [Reading(s, 1.0, tuple("v" for _ in s.labels)) for s in shown().values()])
    metrics.latency.labels("hall", "depth").observe(0.2)
    for count in vars(metrics).values():
        if isinstance(count, Count):
            count.add(*("v" for _ in count.labels))
    return {f.name: f for f in text_string_to_metric_families(metrics.text().decode())}


def test_the_exposition_keeps_prometheus_conventions() -> None:
    """Parsed by prometheus_client: a prefix, base units, a sentence of help, `_total` on counters, `_info` is 1."""
    families = exposed()
    assert len(families) >= 30
    for name, family in families.items():
        assert re.fullmatch(r"edge_[a-z][a-z0-9_]*", name)
        assert family.documentation.endswith(".")
        assert not {*name.split("_")} & {*NO_UNIT}, name
        totals = {s.name.endswith("_total") for s in family.samples if not s.name.endswith("_created")}
        assert totals == {family.type == "counter"}, name
        measures = re.search(r"second|byte|celsius|ratio", name)
        assert measures is None or name.endswith(UNITS), name
        if name.endswith("_info"):
            assert {sample.value for sample in family.samples} == {1.0}


def test_labels_are_bounded() -> None:
    """Only what the configuration, the code or the machine has: no message, address, file or number of a frame."""
    bounded = {
        *("camera", "task", "state", "engine", "backend", "sha256", "version", "zone", "mode"),
        *("pictures", "kind", "reason", "topic", "le"),
    }
    assert {label for f in exposed().values() for s in f.samples for label in s.labels} == bounded


def test_every_metric_is_on_the_page() -> None:
    """docs/operations.md has each by its name, with its labels and its meaning, and no other."""
    page = (REPOSITORY / "docs/operations.md").read_text(encoding="utf-8")
    rows = dict(re.findall(r"(?m)^\| `(edge_\w+)` \| (.*) \|$", page))
    expected = {}
    for family in exposed().values():
        name = f"{family.name}_total" if family.type == "counter" else family.name
        labels = {label for s in family.samples for label in s.labels} - {"le"}
        order = sorted(labels, key=lambda label: rows.get(name, "").find(label))
        expected[name] = f"{family.type} | {', '.join(order) or '-'} | {family.documentation}"
    assert rows == expected


def test_a_machine_is_read_out(tmp_path: Path) -> None:
    """A Jetson's temperatures, load, mode and memory, each with its unit; of another machine what it has."""
    shows = {(r.of.name, r.labels): r.value for r in readings.of_machine(Machine(orin(tmp_path / "orin")).read())}
    assert shows["edge_machine_temperature_celsius", ("tj-thermal",)] == 48.5
    assert shows["edge_machine_gpu_load_ratio", ()] == 0.42
    assert shows["edge_machine_power_mode_info", ("MODE_30W",)] == 1
    assert shows["edge_machine_overcurrent_events", ()] == 7
    assert [r.of.name for r in readings.of_machine(Machine(tmp_path).read())] == ["edge_machine_throttling_devices"]
