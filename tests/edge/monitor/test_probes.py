"""Throughput, process and watchdog probes."""

from __future__ import annotations

import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from edge.monitor.process import memory_bytes
from edge.monitor.throughput import Throughput
from edge.monitor.watchdog import Watchdog, extending, notify


class Clock:
    """Time that only the test moves."""

    now_s = 50.0

    def __call__(self) -> float:
        """Now."""
        return self.now_s


def test_rates_and_percentiles_of_a_window() -> None:
    """Twenty results in ten seconds are 2 Hz; percentiles are numpy's; a task that never came shows as 0 Hz."""
    clock = Clock()
    probe = Throughput([("a", "depth"), ("a", "layout")], clock)
    latencies = np.random.default_rng(0).uniform(0.01, 0.2, 20)
    for latency in latencies:
        probe.note("a", "depth", latency)
    clock.now_s += 10
    depth, layout = probe.window()
    assert depth.rate_hz == pytest.approx(2)
    assert depth.latency_ms == pytest.approx(tuple(np.percentile(latencies * 1000, (50, 99))))
    assert (layout.rate_hz, layout.latency_ms) == (0, None)


def test_a_window_starts_afresh() -> None:
    """What was read out is not counted again."""
    probe = Throughput([("a", "depth")], Clock())
    probe.note("a", "depth", 0.1)
    probe.window()
    assert probe.window()[0].rate_hz == 0


def test_memory_counts_children() -> None:
    """A child that holds 64 MiB adds at least that."""
    before = memory_bytes()
    code = "x = bytearray(b'1') * (64 << 20); print('ready', flush=True); input()"
    with subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as child:
        assert child.stdout is not None
        child.stdout.readline()
        assert memory_bytes() - before > 60 << 20
        child.communicate(b"\n")


@pytest.fixture
def systemd(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[socket.socket]:
    """A real datagram socket where systemd would listen."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listener:
        listener.bind(str(tmp_path / "notify"))
        listener.setblocking(False)
        monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "notify"))
        monkeypatch.setenv("WATCHDOG_USEC", "30000000")
        yield listener


def test_notifications_reach_systemd(systemd: socket.socket) -> None:
    """Lines go out as one datagram, as sd_notify(3) says."""
    assert notify("READY=1", "STATUS=two cameras")
    assert systemd.recv(1024) == b"READY=1\nSTATUS=two cameras"


@pytest.mark.timeout(10)
def test_a_service_manager_that_hangs_hangs_nothing(systemd: socket.socket) -> None:
    """Where nobody reads what is told, telling it returns at once and says so; afterwards it is heard again."""
    told = [notify("STATUS=on and on") for _ in range(2000)]
    assert told[0] and not told[-1]
    for _ in range(sum(told)):
        systemd.recv(1024)
    assert notify("STATUS=back")


@pytest.mark.timeout(10)
def test_what_systemd_waits_for_reaches_one_that_is_behind(systemd: socket.socket) -> None:
    """READY=1 finds no room, and arrives once there is; where nobody reads for a second it is given up."""
    waiting = 0
    while notify("STATUS=on and on"):
        waiting += 1
    assert not notify("READY=1", "STATUS=two cameras")
    reading = threading.Timer(0.2, lambda: [systemd.recv(1024) for _ in range(waiting)])
    reading.start()
    assert notify("READY=1", "STATUS=two cameras")
    reading.join()
    assert systemd.recv(1024) == b"READY=1\nSTATUS=two cameras"


def test_each_report_of_a_long_start_asks_for_more_time(systemd: socket.socket) -> None:
    """Systemd gets microseconds and a status, and whoever listened before still does."""
    said: list[str] = []
    tell = extending(said.append, by_s=90)
    tell("depth: building")
    assert systemd.recv(1024) == b"EXTEND_TIMEOUT_USEC=90000000\nSTATUS=depth: building"
    tell("depth: done")
    assert systemd.recv(1024).endswith(b"STATUS=depth: done")
    assert said == ["depth: building", "depth: done"]


def test_nobody_listens(monkeypatch: pytest.MonkeyPatch) -> None:
    """Outside systemd nothing is sent and nothing fails."""
    monkeypatch.delenv("NOTIFY_SOCKET", raising=False)
    monkeypatch.delenv("WATCHDOG_USEC", raising=False)
    assert not notify("READY=1")
    assert not Watchdog().look(1, excused=True)


def test_the_watchdog_is_fed_on_progress_only(systemd: socket.socket) -> None:
    """Progress feeds it at a third of its period; a standstill does not, unless every camera is down."""
    clock = Clock()
    watchdog = Watchdog(clock)
    assert watchdog.look(1, excused=False)
    assert not watchdog.look(2, excused=False)
    clock.now_s += 10
    assert watchdog.look(2, excused=False)
    clock.now_s += 10
    assert not watchdog.look(2, excused=False)
    assert watchdog.look(2, excused=True)
    assert systemd.recv(64) == b"WATCHDOG=1"
