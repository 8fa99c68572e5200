"""The log: a line that comes again and again is counted."""

from __future__ import annotations

import io
import logging

from edge.commands.log import CountingHandler, PlainFormatter


def emitted(*times_and_texts: tuple[float, str]) -> list[str]:
    """What is written of lines at these times."""
    stream, now = io.StringIO(), [0.0]
    handler = CountingHandler(stream, now_s=lambda: now[0])
    for now[0], text in times_and_texts:
        handler.handle(logging.LogRecord("edge.x", logging.WARNING, __file__, 1, "%s", (text,), None))
    handler.close()
    return stream.getvalue().splitlines()


def test_a_burst_is_said_once_and_counted() -> None:
    """The first at once; how many more there were before the next line, or at the end."""
    burst = [(0.01 * n, "picture is broken") for n in range(30)]
    assert emitted(*burst, (11.0, "other"), (11.1, "other")) == [
        "picture is broken",
        "picture is broken (29 more times within 10.0 s)",
        "other",
        "other (1 more times within 0.1 s)",
    ]


def test_what_goes_on_is_said_every_ten_seconds() -> None:
    """Once a second for half a minute: three lines and three counts, and no line is lost."""
    lines = emitted(*((float(second), "no answer") for second in range(30)))
    assert lines == ["no answer", "no answer (9 more times within 10.0 s)"] * 2 + [
        "no answer",
        "no answer (9 more times within 9.0 s)",
    ]


def test_different_lines_are_all_written_and_little_is_remembered() -> None:
    """A thousand different lines in a second; the first one, forgotten meanwhile, is written again."""
    lines = [(n / 1000, f"line {n}") for n in range(1000)]
    assert emitted(*lines, (1.0, "line 0")) == [text for _, text in lines] + ["line 0"]


def test_what_others_wrote_cannot_act_on_a_terminal() -> None:
    """Escapes are shown as such, and a line break in a topic begins no line that looks like the log's own."""
    record = logging.LogRecord("edge.x", logging.INFO, __file__, 1, "%s: cleared", ("a\x1b[2J\u202e\nERROR b",), None)
    said = PlainFormatter("%(levelname)s %(message)s").format(record)
    assert said == "INFO a\\x1b[2J\\u202e\n    ERROR b: cleared"
