"""Whether a running daemon lives, and whether it serves."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from edge.daemon.alive import Pulse, not_ready


def camera(name: str, state: str) -> Any:
    """What is looked at of a camera."""
    return SimpleNamespace(name=name, state=state)


@pytest.mark.parametrize(
    ("states", "engines", "connected", "infers", "said"),
    [
        (("online", "offline"), ["depth"], True, True, ()),
        (("frozen", "offline"), ["depth"], True, True, ("no camera is online: c0 is frozen, c1 is offline",)),
        (("online",), ["depth"], False, True, ("not connected to the broker",)),
        (("online",), [], True, False, ("no engine is loaded", "inference does not run")),
    ],
)
def test_it_serves_with_a_broker_engines_and_one_camera(
    states: tuple[str, ...], engines: list[Any], connected: bool, infers: bool, said: tuple[str, ...]
) -> None:
    """One camera of several is enough; else each thing that is missing is named."""
    cameras = [camera(f"c{n}", state) for n, state in enumerate(states)]
    assert not_ready(cameras, engines, connected=connected, infers=infers) == said


def test_it_lives_while_it_turns_and_inference_goes_on() -> None:
    """A supervisor that stands still, or networks that do while a camera is there, are told apart; an excuse counts."""
    now_s = [100.0]
    pulse = Pulse(lambda: now_s[0])
    assert pulse.dead() is None
    now_s[0] += 31
    assert pulse.dead() == "the supervisor has hung for 31 s"
    for progress in range(5):
        pulse.note(progress, excused=False)
        now_s[0] += 29
        assert pulse.dead() is None
    for _ in range(3):
        pulse.note(4, excused=False)
        now_s[0] += 25
    assert pulse.dead() == "inference has hung for 104 s"
    pulse.note(4, excused=True)
    assert pulse.dead() is None
