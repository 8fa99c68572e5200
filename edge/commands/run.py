"""`edge run`: the daemon, and what a subscriber gets from it, shown."""

from __future__ import annotations

import logging
import os
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from edge.commands.daemon_addresses import addresses
from edge.commands.page import HomesFile, page_served
from edge.commands.signals import signal_rereads, signals_end
from edge.commands.terminal import EXIT_FAILED, ConfigPath, console, err, errors_as_exit_codes, loaded, outlive_output
from edge.errors import EdgeError

if TYPE_CHECKING:
    from edge.daemon.supervisor import Daemon
    from edge.daemon.tally import Tally

_log = logging.getLogger(__name__)

_PLAIN_TABLE_EVERY_S = 5.0
_BESIDE_S = 4.0
"""How long the end of what is shown is waited for, while and after the daemon stops; that takes as long at most."""


def run(
    config: ConfigPath = Path("config.yaml"),
    for_s: Annotated[float | None, typer.Option("--for", min=1, help="Stop after so many seconds of serving.")] = None,
    show: Annotated[
        bool | None, typer.Option("--show/--quiet", help="Show what a subscriber gets; default: not under systemd.")
    ] = None,
    page: Annotated[
        bool | None, typer.Option("--page/--no-page", help="Serve the live page too; default: where it is shown.")
    ] = None,
    page_host: Annotated[
        str | None, typer.Option("--page-host", help="Address to serve page, health and metrics on, not http.host.")
    ] = None,
    page_port: Annotated[
        int | None, typer.Option("--page-port", min=0, max=65535, help="Its port, or the next free one; not http.port.")
    ] = None,
    homes: HomesFile = None,
    log_json: Annotated[
        bool, typer.Option("--log-json", help="Write the log as one JSON object a line on stderr; implies --quiet.")
    ] = False,
) -> None:
    """Run the daemon until Ctrl-C or SIGTERM.

    With --for it stops by itself, prints last what was published, and exits 0 only if every camera's every task was
    and the broker refused nothing. SIGHUP has it read the configuration again: what can be applied is, all else needs a
    restart, which it says; with a mistake in it, it goes on as it was.
    """
    outlive_output()  # first: what opens a descriptor before it may get the number of an output that was closed
    from edge.daemon.supervisor import Daemon

    with errors_as_exit_codes():
        settings = loaded(config, log_json=log_json)
        say = _log.info if log_json else partial(err.print, style="dim", markup=False, highlight=False)
        ended, reread = signals_end(), signal_rereads()  # until here there is nothing to stop, and it ends at once
        if settings.mqtt.exposure is not None:
            _log.warning("%s", settings.mqtt.exposure)
        try:
            daemon = Daemon(
                settings,
                path=config.absolute(),
                on_progress=say,
                stop=ended,
                reread=reread,
            )
        except EdgeError as e:
            if not ended.is_set():
                raise
            err.print(str(e), style="dim", markup=False, highlight=False, soft_wrap=True)
            raise typer.Exit(0) from None  # it was told to end, and did
        beside = ExitStack()
        try:
            daemon.start()
            visible = show if show is not None else not log_json and "INVOCATION_ID" not in os.environ
            shown = visible if page is None else page
            beside.enter_context(_served(daemon, page_host, page_port, homes, page=shown))
            if visible:
                beside.enter_context(_shown(daemon, for_s))
            daemon.supervise(for_s)
        finally:
            tally = _stopped(daemon, beside)
    console.print(_last_line(tally), markup=False, highlight=False, soft_wrap=True)
    complaints = list(_complaints(tally, daemon))
    for complaint in complaints:
        err.print(complaint, style="red", markup=False, highlight=False, soft_wrap=True)
    if for_s is not None and complaints:
        raise typer.Exit(EXIT_FAILED)


def _stopped(daemon: Daemon, beside: ExitStack) -> Tally:
    """Stop the daemon and, meanwhile, what is shown of it: on a busy processor each takes seconds."""
    from edge.monitor.clock import Deadline

    until = Deadline(_BESIDE_S)
    closing = threading.Thread(target=beside.close, name="edge-beside", daemon=True)
    closing.start()
    came_to = daemon.stop()
    closing.join(until.left_s())
    return came_to


def _last_line(tally: Tally) -> str:
    counts = ", ".join(f"{task} {tally.published[task]}" for task in ("depth", "layout", "lighting"))
    unsent = ", ".join(f"{reason} {n}" for reason, n in tally.unsent.items())
    newer = f"; superseded {tally.superseded}" if tally.superseded else ""
    kept = f"; kept {tally.kept}" if tally.kept else ""
    dropped = f"dropped {tally.dropped}{f' ({unsent})' if unsent else ''}"
    return f"published: {counts}{newer}{kept}; {dropped}; errors {tally.errors}"


def _complaints(tally: Tally, daemon: Daemon) -> Iterator[str]:
    """Why a run was none of those in which all went well."""
    if tally.silent:
        missing = ", ".join(f"{camera}/{task}" for camera, task in tally.silent)
        yield f"nothing published for {missing}; see the errors above, or run `edge check`"
    if tally.unsent["refused"]:
        why = ", ".join(f"{topic} ({reason})" for topic, reason in daemon.metrics.refused.read())
        yield f"the broker refused {tally.unsent['refused']} messages: {why}; run `edge check`"


@contextmanager
def _served(daemon: Daemon, host: str | None, port: int | None, homes: Path | None, *, page: bool) -> Iterator[None]:
    """Health, metrics and, fed by a real subscriber to the daemon's broker, the live page.

    Without a port for them the daemon serves all the same.
    """
    from edge.viewer.server import PageServer

    device, own = daemon.config.device, daemon.config.http
    serve = partial(
        PageServer,
        host=host or own.host,
        port=own.port if port is None else port,
        addresses=addresses(daemon) if own.enabled else {},
        key=own.key(),
    )
    with ExitStack() as running:
        try:
            if page:
                broker = partial(page_served, daemon.endpoint, base=device.base_topic, device=device.name)
                running.enter_context(broker(homes_file=homes, serve=serve))
            elif own.enabled:
                server = serve(None)
                server.start()
                running.callback(server.stop)
                _log.info("health and metrics on %s", server.address_without_key)
        except EdgeError as error:
            _log.warning("%s", error)
        yield


@contextmanager
def _shown(daemon: Daemon, for_s: float | None) -> Iterator[None]:
    """A real subscriber to the daemon's broker, shown as a live table (now and then where there is no terminal)."""
    from edge.subscribe.table import show, table
    from edge.subscribe.watcher import Watcher

    device = daemon.config.device
    ending = threading.Event()
    if console.is_terminal:
        arguments = {"base": device.base_topic, "device": device.name, "stop": ending}
        thread = threading.Thread(
            target=show, args=(daemon.endpoint, console), kwargs=arguments, name="edge-show", daemon=True
        )
    else:
        watcher = Watcher(daemon.endpoint, base=device.base_topic, device=device.name)
        watcher.start()

        def print_now_and_then() -> None:
            while not ending.wait(_PLAIN_TABLE_EVERY_S):
                console.print(table(watcher.state))
            watcher.stop()

        thread = threading.Thread(target=print_now_and_then, name="edge-show", daemon=True)
    how = f"for {for_s:g} s" if for_s else "until Ctrl-C"
    err.print(f"serving {how}; subscribe at {daemon.endpoint}, topic {device.base_topic}/{device.name}/#", markup=False)
    thread.start()
    try:
        yield
    finally:
        ending.set()
        thread.join(5.0)
