"""One file over https, whole or not at all."""

from __future__ import annotations

import ssl
import threading
import time
from pathlib import Path

import httpx

from edge.errors import EngineError

_READ_S = 30.0
_SLOW_S, _SLOWEST_BYTES_S = 60.0, 1024
"""After so long, less than so much a second is given up: what trickles would keep us for days."""


def download(url: str, to: Path, largest: int, *, ca: Path | None = None, stop: threading.Event | None = None) -> None:
    """Write what an https address gives into a file.

    Args:
        url: the address; it is not left for another.
        to: the file, which is ours alone; half of it is there after an error.
        largest: bytes that it may have.
        ca: authorities one of which signed the server's certificate; None: those that this machine knows.
        stop: gives up when it is set.

    Raises:
        EngineError: it cannot be had whole, or is too large.
    """
    try:
        with (
            httpx.Client(verify=_trust(ca), timeout=_READ_S) as client,
            client.stream("GET", url, headers={"Accept-Encoding": "identity"}) as response,
            to.open("wb") as file,
        ):
            _see_that_it_is_given(url, response, largest)
            begun_s = time.monotonic()
            for block in response.iter_raw():  # as it comes: what trickles is seen
                if file.tell() + len(block) > largest:
                    raise _too_large(url, largest)
                file.write(block)
                _see_that_it_goes_on(url, file.tell(), time.monotonic() - begun_s, stop)
    except httpx.TimeoutException as error:
        raise EngineError(f"{url}: nothing came for {_READ_S:g} s; see the server, and try again") from error
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        raise EngineError(
            f"{url}: cannot be fetched ({error or type(error).__name__}); {_remedy(error, ca)}"
        ) from error
    except OSError as error:
        raise EngineError(f"{to}: cannot be written ({error.strerror}); make room") from error


def _trust(ca: Path | None) -> ssl.SSLContext:
    try:
        return ssl.create_default_context(cafile=ca)
    except (OSError, ssl.SSLError) as error:
        raise EngineError(f"{ca}: is no file of certificates ({error}); name the authority's, in PEM") from error


def _see_that_it_is_given(url: str, response: httpx.Response, largest: int) -> None:
    if response.has_redirect_location:
        to = response.headers["Location"]
        raise EngineError(f"{url}: sends to {to}, which is not followed; give that address itself, if it is https")
    if response.status_code != httpx.codes.OK:
        raise EngineError(f"{url}: the server answers {response.status_code}; correct the address")
    length = response.headers.get("Content-Length", "")
    if length.isdecimal() and int(length) > largest:
        raise _too_large(url, largest)


def _see_that_it_goes_on(url: str, came_bytes: int, after_s: float, stop: threading.Event | None) -> None:
    if stop is not None and stop.is_set():
        raise EngineError(f"{url}: stopped before all of it was there; nothing was changed")
    if after_s > _SLOW_S and came_bytes < _SLOWEST_BYTES_S * after_s:
        said = f"{came_bytes} bytes in {after_s:.0f} s"
        raise EngineError(f"{url}: comes too slowly ({said}); see the network, or bring the file on a stick")


def _too_large(url: str, largest: int) -> EngineError:
    return EngineError(f"{url}: is larger than {largest >> 20} MiB; models.largest_mib allows no more")


def _remedy(error: Exception, ca: Path | None) -> str:
    said = str(error)
    if "issuer" in said or "self-signed" in said or "self signed" in said:
        return "name the authority that signed the server's certificate by --ca" + (", not another" if ca else "")
    if "complete message" in said:
        return "the connection broke before all of it was there; try again"
    return "see address, network, and this device's clock"
