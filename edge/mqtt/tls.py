"""The files of mqtt.tls, looked at before OpenSSL does: its errors do not say which file is wrong, nor what to do.

Nothing here or in the daemon asks for a passphrase: OpenSSL would wait for one at the terminal.
"""

from __future__ import annotations

import base64
import contextlib
import re
from datetime import datetime, timezone
from pathlib import Path

from edge.errors import PublishError

_LARGEST_BYTES = 16 * 1024 * 1024
_LABEL = re.compile(rb"-----BEGIN ([A-Z0-9 ]+)-----")
_CERTIFICATE = re.compile(rb"-----BEGIN (?:TRUSTED |X509 )?CERTIFICATE-----(.+?)-----END", re.DOTALL)
_SEQUENCE, _VERSION, _UTC_TIME = 0x30, 0xA0, 0x17
_FORM = "%Y-%m-%d %H:%M UTC"


def refuse_to_ask() -> str:
    """What OpenSSL calls instead of asking for the passphrase of a private key.

    Raises:
        PublishError: always.
    """
    raise _encrypted("mqtt.tls.key")


def check_files(ca: Path | None, certificate: Path | None, key: Path | None) -> None:
    """Whether each is there and PEM, and holds what it should.

    Raises:
        PublishError: one is not usable; says which, why, and what to do.
        FileNotFoundError: one is not there.
    """
    wanted = {"ca": (ca, b"CERTIFICATE"), "cert": (certificate, b"CERTIFICATE"), "key": (key, b"PRIVATE KEY")}
    for name, (path, label) in wanted.items():
        if path is not None:
            _check(f"mqtt.tls.{name}", path, label)


def _check(name: str, path: Path, wanted: bytes) -> None:
    data = _read(name, path)
    labels = _LABEL.findall(data)
    if not labels:
        raise PublishError(f"{name}: {path} {_without_labels(data, wanted, path)}")
    if not any(label.endswith(wanted) for label in labels):
        holds = " and ".join(dict.fromkeys(label.decode().lower() for label in labels))
        raise PublishError(f"{name}: {path} holds {holds}, and no {wanted.decode().lower()}; name the file that does")
    if wanted == b"PRIVATE KEY" and (b"ENCRYPTED PRIVATE KEY" in labels or b"Proc-Type: 4,ENCRYPTED" in data):
        raise _encrypted(f"{name}: {path}")


def _read(name: str, path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            return file.read(_LARGEST_BYTES)
    except FileNotFoundError:
        raise
    except OSError as error:
        remedy = "give the user that runs edge the right to read it"
        raise PublishError(f"{name}: cannot read {path} ({error.strerror}); {remedy}") from error


def _without_labels(data: bytes, wanted: bytes, path: Path) -> str:
    if not data.strip():
        return "is empty; put the certificate or key there again"
    if data[0] != _SEQUENCE:
        return "is not PEM, which begins with -----BEGIN; name another file, or convert it"
    pem = path.with_suffix(".pem")
    with contextlib.suppress(IndexError):
        if _elements(_elements(data)[0][1])[0] == (0x02, b"\x03"):
            return f"is a PKCS #12 archive, not PEM; convert it: openssl pkcs12 -in {path} -nodes -out {pem}"
    command = "pkey" if wanted == b"PRIVATE KEY" else "x509"
    return f"is DER, not PEM; convert it: openssl {command} -inform DER -in {path} -out {pem}"


def _encrypted(what: str) -> PublishError:
    return PublishError(
        f"{what} is encrypted, and a daemon has nobody to ask for the passphrase; take it off (openssl pkey -in "
        "ENCRYPTED -out PLAIN) and give the plain file mode 0600, or keep it as a credential of systemd"
    )


def clock() -> str:
    """What the device's clock says, for messages: one without a battery begins years ago."""
    return f"the device's clock says {datetime.now(timezone.utc).strftime(_FORM)}"


def own_certificate_problem(path: Path | None) -> str | None:
    """Whether this device's certificate is out of its time, with what to do."""
    times = None if path is None else _validity(path)
    if times is None:
        return None
    begin, end = times
    now = datetime.now(timezone.utc)
    if now < begin:
        when = f"not valid before {begin.strftime(_FORM)}, and {clock()}"
        return f"this device's certificate {path} is {when}: set the clock (timedatectl), or wait for the time server"
    if now > end:
        when = f"expired on {end.strftime(_FORM)}, and {clock()}"
        return f"this device's certificate {path} {when}: have a new one made, or set the clock"
    return None


def _validity(path: Path) -> tuple[datetime, datetime] | None:
    """From when to when the first certificate of a PEM file is valid; None where that cannot be read."""
    with contextlib.suppress(OSError, ValueError, IndexError):
        found = _CERTIFICATE.search(path.read_bytes())
        if found is not None:
            whole = _elements(base64.b64decode(found[1]))[0][1]
            fields = _elements(_elements(whole)[0][1])
            fields = fields[1:] if fields[0][0] == _VERSION else fields
            begin, end = _elements(fields[3][1])[:2]
            return _time(*begin), _time(*end)
    return None


def _elements(data: bytes) -> list[tuple[int, bytes]]:
    """(tag, content) of each DER element in a row, X.690."""
    found, at = [], 0
    while at < len(data):
        tag, length = data[at], data[at + 1]
        at += 2
        if length & 0x80:
            count = length & 0x7F
            length = int.from_bytes(data[at : at + count], "big")
            at += count
        found.append((tag, data[at : at + length]))
        at += length
    return found


def _time(tag: int, content: bytes) -> datetime:
    """A UTCTime (two digits of a year from 1950 on) or GeneralizedTime, RFC 5280 section 4.1.2.5."""
    text = content.decode("ascii")
    if tag == _UTC_TIME:
        text = ("19" if text >= "50" else "20") + text
    return datetime.strptime(text, "%Y%m%d%H%M%SZ").replace(tzinfo=timezone.utc)
