"""The live page's options, and its address said to people."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, Annotated

import typer

from edge.commands.terminal import console, err

if TYPE_CHECKING:
    from edge.viewer.server import PageServer

PageHost = Annotated[
    str, typer.Option("--page-host", help="Address to serve the page on; 0.0.0.0: to every machine, with a key.")
]
PagePort = Annotated[int, typer.Option("--page-port", min=0, max=65535, help="Its port, or the next free one.")]


def show_address(server: PageServer) -> None:
    """Print where the page is; where others may open it, also as a QR code for a phone."""
    err.print(f"live page: {server.address}", markup=False, highlight=False, soft_wrap=True)
    if server.key is None or not console.is_terminal:
        return
    import segno

    code = io.StringIO()
    segno.make(server.address, error="l").terminal(out=code, compact=True, border=2)
    err.print(code.getvalue(), markup=False, highlight=False, soft_wrap=True)
