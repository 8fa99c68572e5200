"""Which version is asked for: 5 first, always; 3.1.1 seldom enough for a broker that is only away."""

from __future__ import annotations

from edge.mqtt.versions import Versions


def test_a_broker_that_never_answers_is_asked_for_the_older_one_every_third_time() -> None:
    """At the first attempt, and then not at each: that would be twice the connections."""
    versions = Versions()
    assert [versions.try_older() for _ in range(10)] == [n % 3 == 0 for n in range(10)]


def test_one_that_spoke_5_is_only_late() -> None:
    """The first attempts ask for 5 alone."""
    versions = Versions()
    versions.answered_5()
    assert [versions.try_older() for _ in range(7)] == [False, False, False, True, False, False, True]


def test_an_older_answer_after_silence_is_doubted_once() -> None:
    """The broker may only just have come back; one that answers so at the first attempt, or refuses 5, is believed."""
    versions = Versions()
    assert versions.try_older()
    assert not versions.answered_older()
    assert versions.older
    late = Versions()
    late.answered_5()
    for _ in range(4):
        late.try_older()
    assert late.answered_older()
    assert not late.older
    assert not late.answered_older()
    assert late.older
    late.answered_5()
    assert not late.older
    refused = Versions()
    refused.answered_5()
    refused.try_older()
    refused.refused_5()
    assert not refused.answered_older()
