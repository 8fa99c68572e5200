"""The live page's options, and its address said to people."""

from __future__ import annotations

import io
import os
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from edge.commands.terminal import console, err

if TYPE_CHECKING:
    from edge.mqtt.endpoint import Endpoint
    from edge.viewer.server import PageServer, Site

PageHost = Annotated[
    str, typer.Option("--page-host", help="Address to serve the page on; 0.0.0.0: to every machine, with a key.")
]
PagePort = Annotated[int, typer.Option("--page-port", min=0, max=65535, help="Its port, or the next free one.")]
HomesFile = Annotated[
    Path | None,
    typer.Option("--homes", help="File that keeps homes put together in the page; default: in the state folder."),
]


def default_homes() -> Path:
    """Where homes are kept if nothing else is said: systemd's StateDirectory, else the user's own state."""
    from edge.config.values import state_folder

    home = os.environ.get("XDG_STATE_HOME") or os.path.expanduser("~/.local/state")
    return (state_folder() or Path(home).absolute() / "edge") / "homes.json"


@contextmanager
def page_served(
    server_of: Callable[[Site], PageServer],
    endpoint: Endpoint,
    *,
    base: str,
    device: str | None,
    homes_file: Path | None,
) -> Iterator[None]:
    """The live page, fed by a subscriber to the broker, which homes that are put together in it are told on.

    Args:
        server_of: makes the server of a site.
        endpoint: the broker.
        base: first level of the topics.
        device: whose messages are shown; None: of all.
        homes_file: where homes are kept; None: in the state folder.

    Raises:
        EdgeError: no port could be had.
    """
    from edge.mqtt.home_message import HomeMessage
    from edge.subscribe.watcher import Received, Watcher
    from edge.viewer.homes import Homes, HomeTeller
    from edge.viewer.live import LivePage
    from edge.viewer.relay import Relay

    relay, teller = Relay(), HomeTeller(endpoint)

    def tell(topic: str, payload: bytes) -> None:
        relay.say(topic, payload)
        teller.put(topic, payload)

    homes = Homes(homes_file or default_homes(), tell, base=base)
    for topic, payload in homes.all.items():
        relay.say(topic, payload)

    def take(received: Received) -> None:
        relay.accept(received)
        if isinstance(received.message, HomeMessage):
            homes.heard(received.message)

    server = server_of(LivePage(relay, homes=homes))
    watcher = Watcher(endpoint, base=base, device=device, on_message=take, with_homes=True)
    with ExitStack() as served:
        server.start()
        served.callback(server.stop)
        watcher.start()
        served.callback(watcher.stop)
        teller.start(homes.untold)
        served.callback(teller.stop)
        show_address(server)
        yield


def show_address(server: PageServer) -> None:
    """Print where the page is; where others may open it, also as a QR code for a phone."""
    err.print(f"live page: {server.address}", markup=False, highlight=False, soft_wrap=True)
    if server.key is None or not console.is_terminal:
        return
    import segno

    code = io.StringIO()
    segno.make(server.address, error="l").terminal(out=code, compact=True, border=2)
    err.print(code.getvalue(), markup=False, highlight=False, soft_wrap=True)
