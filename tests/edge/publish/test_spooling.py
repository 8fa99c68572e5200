"""What waits on the disk: an outage and a kill lose nothing that was written, and every message has one fate."""

from __future__ import annotations

import contextlib
import json
import random
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from edge.keep.spool import Spool
from edge.mqtt.endpoint import Endpoint
from edge.mqtt.messages import BridgeEvent, timestamp
from edge.mqtt.topics import Topics
from edge.publish import spooling, suspects
from edge.publish.compose import Binary
from edge.publish.publisher import Publisher
from edge.publish.statistics import PublisherStatistics
from tests.brokers import Subscriber, wait_until

REPOSITORY = Path(__file__).parents[3]
TOPICS = Topics("dev")
EVENT, LAYOUT = TOPICS.of("bridge_event"), TOPICS.of("layout", camera="hall")
Start = Callable[..., Publisher]


@dataclass
class Road:
    """The way to a broker, which may be closed: a subscriber is there before the publisher is let through."""

    port: int = 0

    def endpoint(self) -> Endpoint:
        """Where the road leads; nowhere while it is closed."""
        return Endpoint("127.0.0.1", self.port or 1, protocol="5")


@pytest.fixture
def road() -> Road:
    """Closed, until it is given a port."""
    return Road()


@pytest.fixture
def publish(tmp_path: Path, road: Road) -> Iterator[Start]:
    """Starts publishers of a device `dev` with one spool; they end with the test."""
    running: list[Publisher] = []

    def start(*, max_bytes: int = 2**24, **options: Any) -> Publisher:
        spool = Spool(tmp_path / "spool", max_bytes=max_bytes)
        running.append(Publisher(road.endpoint, TOPICS, retry_s=(0.1, 0.2), spool=spool, **options))
        running[-1].start()
        return running[-1]

    yield start
    for publisher in running:
        publisher.stop()


def event(number: int) -> BridgeEvent:
    """An event that can be told from others."""
    return BridgeEvent(device="dev", at=timestamp(time.time()), type="x", message=str(number))


def layout(number: int) -> Binary:
    """A result that can be told from others, as if encoded."""
    return Binary(json.dumps({"frame": number}).encode(), {"captured_at": f"t{number}"})


def heard(seen: Subscriber) -> list[int]:
    """The numbers of the events that arrived, in order."""
    return [int(json.loads(m.payload)["message"]) for m in seen.on(EVENT)]


def replayed(seen: Subscriber) -> list[Any]:
    """The layouts that arrived marked as replayed."""
    return [m for m in seen.on(LAYOUT) if dict(getattr(m.properties, "UserProperty", ())).get("replayed") == "true"]


def balanced(now: PublisherStatistics) -> bool:
    """Whether every message has one fate."""
    fates = sum(now.published.values()) + sum(now.dropped.values()) + now.queued + now.spooled
    return now.offered + now.restored == fates


def files_of(folder: Path) -> dict[str, int]:
    """When each file was written last; nothing while SQLite makes a new one."""
    if not (folder / "spool.db-wal").exists():
        return {}
    return {f.name: f.stat().st_mtime_ns for f in folder.iterdir() if not f.name.endswith(".lock")}


def test_nothing_is_written_while_the_broker_takes_messages(
    mosquitto: Any, publish: Start, road: Road, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Events and results of a sound connection never touch the disk, but for the record of a new topic."""
    monkeypatch.setattr(spooling, "_GRACE_S", 0.5)
    road.port = mosquitto().port
    publisher = publish()
    assert publisher.wait_connected(10)
    publisher.publish("layout", layout(0), camera="hall")
    before: dict[str, int] = {}
    while before != (now := files_of(tmp_path / "spool")) or not now:
        before = now
        time.sleep(0.8)
    for number in range(60):
        publisher.publish("bridge_event", event(number))
        publisher.publish("layout", layout(number), camera="hall")
        time.sleep(0.012)
    assert publisher.flush(5)
    assert files_of(tmp_path / "spool") == before


def test_an_outage_loses_no_event(mosquitto: Any, subscribe: Any, publish: Start, road: Road) -> None:
    """Three times what memory holds, in an outage: all arrive, in order, once; memory holds none of them meanwhile."""
    broker = mosquitto()
    road.port = broker.port
    publisher = publish(durable_limit=100, replay_per_s=1000)
    assert publisher.wait_connected(10)
    road.port = 0
    broker.stop()
    assert wait_until(lambda: not publisher.statistics().connected)
    for number in range(300):
        publisher.publish("bridge_event", event(number))
        if number % 60 == 0:
            assert wait_until(lambda n=number: publisher.statistics().spooled > n, 5)  # type: ignore[misc]
    assert wait_until(lambda: publisher.statistics().spooled == 300, 5), publisher.statistics()
    assert balanced(publisher.statistics())
    broker.start()
    seen = subscribe(broker.port)
    road.port = broker.port
    assert wait_until(lambda: len(seen.on(EVENT)) >= 300, 10), len(seen.on(EVENT))
    publisher.publish("bridge_event", event(300))
    assert wait_until(lambda: len(seen.on(EVENT)) >= 301, 5)
    assert heard(seen) == list(range(301))
    assert publisher.flush(5)
    now = publisher.statistics()
    assert now.published["bridge_event", None] == 301
    assert "queue_full" not in now.dropped
    assert balanced(now)


_CHILD = """
import sys, time
from pathlib import Path
from edge.keep.spool import Spool
from edge.mqtt.endpoint import Endpoint
from edge.mqtt.messages import BridgeEvent, timestamp
from edge.mqtt.topics import Topics
from edge.publish.publisher import Publisher
publisher = Publisher(Endpoint("127.0.0.1", 1), Topics("dev"), spool=Spool(Path(sys.argv[1])))
publisher.start()
number = int(sys.argv[2])
while True:
    event = BridgeEvent(device="dev", at=timestamp(time.time()), type="x", message=str(number))
    publisher.publish("bridge_event", event)
    time.sleep(0.01)
    if publisher.statistics().spooled:
        print(publisher.statistics().spooled, flush=True)
    number += 1
"""


@pytest.mark.slow
def test_a_kill_in_an_outage_loses_nothing_that_was_written(
    mosquitto: Any, subscribe: Any, publish: Start, road: Road, tmp_path: Path
) -> None:
    """Killed twice while the broker is away: the next run delivers what the earlier ones wrote, in order."""
    chance, written = random.Random(3), 0
    for run in range(2):
        command = [sys.executable, "-c", _CHILD, str(tmp_path / "spool"), str(run * 10_000)]
        child = subprocess.Popen(command, cwd=REPOSITORY, stdout=subprocess.PIPE, text=True)
        assert child.stdout is not None
        child.stdout.readline()
        time.sleep(chance.uniform(0.1, 0.4))
        child.send_signal(signal.SIGKILL)
        said = [int(line) for line in child.stdout.read().splitlines()]
        child.stdout.close()
        child.wait(5)
        assert max(said) > written
        written = max(said)
    publisher = publish(replay_per_s=1000)
    assert wait_until(lambda: publisher.statistics().restored >= written, 5)
    road.port = mosquitto().port
    seen = subscribe(road.port)
    assert wait_until(lambda: publisher.statistics().published.get(("bridge_event", None), 0) >= written, 10)
    assert publisher.flush(10)
    found = heard(seen)
    assert found == sorted(set(found)), "in order, and once"
    for run in range(2):
        mine = [n - run * 10_000 for n in found if n // 10_000 == run]
        assert mine == list(range(len(mine))), "without a hole"
    assert balanced(publisher.statistics())


def test_every_result_of_an_outage_is_replayed(
    mosquitto: Any, subscribe: Any, publish: Start, road: Road, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In order, not retained, with its own time and marked; the newest is what the broker keeps; live ones go on."""
    monkeypatch.setattr(suspects, "STEADY_S", 0.0)  # a short connection is followed by a slow one
    broker = mosquitto()
    road.port = broker.port
    publisher = publish(all_results=True, replay_per_s=100)
    assert publisher.wait_connected(10)
    publisher.publish("layout", layout(0), camera="hall")
    assert publisher.flush(5)
    road.port = 0
    broker.stop()
    assert wait_until(lambda: not publisher.statistics().connected)
    for number in range(1, 100):
        publisher.publish("layout", layout(number), camera="hall")
        time.sleep(0.002)
    assert wait_until(lambda: publisher.statistics().spooled == 98, 5)
    broker.start()
    seen = subscribe(broker.port)
    road.port = broker.port
    assert publisher.wait_connected(10)
    for number in range(20):
        publisher.publish("depth", Binary(b"%d" % number, {}), camera="hall")
        time.sleep(0.01)
    assert wait_until(lambda: len(seen.on(TOPICS.of("depth", camera="hall"))) == 20, 0.5), "live results do not wait"
    assert len(seen.on(LAYOUT)) < 90
    assert wait_until(lambda: len(replayed(seen)) >= 98, 10)
    old = replayed(seen)
    assert [json.loads(m.payload)["frame"] for m in old] == list(range(1, 99))
    assert dict(old[0].properties.UserProperty)["captured_at"] == "t1"
    assert not any(m.retain for m in old)
    assert json.loads(subscribe(broker.port).wait(LAYOUT)[0].payload)["frame"] == 99
    assert publisher.flush(5)
    assert publisher.statistics().published["layout", "hall"] == 100
    assert "superseded" not in publisher.statistics().dropped
    assert balanced(publisher.statistics())


def test_a_replay_is_paced(mosquitto: Any, subscribe: Any, publish: Start, road: Road) -> None:
    """So many messages a second, and no burst in the beginning."""
    publisher = publish(replay_per_s=50)
    for number in range(100):
        publisher.publish("bridge_event", event(number))
    assert wait_until(lambda: publisher.statistics().spooled == 100, 5)
    road.port = mosquitto().port
    seen = subscribe(road.port)
    assert publisher.wait_connected(10)
    begun_s = time.monotonic()
    assert wait_until(lambda: len(seen.on(EVENT)) >= 60, 10)
    assert 0.9 < time.monotonic() - begun_s < 3.0


def test_what_was_left_is_sent_by_the_next_run(mosquitto: Any, subscribe: Any, publish: Start, road: Road) -> None:
    """After an orderly stop without a broker: events and the latest result, which a newer one would replace."""
    first = publish()
    for number in range(5):
        first.publish("bridge_event", event(number))
        first.publish("layout", layout(number), camera="hall")
        first.publish("lighting", layout(number), camera="hall")
    first.stop()
    left = first.statistics()
    assert left.spooled == 7, "five events and the latest of two topics"
    assert left.spool_oldest_s is not None
    assert 0 <= left.spool_oldest_s < 60
    assert balanced(left)
    second = publish()
    assert wait_until(lambda: second.statistics().restored == 7, 5), second.statistics()
    second.publish("lighting", layout(9), camera="hall")
    port = mosquitto().port
    seen = subscribe(port)
    road.port = port
    assert second.wait_connected(10)
    assert second.flush(10)
    assert wait_until(lambda: len(seen.on(EVENT)) == 5)
    assert heard(seen) == list(range(5))
    assert json.loads(seen.wait(LAYOUT)[-1].payload) == {"frame": 4}
    assert json.loads(seen.wait(TOPICS.of("lighting", camera="hall"))[-1].payload) == {"frame": 9}
    assert second.statistics().dropped["superseded"] == 1
    assert balanced(second.statistics())
    second.stop()
    third = publish()
    assert third.wait_connected(10)
    assert third.flush(5)
    assert third.statistics().restored == 0
    assert third.statistics().spool_oldest_s is None


def test_more_than_the_bound_loses_the_oldest_and_says_so(
    mosquitto: Any, subscribe: Any, publish: Start, road: Road
) -> None:
    """What the disk had no room for is counted; what is left arrives in order, the newest among it."""
    publisher = publish(max_bytes=2**20, replay_per_s=1000)
    chance = random.Random(1)
    for number in range(60):
        content = {"message": str(number), "pad": chance.randbytes(4000).hex()}
        publisher.publish("bridge_event", Binary(json.dumps(content).encode(), {}))
        time.sleep(0.01)
    assert wait_until(lambda: publisher.statistics().dropped.get("spool_full", 0) > 0, 5)
    assert wait_until(lambda: publisher.statistics().queued <= 1, 5)
    lost = publisher.statistics().dropped["spool_full"]
    assert balanced(publisher.statistics())
    port = mosquitto().port
    seen = subscribe(port)
    road.port = port
    assert wait_until(lambda: len(heard(seen)) >= 60 - lost, 10)
    assert heard(seen) == list(range(lost, 60))


def test_a_spool_that_is_in_use_is_said(mosquitto: Any, publish: Start, road: Road, tmp_path: Path) -> None:
    """Two daemons with one folder: both serve, and the second says what to do."""
    road.port = mosquitto().port
    first = publish()
    assert first.wait_connected(10)
    assert wait_until(lambda: (tmp_path / "spool" / "spool.db").exists())
    second = publish(client_id="second")
    assert wait_until(lambda: any("mqtt.spool.folder" in text for text in second.degraded()), 5)
    assert not first.degraded()
    second.publish("bridge_event", event(1))
    assert second.wait_connected(10)
    assert second.flush(5)
    assert second.statistics().published["bridge_event", None] == 1


def test_a_folder_that_cannot_be_made_is_said(
    mosquitto: Any, subscribe: Any, publish: Start, road: Road, tmp_path: Path
) -> None:
    """The daemon serves from memory, and nothing that fits there is lost."""
    (tmp_path / "spool").write_text("no folder")
    publisher = publish(all_results=True)
    assert wait_until(lambda: any("mqtt.spool.folder" in text for text in publisher.degraded()), 5)
    for number in range(20):
        publisher.publish("bridge_event", event(number))
        publisher.publish("layout", layout(number), camera="hall")
    port = mosquitto().port
    seen = subscribe(port)
    road.port = port
    assert wait_until(lambda: len(heard(seen)) == 20 and len(seen.on(LAYOUT)) == 20, 10)
    assert heard(seen) == list(range(20))
    assert balanced(publisher.statistics())


def test_a_disk_that_is_full_for_a_while_is_said(publish: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    """Messages wait in memory until there is room, and go to the disk then; what is degraded passes with it."""
    monkeypatch.setattr(spooling, "_RETRY_S", 0.2)
    full = [True]
    add = Spool.add

    def refuse(self: Spool, *arguments: Any, **options: Any) -> list[int]:
        if full[0]:
            self._connection.execute("CREATE TABLE no_room (x)")
            raise sqlite3.OperationalError("database or disk is full")
        return add(self, *arguments, **options)

    monkeypatch.setattr(Spool, "add", refuse)
    publisher = publish()
    for number in range(10):
        publisher.publish("bridge_event", event(number))
    assert wait_until(lambda: any("make room there" in text for text in publisher.degraded()), 5)
    assert publisher.statistics().spooled == 0
    full[0] = False
    assert wait_until(lambda: publisher.statistics().spooled == 10, 5)
    assert wait_until(lambda: not any("make room" in text for text in publisher.degraded()), 5)
    assert balanced(publisher.statistics())


def test_a_damaged_spool_is_set_aside_and_said(
    mosquitto: Any, subscribe: Any, publish: Start, road: Road, tmp_path: Path
) -> None:
    """The daemon serves on, with a new one, and tells where the old one is."""
    (tmp_path / "spool").mkdir()
    (tmp_path / "spool" / "spool.db").write_bytes(random.Random(5).randbytes(50_000))
    publisher = publish()
    assert wait_until(lambda: any("spool.damaged" in text for text in publisher.degraded()), 5)
    publisher.publish("bridge_event", event(1))
    assert wait_until(lambda: publisher.statistics().spooled == 1, 5)
    port = mosquitto().port
    seen = subscribe(port)
    road.port = port
    assert wait_until(lambda: heard(seen) == [1], 10)
    assert (tmp_path / "spool" / "spool.damaged").stat().st_size == 50_000


def test_topics_of_gone_cameras_are_cleared_by_the_record(
    mosquitto: Any, subscribe: Any, publish: Start, road: Road, tmp_path: Path
) -> None:
    """Where the broker does not let the device read its own topics: those of the camera that stays are not touched."""
    (tmp_path / "acl").write_text("topic write edge/dev/#\nuser reader\ntopic read #\n")
    (tmp_path / "acl").chmod(0o644)
    road.port = mosquitto(settings=f"allow_anonymous true\nacl_file {tmp_path / 'acl'}\n").port
    first = publish()
    for camera in ("hall", "attic"):
        first.publish("layout", layout(1), camera=camera)
        first.publish("camera_state", Binary(b"{}", {}), camera=camera)
    assert first.wait_connected(10)
    assert first.flush(5)
    first.stop()
    kept = {TOPICS.of("layout", camera="hall"), TOPICS.of("camera_state", camera="hall")}
    second = publish(retained=kept)
    assert second.wait_connected(10)
    assert wait_until(lambda: second.statistics().published.get(("layout", None)) == 1, 5)
    assert second.flush(5)
    second.stop()
    with contextlib.closing(Spool(tmp_path / "spool")) as spool:
        spool.open()
        assert set(spool.published()) == kept
    third = publish(retained=kept)
    assert third.wait_connected(10)
    assert third.flush(5)
    assert set(third.statistics().published) == {("bridge_state", None)}
