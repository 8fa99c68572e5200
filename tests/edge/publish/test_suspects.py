"""Who is blamed for a lost connection: what was sent last, twice, on connections that lasted only seconds."""

from __future__ import annotations

from edge.mqtt.topics import Kind
from edge.publish.suspects import Suspects


class Broker:
    """Connections that end after something was sent on them, and a clock that the test turns."""

    def __init__(self) -> None:
        self.now_s = 1000.0
        self.suspects = Suspects(lambda: self.now_s)

    def lose(
        self, kind: Kind = "layout", size_bytes: int = 9000, *, lasted_s: float = 0.1, reason: str | None = None
    ) -> str | None:
        """Send one message, and end the connection."""
        self.suspects.sent(kind, f"edge/dev/hall/{kind}", size_bytes)
        return self.suspects.lost(lasted_s, reason)


def test_the_second_loss_on_a_careful_connection_holds_a_kind_back() -> None:
    """The first loss only makes careful: in a burst of messages nobody knows which it was."""
    broker = Broker()
    assert not broker.suspects.careful
    assert broker.lose() is None
    assert broker.suspects.careful
    assert broker.lose() is None
    assert not broker.suspects.held("layout")
    found = broker.lose()
    assert found is not None
    for words in ("edge/dev/hall/layout", "2 times", "9000 bytes", "10 minutes", "mqtt.max_packet_bytes"):
        assert words in found
    assert broker.suspects.held("layout")
    assert broker.suspects.held_back() == (found,)
    assert not broker.suspects.held("lighting")


def test_kinds_are_counted_apart() -> None:
    """One loss each proves nothing of either."""
    broker = Broker()
    assert [broker.lose(kind) for kind in ("depth", "layout", "depth_image", "lighting")] == [None] * 4
    assert broker.lose("layout") is not None
    assert broker.suspects.held("layout")
    assert not broker.suspects.held("lighting")


def test_what_is_held_back_is_tried_again_after_ten_minutes() -> None:
    """It is held, and spoken of, until then; and it takes two losses more to hold it again."""
    broker = Broker()
    for _ in range(3):
        broker.lose()
    broker.now_s += 599.0
    assert broker.suspects.held("layout")
    assert broker.suspects.held_back()
    broker.now_s += 1.0
    assert broker.suspects.held_back() == ()
    assert not broker.suspects.held("layout")
    assert broker.lose() is None
    assert broker.lose() is not None


def test_a_kind_that_nobody_held_can_be_asked_for_at_any_time() -> None:
    """Also when the clock is at its beginning, as it is after a device started."""
    suspects = Suspects(lambda: 0.0)
    assert not suspects.held("depth")
    assert suspects.held_back() == ()


def test_what_the_broker_took_is_not_suspected() -> None:
    """A loss after a confirmation has another reason; so has one before anything was sent."""
    broker = Broker()
    assert [broker.suspects.lost(0.1, None) for _ in range(3)] == [None] * 3
    for _ in range(5):
        broker.suspects.sent("layout", "t", 9000)
        broker.suspects.confirmed(9000)
        assert broker.suspects.lost(0.1, None) is None
    for _ in range(5):
        assert broker.suspects.lost(0.1, None) is None
    broker.lose()
    assert broker.suspects.lost(0.1, None) is None, "what was sent on the connection before"
    assert broker.lose() is not None


def test_two_kinds_that_are_too_large_tell_of_a_limit() -> None:
    """What is as large is not sent, of any kind; what is smaller is, also of a kind that was held back."""
    broker = Broker()
    broker.suspects.confirmed(1800)
    broker.lose("layout", 16000)
    broker.lose("layout", 15000)
    assert broker.lose("layout", 16000) is not None
    assert broker.suspects.limit_bytes is None, "one kind may be forbidden, rather than large"
    assert broker.suspects.held("layout")
    broker.lose("bridge_health", 2100)
    assert broker.lose("bridge_health", 2200) is not None
    assert broker.suspects.limit_bytes == 2200
    assert not broker.suspects.held("bridge_health")
    assert not broker.suspects.held("layout")
    assert len(broker.suspects.held_back()) == 2
    broker.now_s += 600.0
    assert broker.suspects.limit_bytes is None


def test_what_was_taken_is_below_every_limit() -> None:
    """Two kinds that end the connection are two kinds, where the broker takes larger messages of others."""
    broker = Broker()
    for kind in ("layout", "layout", "layout", "discovery", "discovery"):
        broker.lose(kind, 5000)  # type: ignore[arg-type]
    assert broker.suspects.limit_bytes == 5000
    broker.suspects.confirmed(5001)
    assert broker.suspects.limit_bytes is None
    assert broker.suspects.held("layout")
    assert broker.suspects.held("discovery")


def test_only_a_connection_that_lasted_is_sound() -> None:
    """Ten seconds end all care; a loss after less goes on with it."""
    broker = Broker()
    broker.lose()
    broker.lose(lasted_s=9.9)
    assert broker.suspects.careful
    broker.lose(lasted_s=10.0)
    assert not broker.suspects.careful
    assert [broker.lose(lasted_s=3600.0) for _ in range(5)] == [None] * 5
    assert not broker.suspects.careful


def test_a_connection_that_lasts_forgives_the_losses_before_it() -> None:
    """Losses that are hours apart do not add up."""
    broker = Broker()
    broker.lose()
    broker.lose()
    broker.suspects.steady()
    assert not broker.suspects.careful
    assert broker.lose() is None
    assert broker.lose() is None
    assert broker.lose() is not None


def test_no_brokers_limit_is_below_a_kilobyte() -> None:
    """Smaller messages are never suspected, however often; one of a kilobyte is."""
    broker = Broker()
    assert [broker.lose(size_bytes=1023) for _ in range(5)] == [None] * 5
    assert broker.lose(size_bytes=1024) is None
    assert broker.lose(size_bytes=1024) is not None


def test_a_reason_that_the_broker_gave_is_believed() -> None:
    """Only one about size is about the message."""
    broker = Broker()
    assert [broker.lose(reason="Session taken over") for _ in range(5)] == [None] * 5
    assert broker.lose(reason="Packet too large") is None
    assert broker.lose(reason="Packet too large") is not None
