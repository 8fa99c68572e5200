"""Who goes first when cores are scarce: a network's threads wait for each other, so what delays one delays all."""

from __future__ import annotations

import contextlib
import os
import random
import sys
import threading
from pathlib import Path

BEHIND = 10
"""Niceness of everything but the networks: enough to let them pass, and far from starving."""


def stand_behind(thread: threading.Thread) -> None:
    """Let other threads pass this one; threads that it starts from now on inherit that. Linux only, else nothing."""
    if sys.platform == "linux" and thread.native_id is not None:
        with contextlib.suppress(OSError):  # it has ended, or a container forbids it
            os.setpriority(os.PRIO_PROCESS, thread.native_id, BEHIND)


def process_stands_behind() -> None:
    """The same for this whole process, also where the kernel weighs sessions against each other (autogroup)."""
    stand_behind(threading.main_thread())
    with contextlib.suppress(OSError):
        Path("/proc/self/autogroup").write_text(str(BEHIND), encoding="ascii")


def backoff(failures: int, shortest_s: float, longest_s: float) -> float:
    """How long to wait before the next attempt: doubled with each failure in a row, and drawn from its upper half.

    The jitter keeps many devices that lost the same broker or camera from coming back all at once.
    """
    return min(shortest_s * 2.0 ** min(failures, 32), longest_s) * random.uniform(0.5, 1.0)
