"""Two daemons of one name, and what a broker keeps of cameras and tasks that are gone."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import pytest

from tests.brokers import Mosquitto, wait_until
from tests.faults.device import CAMERAS, Device, Figures, lasting
from tests.faults.ledger import CountingSubscriber

pytestmark = pytest.mark.faults

Devices = Callable[..., Device]
Counting = Callable[..., CountingSubscriber]
Brokers = Callable[..., Mosquitto]


def kept(counting: Counting, port: int) -> dict[str, bytes]:
    """What the broker has retained."""
    reader = counting(port)
    assert reader.connected.wait(5)
    time.sleep(0.5)
    return {a.topic: a.payload for a in reader.arrivals if a.retained and a.payload}


def test_what_is_kept_of_cameras_that_are_gone(
    device: Devices, counting: Counting, mosquitto: Brokers, figures: Figures
) -> None:
    """After a stop all is offline; after a start with a renamed camera and without a task the old topics are gone."""
    broker = mosquitto()
    subscriber = counting(broker.port)
    run = device(broker.port)
    run.serves(subscriber)
    assert wait_until(lambda: len({a.topic for a in subscriber.on("/room")}) == 2, 20)
    status, _ = run.end()
    stopped = kept(counting, broker.port)
    for topic in ("bridge/state", "panorama/state", "perspective/state"):
        assert b'"offline"' in stopped[f"edge/test/{topic}"]
    again_s = time.monotonic()
    again = device(broker.port, cameras=[{**CAMERAS[0], "name": "attic"}, {**CAMERAS[1], "tasks": ["lighting"]}])
    again.serves(subscriber, since_s=again_s)
    time.sleep(2)
    now = kept(counting, broker.port)
    expected = {f"edge/test/bridge/{t}" for t in ("state", "info", "health")}
    expected |= {f"edge/test/attic/{t}" for t in ("state", "layout", "lighting", "room")}
    expected |= {f"edge/test/perspective/{t}" for t in ("state", "lighting")}
    expected |= {f"homeassistant/device/test/{name}/config" for name in ("bridge", "attic", "perspective")}
    orphans = sorted(set(now) - expected)
    figures.note("21", orphans=orphans, info_bytes=len(now["edge/test/bridge/info"]), status=status)
    assert orphans == []
    assert again.end()[0] == 0


def test_two_daemons_of_one_name(device: Devices, counting: Counting, mosquitto: Brokers, figures: Figures) -> None:
    """With one client id they take the connection from each other; both say why. When one ends the other is online."""
    broker = mosquitto()
    subscriber = counting(broker.port)
    one = device(broker.port)
    one.serves(subscriber)
    begun_s = time.monotonic()
    two = device(broker.port)
    hint = "if another client is called 'edge-test'"
    assert one.said(hint, timeout_s=90)
    assert two.said(hint, timeout_s=90)
    named_s = time.monotonic() - begun_s
    time.sleep(max(lasting(0, 60) - named_s, 0))
    states = [a.payload for a in subscriber.on("bridge/state", begun_s)]
    status, _ = two.end()
    back_s = time.monotonic()
    first_s = one.serves(subscriber, since_s=back_s) - back_s
    wait_until(lambda: subscriber.on("bridge/health", back_s), 5)
    degraded: Any = subscriber.last("bridge/health").get("degraded")
    online = subscriber.last("bridge/state")
    figures.note(
        "22",
        named_s=round(named_s, 1),
        recovery_s=round(first_s, 2),
        state_messages=len(states),
        after_s=round(back_s - begun_s),
        degraded=degraded,
        status=[status, one.end()[0]],
    )
    assert online == {"state": "online"}
    assert any("another client is called" in text for text in degraded)


def test_two_daemons_of_one_name_with_two_client_ids(
    device: Devices, counting: Counting, mosquitto: Brokers, figures: Figures
) -> None:
    """Both publish on one set of topics: both say so in `degraded`; when one stops, the state becomes online again."""
    broker = mosquitto()
    subscriber = counting(broker.port)
    one = device(broker.port)
    one.serves(subscriber)
    two = device(broker.port, mqtt={"client_id": "another"})
    said = "another daemon publishes as 'test'"
    speaking: list[Any] = []

    def both_say_so() -> bool:
        speaking[:] = [a for a in subscriber.on("bridge/health") if said.encode() in a.payload]
        return len(speaking) >= 4

    assert wait_until(both_say_so, 90)
    assert two.end()[0] == 0
    stopped_s = time.monotonic()
    assert wait_until(lambda: subscriber.last("bridge/state") == {"state": "online"}, 10)
    figures.note("22d", online_again_s=round(time.monotonic() - stopped_s, 2), status=one.end()[0])
