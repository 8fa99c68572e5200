"""GET from a network camera: with a deadline, its user and password, and nothing secret of the address in messages."""

from __future__ import annotations

import base64
import contextlib
import hashlib
import http.client
import re
import secrets
import ssl
import time
from collections.abc import Iterator
from urllib.parse import SplitResult, quote, unquote, urljoin, urlsplit

import edge
from edge.cameras.address import shown
from edge.errors import CameraError

_MOST_REDIRECTS = 5
_CHUNK_BYTES = 1 << 16
_REDIRECTS = frozenset({301, 302, 303, 307, 308})
_PARAMETER = re.compile(r'([A-Za-z0-9_-]+)\s*=\s*(?:"((?:[^"\\]|\\.)*)"|([^\s,]*))')
_SCHEME = re.compile(r"(?i)\b(basic|digest)\b")
_HASHES = {"MD5": "md5", "SHA-256": "sha256"}
_UNQUOTED = "%/?:@!$&'()*+,;=~[]|"


class Answer:
    """What a camera answered; its content is read in pieces."""

    def __init__(self, client: HttpClient, connection: http.client.HTTPConnection) -> None:
        self._client, self._connection = client, connection
        self._socket = connection.sock  # the connection lets go of it where the answer's end closes it
        self._response = connection.getresponse()
        self.status, self.reason = self._response.status, self._response.reason
        self.headers = self._response.headers
        self.content_type = self.headers.get_content_type() if "Content-Type" in self.headers else ""
        self.length_bytes = self._response.length
        """As announced; None where it is not."""

    def read(self, deadline_s: float) -> bytes:
        """What has come, at least one byte; nothing at the end.

        Args:
            deadline_s: when to give up, on the monotonic clock.

        Raises:
            CameraError: nothing came until then, or the connection broke.
        """
        with self._client.failures():
            left_s = deadline_s - time.monotonic()
            if left_s <= 0:
                raise TimeoutError
            self._socket.settimeout(left_s)
            return self._response.read1(_CHUNK_BYTES)

    def close(self) -> None:
        """End the connection."""
        self._response.close()
        self._connection.close()


class HttpClient:
    """Asks one camera; follows it to other paths, schemes and ports, never to another host.

    Args:
        url: with user and password, where the camera wants them; quoted.
        timeout_s: longest wait for the connection, and for an answer to begin.
        verify_certificate: of https, whether an authority that this device knows must have signed the camera's.
    """

    def __init__(self, url: str, *, timeout_s: float, verify_certificate: bool) -> None:
        self.label, self.timeout_s = shown(url), timeout_s
        self._url, parts = url, urlsplit(url)
        self._login = (unquote(parts.username or ""), unquote(parts.password or "")) if parts.username else None
        self._challenge = ""
        self._requests = 0
        self._tls = ssl.create_default_context()
        if not verify_certificate:
            self._tls.check_hostname, self._tls.verify_mode = False, ssl.CERT_NONE

    def get(self) -> Answer:
        """The answer to a GET; the caller closes it.

        Raises:
            CameraError: there is none, or it is a refusal.
        """
        url, tried_login = self._url, False
        for _ in range(_MOST_REDIRECTS + 2):
            answer = self._ask(urlsplit(url))
            if answer.status == http.client.OK:
                return answer
            answer.close()
            challenge = ", ".join(answer.headers.get_all("WWW-Authenticate") or ())
            if answer.status == http.client.UNAUTHORIZED and challenge and self._login and not tried_login:
                self._challenge, self._requests, tried_login = challenge, 0, True
            elif answer.status in _REDIRECTS and "Location" in answer.headers:
                url = self._redirected(url, answer.headers["Location"])
            else:
                raise CameraError(f"{self.label}: {self._refusal(answer.status)}")
        raise CameraError(f"{self.label}: sends from one address to the next without end. Correct the address")

    @contextlib.contextmanager
    def failures(self) -> Iterator[None]:
        """What the network and its libraries raise, as `CameraError`; their texts may hold the path, so they go."""
        try:
            yield
        except ssl.SSLCertVerificationError as error:
            raise CameraError(
                f"{self.label}: its certificate was not accepted ({error.verify_message}). If the camera signed its "
                "own, set `verify_certificate: false`"
            ) from None
        except TimeoutError:
            raise CameraError(
                f"{self.label}: did not answer in time. It may be off or busy, or the address wrong"
            ) from None
        except OSError as error:
            said = f" ({error.strerror})" if error.strerror else ""
            raise CameraError(
                f"{self.label}: cannot be reached{said}. Check that the camera is on, and host and port of the address"
            ) from None
        except (http.client.HTTPException, ValueError) as error:
            raise CameraError(
                f"{self.label}: does not speak HTTP as expected ({type(error).__name__}). Check scheme, port and path "
                "of the address"
            ) from None

    def _ask(self, parts: SplitResult) -> Answer:
        with self.failures():
            host, port = parts.hostname or "", parts.port
            if parts.scheme.lower() == "https":
                connection: http.client.HTTPConnection = http.client.HTTPSConnection(
                    host, port, timeout=self.timeout_s, context=self._tls
                )
            else:
                connection = http.client.HTTPConnection(host, port, timeout=self.timeout_s)
            target = quote(parts.path or "/", safe=_UNQUOTED)
            target += f"?{quote(parts.query, safe=_UNQUOTED)}" if parts.query else ""
            headers = {"User-Agent": f"edge/{edge.__version__}", "Accept": "*/*", "Connection": "close"}
            if self._challenge:
                headers["Authorization"] = self._authorization(target)
            try:
                connection.request("GET", target, headers=headers)
                return Answer(self, connection)
            except BaseException:
                connection.close()
                raise

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
        return to

    def _refusal(self, status: int) -> str:
        if status in (http.client.UNAUTHORIZED, http.client.FORBIDDEN):
            return f"refused (HTTP {status}). Check user and password in the address, and that user's rights"
        if status == http.client.NOT_FOUND:
            return "has nothing at that path (HTTP 404). Correct the path of the address; the camera's manual has it"
        return f"did not give what was asked for (HTTP {status}). Try the address in a browser; restart the camera"

    def _authorization(self, target: str) -> str:
        """The answer to the camera's challenge: RFC 7617 (basic) or RFC 7616 (digest)."""
        assert self._login is not None
        user, password = self._login
        found = {match[1].lower(): match.end() for match in _SCHEME.finditer(self._challenge)}
        if "digest" not in found:
            return "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()
        stated = {m[1].lower(): m[2] or m[3] or "" for m in _PARAMETER.finditer(self._challenge, found["digest"])}
        algorithm = stated.get("algorithm", "MD5").upper()
        session = algorithm.endswith("-SESS")
        name = _HASHES.get(algorithm.removesuffix("-SESS"))
        if name is None:
            raise CameraError(f"{self.label}: asks for a login of a kind that is not known. Set it to basic or digest")

        def digest(*parts: str) -> str:
            return hashlib.new(name, ":".join(parts).encode(), usedforsecurity=False).hexdigest()

        self._requests += 1
        count, own, nonce = f"{self._requests:08x}", secrets.token_hex(8), stated.get("nonce", "")
        login = digest(user, stated.get("realm", ""), password)
        login = digest(login, nonce, own) if session else login
        asked = digest("GET", target)
        fields = {"username": user, "realm": stated.get("realm", ""), "nonce": nonce, "uri": target}
        if "auth" in re.split(r"[\s,]+", stated.get("qop", "")):
            fields["response"] = digest(login, nonce, count, own, "auth", asked)
            more = f', qop=auth, nc={count}, cnonce="{own}"'
        else:
            fields["response"] = digest(login, nonce, asked)
            more = f', cnonce="{own}"' if session else ""
        if "algorithm" in stated:
            more += f", algorithm={stated['algorithm']}"
        if "opaque" in stated:
            more += f', opaque="{stated["opaque"]}"'
        return "Digest " + ", ".join(f'{key}="{value}"' for key, value in fields.items()) + more
