"""What every `edge` command shares: its output, its exit codes, its configuration file, and how it is ended."""

from __future__ import annotations

import logging
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console

from edge.errors import ConfigError, EdgeError

if TYPE_CHECKING:
    from edge.config.sections import Config

EXIT_FAILED = 1
EXIT_CONFIG = 78
"""sysexits.h EX_CONFIG; the systemd unit does not restart on it."""

ConfigPath = Annotated[Path, typer.Option("--config", "-c", help="Configuration file.", envvar="EDGE_CONFIG")]
console = Console()
err = Console(stderr=True)


@contextmanager
def errors_as_exit_codes() -> Iterator[None]:
    """Bad configuration exits 78, every other expected failure 1; the message goes to stderr, without a traceback."""
    try:
        yield
    except ConfigError as e:
        err.print(str(e), style="red", markup=False, highlight=False, soft_wrap=True)
        raise typer.Exit(EXIT_CONFIG) from None
    except EdgeError as e:
        err.print(str(e), style="red", markup=False, highlight=False, soft_wrap=True)
        raise typer.Exit(EXIT_FAILED) from None


def loaded(path: Path) -> Config:
    """The configuration, with the log set up as it says."""
    from edge.config.sections import load_config

    config = load_config(path)
    logging.basicConfig(level=config.log.level.upper(), format="%(levelname)s %(name)s: %(message)s", stream=sys.stderr)
    logging.getLogger("amqtt").setLevel(logging.ERROR)
    return config


def signals_end() -> threading.Event:
    """An event that Ctrl-C and SIGTERM set from now on, instead of raising wherever the program is."""
    ended = threading.Event()

    def end(_number: int, _frame: FrameType | None) -> None:
        ended.set()

    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, end)
    return ended
