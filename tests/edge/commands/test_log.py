"""The log: a line that comes again and again is counted."""

from __future__ import annotations

import io
import json
import logging
import os
import subprocess
import sys
from pathlib import Path

import pytest

from edge.commands.log import CountingHandler, JournalFormatter, JsonFormatter, PlainFormatter, is_journal


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


def record(level: int, text: str, **more: object) -> logging.LogRecord:
    """A line of the log."""
    return logging.LogRecord("edge.x", level, __file__, 1, "%s", (text,), more.get("exc_info"))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("level", "priority"), [(logging.CRITICAL, 3), (logging.ERROR, 3), (logging.WARNING, 4), (20, 6), (10, 7)]
)
def test_the_journal_learns_how_bad_it_is(level: int, priority: int) -> None:
    """Each line of a message begins with its priority, as sd-daemon(3) numbers them."""
    said = JournalFormatter("%(name)s: %(message)s").format(record(level, "one\n<0>two"))
    assert said == f"<{priority}>edge.x: one\n<{priority}>    <0>two"


def test_the_journal_is_told_by_device_and_inode(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """$JOURNAL_STREAM is inherited by children whose output goes elsewhere: only the very file counts."""
    with (tmp_path / "stream").open("w") as stream, (tmp_path / "other").open("w") as other:
        status = os.fstat(stream.fileno())
        monkeypatch.setenv("JOURNAL_STREAM", f"{status.st_dev}:{status.st_ino}")
        assert is_journal(stream.fileno())
        assert not is_journal(other.fileno())
        assert not is_journal(-1)
    monkeypatch.delenv("JOURNAL_STREAM")
    assert not is_journal(0)


def test_json_is_one_object_a_line() -> None:
    """Whatever is said, also of an exception: the documented fields, in UTC, and no line break outside of JSON."""
    try:
        raise ValueError("bad\nworse")
    except ValueError:
        said = JsonFormatter().format(record(logging.ERROR, 'a "b"\n{c}', exc_info=sys.exc_info()))
    assert "\n" not in said
    line = json.loads(said)
    assert line.pop("exception").endswith("ValueError: bad\nworse")
    assert line.pop("at").endswith("Z")
    assert line == {
        "level": "error",
        "logger": "edge.x",
        "message": 'a "b"\n{c}',
        "pid": os.getpid(),
        "thread": "MainThread",
    }


def test_a_process_writes_for_the_journal_only_to_it(tmp_path: Path) -> None:
    """One whose stderr is the journal's stream writes priorities there; the same with another stderr does not."""
    code = "import logging; from edge.commands.log import log_to_stderr; log_to_stderr('info'); logging.error('x')"
    for name, expected in (("journal", "<3>ERROR root: x\n"), ("file", "ERROR root: x\n")):
        with (tmp_path / name).open("w") as stderr:
            status = os.fstat(stderr.fileno()) if name == "journal" else os.stat(tmp_path)
            environment = {**os.environ, "JOURNAL_STREAM": f"{status.st_dev}:{status.st_ino}"}
            subprocess.run([sys.executable, "-c", code], stderr=stderr, env=environment, check=True, timeout=30)
        assert (tmp_path / name).read_text() == expected
