"""Addresses of network cameras: what may be shown of one, and one whose password holds characters that end it.

A camera's address may carry a secret in its user, password, path or query, under names that nobody can list. So
everything but scheme, host and port is left out wherever an address is shown.
"""

from __future__ import annotations

import re

_ADDRESS = re.compile(r"(?i)\b([a-z][a-z0-9+.-]*)(:/+)([^\s]*)")
_PLACE = re.compile(r"(?:\[[0-9A-Fa-f:.%]+\]|[A-Za-z0-9_][A-Za-z0-9_.-]*)(?::\d{1,5})?")
_SURELY_A_HOST = re.compile(r"(?i)(?:\[[0-9a-f:.%]+\]|\d{1,3}(?:\.\d{1,3}){3}|localhost)(?::\d{1,5})?")
_ENDS = re.compile(r"[/?#]")
_PUNCTUATION = ",;:.)'\"`]>"
_UNQUOTED = re.compile(r"%(?![0-9A-Fa-f]{2})|[^A-Za-z0-9._~!$&'()*+,;=:%-]")
HIDDEN = "***"


class AmbiguousAddressError(ValueError):
    """Where the user and password end and the host begins cannot be told."""


def without_addresses(text: str) -> str:
    """The text with each address in it cut to scheme, host and port; paths and what else holds no `:/` stay."""

    def cut(found: re.Match[str]) -> str:
        rest = found[3].rstrip(_PUNCTUATION)
        return f"{found[1]}{found[2]}{_place(rest)}{found[3][len(rest) :]}"

    return _ADDRESS.sub(cut, text)


def shown(url: str) -> str:
    """Scheme, host and port of an address, `***` for what cannot be told apart from a secret: all that may be shown."""
    found = _ADDRESS.match(url)
    return f"{found[1]}://{_place(found[3])}" if found else HIDDEN


def quoted(url: str) -> str:
    """The address with what its user and password hold of `/ ? # @ %` written as %2F and so on.

    Raises:
        AmbiguousAddressError: it could be read in several ways.
    """
    found = _ADDRESS.match(url)
    if not found:
        return url
    user, rest = _split(found[3])
    return url if user is None else f"{found[1]}://{_UNQUOTED.sub(_percent, user)}@{rest}"


def _percent(found: re.Match[str]) -> str:
    return "".join(f"%{byte:02X}" for byte in found[0].encode())


def _split(rest: str) -> tuple[str | None, str]:
    """(user and password or None, host and all after it) of what follows the two slashes."""
    authority = _ENDS.split(rest, maxsplit=1)[0]
    user, at, place = authority.rpartition("@")
    later = [k for k in (found.start() for found in re.finditer("@", rest)) if k > len(authority)]
    if not later or _SURELY_A_HOST.fullmatch(place):
        return (user, rest[len(user) + 1 :]) if at else (None, rest)
    if len(later) == 1 and ":" in authority and not _PLACE.fullmatch(authority):
        user, rest = rest[: later[0]], rest[later[0] + 1 :]
        place = _ENDS.split(rest, maxsplit=1)[0]
        if _SURELY_A_HOST.fullmatch(place) or (not at and _PLACE.fullmatch(place)):
            return user, rest
    raise AmbiguousAddressError


def _place(rest: str) -> str:
    """Host and port of what follows the two slashes."""
    try:
        _, rest = _split(rest)
    except AmbiguousAddressError:
        return HIDDEN
    place = _ENDS.split(rest, maxsplit=1)[0]
    return place if not place or _PLACE.fullmatch(place) else HIDDEN
