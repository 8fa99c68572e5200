"""What ends a command, from its first moment on; imports next to nothing, so that this moment comes soon."""

from __future__ import annotations

import contextlib
import os
import select
import signal
import sys
import threading
from types import FrameType
from typing import NoReturn

_SERVING = ("run", "watch", "view")
"""Commands that go on until they are told to end: to end is what they are for."""


class SignalEvent(threading.Event):
    """An event that may be set in a signal handler.

    One of Python's own is behind a lock: a handler that runs while the main thread holds it, as `wait` does for some
    instructions, waits for itself.
    """

    def __init__(self) -> None:
        super().__init__()
        self._is_set = False
        self._reading, self._writing = os.pipe()
        os.set_blocking(self._reading, False)
        os.set_blocking(self._writing, False)

    def is_set(self) -> bool:
        """Whether it is."""
        return self._is_set

    def set(self) -> None:
        """Set it, and wake who waits."""
        self._is_set = True
        with contextlib.suppress(BlockingIOError):
            os.write(self._writing, b"1")

    def clear(self) -> None:
        """As it began."""
        with contextlib.suppress(BlockingIOError):
            while os.read(self._reading, 4096):
                pass
        self._is_set = False

    def wait(self, timeout: float | None = None) -> bool:
        """Until it is set or the time is over; whether it is set."""
        if not self._is_set:
            poll = select.poll()
            poll.register(self._reading, select.POLLIN)
            poll.poll(None if timeout is None else timeout * 1000)
        return self._is_set


def serving() -> bool:
    """Whether this process is a command that goes on until it is told to end."""
    return sys.argv[1:2] != [] and sys.argv[1] in _SERVING


def end_at_once() -> None:
    """Until a command begins nothing runs that would have to be stopped: SIGTERM and Ctrl-C simply end the process.

    A closed terminal does not end the daemon: until it serves, SIGHUP means nothing to it.
    """

    def end(number: int, _frame: FrameType | None) -> None:
        os._exit(0 if serving() else 128 + number)

    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, end)
    if sys.argv[1:2] == ["run"]:
        signal.signal(signal.SIGHUP, signal.SIG_IGN)


def end_by_exception() -> None:
    """From now on both raise wherever the program is, so that what was started is stopped; not while serving."""
    if serving():
        return
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGTERM, _exit)


def leave(status: int) -> NoReturn:
    """End this process now, without taking Python down.

    For what has stopped all that it started: taking apart every module and object takes a second of a processor, and
    ten where others want it.
    """
    import logging

    logging.shutdown()
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(OSError, ValueError):
            stream.flush()
    os._exit(status)


def _exit(number: int, _frame: FrameType | None) -> None:
    raise SystemExit(128 + number)


def signals_end() -> threading.Event:
    """An event that Ctrl-C and SIGTERM set from now on, instead of ending the process."""
    ended = SignalEvent()

    def end(_number: int, _frame: FrameType | None) -> None:
        ended.set()

    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, end)
    return ended


def signal_rereads() -> threading.Event:
    """An event that SIGHUP sets from now on: the configuration is to be read again."""
    wanted = SignalEvent()
    signal.signal(signal.SIGHUP, lambda _number, _frame: wanted.set())
    return wanted
