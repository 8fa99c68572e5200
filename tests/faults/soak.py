"""Serves for a long time through small faults, and says how memory, descriptors and threads grew.

    python -m tests.faults.soak --minutes 30

A capture process is killed every minute, the broker restarted every two minutes, and the daemon asked ten times a
second. Slopes are straight lines through what was measured after the first fifth of the time, when caches are full.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from collections.abc import Callable
from datetime import datetime, timezone
from pathlib import Path

import numpy as np
import psutil

from edge.commands.mosquitto import Mosquitto
from tests.faults.device import Device, configuration
from tests.faults.ledger import CountingSubscriber
from tests.faults.test_requests import Asker
from tests.integration.conftest import REPOSITORY

_EVERY_S = 2.0
_FIGURES = ("rss_bytes", "descriptors", "threads", "processes")


def measured(device: Device) -> list[float]:
    """Memory, descriptors, threads and processes of the daemon, its capture processes' not among the first three."""
    process = psutil.Process(device.process.pid)
    with process.oneshot():
        memory = float(process.memory_info().rss)
        return [memory, process.num_fds(), process.num_threads(), len(process.children(recursive=True))]


def due(before_s: float, at_s: float, every_s: float) -> bool:
    """Whether a period ended between two times."""
    return int(at_s / every_s) > int(before_s / every_s)


def hurt(before_s: float, at_s: float, device: Device, broker: Mosquitto, asking: list[Asker]) -> None:
    """What goes wrong between two times."""
    if due(before_s, at_s, 60.0):
        device.capture_process("perspective").kill()
    if due(before_s, at_s, 120.0):
        broker.stop()
        time.sleep(2.0)
        broker.start()
        asking[0].stop()
        asking[0] = Asker(broker.port)
    for _ in range(20):
        asking[0].ask("health", b'{"transaction": 1}')


def soaked(minutes: float, say: Callable[[str], None]) -> dict[str, object]:
    """Run it; what it came to."""
    with tempfile.TemporaryDirectory(prefix="edge-soak-") as folder:
        broker = Mosquitto(Path(folder), settings="user root\nallow_anonymous true\n").start()
        subscriber = CountingSubscriber(broker.port).start()
        device = Device(Path(folder), configuration(broker.port)).start()
        try:
            device.serves(subscriber)
            begun_s, asking = time.monotonic(), [Asker(broker.port)]
            rows: list[list[float]] = []
            before_s = 0.0
            while (at_s := time.monotonic() - begun_s) < minutes * 60:
                rows.append([at_s, *measured(device)])
                hurt(before_s, at_s, device, broker, asking)
                subscriber.arrivals.clear()
                if due(before_s, at_s, 300.0):
                    memory, *others = rows[-1][1:]
                    say(f"{at_s / 60:.0f} min: {memory / 2**20:.1f} MiB; descriptors, threads, children {others}")
                before_s = at_s
                time.sleep(_EVERY_S)
            until_s = time.monotonic()
            time.sleep(3)
            asking[0].stop()
            status, took_s = device.end()
            balance = device.balance(subscriber, begun_s, until_s)
        finally:
            device.kill()
            subscriber.stop()
            broker.stop()
    return {
        "at": datetime.now(timezone.utc).isoformat(timespec="minutes"),
        "minutes": round(rows[-1][0] / 60, 1),
        **slopes(rows),
        "lost": balance.said(),
        "not replaced": len(balance.unreplaced),
        "status": status,
        "end_s": round(took_s, 2),
    }


def slopes(rows: list[list[float]]) -> dict[str, object]:
    """First, last and an hour's growth of each figure, after the first fifth."""
    table = np.array(rows)
    table = table[table[:, 0] >= table[-1, 0] / 5]
    found: dict[str, object] = {}
    for column, name in enumerate(_FIGURES, start=1):
        slope = np.polyfit(table[:, 0], table[:, column], 1)[0] * 3600
        found[name] = {"first": table[0, column], "last": table[-1, column], "per_hour": round(float(slope), 1)}
    return found


def main() -> None:
    """Run it and print."""
    parser = argparse.ArgumentParser(prog="python -m tests.faults.soak")
    parser.add_argument("--minutes", type=float, default=30.0)
    found = soaked(parser.parse_args().minutes, lambda text: print(text, flush=True))
    path = REPOSITORY / "build" / "faults" / "soak.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
    print(json.dumps(found, indent=1))


if __name__ == "__main__":
    main()
