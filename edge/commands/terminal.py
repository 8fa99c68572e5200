"""What every `edge` command shares: its output, its exit codes, and its configuration file."""

from __future__ import annotations

import contextlib
import io
import logging
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console

from edge.commands.log import log_to_stderr
from edge.errors import ConfigError, ConfigErrors, EdgeError, NotThereError

if TYPE_CHECKING:
    from edge.config.sections import Config

EXIT_FAILED = 1
EXIT_NOT_THERE = 69
"""sysexits.h EX_UNAVAILABLE: what the configuration names is not there; the systemd unit tries again."""
EXIT_CONFIG = 78
"""sysexits.h EX_CONFIG: what is written in it is wrong; the systemd unit does not try again."""

_STDOUT, _STDERR = 1, 2

ConfigPath = Annotated[Path, typer.Option("--config", "-c", help="Configuration file.", envvar="EDGE_CONFIG")]
console = Console()
err = Console(stderr=True)


@contextmanager
def errors_as_exit_codes() -> Iterator[None]:
    """Wrong configuration exits 78, what it names and is not there 69, every other expected failure 1.

    The message goes to stderr, without a traceback.
    """
    try:
        yield
    except ConfigError as e:
        err.print(str(e), style="red", markup=False, highlight=False, soft_wrap=True)
        not_there = isinstance(e, NotThereError) or (isinstance(e, ConfigErrors) and e.not_there)
        raise typer.Exit(EXIT_NOT_THERE if not_there else EXIT_CONFIG) from None
    except EdgeError as e:
        err.print(str(e), style="red", markup=False, highlight=False, soft_wrap=True)
        raise typer.Exit(EXIT_FAILED) from None


def loaded(path: Path, *, log_json: bool = False) -> Config:
    """The configuration, with the log set up as it says; `log_json`: one JSON object a line."""
    from edge.config.sections import load_config

    config = load_config(path)
    log_to_stderr(config.log.level, as_json=log_json)
    logging.getLogger("amqtt").setLevel(logging.ERROR)
    return config


def outlive_output() -> None:
    """What cannot be written to stdout and stderr from now on is lost, and nothing else: a full disk, a closed pipe."""
    while (fd := os.open(os.devnull, os.O_RDWR)) <= _STDERR:
        # It was closed: left so, a socket would take its number and get what is printed. Children need it too.
        os.set_inheritable(fd, True)
    os.close(fd)
    for name, number in (("stdout", _STDOUT), ("stderr", _STDERR)):
        raw = io.BufferedWriter(_Lenient(number, "w", closefd=False))
        encoding = getattr(getattr(sys, name), "encoding", None)
        stream = io.TextIOWrapper(raw, encoding, "backslashreplace", line_buffering=True)
        setattr(sys, name, stream)


class _Lenient(io.FileIO):
    """A descriptor to which every write succeeds, as far as its writer can tell."""

    def write(self, data: Any) -> int:
        with contextlib.suppress(OSError):
            return super().write(data) or len(data)
        return len(data)
