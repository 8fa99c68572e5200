"""What it costs to look at a daemon: of `/metrics` and of a health message, counted in calls and not in time."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from types import FrameType
from typing import Any

import pytest
import yaml

from edge.config.sections import load_config
from edge.daemon.supervisor import Daemon
from edge.monitor.machine import Machine
from edge.monitor.metrics import Count
from edge.mqtt.topics import CHANNELS
from edge.scene import TASKS
from tests.brokers import quiet_port
from tests.edge.inference.conftest import model_folder  # noqa: F401 - a fixture

REPOSITORY = Path(__file__).resolve().parents[3]


def calls_of(look: Callable[[], Any]) -> int:
    """How many functions it calls, Python's and C's."""
    calls = 0

    def note(_frame: FrameType, event: str, _argument: Any) -> None:
        nonlocal calls
        calls += event in ("call", "c_call")

    sys.setprofile(note)
    try:
        look()
    finally:
        sys.setprofile(None)
    return calls


@pytest.fixture
def daemon(tmp_path: Path, model_folder: Callable[..., Path]) -> Callable[[int], Daemon]:  # noqa: F811
    """Builds daemons of so many cameras, of which everything has been counted."""
    engines = str(model_folder().parent)

    def build(cameras: int) -> Daemon:
        source = {"type": "replay", "path": str(REPOSITORY / "edge" / "demo" / "perspective"), "fps": 5.0}
        names = [f"camera{n}" for n in range(cameras)]
        path = tmp_path / f"{cameras}.yaml"
        config = {
            "device": {"name": "test"},
            "cameras": [{"name": name, "source": source, "hfov_deg": 75.0, "tasks": ["depth"]} for name in names],
            "inference": {"engines": engines},
            "mqtt": {"host": "127.0.0.1", "port": quiet_port()},
        }
        path.write_text(yaml.safe_dump(config))
        made = Daemon(load_config(path), path=path)
        of_label = {"camera": names, "task": TASKS, "kind": CHANNELS}
        for count in (c for c in vars(made.metrics).values() if isinstance(c, Count)):
            first, second = ([*of_label.get(label, ["one"])] for label in (*count.labels, "", "")[:2])
            for values in ((one, other) for one in first for other in second):
                count.add(*values[: len(count.labels)])
        for name in names:
            made.metrics.latency.labels(name, "depth").observe(0.1)
        return made

    return build


def test_looking_costs_as_much_more_as_there_are_cameras(daemon: Callable[[int], Daemon]) -> None:
    """Eight cameras more cost twice what four more cost, and not four times, whoever looks."""
    costs: dict[str, list[int]] = {}
    for cameras in (4, 8, 16):
        made = daemon(cameras)
        for name, look in (
            ("metrics", made.metrics.text),
            ("health", lambda d=made: d.health(window=False)),
            ("readiness", made.not_ready),
        ):
            look()  # what is imported or compiled at the first look is not counted
            costs.setdefault(name, []).append(calls_of(look))
        made.stop()
    for name, (four, eight, sixteen) in costs.items():
        assert sixteen > eight > four, (name, costs)
        assert sixteen - eight < 2.5 * (eight - four), (name, costs)


def test_one_look_reads_the_machine_once(daemon: Callable[[int], Daemon], monkeypatch: pytest.MonkeyPatch) -> None:
    """Each of its forty files is opened once for a health message, and once for a scrape."""
    reads: list[str] = []
    read = Machine.zones

    def zones(machine: Machine) -> Any:
        reads.append("zones")
        return read(machine)

    monkeypatch.setattr(Machine, "zones", zones)
    made = daemon(1)
    for look in (made.metrics.text, lambda: made.health(window=True)):
        reads.clear()
        look()
        assert reads == ["zones"]
    made.stop()
