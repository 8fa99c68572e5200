"""The broker that a command speaks to: named on its command line, or the configuration's."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from edge.errors import EdgeError

if TYPE_CHECKING:
    from edge.config.sections import Config
    from edge.mqtt.endpoint import Endpoint

Host = Annotated[str, typer.Option("--host", help="Broker.")]
Port = Annotated[int, typer.Option("--port", min=1, max=65535)]
Username = Annotated[str | None, typer.Option("--username")]
PasswordFile = Annotated[Path | None, typer.Option("--password-file", help="File with the password.")]
Authority = Annotated[
    Path | None, typer.Option("--ca", help="Encrypt, and trust brokers signed by this authority (PEM).")
]
Base = Annotated[str, typer.Option("--base", help="First level of the topics.")]
Device = Annotated[str | None, typer.Option("--device", help="Only this device.")]


def endpoint_at(host: str, port: int, username: str | None, password_file: Path | None, ca: Path | None) -> Endpoint:
    """Where to subscribe.

    Raises:
        EdgeError: the host is an address of another kind, or there is no such password file.
    """
    from edge.mqtt.endpoint import Endpoint, TlsOptions

    if "@" in host or "/" in host:  # not repeated: it may hold a password
        raise EdgeError("--host takes a name or an IP address alone; --port, --username and --password-file are apart")
    if password_file is not None and not password_file.is_file():
        raise EdgeError("no such file; give --password-file the name of the file that holds the broker's password")
    password = password_file.read_text(encoding="utf-8").rstrip("\r\n") if password_file else None
    return Endpoint(host, port, username, password, TlsOptions(ca) if ca else None)


def configured(settings: Config) -> Endpoint:
    """The configured broker; the embedded one is on this machine."""
    from edge.mqtt.endpoint import Endpoint

    if settings.mqtt.host is None:
        return Endpoint("127.0.0.1", settings.mqtt.embedded.port)
    return settings.mqtt.endpoint()
