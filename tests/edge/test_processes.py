"""Threads that stand behind the networks'."""

from __future__ import annotations

import os
import sys
import threading

import pytest

from edge.processes import BEHIND, stand_behind

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="threads have a priority of their own on Linux alone")


def test_a_thread_stands_behind_and_no_other_does() -> None:
    """The kernel holds the niceness of that thread alone, and of those that it starts from then on."""
    told, go_on, seen = threading.Event(), threading.Event(), []

    def inherit() -> None:
        seen.append(os.getpriority(os.PRIO_PROCESS, threading.get_native_id()))

    def wait() -> None:
        told.set()
        go_on.wait(5.0)
        child = threading.Thread(target=inherit)
        child.start()
        child.join()

    before = os.getpriority(os.PRIO_PROCESS, threading.get_native_id())
    thread = threading.Thread(target=wait)
    thread.start()
    assert told.wait(5.0)
    stand_behind(thread)
    assert thread.native_id is not None
    assert os.getpriority(os.PRIO_PROCESS, thread.native_id) == max(before, BEHIND)
    assert os.getpriority(os.PRIO_PROCESS, threading.get_native_id()) == before
    go_on.set()
    thread.join()
    assert seen == [max(before, BEHIND)]
    stand_behind(thread)  # it has ended: nothing happens
