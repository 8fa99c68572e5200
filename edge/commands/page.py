"""The live page's options, and its address said to people."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, Annotated

import typer

from edge.commands.terminal import console, err

if TYPE_CHECKING:
    from collections.abc import Callable

    from edge.mqtt.endpoint import Endpoint
    from edge.viewer.live import Flag
    from edge.viewer.server import PageServer

PageHost = Annotated[
    str, typer.Option("--page-host", help="Address to serve the page on; 0.0.0.0: to every machine, with a key.")
]
PagePort = Annotated[int, typer.Option("--page-port", min=0, max=65535, help="Its port, or the next free one.")]


def flag_over(endpoint: Callable[[], Endpoint], base: str) -> Flag:
    """What asks a device to keep a picture for review, over a broker."""
    from edge.errors import EdgeError
    from edge.mqtt.topics import Topics
    from edge.mqtt.verbs import VERBS
    from edge.subscribe.ask import ask

    def flag(device: str, camera: str) -> str:
        arguments = {"camera": camera, "note": "live page"}
        answer = ask(endpoint(), Topics(device, base), "flag", arguments, timeout_s=VERBS["flag"].within_s + 2.0)
        if answer.status != "ok":
            raise EdgeError(str(answer.error))
        return str(answer.data["entry"])

    return flag


def show_address(server: PageServer, what: str = "live page") -> None:
    """Print where the page is; where others may open it, also as a QR code for a phone."""
    err.print(f"{what}: {server.address}", markup=False, highlight=False, soft_wrap=True)
    if server.key is None or not console.is_terminal:
        return
    import segno

    code = io.StringIO()
    segno.make(server.address, error="l").terminal(out=code, compact=True, border=2)
    err.print(code.getvalue(), markup=False, highlight=False, soft_wrap=True)
