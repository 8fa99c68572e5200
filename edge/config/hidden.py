"""A configuration that may be shown to anybody, and the secrets of one, to be struck out of any text.

A field is secret that is a `SecretStr` or marked `writeOnly`; of addresses the host and port stay. What stands in files
that hold secrets (`SecretFile`) and in environment variables that sound like one is secret too.
"""

from __future__ import annotations

import base64
import re
import typing
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import quote, unquote, urlsplit

from pydantic import BaseModel, SecretStr
from pydantic.fields import FieldInfo

from edge.cameras.address import HIDDEN, AmbiguousAddressError, quoted, shown, without_addresses
from edge.config.values import HOLDS_A_SECRET, is_secret

_SOUNDS_SECRET = re.compile(r"(?i)pass|secret|token|key|cred|auth|private|user|login|url")
_ADDRESS = re.compile(r"(?i)^[a-z][a-z0-9+.-]*:/+")
_SHORT = 6
"""Shorter secrets are struck out only where they stand alone: within words they would be everywhere."""
_LARGEST_BYTES = 1 << 20


def without_secrets(section: BaseModel) -> dict[str, Any]:
    """The section as plain data, with `***` for what is secret, and addresses cut to their host."""
    return {name: _shown(getattr(section, name), field) for name, field in type(section).model_fields.items()}


def _shown(value: object, field: FieldInfo) -> Any:
    if value is None:
        return None
    if is_secret(field, type(value)):
        return shown(value) if isinstance(value, str) and _ADDRESS.match(value) else HIDDEN
    return _plain(value)


def _plain(value: object) -> Any:
    if isinstance(value, BaseModel):
        return without_secrets(value)
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, str):
        return without_addresses(value)
    return value if value is None or isinstance(value, bool | int | float) else str(value)


class Secrets:
    """What must not be shown, and its removal."""

    def __init__(self, config: object, environment: Mapping[str, str]) -> None:
        """Collect them.

        Args:
            config: the configuration; or plain data of a file that is none, where all counts that sounds like a secret.
            environment: of this process; that of the daemon has the same credentials.
        """
        found = set[str]()
        for secret in _secrets_of(config) if isinstance(config, BaseModel) else _secrets_in(config):
            found.update(_ways_to_write(secret))
        for name, value in environment.items():
            if _SOUNDS_SECRET.search(name) and not Path(value).exists():  # a path to a secret is none
                found.update(_ways_to_write(value))
        found.discard("")
        longest_first = sorted(found, key=len, reverse=True)
        anywhere = [re.escape(s) if len(s) >= _SHORT else rf"(?<!\w){re.escape(s)}(?!\w)" for s in longest_first]
        self._pattern = re.compile("|".join(anywhere)) if anywhere else None

    def strike(self, text: str) -> str:
        """The text with `***` for each of them, and every address cut to scheme, host and port."""
        text = text if self._pattern is None else self._pattern.sub(HIDDEN, text)
        return without_addresses(text)

    def strike_all(self, value: Any) -> Any:
        """The same for every text in plain data."""
        if isinstance(value, str):
            return self.strike(value)
        if isinstance(value, Mapping):
            return {self.strike(str(key)): self.strike_all(item) for key, item in value.items()}
        return [self.strike_all(item) for item in value] if isinstance(value, list | tuple) else value


def _secrets_of(section: BaseModel) -> Iterator[str]:
    for name, field in type(section).model_fields.items():
        value = getattr(section, name)
        for one in value if isinstance(value, list | tuple) else (value,):
            if isinstance(one, BaseModel):
                yield from _secrets_of(one)
            elif isinstance(one, SecretStr):
                yield one.get_secret_value()
            elif isinstance(one, Path) and _holds_a_secret(field):
                yield from _lines_of(one)
            elif isinstance(one, str) and is_secret(field):
                yield from _parts_of(one)


def _secrets_in(data: object, key: str = "") -> Iterator[str]:
    if isinstance(data, Mapping):
        for name, value in data.items():
            yield from _secrets_in(value, str(name))
    elif isinstance(data, list):
        for value in data:
            yield from _secrets_in(value, key)
    elif data is not None and (_SOUNDS_SECRET.search(key) or _ADDRESS.match(str(data))):
        yield from _parts_of(str(data))


def _holds_a_secret(field: FieldInfo) -> bool:
    kinds = (field.annotation, *typing.get_args(field.annotation))
    return any(
        HOLDS_A_SECRET in places for places in (field.metadata, *(getattr(k, "__metadata__", ()) for k in kinds))
    )


def _lines_of(file: Path) -> Iterator[str]:
    try:
        with file.open("rb") as opened:
            text = opened.read(_LARGEST_BYTES).decode(errors="replace")
    except OSError:
        return  # what cannot be read is not known to anybody here
    yield text
    yield from (line for line in text.splitlines() if not line.startswith("-----"))  # frames of PEM say nothing


def _parts_of(text: str) -> Iterator[str]:
    """Of an address all that may be secret: user, password, path, values of the query; else the text itself."""
    yield text
    if not _ADDRESS.match(text):
        return
    try:
        parts = urlsplit(quoted(text))
    except (AmbiguousAddressError, ValueError):
        return
    yield parts.netloc.rpartition("@")[0]
    yield from (part for part in (parts.username, parts.password, parts.query, parts.fragment) if part)
    yield from (value for value in re.split(r"[&=;]", parts.query) if len(value) >= _SHORT)
    yield from (step for step in parts.path.split("/") if len(step) >= _SHORT)


def _ways_to_write(secret: str) -> Iterator[str]:
    """As it is, without the space around it, percent-encoded or not, in Base64 as HTTP has it, and as JSON has it."""
    for written in {secret, secret.strip(), unquote(secret), quote(secret, safe="")}:
        yield written
        if len(written) >= _SHORT:
            yield base64.b64encode(written.encode()).decode().rstrip("=")
        yield written.replace("\\", "\\\\").replace('"', '\\"')
