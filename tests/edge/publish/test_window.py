"""The window of what is not confirmed yet: never more than the broker asks for, and nothing lost from sight."""

from __future__ import annotations

import time
from dataclasses import FrozenInstanceError
from types import SimpleNamespace

import pytest

from edge.mqtt.link import Delivery
from edge.publish import window as window_module
from edge.publish.compose import Binary
from edge.publish.outbox import Outgoing
from edge.publish.window import Window


def filled(window: Window, count: int, size_bytes: int = 10, age_s: float = 0.0) -> list[Outgoing]:
    """Put so many more messages into the window, under the ids that follow."""
    items = [Outgoing("bridge_event", f"t{number}", Binary(b"", {})) for number in range(count)]
    for message_id, item in enumerate(items, start=len(window)):
        window.add(message_id, item, time.monotonic() - age_s, size_bytes)
    return items


def test_it_is_full_at_what_the_broker_takes() -> None:
    """With a receive maximum of 3 the third fills it; one that is confirmed makes room again."""
    window = Window()
    window.begin(3)
    filled(window, 2)
    assert not window.full
    filled(window, 1)
    assert window.full
    assert len(window) == 3
    window.settle([Delivery(1)])
    assert len(window) == 2
    assert not window.full


def test_a_broker_that_takes_everything_is_not_given_everything() -> None:
    """MQTT's default, 65535, would be all there is; the window is as full as one that no broker has limited."""
    window, unlimited = Window(), Window()
    window.begin(65535)
    for one in (window, unlimited):
        while not one.full:
            filled(one, 1)
    assert 2 <= len(window) == len(unlimited) < 64  # paho sends so many at a time itself


def test_a_limit_may_be_raised_again() -> None:
    """The next broker may take more than the last one."""
    window = Window()
    window.begin(1)
    window.begin(10)
    filled(window, 9)
    assert not window.full


def test_large_messages_fill_it_by_their_size() -> None:
    """Rooms of a megabyte: all sizes count together, and what was confirmed counts no more."""
    window = Window()
    filled(window, 3, size_bytes=2**20)
    assert not window.full
    filled(window, 1, size_bytes=2**20)
    assert window.full
    window.settle([Delivery(0)])
    assert not window.full


def test_more_than_the_limit_is_full_too() -> None:
    """A limit that came after the messages, and one message that is larger than all may be together."""
    window = Window()
    filled(window, 5)
    window.begin(3)
    assert window.full
    other = Window()
    filled(other, 1, size_bytes=100 * 2**20)
    assert other.full


def test_only_the_oldest_can_be_stuck() -> None:
    """A broker that has not confirmed for a minute has stopped; one that works answers within seconds."""
    window = Window()
    assert not window.stuck
    filled(window, 1, age_s=5.0)
    assert not window.stuck
    window.clear()
    filled(window, 1, age_s=60.0)
    filled(window, 1)
    assert window.stuck
    window.settle([Delivery(0)])
    assert not window.stuck


def test_a_message_is_stuck_after_eight_seconds(monkeypatch: pytest.MonkeyPatch) -> None:
    """Past them, and not before; on a device that was started just now too, whose clock is near its beginning."""
    now_s = [1.0]
    monkeypatch.setattr(window_module, "time", SimpleNamespace(monotonic=lambda: now_s[0]))
    window = Window()
    window.add(1, Outgoing("bridge_event", "t", Binary(b"", {})), 1.0, 10)
    said = []
    for now_s[0] in (1.0, 8.9, 9.0, 9.1, 25.0):
        said.append(window.stuck)
    assert said == [False, False, False, True, True]


def test_a_probe_goes_out_when_nothing_else_proves_the_connection(monkeypatch: pytest.MonkeyPatch) -> None:
    """Five seconds after the last confirmation, while no other is awaited; written QoS-0 messages prove nothing."""
    now_s = [0.0]
    monkeypatch.setattr(window_module, "time", SimpleNamespace(monotonic=lambda: now_s[0]))
    window = Window()
    window.begin(65535)
    said = []
    for now_s[0] in (1.0, 4.9, 5.1):
        window.add(1, Outgoing("depth", "t", Binary(b"", {})), now_s[0], 10)
        window.settle([Delivery(1)])
        said.append(window.needs_probe)
    assert said == [False, False, True]
    window.add(2, Outgoing("bridge_event", "t", Binary(b"", {})), now_s[0], 10)
    assert not window.needs_probe, "its confirmation will tell"
    window.settle([Delivery(2)])
    now_s[0] += 5.1
    assert window.needs_probe
    window.probed(3)
    assert not window.needs_probe
    assert len(window) == 0
    now_s[0] += 8.1
    assert window.stuck
    assert window.settle([Delivery(3, "Not authorized")]) == [], "a refusal is an answer"
    assert not window.stuck
    assert not window.needs_probe


def test_a_broker_that_confirms_slowly_is_not_stuck(monkeypatch: pytest.MonkeyPatch) -> None:
    """As long as confirmations come, however late; and what is large may take as long as 100 kB/s need."""
    now_s = [0.0]
    monkeypatch.setattr(window_module, "time", SimpleNamespace(monotonic=lambda: now_s[0]))
    window = Window()
    window.begin(65535)
    for message_id in range(10):
        window.add(message_id, Outgoing("bridge_event", "t", Binary(b"", {})), 0.0, 10)
    for message_id in range(10):
        now_s[0] += 7.0
        assert not window.stuck
        window.settle([Delivery(message_id)])
    window.add(11, Outgoing("room", "t", Binary(b"", {})), now_s[0], 3_000_000)
    now_s[0] += 37.0
    assert not window.stuck
    now_s[0] += 2.0
    assert window.stuck


def test_what_is_settled_is_taken_out_with_what_the_broker_said() -> None:
    """Confirmed, refused, and of a connection before: the last is nobody's, and nothing is settled twice."""
    window = Window()
    first, second, third = filled(window, 3, size_bytes=7)
    settled = window.settle([Delivery(2, "Quota exceeded"), Delivery(99), Delivery(0), Delivery(0)])
    assert [(done.item, done.size_bytes, refusal) for done, refusal in settled] == [
        (third, 7, "Quota exceeded"),
        (first, 7, None),
    ]
    assert window.clear() == [second]


def test_a_lost_connection_leaves_all_of_it_in_order() -> None:
    """The oldest first, for them to be sent again so; the window is empty then."""
    window = Window()
    items = filled(window, 4)
    assert window.clear() == items
    assert len(window) == 0
    assert window.clear() == []


def test_what_is_in_flight_cannot_be_changed() -> None:
    """What was sent is what is settled."""
    window = Window()
    filled(window, 1)
    ((done, _),) = window.settle([Delivery(0)])
    with pytest.raises(FrozenInstanceError):
        done.size_bytes = 1  # type: ignore[misc]
