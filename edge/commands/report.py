"""`edge report`: the heat loss of a home as one page to read and to print."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from edge.commands import broker
from edge.commands.log import log_to_stderr
from edge.commands.terminal import err, errors_as_exit_codes
from edge.errors import EdgeError


def report(
    rooms: Annotated[
        Path | None, typer.Option(help="YAML of rooms, or what `edge watch --json` printed; else: of a broker.")
    ] = None,
    out: Annotated[Path, typer.Option(help="File to write.")] = Path("heat-loss.html"),
    host: broker.Host = "127.0.0.1",
    port: broker.Port = 1883,
    username: broker.Username = None,
    password_file: broker.PasswordFile = None,
    ca: broker.Authority = None,
    base: broker.Base = "edge",
    device: broker.Device = None,
    wait_s: Annotated[float, typer.Option("--wait", min=0.1, help="Longest wait for rooms of the broker, s.")] = 10.0,
) -> None:
    """Write the heat loss of a home as one HTML page: plans, tables, radiators, heat pump, what was assumed."""
    from edge.commands.report_page import page
    from edge.commands.report_rooms import home_of_broker, home_of_file

    log_to_stderr("WARNING", "%(message)s")
    with errors_as_exit_codes():
        if rooms is not None:
            home = home_of_file(rooms)
        else:
            endpoint = broker.endpoint_at(host, port, username, password_file, ca)
            home = home_of_broker(endpoint, base=base, device=device, wait_s=wait_s)
        try:
            out.write_text(page(home), encoding="utf-8")
        except OSError as error:
            raise EdgeError(f"{out}: cannot be written ({error.strerror}); give another file with --out") from error
    err.print(f"{out}: {len(home.rooms)} rooms; print it from a browser, or open it", markup=False, highlight=False)
