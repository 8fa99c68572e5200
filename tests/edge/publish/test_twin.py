"""Two daemons of one name on one broker: both say so, and neither leaves the other offline."""

from __future__ import annotations

import time
from typing import Any

import pytest

from edge.mqtt.endpoint import Endpoint
from edge.mqtt.link import Incoming
from edge.mqtt.messages import BridgeInfo, timestamp
from edge.mqtt.topics import Topics
from edge.publish.publisher import Publisher
from edge.publish.twin import Twin
from tests.brokers import wait_until

TOPICS = Topics("dev")
INFO = TOPICS.of("bridge_info")


def info(run: str, device: str = "dev") -> BridgeInfo:
    """What a run of the daemon says of itself."""
    return BridgeInfo(
        device=device,
        version="1",
        run=run,
        started_at=timestamp(time.time()),
        cameras=(),
        tasks=(),
        engines=(),
        config_schema={},
    )


@pytest.mark.parametrize("protocol", ["5", "3.1.1"])
def test_two_daemons_of_one_name_hear_each_other(mosquitto: Any, subscribe: Any, protocol: Any) -> None:
    """Whoever came first, each is degraded by the other; when one stops, the retained state is online again."""
    port = mosquitto().port
    seen = subscribe(port, topic="edge/dev/bridge/state")
    publishers = []
    for name in ("one", "other"):
        endpoint = Endpoint("127.0.0.1", port, protocol=protocol)
        publishers.append(Publisher(endpoint, TOPICS, client_id=name, run=name))
        publishers[-1].start()
        publishers[-1].publish("bridge_info", info(name))
        assert publishers[-1].wait_connected(10)
        assert publishers[-1].flush(10)
        time.sleep(0.3)
    one, other = publishers
    try:
        assert wait_until(lambda: any("another daemon" in text for text in one.degraded()), 10)
        assert wait_until(lambda: any("another daemon" in text for text in other.degraded()), 10)
        other.stop()
        assert wait_until(lambda: b"online" in seen.on("edge/dev/bridge/state")[-1].payload, 10)
        time.sleep(0.5)
        assert b"online" in seen.on("edge/dev/bridge/state")[-1].payload
    finally:
        for publisher in publishers:
            publisher.stop()
    assert wait_until(lambda: b"offline" in seen.on("edge/dev/bridge/state")[-1].payload, 10)


@pytest.mark.parametrize(
    ("incoming", "heard"),
    [
        (Incoming(INFO, info("mine").encoded(), retained=False), None),
        (Incoming(INFO, info("another").encoded(), retained=True), None),
        (Incoming(INFO, info("another", device="else").encoded(), retained=False), None),
        (Incoming(INFO, b"[" * 100_000, retained=False), None),
        (Incoming(INFO, b"\xff", retained=False), None),
        (Incoming(INFO, b"[]", retained=False), None),
        (Incoming(INFO, info("another").encoded(), retained=False), "info"),
        (Incoming(TOPICS.of("bridge_state"), b'{"state":"online"}', retained=False), None),
        (Incoming(TOPICS.of("bridge_state"), b'{"state":"offline"}', retained=False), "offline"),
    ],
)
def test_only_what_another_says_now_is_heard(incoming: Incoming, heard: str | None) -> None:
    """Neither what we said, nor what is left from before, nor what cannot be read."""
    twin = Twin(TOPICS, "mine")
    assert twin.heard(incoming) == heard
    assert bool(twin.degraded()) == (heard == "info")


def test_a_twin_is_forgotten_when_it_is_silent() -> None:
    """Five minutes after it was heard last."""
    now_s = [0.0]
    twin = Twin(TOPICS, "mine", clock=lambda: now_s[0])
    twin.heard(Incoming(INFO, info("another").encoded(), retained=False))
    now_s[0] = 299.0
    assert twin.degraded()
    now_s[0] = 301.0
    assert not twin.degraded()


def test_a_claim_in_the_place_of_ours_is_another_daemon() -> None:
    """Retained info of a run that was not there at our start: at once. One that was, a broker may restore once."""
    twin = Twin(TOPICS, "mine")

    def found(run: str) -> bool:
        return twin.heard(Incoming(INFO, info(run).encoded(), retained=True)) == "info"

    assert not found("last run")
    twin.claimed()
    assert not found("mine")
    assert not found("last run")
    assert not twin.degraded()
    assert found("last run")
    assert twin.degraded()
    fresh = Twin(TOPICS, "mine")
    fresh.claimed()
    assert fresh.heard(Incoming(INFO, info("newer").encoded(), retained=True)) == "info"


def test_two_daemons_with_one_client_id_both_say_so(mosquitto: Any) -> None:
    """They throw each other off the broker, and are never there together; each finds the other's claim."""
    port = mosquitto().port
    publishers = []
    for name in ("one", "other"):
        publishers.append(
            Publisher(Endpoint("127.0.0.1", port), TOPICS, client_id="same", run=name, retry_s=(0.2, 0.4))
        )
        publishers[-1].start()
        publishers[-1].publish("bridge_info", info(name))
    try:
        for publisher in publishers:
            assert wait_until(lambda p=publisher: any("another daemon" in text for text in p.degraded()), 10)  # type: ignore[misc]
    finally:
        for publisher in publishers:
            publisher.stop()
