"""The outbox: bounded, latest state first, and every loss counted."""

from __future__ import annotations

import time

from edge.monitor.metrics import Metrics
from edge.mqtt.messages import BridgeState
from edge.mqtt.topics import Kind
from edge.publish.compose import Binary
from edge.publish.outbox import Outbox, Outgoing


def _item(kind: Kind, topic: str = "t", age_s: float = 0.0) -> Outgoing:
    return Outgoing(kind, topic, Binary(topic.encode(), {}), queued_at_s=time.monotonic() - age_s)


def _drain(outbox: Outbox) -> list[str]:
    taken = []
    while (item := outbox.take()) is not None:
        taken.append(item.topic)
    return taken


def test_queues_lose_their_oldest_beyond_the_bound() -> None:
    """The newest live results and events are kept, each within its own bound; the others are counted."""
    outbox = Outbox(Metrics().dropped, live_limit=2, durable_limit=3)
    for number in range(5):
        outbox.put(_item("depth", f"live{number}"))
        outbox.put(_item("bridge_event", f"event{number}"))
    assert len(outbox) == 5
    assert _drain(outbox) == ["event2", "event3", "event4", "live3", "live4"]
    assert outbox.dropped == {("queue_full",): 3 + 2}


def test_a_retained_topic_waits_once_with_its_latest_message() -> None:
    """Unsent retained messages are replaced, so an outage of any length costs one message per topic."""
    outbox = Outbox(Metrics().dropped)
    items = [Outgoing("bridge_state", "s", BridgeState(state=s)) for s in ("online", "offline", "online")]
    for item in items:
        outbox.put(item)
    assert outbox.take() is items[-1]
    assert outbox.take() is None
    assert outbox.dropped == {("superseded",): 2}
    outbox.announce_again()
    assert outbox.take() is items[-1]


def test_old_live_results_are_not_sent() -> None:
    """A live result past its expiry is dropped as expired; an event of the same age is not."""
    outbox = Outbox(Metrics().dropped)
    outbox.put(_item("depth", "old", age_s=1000.0))
    outbox.put(_item("depth", "new"))
    outbox.put(_item("bridge_event", "event", age_s=1000.0))
    assert _drain(outbox) == ["event", "new"]
    assert outbox.dropped == {("expired",): 1}


def test_a_lost_connection_gives_back_in_order() -> None:
    """Events that were not confirmed go out again before newer ones, live results are lost, state is repeated."""
    outbox = Outbox(Metrics().dropped)
    state = _item("bridge_state", "state")
    outbox.put(state)
    first, second = _item("bridge_event", "e1"), _item("bridge_event", "e2")
    outbox.put(first)
    outbox.put(second)
    assert [outbox.take() for _ in range(3)] == [state, first, second]
    outbox.put(_item("bridge_event", "e3"))
    outbox.give_back([state, first, second, _item("depth", "live")])
    assert _drain(outbox) == ["state", "e1", "e2", "e3"]
    assert outbox.dropped == {("connection_lost",): 1}


def test_what_was_given_up_is_not_repeated() -> None:
    """A retained message that could not be made is not tried again at the next connection."""
    outbox = Outbox(Metrics().dropped)
    item = _item("layout")
    outbox.put(item)
    outbox.forget(item, "invalid")
    outbox.announce_again()
    assert outbox.take() is None
    assert outbox.dropped == {("invalid",): 1}
