"""What is served of a running daemon: the exposition's form, what lives and what serves."""

from __future__ import annotations

import re
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from prometheus_client import Metric
from prometheus_client.parser import text_string_to_metric_families

from edge.daemon import outside
from edge.monitor.machine import Machine
from edge.monitor.metrics import Metrics, Reading, Shown
from tests.edge.monitor.orin import orin

REPOSITORY = Path(__file__).resolve().parents[3]
UNITS = ("_seconds", "_bytes", "_celsius", "_ratio")
"""Base units of Prometheus' naming page; https://prometheus.io/docs/practices/naming/."""
NO_UNIT = ("ms", "milliseconds", "minutes", "hours", "kb", "kib", "mb", "mib", "megabytes", "percent", "fahrenheit")


def shown() -> dict[str, Shown]:
    """Everything that is read when somebody looks, by its name."""
    return {s.name: s for s in vars(outside).values() if isinstance(s, Shown)}


def exposed() -> dict[str, Metric]:
    """The families of a daemon, with one reading of each, through the text and back."""
    metrics = Metrics()
    metrics.expose(lambda: [Reading(s, 1.0, tuple("v" for _ in s.labels)) for s in shown().values()])
    metrics.latency.labels("hall", "depth").observe(0.2)
    for count in vars(metrics).values():
        if hasattr(count, "add"):
            count.add(*("v" for _ in count._labels))
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
    readings = {(r.of.name, r.labels): r.value for r in outside.of_machine(Machine(orin(tmp_path / "orin")).read())}
    assert readings["edge_machine_temperature_celsius", ("tj-thermal",)] == 48.5
    assert readings["edge_machine_gpu_load_ratio", ()] == 0.42
    assert readings["edge_machine_power_mode_info", ("MODE_30W",)] == 1
    assert readings["edge_machine_overcurrent_events", ()] == 7
    assert [r.of.name for r in outside.of_machine(Machine(tmp_path).read())] == ["edge_machine_throttling_devices"]


def camera(name: str, state: str) -> Any:
    """What is looked at of a camera."""
    return SimpleNamespace(name=name, state=state)


@pytest.mark.parametrize(
    ("states", "engines", "connected", "infers", "said"),
    [
        (("online", "offline"), ["depth"], True, True, ()),
        (("frozen", "offline"), ["depth"], True, True, ("no camera is online: c0 is frozen, c1 is offline",)),
        (("online",), ["depth"], False, True, ("not connected to the broker",)),
        (("online",), [], True, False, ("no engine is loaded", "inference does not run")),
    ],
)
def test_it_serves_with_a_broker_engines_and_one_camera(
    states: tuple[str, ...], engines: list[Any], connected: bool, infers: bool, said: tuple[str, ...]
) -> None:
    """One camera of several is enough; else each thing that is missing is named."""
    cameras = [camera(f"c{n}", state) for n, state in enumerate(states)]
    assert outside.not_ready(cameras, engines, connected=connected, infers=infers) == said


def test_it_lives_while_it_turns_and_inference_goes_on() -> None:
    """A supervisor that stands still, or networks that do while a camera is there, are told apart; an excuse counts."""
    now_s = [100.0]
    pulse = outside.Pulse(lambda: now_s[0])
    assert pulse.dead() is None
    now_s[0] += 31
    assert pulse.dead() == "the supervisor has hung for 31 s"
    for progress in range(5):
        pulse.note(progress, excused=False)
        now_s[0] += 29
        assert pulse.dead() is None
    for _ in range(3):
        pulse.note(4, excused=False)
        now_s[0] += 25
    assert pulse.dead() == "inference has hung for 104 s"
    pulse.note(4, excused=True)
    assert pulse.dead() is None
