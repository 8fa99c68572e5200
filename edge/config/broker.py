"""The sections of config.yaml that say where results go: the broker, and how to be let in."""

from __future__ import annotations

import ipaddress
import os
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, SecretStr, model_validator

from edge.config.values import (
    ExistingFile,
    HostName,
    PathToMake,
    Port,
    Rate,
    SecretFile,
    Section,
    problem,
    state_folder,
)
from edge.errors import ConfigError
from edge.keep.spool import DEFAULT_MAX_AGE_S, DEFAULT_MAX_BYTES, MIB
from edge.mqtt.endpoint import Endpoint, TlsOptions

_LONGEST_PASSWORD_BYTES = 65535
"""MQTT's own limit."""


class TlsConfig(Section):
    """Encryption to the broker; `tls: {}` alone trusts the system's certificate authorities."""

    ca: ExistingFile | None = Field(default=None, description="PEM file of the authority that signed the broker's key")
    cert: ExistingFile | None = Field(default=None, description="PEM file of this device's certificate")
    key: SecretFile | None = Field(
        default=None,
        description="PEM file of this device's private key, not encrypted; a bare name is looked for in "
        "$CREDENTIALS_DIRECTORY first",
    )
    insecure: bool = Field(default=False, description="do not check who the broker is (tests only)")

    @model_validator(mode="after")
    def _pair(self) -> TlsConfig:
        if (self.cert is None) != (self.key is None):
            missing = "cert" if self.cert is None else "key"
            raise problem("cert and key belong together", f"Add {missing}, or remove the other")
        return self


class EmbeddedBrokerConfig(Section):
    """The broker that starts with the daemon when mqtt.host is null; loopback only."""

    port: Port = Field(default=1883, description="MQTT over TCP; the next free port if it is taken")
    websocket_port: Port = Field(default=8083, description="MQTT over WebSocket; the next free port if it is taken")


class SpoolConfig(Section):
    """What waits on the disk until the broker takes it; docs/reliability.md says when it is written."""

    enabled: bool = Field(default=True, description="false: messages wait in memory alone, and a restart loses them")
    folder: PathToMake | None = Field(
        default=None,
        description="where; null: spool/<device.name> in systemd's StateDirectory (/var/lib/edge), else in "
        "~/.local/state/edge",
    )
    max_bytes: int = Field(
        default=DEFAULT_MAX_BYTES,
        ge=MIB,
        le=2**40,
        description="of all that waits there; beyond it the oldest events, or results, are lost and counted",
    )
    max_age_s: float = Field(default=DEFAULT_MAX_AGE_S, ge=60, description="what waited for longer is thrown away, s")
    results: Literal["latest", "all"] = Field(
        default="latest",
        description="of layout and lighting in an outage: the latest, or every one, sent when it is over in order, "
        "not retained, with its own captured_at",
    )
    replay_per_s: Rate = Field(
        default=100.0, description="messages a second, at most, of what has waited: a burst is lost at slow subscribers"
    )

    def folder_of(self, device: str) -> Path:
        """Where the messages of this device wait."""
        if self.folder is not None:
            return self.folder
        home = os.environ.get("XDG_STATE_HOME") or os.path.expanduser("~/.local/state")
        return (state_folder() or Path(home).absolute() / "edge") / "spool" / device


class MqttConfig(Section):
    """The broker that results go to."""

    host: HostName | None = Field(
        default=None, description="name or address of the broker; null: the embedded one, on this machine only"
    )
    port: Port = Field(default=1883, description="usual: 1883, with tls 8883")
    transport: Literal["tcp", "websockets"] = "tcp"
    protocol: Literal["auto", 5, "3.1.1"] = Field(default="auto", description="auto: 5, and 3.1.1 if it is refused")
    client_id: Annotated[str, Field(min_length=1)] | None = Field(
        default=None, description="unique on the broker; null: made from device.name"
    )
    username: str | None = Field(default=None, json_schema_extra={"writeOnly": True})
    password: SecretStr | None = Field(default=None, description="better: password_file")
    password_file: SecretFile | None = Field(
        default=None, description="file with the password; a bare name is looked for in $CREDENTIALS_DIRECTORY first"
    )
    tls: TlsConfig | None = Field(default=None, description="null: not encrypted; {}: the system's authorities")
    max_packet_bytes: int | None = Field(
        default=None, ge=1024, description="larger messages are not sent, and said; null: the broker's own limit alone"
    )
    response_prefix: Annotated[str, Field(min_length=1, pattern=r"^[^+#]*$")] | None = Field(
        default=None,
        description="what the response topic of a request must begin with; null: <base_topic>/<name>/response/",
        examples=["clients/"],
    )
    keepalive_s: int = Field(default=30, ge=5, le=65535, description="longest silence before the broker is probed, s")
    spool: SpoolConfig = Field(default_factory=SpoolConfig)
    embedded: EmbeddedBrokerConfig = Field(default_factory=EmbeddedBrokerConfig)

    @model_validator(mode="after")
    def _consistent(self) -> MqttConfig:
        if self.password is not None and self.password_file is not None:
            raise problem("password and password_file are both given", "Remove password", "password")
        secret = "password" if self.password is not None else "password_file"
        if getattr(self, secret) is not None and self.username is None:
            raise problem("a password without username", "Add username", secret)
        for key in ("username", "tls"):
            if self.host is None and getattr(self, key) is not None:
                raise problem("has no effect on the embedded broker", f"Set mqtt.host, or remove {key}", key)
        return self

    def endpoint(self) -> Endpoint:
        """How to connect to the configured broker, with the password read anew.

        Raises:
            ConfigError: no broker is configured, or the password's file cannot be read any more.
        """
        if self.host is None:
            raise ConfigError("mqtt.host", "is null, so the embedded broker serves", "Set it to a broker's name")
        return Endpoint(
            host=self.host,
            port=self.port,
            username=self.username,
            password=self.read_password(),
            tls=None if self.tls is None else TlsOptions(self.tls.ca, self.tls.cert, self.tls.key, self.tls.insecure),
            transport=self.transport,
            keepalive_s=self.keepalive_s,
            protocol="5" if self.protocol == 5 else self.protocol,
        )

    @property
    def exposure(self) -> str | None:
        """Who else may learn the password, and what to do; None where nobody does."""
        if self.host is None or (self.password is None and self.password_file is None) or _is_this_machine(self.host):
            return None
        if self.tls is None:
            return (
                f"user name and password go to {self.host} unencrypted: whoever is in between reads them; set mqtt.tls"
            )
        if self.tls.insecure:
            return f"user name and password go to whoever answers as {self.host}: set mqtt.tls.ca instead of insecure"
        return None

    def read_password(self) -> str | None:
        """The password from wherever it stands, without the line end of a file.

        Raises:
            ConfigError: the file cannot be read any more.
        """
        if self.password_file is None:
            return self.password.get_secret_value() if self.password else None
        try:
            with self.password_file.open("rb") as file:
                data = file.read(_LONGEST_PASSWORD_BYTES + 1)
            text = data.decode().rstrip("\r\n")
        except (OSError, UnicodeDecodeError) as error:
            what = f"cannot read {self.password_file} ({getattr(error, 'strerror', None) or 'it is not UTF-8'})"
            raise ConfigError("mqtt.password_file", what, "Make it a readable UTF-8 file with the password") from error
        if len(data) > _LONGEST_PASSWORD_BYTES:
            what = f"{self.password_file} is longer than a password can be"
            raise ConfigError("mqtt.password_file", what, "Put the password alone into it")
        return text


def _is_this_machine(host: str) -> bool:
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
