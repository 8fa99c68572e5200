"""What waits on the disk while the daemon is killed, the disk is full, or the file is not what it was."""

from __future__ import annotations

import random
import signal
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.brokers import Mosquitto, quiet_port, wait_until
from tests.faults.device import Device, Figures, crowding, lasting, soon
from tests.faults.ledger import CountingSubscriber

pytestmark = pytest.mark.faults

Devices = Callable[..., Device]
Counting = Callable[..., CountingSubscriber]
Brokers = Callable[..., Mosquitto]

WRITTEN_S = 5.0
"""Results of an outage are on the disk so long after they were handed over, at the latest; events at once."""


def test_a_daemon_that_is_killed_in_an_outage(
    device: Devices, counting: Counting, mosquitto: Brokers, figures: Figures
) -> None:
    """SIGKILL with no broker, a new start, and then a broker: all that was written arrives, in order."""
    port = quiet_port()
    subscriber, first = counting(port), device(port)
    assert wait_until(lambda: first.produced() > 12, 60)
    first.capture_process("perspective").kill()
    time.sleep(lasting(6, 20) + WRITTEN_S * (crowding() - 1.0))
    killed_s = time.monotonic()
    first.end(signal.SIGKILL)
    second = device(port, environment={"XDG_STATE_HOME": str(first.folder / "state")})
    assert wait_until(lambda: second.produced() > 0, 60)
    mosquitto(port=port)
    back_s = time.monotonic()
    recovery_s = second.serves(subscriber, since_s=back_s) - back_s
    until_s = killed_s - WRITTEN_S * crowding()
    wait_until(lambda: not first.balance(subscriber, 0.0, until_s).missing_results, 30)
    time.sleep(2)
    status, took_s = second.end()
    written = first.balance(subscriber, 0.0, until_s)
    last = first.balance(subscriber, until_s, killed_s)
    ours = [key for _, key in first.handed_over() if key.startswith("lighting|panorama|")]
    arrived = [key for key in subscriber.keys if key in set(ours)]  # by their first arrivals
    figures.note(
        "25",
        recovery_s=round(recovery_s, 2),
        lost=written.said(),
        last_two_seconds=last.said(),
        status=status,
        end_s=round(took_s, 2),
    )
    assert written.missing_results == ()
    assert written.lost["event"] == 0
    assert arrived == [key for key in ours if key in set(arrived)]
    assert (status, soon(took_s)) == (0, True)


def test_a_spool_without_room(
    device: Devices, counting: Counting, mosquitto: Brokers, figures: Figures, full_disk: Path
) -> None:
    """A full disk below it: said, served on, and an outage that memory holds costs no event."""
    broker = mosquitto()
    subscriber = counting(broker.port)
    run = device(broker.port, mqtt={"spool": {"results": "all", "folder": str(full_disk / "spool")}})
    run.serves(subscriber)
    hurt_s = time.monotonic()
    broker.stop()
    run.capture_process("perspective").kill()
    time.sleep(lasting(5, 15))
    broker.start()
    back_s = time.monotonic()
    run.serves(subscriber, since_s=back_s)
    time.sleep(3)
    until_s = time.monotonic()
    degraded = subscriber.last("bridge/health")["degraded"]
    status, took_s = run.end()
    lost = run.balance(subscriber, hurt_s, until_s - 2)
    figures.note("18s", lost=lost.said(), degraded=degraded, status=status, end_s=round(took_s, 2))
    assert lost.unreplaced == ()
    assert any("spool" in str(text) for text in degraded)  # type: ignore[attr-defined]
    assert (status, soon(took_s)) == (0, True)


@pytest.mark.parametrize("content", ["random bytes", "cut", "empty"])
def test_a_spool_that_is_damaged(
    device: Devices, counting: Counting, mosquitto: Brokers, figures: Figures, content: str, tmp_path: Path
) -> None:
    """Whatever lies where the file should be, it is set aside and said; the daemon serves and keeps messages anew."""
    folder = tmp_path / "spool"
    folder.mkdir(mode=0o700)
    sound = b"SQLite format 3\0" + random.Random(1).randbytes(30_000)
    data = {"random bytes": random.Random(2).randbytes(50_000), "cut": sound, "empty": b""}[content]
    (folder / "spool.db").write_bytes(data)
    broker = mosquitto()
    subscriber = counting(broker.port)
    run = device(broker.port, mqtt={"spool": {"results": "all", "folder": str(folder)}})
    run.serves(subscriber)
    hurt_s = time.monotonic()
    broker.stop()
    time.sleep(4)
    broker.start()
    first_s = run.serves(subscriber, since_s=time.monotonic())
    wait_until(lambda: not run.balance(subscriber, hurt_s, first_s).missing_results, 30)
    status, took_s = run.end()
    lost = run.balance(subscriber, hurt_s, first_s)
    figures.note("26", content=content, lost=lost.said(), said=run.heard("spool"), status=status)
    assert lost.missing_results == ()
    assert content == "empty" or (run.heard("spool") and (folder / "spool.damaged").exists())
    assert (status, soon(took_s)) == (0, True)
