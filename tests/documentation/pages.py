"""What the pages for people tell their readers to type and to write: commands, and blocks of YAML, JSON and Python."""

from __future__ import annotations

import re
import shlex
from dataclasses import dataclass
from functools import cache
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[2]
PAGES = (
    *(f"{name}.md" for name in ("README", "CONTRIBUTING", "SECURITY")),
    *sorted(f"docs/{path.name}" for path in (REPOSITORY / "docs").glob("*.md")),
)
"""CHANGELOG.md tells of what was, and is left out."""
PROGRAMS = frozenset(
    [
        "apt",
        "apt-get",
        "chromium",
        "chrt",
        "curl",
        "dmesg",
        "dpkg",
        "dpkg-reconfigure",
        "edge",
        "edge-train",
        "emqx",
        "export",
        "ffplay",
        "journalctl",
        "make",
        "mosquitto_pub",
        "mosquitto_sub",
        "openssl",
        "pip",
        "pre-commit",
        "pytest",
        "python",
        "sudo",
        "sudoedit",
        "systemctl",
        "systemd-analyze",
        "systemd-run",
        "torchrun",
        ".ci/deb",
        ".ci/run",
        "systemd/install.sh",
    ]
)
"""What a command begins with, also below .venv/bin."""
ERRORS = ("edge does not start",)
"""What begins like a command and is a message."""
TRAINING = frozenset(
    [
        "average",
        "calibrate",
        "distill",
        "evaluate",
        "export",
        "fetch",
        "fit",
        "import",
        "quantize",
        "skies",
        "synthesize",
        "synthesize-walks",
        "tune",
        "untrained",
    ]
)
"""Commands of `edge-train`, which docs/training.md names without it."""
_FENCE = re.compile(r"^```(\w*)\n(.*?)^```", re.MULTILINE | re.DOTALL)
_INDENTED = re.compile(r"^    (\S(?:.*\\\n)*.*)$", re.MULTILINE)
_INLINE = re.compile(r"`([^`]+)`")


@dataclass(frozen=True, slots=True)
class Command:
    """One command of a page, without its comment."""

    text: str
    page: str
    line: int
    inline: bool
    """Named in a sentence, where `edge check` alone means that command with whatever it needs."""

    @property
    def words(self) -> list[str]:
        """As a shell splits it."""
        return shlex.split(self.text)

    def __str__(self) -> str:
        """Where it stands, and what."""
        return f"{self.page}:{self.line}: {self.text}"


@dataclass(frozen=True, slots=True)
class Block:
    """What stands between two fences."""

    language: str
    text: str
    page: str
    line: int


def _line(text: str, at: int) -> int:
    return text.count("\n", 0, at) + 1


def _without_comment(line: str) -> str:
    return re.sub(r"(?:^|\s+)#(?:\s.*)?$", "", line).strip()


def _is_command(text: str) -> bool:
    first, *rest = text.split()
    if text in ERRORS:
        return False
    if first == "sudo":
        return len(rest) > (2 if rest[:1] == ["-u"] else 0) and "…" not in rest
    return first.removeprefix(".venv/bin/") in PROGRAMS and (bool(rest) or first in PROGRAMS and "/" in first)


@cache
def blocks() -> tuple[Block, ...]:
    """Every fenced block of every page."""
    found = []
    for page in PAGES:
        text = (REPOSITORY / page).read_text(encoding="utf-8")
        found += [Block(m[1], m[2], page, _line(text, m.start()) + 1) for m in _FENCE.finditer(text)]
    return tuple(found)


def _of_page(page: str) -> list[Command]:
    text = (REPOSITORY / page).read_text(encoding="utf-8")
    found = []
    for block in blocks():
        if block.page == page and block.language in ("sh", "bash"):
            lines = block.text.replace("\\\n", " ").splitlines()
            found += [Command(_one_line(c), page, block.line, False) for line in lines if (c := _without_comment(line))]
    prose = _FENCE.sub(lambda m: "\n" * m[0].count("\n"), text)
    for m in _INDENTED.finditer(prose):
        line = _without_comment(m[1].replace("\\\n", " "))
        if line and _is_command(line):
            found.append(Command(_one_line(line), page, _line(prose, m.start()), False))
    for m in _INLINE.finditer(_INDENTED.sub(lambda m: m[1].partition("  # ")[2], prose)):
        words = m[1].split()
        if page == "docs/training.md" and len(words) > 1 and words[0] in TRAINING:
            found.append(Command(_one_line(f"edge-train {m[1]}"), page, _line(prose, prose.index(m[0])), True))
        elif words and _is_command(m[1]):
            found.append(Command(_one_line(m[1]), page, _line(prose, prose.index(m[0])), True))
    return found


def _one_line(text: str) -> str:
    return " ".join(text.split())


@cache
def commands() -> tuple[Command, ...]:
    """Every command of every page: lines of shell blocks, indented lines, and what sentences name in backticks."""
    return tuple(command for page in PAGES for command in _of_page(page))
