"""`edge watch`: subscribe to a broker and show what devices publish."""

from __future__ import annotations

from typing import Annotated, Literal

import typer

from edge.commands import broker
from edge.commands.log import log_to_stderr
from edge.commands.signals import signals_end
from edge.commands.terminal import console, errors_as_exit_codes
from edge.errors import EdgeError


def watch(
    host: broker.Host = "127.0.0.1",
    port: broker.Port = 1883,
    username: broker.Username = None,
    password_file: broker.PasswordFile = None,
    ca: broker.Authority = None,
    base: broker.Base = "edge",
    device: broker.Device = None,
    as_json: Annotated[bool, typer.Option("--json", help="One message a line instead of a table.")] = False,
    for_s: Annotated[float | None, typer.Option("--for", min=0.1, help="Stop after so many seconds.")] = None,
) -> None:
    """Subscribe to a broker and show what devices publish, live."""
    from edge.subscribe.table import show

    log_to_stderr("WARNING", "%(message)s")
    stop = signals_end()
    with errors_as_exit_codes():
        endpoint = broker.endpoint_at(host, port, username, password_file, ca)
        view: Literal["json", "table", "lines"] = "json" if as_json else ("table" if console.is_terminal else "lines")
        state = show(endpoint, console, base=base, device=device, view=view, for_s=for_s, stop=stop)
        if not state.ever_connected:
            raise EdgeError(f"never connected: {state.connection_error or 'no answer yet'}")
