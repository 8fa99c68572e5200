"""The one thread that speaks to an accelerator: models are loaded, run and closed on it, one thing at a time."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any, TypeVar

T = TypeVar("T")


class Accelerator:
    """Runs what it is given in order, on its own thread.

    A thread of our own and not a `ThreadPoolExecutor`, whose threads Python waits for when it ends: a network that
    hangs must not keep the process.
    """

    def __init__(self, name: str = "edge-accelerator") -> None:
        self._work: queue.SimpleQueue[tuple[Future[Any], Callable[[], Any]] | None] = queue.SimpleQueue()
        self.thread = threading.Thread(target=self._run, name=name, daemon=True)
        self.thread.start()

    def submit(self, action: Callable[[], T]) -> Future[T]:
        """Do it after all that was given before."""
        future: Future[T] = Future()
        self._work.put((future, action))
        return future

    def stop(self, timeout_s: float) -> bool:
        """End after what was given; False if it did not within `timeout_s`, and is left to the end of the process."""
        self._work.put(None)
        self.thread.join(timeout_s)
        return not self.thread.is_alive()

    def _run(self) -> None:
        while (item := self._work.get()) is not None:
            future, action = item
            del item
            try:
                future.set_result(action())
            except BaseException as error:  # noqa: BLE001 - the caller's: `Future.result` raises it
                future.set_exception(error)
            del future, action


def at_once(action: Callable[[], T]) -> Future[T]:
    """Do it on the calling thread: what `Accelerator.submit` is to several threads."""
    future: Future[T] = Future()
    try:
        future.set_result(action())
    except Exception as error:  # noqa: BLE001 - the caller's: `Future.result` raises it
        future.set_exception(error)
    return future
