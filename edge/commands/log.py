"""The log of a command: on stderr, and the same line in a burst is counted, not repeated."""

from __future__ import annotations

import logging
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, TextIO

from edge.errors import plain

if TYPE_CHECKING:
    _StreamHandler = logging.StreamHandler[TextIO]
else:
    _StreamHandler = logging.StreamHandler  # takes no [TextIO] in Python 3.10

_BURST_S = 10.0
_BURSTS_KEPT = 64


def log_to_stderr(level: str, form: str = "%(levelname)s %(name)s: %(message)s") -> None:
    """Write the log of everything from now on."""
    handler = CountingHandler(sys.stderr)
    handler.setFormatter(PlainFormatter(form))
    logging.basicConfig(level=level.upper(), handlers=[handler])


class PlainFormatter(logging.Formatter):
    """Lines that cannot act on a terminal, nor pass for two: names of topics and cameras' answers may hold anything."""

    def formatMessage(self, record: logging.LogRecord) -> str:
        """The line; what continues it on further lines is indented."""
        lines = super().formatMessage(record).splitlines() or [""]
        return "\n    ".join(plain(line) for line in lines)


@dataclass(slots=True)
class _Burst:
    begun_s: float
    first: logging.LogRecord
    more: int = 0


class CountingHandler(_StreamHandler):
    """Writes a line at once; how often it came again within the next seconds follows with the next line after these."""

    def __init__(self, stream: TextIO, *, now_s: Callable[[], float] = time.monotonic) -> None:
        super().__init__(stream)
        self._now_s = now_s
        self._bursts: dict[tuple[str, int, str], _Burst] = {}
        """By logger, level and text; oldest first."""

    def emit(self, record: logging.LogRecord) -> None:
        """Write it, or count it."""
        now_s = self._now_s()
        self._end_bursts(now_s)
        try:
            key = (record.name, record.levelno, record.getMessage())
        except Exception:  # noqa: BLE001 - arguments that do not fit the text: said as logging says it
            self.handleError(record)
            return
        burst = self._bursts.get(key)
        if burst is not None:
            burst.more += 1
            return
        if len(self._bursts) >= _BURSTS_KEPT:
            self._end_oldest(now_s)
        self._bursts[key] = _Burst(now_s, record)
        super().emit(record)

    def close(self) -> None:
        """Write what is still to be said."""
        while self._bursts:
            self._end_oldest(self._now_s())
        super().close()

    def _end_bursts(self, now_s: float) -> None:
        while self._bursts and now_s - next(iter(self._bursts.values())).begun_s >= _BURST_S:
            self._end_oldest(now_s)

    def _end_oldest(self, now_s: float) -> None:
        key = next(iter(self._bursts))
        burst = self._bursts.pop(key)
        if burst.more:
            name, level, text = key
            span_s = min(now_s - burst.begun_s, _BURST_S)
            text = f"{text} ({burst.more} more times within {span_s:.1f} s)"
            super().emit(logging.LogRecord(name, level, burst.first.pathname, burst.first.lineno, text, None, None))
