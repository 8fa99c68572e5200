"""A device under a fault: a broker that can be hurt, `edge run` as a process, a subscriber that counts, and figures."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil
import pytest
import yaml

from tests.brokers import wait_until
from tests.faults.ledger import Balance, CountingSubscriber, balance, noted
from tests.integration.conftest import PANORAMA, PERSPECTIVE, REPOSITORY

TASKS = {"layout": {"every_s": 1.0}, "lighting": {"every_s": 0.5}}
CAMERAS = [{**camera, "tasks": ["layout", "lighting"]} for camera in (PANORAMA, PERSPECTIVE)]
LONG = os.environ.get("FAULTS") == "long"
"""Whether outages last as long as in docs/reliability.md; in the daily run they are shorter."""


long_only = pytest.mark.skipif(not LONG, reason="a case much like another: with FAULTS=long")


def lasting(short_s: float, long_s: float) -> float:
    """How long an outage is to last."""
    return long_s if LONG else short_s


RECOVERY_S = 10.0
"""From the moment a broker answers again, or a camera is there again, to the first new result, at most."""


def crowding() -> float:
    """How many processes have wanted each processor in the last minute, at least 1."""
    return max(1.0, os.getloadavg()[0] / (os.cpu_count() or 1))


def soon(took_s: float, within_s: float = 5.0) -> bool:
    """Whether it took less than promised, which is of a processor that others want no more than the daemon."""
    return took_s < within_s * crowding()


def command_of(process: psutil.Process) -> list[str]:
    """The command line of a process; empty once it has ended."""
    try:
        return process.cmdline()
    except psutil.Error:
        return []


def configuration(port: int, **change: Any) -> dict[str, Any]:
    """Two cameras, six QoS-1 results a second, of which none may be lost."""
    mqtt = {"host": "127.0.0.1", "port": port, "spool": {"results": "all"}, **change.pop("mqtt", {})}
    return {
        "device": {"name": "test"},
        "cameras": CAMERAS,
        "tasks": TASKS,
        "inference": {"engines": str(REPOSITORY / "engines"), "backend": "ort-cpu", "threads": 1},
        "mqtt": mqtt,
        "health": {"every_s": 2},
        **change,
    }


@dataclass
class Device:
    """One daemon, with everything that it said and handed over."""

    folder: Path
    config: dict[str, Any]
    environment: dict[str, str] = field(default_factory=dict)
    lines: list[tuple[float, str]] = field(default_factory=list)
    rss_bytes: list[int] = field(default_factory=list)

    def start(self) -> Device:
        """Start the process; its output and its memory are collected."""
        self.path, self.record = self.folder / "config.yaml", self.folder / "record.jsonl"
        self.path.write_text(yaml.safe_dump(self.config), encoding="utf-8")
        command = [sys.executable, "-m", "tests.faults.recorded", str(self.record)]
        self.process = subprocess.Popen(
            [*command, "run", "--quiet", "--config", str(self.path)],
            cwd=REPOSITORY,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            env={**os.environ, "XDG_STATE_HOME": str(self.folder / "state"), **self.environment},
        )
        self.started_s = time.monotonic()
        self._readers = [threading.Thread(target=job, daemon=True) for job in (self._collect, self._measure)]
        for reader in self._readers:
            reader.start()
        return self

    def _collect(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self.lines.append((time.monotonic(), line.rstrip("\n")))

    def _measure(self) -> None:
        while self.process.poll() is None:
            try:
                self.rss_bytes.append(psutil.Process(self.process.pid).memory_info().rss)
            except psutil.Error:
                return
            time.sleep(0.5)

    def said(self, text: str, timeout_s: float = 30.0, since_s: float = 0.0) -> bool:
        """Whether a line with `text` came since then, waiting for it."""
        wait_until(lambda: self.heard(text, since_s) or self.process.poll() is not None, timeout_s)
        return bool(self.heard(text, since_s))

    def heard(self, text: str = "", since_s: float = 0.0) -> list[str]:
        """The lines with `text` that came since then."""
        return [line for at_s, line in list(self.lines) if at_s >= since_s and text in line]

    def serves(self, subscriber: CountingSubscriber, timeout_s: float = 60.0, since_s: float = 0.0) -> float:
        """Wait until a result of every camera arrived since then; when the first did (monotonic clock)."""
        names = {camera["name"] for camera in self.config["cameras"]}

        def seen() -> set[str]:
            return {arrival.topic.split("/")[-2] for arrival in subscriber.results(since_s)}

        assert wait_until(lambda: names <= seen(), timeout_s), (seen(), self.heard()[-20:])
        return subscriber.results(since_s)[0].at_s

    def produced(self, since_s: float = 0.0) -> int:
        """How many counted messages were handed over since then."""
        return sum(at_s >= since_s for at_s, _ in noted(self.record))

    def handed_over(self) -> list[tuple[float, str]]:
        """All counted messages: when, and their keys."""
        return noted(self.record)

    def children(self) -> list[psutil.Process]:
        """Its capture processes."""
        return psutil.Process(self.process.pid).children(recursive=True)

    def capture_process(self, camera: str, timeout_s: float = 30.0) -> psutil.Process:
        """The capture process of one camera, waiting for it to be started (again)."""
        found: list[psutil.Process] = []

        def seen() -> bool:
            found[:] = [child for child in self.children() if {"edge.cameras.child", camera} <= set(command_of(child))]
            return bool(found)

        assert wait_until(seen, timeout_s), (camera, self.heard()[-5:])
        return found[0]

    def end(self, number: signal.Signals = signal.SIGTERM, timeout_s: float = 15.0) -> tuple[int, float]:
        """Send a signal; the exit status and how long it took."""
        begun_s = time.monotonic()
        self.process.send_signal(number)
        status = self.process.wait(timeout_s)
        took_s = time.monotonic() - begun_s
        for reader in self._readers:
            reader.join(5)
        return status, took_s

    def kill(self) -> None:
        """Clean up after a test."""
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait(5)
        for reader in self._readers:
            reader.join(5)
        assert self.process.stdout is not None
        self.process.stdout.close()

    def balance(self, subscriber: CountingSubscriber, since_s: float, until_s: float) -> Balance:
        """What was handed over in that time and never arrived."""
        return balance(self.record, subscriber.keys, since_s, until_s)

    def memory(self) -> str:
        """Its resident memory, once it served and at most, MiB."""
        return f"{self.rss_bytes[min(20, len(self.rss_bytes) - 1)] >> 20}/{max(self.rss_bytes) >> 20}"


@dataclass
class Figures:
    """What one fault came to, for docs/reliability.md."""

    path: Path
    row: str = ""
    found: dict[str, Any] = field(default_factory=dict)

    def note(self, row: str, **found: Any) -> None:
        """Add to the row's figures."""
        self.row = row
        self.found |= found

    def write(self) -> None:
        """Append them to the file of this run."""
        if self.row:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            with self.path.open("a", encoding="utf-8") as file:
                file.write(json.dumps({"row": self.row, "load": round(os.getloadavg()[0], 1), **self.found}) + "\n")
