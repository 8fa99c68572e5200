"""Threads that carry requests out, one after the other in each lane: what hangs in one holds up no other.

A thread of our own and not a `ThreadPoolExecutor`, whose threads Python waits for when it ends.
"""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable
from typing import Generic, TypeVar

J = TypeVar("J")


class Lane(Generic[J]):
    """Carries out what it is given, in order."""

    def __init__(self, name: str, carry_out: Callable[[J], None]) -> None:
        """`carry_out` must not raise."""
        self._name, self._carry_out = name, carry_out
        self._waiting: queue.SimpleQueue[J | None] = queue.SimpleQueue()
        self._thread = self._new_thread()

    def _new_thread(self) -> threading.Thread:
        return threading.Thread(target=self._run, name=self._name, daemon=True)

    def start(self) -> None:
        """Begin, or begin again if the thread died; harmless while it runs."""
        if self._thread.is_alive():
            return
        if self._thread.ident is not None:
            self._thread = self._new_thread()
        self._thread.start()

    @property
    def alive(self) -> bool:
        """Whether it runs."""
        return self._thread.is_alive()

    def put(self, job: J) -> None:
        """One more."""
        self._waiting.put(job)

    def stop(self) -> None:
        """End after what was given; nobody waits for it."""
        self._waiting.put(None)

    def _run(self) -> None:
        while (job := self._waiting.get()) is not None:
            self._carry_out(job)
            del job
