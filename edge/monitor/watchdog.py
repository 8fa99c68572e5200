"""systemd's view of the daemon: ready, alive, stopping (sd_notify(3)).

The watchdog is fed only on verified progress: a frame went through or inference found nothing due since the last look,
or every camera is known to be down and being retried. A daemon whose inference hangs is not alive.
"""

from __future__ import annotations

import os
import socket
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future, wait
from typing import Any, TypeVar

Progress = TypeVar("Progress")

_LOOK_S = 0.1
"""How often to look whether to stop waiting."""
_AWAITED = ("READY=", "RELOADING=")
"""What systemd waits for, and ends the daemon without."""
_HEARD_S = 1.0
"""How long that waits for a service manager that is behind with reading."""


def notify(*lines: str) -> bool:
    """Tell systemd, e.g. `READY=1`; False when nobody listens (not started by systemd), or does not read.

    What systemd waits for has a second to be read, anything else does not wait: a service manager that hangs must not
    hang what it manages.
    """
    address = os.environ.get("NOTIFY_SOCKET")
    if not address:
        return False
    if address.startswith("@"):
        address = "\0" + address[1:]
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as s:
        s.settimeout(_HEARD_S if lines[0].startswith(_AWAITED) else 0.0)
        try:
            s.connect(address)  # what is not connected cannot wait for room at the other end
            s.send("\n".join(lines).encode())
        except OSError:
            return False
    return True


def extending(on_progress: Callable[[Progress], None], by_s: float = 60.0) -> Callable[[Progress], None]:
    """A start that takes long but goes on: each report gives it `by_s` more before systemd counts it as failed.

    Args:
        on_progress: told each report too; its text is systemd's status.
        by_s: longer than from one report to the next, s.
    """

    def tell(progress: Progress) -> None:
        notify(f"EXTEND_TIMEOUT_USEC={round(by_s * 1e6)}", f"STATUS={progress}")
        on_progress(progress)

    return tell


def extend_until_done(work: Future[Any], for_s: float, *, stop: threading.Event, every_s: float = 20.0) -> None:
    """Wait for something that tells no progress, or until `stop` is set.

    systemd does not count the start as failed for `for_s` meanwhile.
    """
    now_s = time.monotonic()
    until_s, due_s = now_s + for_s, now_s + every_s
    while not (wait([work], timeout=_LOOK_S).done or stop.is_set()):
        now_s = time.monotonic()
        if due_s <= now_s < until_s:
            due_s = now_s + every_s
            notify(f"EXTEND_TIMEOUT_USEC={round(3 * every_s * 1e6)}")


class Watchdog:
    """Feeds systemd's watchdog while there is progress."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        """Reads the period from WATCHDOG_USEC; without it nothing is ever sent."""
        self._clock = clock
        self._period_s = int(os.environ.get("WATCHDOG_USEC", "0")) / 1e6 / 3
        self._last_s = -1e9
        self._progress: object = None

    def look(self, progress: object, *, excused: bool) -> bool:
        """Feed if due and `progress` differs from the last time it was fed, or `excused`; says whether it fed."""
        now_s = self._clock()
        if self._period_s <= 0 or now_s - self._last_s < self._period_s:
            return False
        if progress == self._progress and not excused:
            return False
        self._progress, self._last_s = progress, now_s
        return notify("WATCHDOG=1")
