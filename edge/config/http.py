"""The section of config.yaml about what is served over HTTP."""

from __future__ import annotations

from pydantic import Field

from edge.config.values import HostName, Port, SecretFile, Section
from edge.errors import ConfigError, NotThereError

_SHORTEST_KEY = 12


class HttpConfig(Section):
    """Health and metrics, and the live page where that is served: one server."""

    enabled: bool = Field(default=True, description="serve /healthz, /readyz and /metrics")
    host: HostName = Field(
        default="127.0.0.1", description="address to listen on; any but loopback needs the key, except for /healthz"
    )
    port: Port = Field(default=8088, description="port to listen on, or the next free one of twenty")
    key_file: SecretFile | None = Field(
        default=None,
        description="file with the key that others than loopback must give; null: a new one at each start",
    )

    def key(self) -> str | None:
        """What stands in the key's file.

        Raises:
            NotThereError: it cannot be read any more.
            ConfigError: it is too short to be kept secret.
        """
        if self.key_file is None:
            return None
        try:
            key = self.key_file.read_text(encoding="utf-8").strip()
        except (OSError, UnicodeDecodeError) as error:
            remedy = "Write the key as text, readable by the user that runs edge"
            raise NotThereError("http.key_file", "cannot be read", remedy) from error
        if len(key) < _SHORTEST_KEY:
            problem = f"holds fewer than {_SHORTEST_KEY} characters"
            raise ConfigError("http.key_file", problem, "Make one with `openssl rand -hex 16`")
        return key
