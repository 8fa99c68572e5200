"""`edge report`: the heat loss of a home as one page to read and to print."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from edge.commands.log import log_to_stderr
from edge.commands.terminal import err, errors_as_exit_codes
from edge.errors import EdgeError


def report(
    rooms: Annotated[
        Path | None, typer.Option(help="YAML of rooms, or what `edge watch --json` printed; else: of a broker.")
    ] = None,
    out: Annotated[Path, typer.Option(help="File to write.")] = Path("heat-loss.html"),
    host: Annotated[str, typer.Option(help="Broker.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=1, max=65535)] = 1883,
    username: Annotated[str | None, typer.Option()] = None,
    password_file: Annotated[Path | None, typer.Option(help="File with the password.")] = None,
    ca: Annotated[Path | None, typer.Option(help="Encrypt, and trust brokers signed by this authority (PEM).")] = None,
    base: Annotated[str, typer.Option(help="First level of the topics.")] = "edge",
    device: Annotated[str | None, typer.Option(help="Only this device.")] = None,
    wait_s: Annotated[float, typer.Option("--wait", min=0.1, help="Longest wait for rooms of the broker, s.")] = 10.0,
) -> None:
    """Write the heat loss of a home as one HTML page: plans, tables, radiators, heat pump, what was assumed."""
    from edge.commands.report_page import page
    from edge.commands.report_rooms import home_of_broker, home_of_file
    from edge.mqtt.endpoint import Endpoint, TlsOptions

    log_to_stderr("WARNING", "%(message)s")
    with errors_as_exit_codes():
        if rooms is not None:
            home = home_of_file(rooms)
        else:
            if "@" in host or "/" in host:  # not repeated: it may hold a password
                raise EdgeError("--host takes a name or an IP address alone; --port and --username are apart")
            if password_file is not None and not password_file.is_file():
                raise EdgeError("no such file; give --password-file the name of the file with the broker's password")
            password = password_file.read_text(encoding="utf-8").rstrip("\r\n") if password_file else None
            endpoint = Endpoint(host, port, username, password, TlsOptions(ca) if ca else None)
            home = home_of_broker(endpoint, base=base, device=device, wait_s=wait_s)
        try:
            out.write_text(page(home), encoding="utf-8")
        except OSError as error:
            raise EdgeError(f"{out}: cannot be written ({error.strerror}); give another file with --out") from error
    err.print(f"{out}: {len(home.rooms)} rooms; print it from a browser, or open it", markup=False, highlight=False)
