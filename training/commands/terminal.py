"""What commands show while they work: on standard error, so that standard output holds results alone."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol

from rich.console import Console
from rich.progress import MofNCompleteColumn, Progress

CONSOLE = Console(stderr=True)


class Show(Protocol):
    """Draws how far a work is; `text` replaces what stands before the bar."""

    def __call__(self, done: int, total: int | None, text: str | None = None) -> None:
        """Of `total`, so many are done."""


@contextmanager
def progress(what: str, total: int | None) -> Iterator[Show]:
    """A progress bar while the body runs; `total` None = not known yet."""
    with Progress(*Progress.get_default_columns(), MofNCompleteColumn(), console=CONSOLE) as bar:
        task = bar.add_task(what, total=total)

        def show(done: int, total: int | None, text: str | None = None) -> None:
            bar.update(task, completed=done, total=total, description=text)

        yield show
