"""Looking back: what held at a time is found, and memory is bounded."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from edge.viewer.history import History

ARRIVALS = st.lists(st.tuples(st.sampled_from("ab"), st.binary(max_size=8), st.floats(0, 100)), max_size=40)


@given(ARRIVALS, st.floats(0, 200))
def test_what_held_at_a_time_is_the_last_before_it(arrivals: list[tuple[str, bytes, float]], at_s: float) -> None:
    """With nothing forgotten: of each topic the last payload that had arrived."""
    arrivals.sort(key=lambda a: a[2])
    history = History(longest_s=1e6)
    expected = {}
    for topic, payload, arrived_s in arrivals:
        history.add(topic, payload, arrived_s)
        if arrived_s <= at_s:
            expected[topic] = payload
    assert history.at(at_s) == expected


@given(ARRIVALS)
def test_bytes_are_bounded_and_counted(arrivals: list[tuple[str, bytes, float]]) -> None:
    """Never more than asked for, whatever arrives; the count is what is kept."""
    history = History(most_bytes=20)
    for topic, payload, arrived_s in sorted(arrivals, key=lambda a: a[2]):
        history.add(topic, payload, arrived_s)
        kept = sum(len(k.payload) for topic in history._topics.values() for k in topic)
        assert history.size_bytes == kept <= 20


def test_old_payloads_go_and_what_still_holds_stays() -> None:
    """A retained room that was said an hour ago is still the room of every minute since."""
    history = History(longest_s=60.0)
    history.add("room", b"first", 0.0)
    for second in range(3600):
        history.add("depth", str(second).encode(), float(second))
    assert history.at(3590.0) == {"room": b"first", "depth": b"3590"}
    assert len(history) <= 63


def test_the_same_again_costs_nothing() -> None:
    """A retained message that is repeated on every connection is kept once."""
    history = History()
    for second in range(10):
        history.add("layout", b"the same", float(second))
    assert history.size_bytes == len(b"the same")
