"""Rendering in worker processes: replaced in time, gone with their parent."""

from __future__ import annotations

import multiprocessing
import os
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool

from edge.errors import DataError

POOL_ITEMS = 128
"""Rooms or things after which worker processes are replaced, so that no renderer's memory grows for ever."""


def _end_with_parent() -> None:
    """Watch in a worker that its parent lives: one that was killed would leave workers that render for ever."""
    parent = multiprocessing.parent_process()
    assert parent is not None

    def watch() -> None:
        parent.join()
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


def in_processes(work: Callable[[int], int], todo: list[int], workers: int, each: int = POOL_ITEMS) -> Iterator[int]:
    """Do all of it in so many processes; yields each number as it is done.

    Raises:
        DataError: a process died.
    """
    context = multiprocessing.get_context("spawn")
    for start in range(0, len(todo), each):
        with ProcessPoolExecutor(workers, mp_context=context, initializer=_end_with_parent) as pool:
            waiting = [pool.submit(work, i) for i in todo[start : start + each]]
            try:
                for done in as_completed(waiting):
                    yield done.result()
            except BrokenProcessPool as error:
                raise DataError(
                    "a rendering process died (out of memory?); run again with fewer --workers, finished work is kept"
                ) from error
            finally:
                pool.shutdown(cancel_futures=True)
