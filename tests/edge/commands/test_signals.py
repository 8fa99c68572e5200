"""Signals at any moment, also in the middle of looking whether one came."""

from __future__ import annotations

import subprocess
import sys
import threading
import time
from pathlib import Path

from edge.commands.signals import SignalEvent

_HAMMERED = """
import os, signal, threading, time
from edge.commands.signals import SignalEvent
event, heard = SignalEvent(), []
def handle(*_):
    heard.append(1)
    event.set()
signal.signal(signal.SIGUSR1, handle)
def hammer():
    until = time.monotonic() + 1.0
    while time.monotonic() < until:
        os.kill(os.getpid(), signal.SIGUSR1)
        time.sleep(0)
hammering = threading.Thread(target=hammer)
hammering.start()
while hammering.is_alive():
    event.clear()
    for _ in range(5):
        event.wait(0)
event.clear()
os.kill(os.getpid(), signal.SIGUSR1)
assert event.wait(5) and event.is_set()
assert len(heard) > 100, len(heard)
"""


def test_a_signal_that_comes_while_it_is_waited_for_locks_nothing() -> None:
    """Hundreds within a second at least, to a process that does nothing but look; the last one is heard."""
    subprocess.run([sys.executable, "-c", _HAMMERED], check=True, timeout=20, cwd=Path(__file__).parents[3])


def test_it_is_an_event() -> None:
    """Set wakes who waits, on any thread; clear forgets; a wait without it takes its time."""
    event = SignalEvent()
    begun_s = time.monotonic()
    assert not event.wait(0.05)
    assert time.monotonic() - begun_s >= 0.04
    threading.Timer(0.05, event.set).start()
    assert event.wait(5)
    for _ in range(100_000):  # more than a pipe holds
        event.set()
    event.clear()
    assert not event.is_set()
    assert not event.wait(0.01)
