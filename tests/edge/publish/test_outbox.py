"""The outbox: bounded, latest state first, and every loss counted."""

from __future__ import annotations

import threading
import time

import pytest

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
    metrics = Metrics()
    outbox = Outbox(metrics, live_limit=2, durable_limit=3)
    for number in range(5):
        outbox.put(_item("depth", f"live{number}"))
        outbox.put(_item("bridge_event", f"event{number}"))
    assert len(outbox) == 5
    assert _drain(outbox) == ["event2", "event3", "event4", "live3", "live4"]
    assert metrics.dropped.read() == {("queue_full",): 3 + 2}


def test_a_retained_topic_waits_once_with_its_latest_message() -> None:
    """Unsent retained messages are replaced, so an outage of any length costs one message per topic."""
    metrics = Metrics()
    outbox = Outbox(metrics)
    items = [Outgoing("bridge_state", "s", BridgeState(state=s)) for s in ("online", "offline", "online")]
    for item in items:
        outbox.put(item)
    assert outbox.take() is items[-1]
    assert outbox.take() is None
    assert metrics.dropped.read() == {("superseded",): 2}
    outbox.announce_again()
    assert outbox.take() is items[-1]


def test_old_live_results_are_not_sent() -> None:
    """A live result past its expiry is dropped as expired; an event of the same age is not."""
    metrics = Metrics()
    outbox = Outbox(metrics)
    outbox.put(_item("depth", "old", age_s=1000.0))
    outbox.put(_item("depth", "new"))
    outbox.put(_item("bridge_event", "event", age_s=1000.0))
    assert _drain(outbox) == ["event", "new"]
    assert metrics.dropped.read() == {("expired",): 1}


def test_a_lost_connection_gives_back_in_order() -> None:
    """Events that were not confirmed go out again before newer ones, live results are lost, state is repeated."""
    metrics = Metrics()
    outbox = Outbox(metrics)
    state = _item("bridge_state", "state")
    outbox.put(state)
    first, second = _item("bridge_event", "e1"), _item("bridge_event", "e2")
    outbox.put(first)
    outbox.put(second)
    assert [outbox.take() for _ in range(3)] == [state, first, second]
    outbox.put(_item("bridge_event", "e3"))
    outbox.give_back([state, first, second, _item("depth", "live")])
    assert _drain(outbox) == ["state", "e1", "e2", "e3"]
    assert metrics.dropped.read() == {("connection_lost",): 1}


def test_what_was_given_up_is_not_repeated() -> None:
    """A retained message that could not be made is not tried again at the next connection."""
    metrics = Metrics()
    outbox = Outbox(metrics)
    item = _item("layout")
    outbox.put(item)
    outbox.forget(item, "invalid")
    outbox.announce_again()
    assert outbox.take() is None
    assert metrics.dropped.read() == {("invalid",): 1}


def test_a_newer_state_is_not_undone_by_the_one_that_was_lost() -> None:
    """A state that was given back after a newer one was put in is repeated with the newer, once, and first."""
    metrics = Metrics()
    outbox = Outbox(metrics)
    older, newer, other = _item("bridge_state", "s"), _item("bridge_state", "s"), _item("bridge_info", "i")
    outbox.put(older)
    assert outbox.take() is older
    outbox.put(newer)
    outbox.put(other)
    outbox.give_back([older])
    assert [outbox.take() for _ in range(3)] == [newer, other, None]
    assert metrics.dropped.read() == {("superseded",): 1}


def test_a_clearing_message_goes_out_once() -> None:
    """What empties a retained topic waits like an event: in order, given back when lost, and never announced again."""
    metrics = Metrics()
    outbox = Outbox(metrics)
    first, second = (Outgoing("layout", "gone", Binary(b"", {}), keep=False) for _ in range(2))
    outbox.put(first)
    outbox.put(second)
    assert outbox.take() is first
    outbox.give_back([first])
    assert [outbox.take() for _ in range(2)] == [first, second]
    outbox.announce_again()
    assert outbox.take() is None
    assert metrics.dropped.read() == {}


def test_what_replaced_a_message_is_not_forgotten_with_it() -> None:
    """A room that was refused when a newer one waited: the newer is kept and sent; events are only counted."""
    metrics = Metrics()
    outbox = Outbox(metrics)
    older, newer, event = _item("layout"), _item("layout"), _item("bridge_event", "t")
    outbox.put(older)
    outbox.take()
    outbox.put(newer)
    outbox.forget(older, "refused")
    outbox.forget(event, "refused")
    assert outbox.take() is newer
    outbox.announce_again()
    assert outbox.take() is newer
    assert metrics.dropped.read() == {("refused",): 2}


def test_what_was_given_up_before_it_was_sent_is_gone() -> None:
    """The next message is taken as if it had never been."""
    metrics = Metrics()
    outbox = Outbox(metrics)
    layout, event = _item("layout", "l"), _item("bridge_event", "e")
    outbox.put(layout)
    outbox.put(event)
    outbox.forget(layout, "held_back")
    assert len(outbox) == 1
    assert _drain(outbox) == ["e"]


def test_two_messages_of_the_same_words_are_two() -> None:
    """Each is delivered or lost by itself, and neither was delivered yet; both count in a set of messages."""
    one, two = (Outgoing("bridge_event", "t", Binary(b"x", {}), queued_at_s=1.0) for _ in range(2))
    assert not one.delivered
    assert one != two
    assert len({one, two}) == 2


def test_its_length_is_what_waits() -> None:
    """Of every class; what was taken waits no more."""
    metrics = Metrics()
    outbox = Outbox(metrics)
    for count, kind in enumerate(("bridge_state", "bridge_event", "depth"), start=1):
        outbox.put(_item(kind, kind))
        assert len(outbox) == count
    for left in (2, 1, 0):
        outbox.take()
        assert len(outbox) == left


def test_a_new_outbox_is_empty() -> None:
    """Nothing waits before anything was put in."""
    metrics = Metrics()
    outbox = Outbox(metrics)
    assert outbox.take() is None
    assert len(outbox) == 0


def test_a_minute_of_results_waits_and_an_hour_does_not() -> None:
    """Without other bounds, some dozens of each class are kept, and a flood is not."""
    metrics = Metrics()
    outbox = Outbox(metrics)
    for _ in range(10_000):
        outbox.put(_item("depth"))
        outbox.put(_item("bridge_event"))
    assert 48 <= len(outbox) <= 1000
    assert metrics.dropped["queue_full",] == 20_000 - len(outbox)


@pytest.mark.parametrize("kind", ["bridge_state", "bridge_event", "depth"])
def test_whoever_waits_for_messages_has_them_at_once(kind: Kind) -> None:
    """There before the wait, or put in during it; one who waits for a wake-up alone sleeps on."""
    metrics = Metrics()
    outbox = Outbox(metrics)
    assert _waited_s(outbox, 0.05) >= 0.04
    timer = threading.Timer(0.1, outbox.put, (_item(kind),))
    timer.start()
    assert 0.05 < _waited_s(outbox, 5.0) < 4.0
    assert _waited_s(outbox, 5.0) < 4.0
    assert _waited_s(outbox, 0.05, for_items=False) >= 0.04


def test_a_wake_up_ends_one_wait() -> None:
    """Before it or during it, with messages waiting or without; never two."""
    metrics = Metrics()
    outbox = Outbox(metrics)
    outbox.wake()
    assert _waited_s(outbox, 5.0, for_items=False) < 4.0
    assert _waited_s(outbox, 0.05, for_items=False) >= 0.04
    timer = threading.Timer(0.1, outbox.wake)
    timer.start()
    assert _waited_s(outbox, 5.0) < 4.0
    assert _waited_s(outbox, 0.05) >= 0.04


def _waited_s(outbox: Outbox, timeout_s: float, **options: bool) -> float:
    begun_s = time.monotonic()
    outbox.wait(timeout_s, **options)
    return time.monotonic() - begun_s
