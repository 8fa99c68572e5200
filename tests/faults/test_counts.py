"""The three who count agree to the message: `bridge/health`, the last line of the run, and a subscriber."""

from __future__ import annotations

import json
import re
import time
from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest

from tests.brokers import Mosquitto, wait_until
from tests.faults.device import Device, Figures, lasting
from tests.faults.ledger import CountingSubscriber

pytestmark = pytest.mark.faults

LAST_LINE = re.compile(r"published: depth (\d+), layout (\d+), lighting (\d+)")
FRAMES = ("stale", "inference too slow")
"""What `dropped` counts that is no message."""


def fates(health: dict[str, Any]) -> tuple[int, int]:
    """(Messages that there were, messages whose fate is told) of one `bridge/health`."""
    broker = health["broker"]
    dropped = sum(n for reason, n in health["dropped"].items() if reason not in FRAMES)
    told = sum(broker[key] for key in ("confirmed", "written", "queued", "spooled")) + dropped
    return broker["offered"] + broker["restored"], told


def test_everyone_counts_the_same(
    device: Callable[..., Device],
    counting: Callable[..., CountingSubscriber],
    mosquitto: Callable[..., Mosquitto],
    figures: Figures,
) -> None:
    """A broker killed twice, every result kept: none is lost, each health balances, the last line is what arrived."""
    broker = mosquitto()
    subscriber = counting(broker.port)
    assert subscriber.connected.wait(10)
    run = device(broker.port, mqtt={"spool": {"results": "all", "replay_per_s": 200}})
    run.serves(subscriber)
    for outage_s in (lasting(6, 60), lasting(2, 20)):
        broker.stop()
        run.capture_process("perspective").kill()
        time.sleep(outage_s)
        back_s = time.monotonic()
        broker.start()
        run.serves(subscriber, since_s=back_s)

    def drained() -> bool:
        """Whether a health since then says that nothing of the outage waits, on the disk or loaded from there."""
        healths = [json.loads(a.payload)["broker"] for a in subscriber.on("bridge/health", back_s + 2)]
        return any(broker["spooled"] == 0 and broker["queued"] <= 3 for broker in healths)

    assert wait_until(drained, 60)
    status, _ = run.end()
    lost = run.balance(subscriber, 0.0, time.monotonic())
    line = next(text for text in run.heard("published: ") if LAST_LINE.search(text))
    arrived = Counter(key.split("|")[0] for key in subscriber.keys)
    replayed = sum(count - 1 for count in subscriber.keys.values())
    figures.note("counts", lost=lost.said(), line=line, repeated=replayed, status=status)
    assert status == 0
    assert {kind: lost.lost[kind] for kind in ("layout", "lighting", "event")} == dict.fromkeys(
        ("layout", "lighting", "event"), 0
    )
    counted = LAST_LINE.search(line)
    assert counted is not None
    assert (int(counted[2]), int(counted[3])) == (arrived["layout"], arrived["lighting"])
    assert "kept" not in line
    healths = [json.loads(a.payload) for a in subscriber.on("bridge/health")]
    assert len(healths) >= 2  # of an outage the latest alone
    assert [there for there, _ in map(fates, healths)] == [told for _, told in map(fates, healths)]
