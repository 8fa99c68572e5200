"""`edge watch`: subscribe to a broker and show what devices publish."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from edge.commands.log import log_to_stderr
from edge.commands.signals import signals_end
from edge.commands.terminal import console, errors_as_exit_codes
from edge.errors import EdgeError


def watch(
    host: Annotated[str, typer.Option(help="Broker.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=1, max=65535)] = 1883,
    username: Annotated[str | None, typer.Option()] = None,
    password_file: Annotated[Path | None, typer.Option(help="File with the password.")] = None,
    ca: Annotated[Path | None, typer.Option(help="Encrypt, and trust brokers signed by this authority (PEM).")] = None,
    base: Annotated[str, typer.Option(help="First level of the topics.")] = "edge",
    device: Annotated[str | None, typer.Option(help="Only this device.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="One message a line instead of a table.")] = False,
    for_s: Annotated[float | None, typer.Option("--for", min=0.1, help="Stop after so many seconds.")] = None,
) -> None:
    """Subscribe to a broker and show what devices publish, live."""
    from edge.mqtt.link import Endpoint, TlsOptions
    from edge.subscribe.table import show

    log_to_stderr("WARNING", "%(message)s")
    stop = signals_end()
    with errors_as_exit_codes():
        if "@" in host or "/" in host:  # not repeated: it may hold a password
            raise EdgeError(
                "--host takes a name or an IP address alone; --port, --username and --password-file are apart"
            )
        if password_file is not None and not password_file.is_file():
            raise EdgeError("no such file; give --password-file the name of the file that holds the broker's password")
        password = password_file.read_text(encoding="utf-8").rstrip("\r\n") if password_file else None
        endpoint = Endpoint(host, port, username, password, TlsOptions(ca) if ca else None)
        view: Literal["json", "table", "lines"] = "json" if as_json else ("table" if console.is_terminal else "lines")
        state = show(endpoint, console, base=base, device=device, view=view, for_s=for_s, stop=stop)
        if not state.ever_connected:
            raise EdgeError(f"never connected: {state.connection_error or 'no answer yet'}")
