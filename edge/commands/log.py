"""The log of a command: on stderr, and the same line in a burst is counted, not repeated."""

from __future__ import annotations

import json
import logging
import os
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timezone
from typing import TYPE_CHECKING, TextIO

from edge.errors import plain

if TYPE_CHECKING:
    _StreamHandler = logging.StreamHandler[TextIO]
else:
    _StreamHandler = logging.StreamHandler  # takes no [TextIO] in Python 3.10

_BURST_S = 10.0
_BURSTS_KEPT = 64
_PRIORITIES = ((logging.ERROR, 3), (logging.WARNING, 4), (logging.INFO, 6), (0, 7))
"""By level, of syslog(3)."""


def log_to_stderr(level: str, form: str = "%(levelname)s %(name)s: %(message)s", *, as_json: bool = False) -> None:
    """Write the log of everything from now on: plain, for the journal where that reads stderr, or as JSON."""
    handler = CountingHandler(sys.stderr)
    if as_json:
        handler.setFormatter(JsonFormatter())
    elif is_journal(sys.stderr.fileno() if _has_descriptor(sys.stderr) else -1):
        handler.setFormatter(JournalFormatter(form))
    else:
        handler.setFormatter(PlainFormatter(form))
    logging.basicConfig(level=level.upper(), handlers=[handler])


def is_journal(descriptor: int) -> bool:
    """Whether the journal reads what is written there: $JOURNAL_STREAM names its device and inode (systemd.exec(5))."""
    try:
        opened = os.fstat(descriptor)
    except OSError:
        return False
    return os.environ.get("JOURNAL_STREAM") == f"{opened.st_dev}:{opened.st_ino}"


def _has_descriptor(stream: TextIO) -> bool:
    try:
        stream.fileno()
    except (OSError, ValueError):
        return False
    return True


class PlainFormatter(logging.Formatter):
    """Lines that cannot act on a terminal, nor pass for two: names of topics and cameras' answers may hold anything."""

    def formatMessage(self, record: logging.LogRecord) -> str:
        """The line; what continues it on further lines is indented."""
        lines = super().formatMessage(record).splitlines() or [""]
        return "\n    ".join(plain(line) for line in lines)


class JournalFormatter(PlainFormatter):
    """Lines that begin with their priority, as sd-daemon(3) has it; each line of one message has it again."""

    def format(self, record: logging.LogRecord) -> str:
        """The line or lines."""
        priority = next(priority for level, priority in _PRIORITIES if record.levelno >= level)
        return "\n".join(f"<{priority}>{line}" for line in super().format(record).splitlines())


class JsonFormatter(logging.Formatter):
    """One object a line: `at`, `level`, `logger`, `message`, `pid`, `thread` and, of an exception, `exception`."""

    def format(self, record: logging.LogRecord) -> str:
        """The line."""
        at = datetime.fromtimestamp(record.created, timezone.utc)
        said = {
            "at": at.isoformat(timespec="microseconds").replace("+00:00", "Z"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
            "pid": record.process,
            "thread": record.threadName,
        }
        if record.exc_info:
            said["exception"] = self.formatException(record.exc_info)
        return json.dumps(said)


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
