"""What ends a command, from its first moment on; imports next to nothing, so that this moment comes soon."""

from __future__ import annotations

import os
import signal
import sys
import threading
from types import FrameType

_SERVING = ("run", "watch")
"""Commands that go on until they are told to end: to end is what they are for."""


def end_at_once() -> None:
    """Until a command begins nothing runs that would have to be stopped: SIGTERM and Ctrl-C simply end the process.

    A closed terminal does not end the daemon: until it serves, SIGHUP means nothing to it.
    """
    serving = sys.argv[1:2] != [] and sys.argv[1] in _SERVING

    def end(number: int, _frame: FrameType | None) -> None:
        os._exit(0 if serving else 128 + number)

    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, end)
    if sys.argv[1:2] == ["run"]:
        signal.signal(signal.SIGHUP, signal.SIG_IGN)


def end_by_exception() -> None:
    """From now on both raise wherever the program is, so that what was started is stopped; not while serving."""
    if sys.argv[1:2] and sys.argv[1] in _SERVING:
        return
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGTERM, _exit)


def _exit(number: int, _frame: FrameType | None) -> None:
    raise SystemExit(128 + number)


def signals_end() -> threading.Event:
    """An event that Ctrl-C and SIGTERM set from now on, instead of ending the process."""
    ended = threading.Event()

    def end(_number: int, _frame: FrameType | None) -> None:
        ended.set()

    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, end)
    return ended


def signal_rereads() -> threading.Event:
    """An event that SIGHUP sets from now on: the configuration is to be read again."""
    wanted = threading.Event()
    signal.signal(signal.SIGHUP, lambda _number, _frame: wanted.set())
    return wanted
