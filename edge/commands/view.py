"""`edge view`: the live page of what devices publish."""

from __future__ import annotations

from functools import partial
from typing import Annotated

import typer

from edge.commands import broker
from edge.commands.log import log_to_stderr
from edge.commands.page import HomesFile, PageHost, PagePort, page_served
from edge.commands.signals import signals_end
from edge.commands.terminal import errors_as_exit_codes


def view(
    host: broker.Host = "127.0.0.1",
    port: broker.Port = 1883,
    username: broker.Username = None,
    password_file: broker.PasswordFile = None,
    ca: broker.Authority = None,
    base: broker.Base = "edge",
    device: broker.Device = None,
    page_host: PageHost = "127.0.0.1",
    page_port: PagePort = 8088,
    homes: HomesFile = None,
    for_s: Annotated[float | None, typer.Option("--for", min=0.1, help="Stop after so many seconds.")] = None,
) -> None:
    """Show what devices publish in a web page: rooms one can turn, plans, depth and light.

    The page is on this machine alone unless --page-host says otherwise; then its address has a key.
    """
    from edge.viewer.server import PageServer

    log_to_stderr("WARNING", "%(message)s")
    stop = signals_end()
    with errors_as_exit_codes():
        endpoint = broker.endpoint_at(host, port, username, password_file, ca)
        serve = partial(PageServer, host=page_host, port=page_port)
        with page_served(endpoint, base=base, device=device, homes_file=homes, serve=serve):
            stop.wait(for_s)
