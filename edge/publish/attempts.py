"""The boundary to code that was handed over: no error of it may end a thread of ours."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import TypeVar

from edge.errors import EdgeError

T = TypeVar("T")

_log = logging.getLogger(__name__)


def attempt(action: Callable[[], T]) -> tuple[T | None, str | None]:
    """(what `action` returned, None), or (None, what went wrong)."""
    try:
        return action(), None
    except EdgeError as error:
        return None, str(error)
    except Exception as error:  # noqa: BLE001 - the boundary to code handed to us, reported and counted
        _log.exception("unexpected error in %r", action)
        return None, f"internal error ({type(error).__name__}: {error}); please report it with the log"
