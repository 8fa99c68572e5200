"""Where a broker is and how to talk to it."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from edge.mqtt.versions import Protocol

RETRY_S = (0.5, 8.0)
"""Shortest and longest wait before the next attempt: whoever lost a broker is back within ten seconds of its return."""
STEADY_S = 10.0
"""A connection that lasted so long was sound: the next one is tried soon."""


@dataclass(frozen=True, slots=True)
class TlsOptions:
    """How to trust the broker and, with `certificate` and `key`, how to be trusted. No `ca`: the system's."""

    ca: Path | None = None
    certificate: Path | None = None
    key: Path | None = None
    insecure: bool = False
    """Accept any certificate: encrypts, but does not tell who is there."""


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Where the broker is and how to talk to it."""

    host: str
    port: int = 1883
    username: str | None = None
    password: str | None = field(default=None, repr=False)
    tls: TlsOptions | None = None
    transport: Literal["tcp", "websockets"] = "tcp"
    keepalive_s: int = 30
    protocol: Protocol = "auto"

    def __str__(self) -> str:
        """Host and port, as error messages name it."""
        return f"{self.host}:{self.port}"
