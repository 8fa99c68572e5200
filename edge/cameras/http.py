"""GET from a network camera: with a deadline, its user and password, and nothing secret of the address in messages."""

from __future__ import annotations

import contextlib
import email.message
import http
import logging
import ssl
import time
from collections.abc import Iterator
from typing import TypeVar
from urllib.parse import unquote, urljoin, urlsplit

import httpx

import edge
from edge.cameras.address import shown
from edge.errors import CameraError

_MOST_REDIRECTS = 5
for _name in ("httpx", "httpcore"):
    logging.getLogger(_name).setLevel(logging.WARNING)  # below that they log whole addresses and headers


class Answer:
    """What a camera answered; its content is read in pieces."""

    def __init__(self, client: HttpClient, response: httpx.Response) -> None:
        self._client, self._response = client, response
        self._pieces = response.iter_raw()
        kind = email.message.Message()
        kind["Content-Type"] = response.headers.get("Content-Type", "")
        self.content_type = kind.get_content_type() if kind["Content-Type"] else ""
        self.boundary = str(kind.get_param("boundary") or "").strip('"').lstrip("-")
        """What is between the parts of a multipart answer; empty if it does not say."""
        length = response.headers.get("Content-Length", "")
        self.length_bytes = int(length) if length.isdecimal() else None
        """As announced; None where it is not."""

    def read(self, deadline_s: float) -> bytes:
        """What has come, at least one byte; nothing at the end.

        Args:
            deadline_s: when to give up, on the monotonic clock; a camera that sends nothing at all is given up after
                the client's time.

        Raises:
            CameraError: nothing came until then, or the connection broke.
        """
        with self._client.failures():
            if time.monotonic() >= deadline_s:
                raise httpx.ReadTimeout("late")
            return next(self._pieces, b"")

    def close(self) -> None:
        """End the connection."""
        self._response.close()


class HttpClient:
    """Asks one camera; follows it to other paths, schemes and ports, never to another host.

    Args:
        url: with user and password, where the camera wants them; quoted.
        timeout_s: longest wait for the connection, and unless told otherwise
        read_timeout_s: for an answer to begin, and for its next piece.
        verify_certificate: of https, whether an authority that this device knows must have signed the camera's.
    """

    def __init__(
        self, url: str, *, timeout_s: float, verify_certificate: bool, read_timeout_s: float | None = None
    ) -> None:
        self.label = shown(url)
        parts = urlsplit(url)
        self._url = parts._replace(netloc=parts.netloc.rpartition("@")[2], fragment="").geturl()
        self._login = (unquote(parts.username), unquote(parts.password or "")) if parts.username else None
        self._auth: httpx.Auth = httpx.Auth()  # none, until the camera says which kind
        tls = ssl.create_default_context()
        if not verify_certificate:
            tls.check_hostname, tls.verify_mode = False, ssl.CERT_NONE
        self._client = httpx.Client(
            timeout=httpx.Timeout(timeout_s, read=read_timeout_s or timeout_s),
            verify=tls,
            trust_env=False,
            headers={"User-Agent": f"edge/{edge.__version__}", "Accept-Encoding": "identity", "Connection": "close"},
        )

    def get(self) -> Answer:
        """The answer to a GET; the caller closes it.

        Raises:
            CameraError: there is none, or it is a refusal.
        """
        url, tried_login = self._url, False
        for _ in range(_MOST_REDIRECTS + 2):
            with self.failures():
                response = self._client.send(self._client.build_request("GET", url), stream=True, auth=self._auth)
            if response.status_code == http.HTTPStatus.OK:
                return Answer(self, response)
            response.close()
            challenge = response.headers.get("WWW-Authenticate", "").lower()
            if response.status_code == http.HTTPStatus.UNAUTHORIZED and challenge and self._login and not tried_login:
                self._auth = (httpx.DigestAuth if "digest" in challenge else httpx.BasicAuth)(*self._login)
                tried_login = True
            elif response.has_redirect_location:
                url = self._redirected(url, response.headers["Location"])
            else:
                raise CameraError(f"{self.label}: {_refusal(response.status_code)}")
        raise CameraError(f"{self.label}: sends from one address to the next without end. Correct the address")

    def close(self) -> None:
        """Close what is open; it cannot be asked again."""
        self._client.close()

    @contextlib.contextmanager
    def failures(self) -> Iterator[None]:
        """What the network and its libraries raise, as `CameraError`; their texts may hold the path, so they go."""
        try:
            yield
        except httpx.TimeoutException:
            raise CameraError(
                f"{self.label}: did not answer in time. It may be off or busy, or the address wrong"
            ) from None
        except (httpx.NetworkError, OSError) as error:
            refused = _cause(error, ssl.SSLCertVerificationError)
            if refused is not None:
                raise CameraError(
                    f"{self.label}: its certificate was not accepted ({refused.verify_message}). If the camera signed "
                    "its own, set `verify_certificate: false`"
                ) from None
            reason = _cause(error, OSError)
            said = f" ({reason.strerror})" if reason is not None and reason.strerror else ""
            raise CameraError(
                f"{self.label}: cannot be reached{said}. Check that the camera is on, and host and port of the address"
            ) from None
        except (
            httpx.HTTPError,
            httpx.InvalidURL,
            httpx.StreamError,
            ValueError,
            KeyError,
            NotImplementedError,
        ) as error:
            raise CameraError(
                f"{self.label}: does not speak HTTP as expected ({type(error).__name__}). Check scheme, port and path "
                "of the address, and set the camera's login to basic or digest"
            ) from None

    def _redirected(self, url: str, location: str) -> str:
        try:
            to = urljoin(url, location)
            same = urlsplit(to).hostname == urlsplit(url).hostname
        except ValueError:
            same, to = False, ""
        if not same or not to.lower().startswith(("http://", "https://")):
            raise CameraError(
                f"{self.label}: sends to another host ({shown(to)}), which is not followed. Give that address itself"
            )
        parts = urlsplit(to)
        return parts._replace(netloc=parts.netloc.rpartition("@")[2]).geturl()


def _refusal(status: int) -> str:
    if status in (http.HTTPStatus.UNAUTHORIZED, http.HTTPStatus.FORBIDDEN):
        return f"refused (HTTP {status}). Check user and password in the address, and that user's rights"
    if status == http.HTTPStatus.NOT_FOUND:
        return "has nothing at that path (HTTP 404). Correct the path of the address; the camera's manual has it"
    return f"did not give what was asked for (HTTP {status}). Try the address in a browser; restart the camera"


_Error = TypeVar("_Error", bound=BaseException)


def _cause(error: BaseException | None, kind: type[_Error]) -> _Error | None:
    """The error of this kind that `error` is or came from."""
    while error is not None and not isinstance(error, kind):
        error = error.__cause__ or error.__context__
    return error
