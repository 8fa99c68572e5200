"""What others ask of the pipeline while it runs: a change between two turns, or everything about one frame, now."""

from __future__ import annotations

import contextlib
import queue
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

from edge.errors import EdgeError
from edge.scene import Frame, Task

T = TypeVar("T")
R = TypeVar("R")


@dataclass(frozen=True, slots=True)
class Answer(Generic[R]):
    """What came of one frame."""

    frame: Frame
    results: Mapping[Task, R]
    errors: Mapping[Task, EdgeError]


@dataclass(slots=True, eq=False)
class Demand(Generic[R]):
    """Everything about the next frame of a camera."""

    camera: str
    after: int
    """Number of the newest frame when it was asked for, or that was inferred from since."""
    future: Future[Answer[R]] = field(default_factory=Future)
    results: dict[Task, R] = field(default_factory=dict)
    errors: dict[Task, EdgeError] = field(default_factory=dict)


class Changes:
    """Actions that wait for the thread that may carry them out."""

    def __init__(self) -> None:
        self._waiting: queue.SimpleQueue[tuple[Future[Any], Callable[[], Any]]] = queue.SimpleQueue()
        self._ended = False

    def put(self, action: Callable[[], T]) -> Future[T]:
        """Have it carried out; cancel the future if nobody waits for it any more.

        `Future.result` raises EdgeError where the thread ends before that.
        """
        future: Future[T] = Future()
        self._waiting.put((future, action))
        if self._ended:
            self.end()
        return future

    def end(self) -> None:
        """Nothing is carried out any more: whoever waits for it, or will, is told at once."""
        self._ended = True
        with contextlib.suppress(queue.Empty):
            while True:
                future, _ = self._waiting.get_nowait()
                if future.set_running_or_notify_cancel():
                    future.set_exception(EdgeError("the daemon ends; send it again when it runs"))

    def carry_out(self) -> None:
        """On the thread that may: all that waits, in order."""
        while not self._waiting.empty():
            future, action = self._waiting.get()
            if not future.set_running_or_notify_cancel():
                continue
            try:
                future.set_result(action())
            except Exception as error:  # noqa: BLE001 - the caller's: `Future.result` raises it
                future.set_exception(error)
