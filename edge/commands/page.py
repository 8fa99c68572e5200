"""The live page's options, and its address said to people."""

from __future__ import annotations

import io
import os
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from edge.commands.terminal import console, err

if TYPE_CHECKING:
    from edge.mqtt.endpoint import Endpoint
    from edge.viewer.live import Ask, Flag
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


def flag_over(endpoint: Endpoint, base: str) -> Flag:
    """What asks a device to keep a picture for review, over a broker."""
    from edge.errors import EdgeError
    from edge.mqtt.topics import Topics
    from edge.mqtt.verbs import VERBS
    from edge.subscribe.ask import ask

    def flag(device: str, camera: str) -> str:
        arguments = {"camera": camera, "note": "live page"}
        answer = ask(endpoint, Topics(device, base), "flag", arguments, timeout_s=VERBS["flag"].within_s + 2.0)
        if answer.status != "ok":
            raise EdgeError(str(answer.error))
        return str(answer.data["entry"])

    return flag


def objects_over(endpoint: Endpoint, base: str) -> Ask:
    """What asks a device about a thing that a camera shows, over a broker."""
    from edge.errors import EdgeError
    from edge.mqtt.topics import Topics
    from edge.mqtt.verbs import VERBS
    from edge.subscribe.ask import ask

    def about(device: str, arguments: dict[str, Any]) -> dict[str, Any]:
        answer = ask(endpoint, Topics(device, base), "objects", arguments, timeout_s=VERBS["objects"].within_s + 2.0)
        if answer.status != "ok":
            raise EdgeError(str(answer.error))
        return answer.data

    return about


@contextmanager
def page_served(
    endpoint: Endpoint,
    *,
    base: str,
    device: str | None,
    homes_file: Path | None,
    serve: Callable[[Site], PageServer],
) -> Iterator[None]:
    """The live page, fed by a subscriber to the broker, which homes that are put together in it are told on.

    `serve` makes the server that shows it; `device`: whose messages, None: of all.

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
        if received.address is not None and received.address.home is not None:
            if isinstance(received.message, HomeMessage):
                homes.heard(received.address.home, received.message)
            elif not received.payload:
                homes.heard(received.address.home, None)

    server = serve(LivePage(relay, flag_over(endpoint, base), homes, objects_over(endpoint, base)))
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


def show_address(server: PageServer, what: str = "live page") -> None:
    """Print where the page is; where others may open it, also as a QR code for a phone."""
    err.print(f"{what}: {server.address}", markup=False, highlight=False, soft_wrap=True)
    if server.key is None or not console.is_terminal:
        return
    import segno

    code = io.StringIO()
    segno.make(server.address, error="l").terminal(out=code, compact=True, border=2)
    err.print(code.getvalue(), markup=False, highlight=False, soft_wrap=True)
