"""Fixtures of the fault suite: devices, subscribers that count, servers, figures."""

from __future__ import annotations

import contextlib
import os
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.brokers import Mosquitto, quiet_port
from tests.faults.device import Device, Figures, configuration
from tests.faults.ledger import CountingSubscriber
from tests.integration.conftest import REPOSITORY

FIGURES = REPOSITORY / "build" / "faults" / "figures.jsonl"


@pytest.fixture
def device(tmp_path: Path) -> Iterator[Callable[..., Device]]:
    """Starts daemons with two cameras on a broker's port; they end with the test."""
    running: list[Device] = []

    def start(port: int, environment: dict[str, str] | None = None, **change: Any) -> Device:
        folder = tmp_path / f"device-{len(running)}"
        folder.mkdir()
        running.append(Device(folder, configuration(port, **change), environment or {}))
        return running[-1].start()

    yield start
    for one in running:
        one.kill()


@pytest.fixture
def mosquitto(mosquitto: Callable[..., Mosquitto]) -> Callable[..., Mosquitto]:
    """Starts Mosquitto brokers on ports that stay theirs while they are down."""

    def start(**options: Any) -> Mosquitto:
        return mosquitto(**{"port": quiet_port(), **options})

    return start


@pytest.fixture
def counting() -> Iterator[Callable[..., CountingSubscriber]]:
    """Starts subscribers that count; they end with the test."""
    running: list[CountingSubscriber] = []

    def start(port: int, **options: Any) -> CountingSubscriber:
        running.append(CountingSubscriber(port, **options).start())
        return running[-1]

    yield start
    for one in running:
        one.stop()


@pytest.fixture
def figures() -> Iterator[Figures]:
    """Where a test notes what it measured; written also if it fails."""
    found = Figures(FIGURES)
    yield found
    found.write()


@pytest.fixture
def full_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 256 KiB without a byte left."""
    folder = tmp_path / "full"
    folder.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=256k", "tmpfs", str(folder)], capture_output=True, check=False
    )
    if mounted.returncode:
        pytest.skip("may not mount a small file system here (it needs root)")
    ballast = os.open(folder / "ballast", os.O_WRONLY | os.O_CREAT)
    with contextlib.suppress(OSError):
        while os.write(ballast, b"\0" * 4096):
            pass
    os.close(ballast)
    yield folder
    subprocess.run(["umount", "-l", str(folder)], check=False)
