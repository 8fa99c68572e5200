"""The time of day steps while it serves: by a day, back by an hour, and from 1970 to today."""

from __future__ import annotations

import json
import shutil
import struct
import subprocess
import time
from collections.abc import Callable
from datetime import datetime, timezone
from pathlib import Path

import pytest

from tests.brokers import Mosquitto, wait_until
from tests.faults.device import Device, Figures, lasting
from tests.faults.ledger import CountingSubscriber

pytestmark = [
    pytest.mark.faults,
    pytest.mark.skipif(shutil.which("cc") is None, reason="there is no C compiler; the clock's shim is made with it"),
]


NOMINAL_HZ = 6.0
"""Results that are due in a second."""


class Clock:
    """A time of day of its own for processes that are started with `environment`."""

    def __init__(self, folder: Path) -> None:
        """Right at first."""
        shim, self._file = folder / "clock.so", folder / "offset"
        source = Path(__file__).with_name("clock_shim.c")
        subprocess.run(["cc", "-shared", "-fPIC", "-O1", "-o", shim, source, "-ldl", "-lm"], check=True)
        self._file.write_bytes(struct.pack("d", 0.0))
        self.environment = {"LD_PRELOAD": str(shim), "CLOCK_OFFSET": str(self._file)}

    def set(self, offset_s: float) -> None:
        """So far from the right time, from now on."""
        with self._file.open("r+b") as file:
            file.write(struct.pack("d", offset_s))


def rate_hz(subscriber: CountingSubscriber, count: int) -> float:
    """How many results a second come from now on, by so many of them; they must not stop."""
    since_s = time.monotonic()
    assert wait_until(lambda: len(subscriber.results(since_s)) >= count, 20 * count / NOMINAL_HZ), "no results any more"
    return count / (time.monotonic() - since_s)


def seconds(text: str) -> float:
    """A message's time, s since the epoch."""
    return datetime.strptime(text, "%Y-%m-%dT%H:%M:%S.%fZ").replace(tzinfo=timezone.utc).timestamp()


@pytest.mark.parametrize(("row", "steps"), [("19", (86400.0, -3600.0)), ("19z", (20.0 - time.time(), 0.0))])
def test_the_clock_is_set(
    device: Callable[..., Device],
    counting: Callable[..., CountingSubscriber],
    mosquitto: Callable[..., Mosquitto],
    figures: Figures,
    tmp_path: Path,
    row: str,
    steps: tuple[float, float],
) -> None:
    """Rates, latencies and the connection do not change, it is told, and what is retained gets the new time."""
    clock = Clock(tmp_path)
    if row == "19z":
        clock.set(steps[0])
    broker = mosquitto()
    subscriber = counting(broker.port)
    run = device(broker.port, environment=clock.environment)
    run.serves(subscriber)
    expected = int(NOMINAL_HZ * lasting(5, 15))
    rates = [rate_hz(subscriber, expected)]
    hurt_s = time.monotonic()
    for offset_s in steps:
        at_s = time.monotonic()
        clock.set(offset_s)
        rates.append(rate_hz(subscriber, expected))
        said = seconds(str(json.loads(subscriber.results(at_s)[-1].payload)["captured_at"]))
        assert abs(said - time.time() - offset_s) < 30
    health = subscriber.last("bridge/health")
    set_events = [a for a in subscriber.on("bridge/event", hurt_s) if b"clock_set" in a.payload]
    state = seconds(str(subscriber.last("/panorama/state")["since"]))
    until_s = time.monotonic()
    time.sleep(1)
    status, took_s = run.end()
    lost = run.balance(subscriber, hurt_s, until_s)
    latencies = [json.loads(a.payload)["latency_ms"] for a in subscriber.results(hurt_s)]
    figures.note(
        row,
        lost=lost.said(),
        rates_hz=[round(rate, 2) for rate in rates],
        most_latency_ms=max(latencies),
        reconnects=health["broker"]["reconnects"],  # type: ignore[index]
        events=len(set_events),
        status=status,
        end_s=round(took_s, 2),
        said=run.heard("clock"),
        rss_mib=run.memory(),
    )
    assert not lost.unreplaced
    assert max(rates) < 1.5 * NOMINAL_HZ
    assert 0 <= min(latencies) <= max(latencies) < 60_000, "a step is of an hour, or more"
    assert health["broker"]["reconnects"] == 0  # type: ignore[index]
    assert len(set_events) == (2 if row == "19" else 1)
    assert abs(state - time.time() - steps[1]) < 120
    assert wait_until(lambda: run.process.poll() == 0, 1)
