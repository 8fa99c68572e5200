"""The web server of our pages: who is let in, their files, and one WebSocket a browser; what is on it, a site says."""

from __future__ import annotations

import asyncio
import contextlib
import hmac
import http
import logging
import secrets
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Protocol
from urllib.parse import parse_qs, unquote, urlsplit

from websockets.asyncio.server import ServerConnection, serve
from websockets.datastructures import Headers
from websockets.http11 import Request, Response

from edge.errors import EdgeError
from edge.viewer.addresses import Address

_STATIC = Path(__file__).parent / "static"
_TYPES = {
    ".html": "text/html; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".txt": "text/plain; charset=utf-8",
}
_HEADERS = {
    "Content-Security-Policy": "default-src 'self'; img-src 'self' blob: data:; style-src 'self' 'unsafe-inline'; "
    "connect-src 'self' blob: ws: wss:; worker-src 'self' blob:; frame-ancestors *",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-cache",
}
_TRIES = 20
_START_TIMEOUT_S = 5.0
_ANSWER_WITHIN_S = 120.0
"""A room for other programs takes a busy device long to make; a browser that waits for less is sent nothing at all."""

_log = logging.getLogger(__name__)


class Site(Protocol):
    """What is shown."""

    index: str
    """The file in `static` that is its page."""
    longest_message_bytes: int
    """That a browser may send."""

    def get(self, path: str) -> tuple[bytes, str] | None:
        """Content and content type of an address that is no file; None: there is none. Called on a thread of its own.

        Raises:
            EdgeError: there should be, but is not; says why.
        """
        ...

    async def talk(self, connection: ServerConnection) -> None:
        """Serve one browser's WebSocket until it is gone."""
        ...


class PageServer:
    """Serves a site; `start` it, `stop` it. Loopback needs no key; any other address does.

    Args:
        site: what to show; None: no page, only `addresses`.
        host: address to listen on.
        port: the first of twenty to try; 0: any that is free.
        addresses: of programs, by path; they take the key as a bearer token too.
        key: that must be given where one must; None: a new one.
    """

    def __init__(
        self,
        site: Site | None,
        *,
        host: str = "127.0.0.1",
        port: int = 8088,
        addresses: Mapping[str, Address] | None = None,
        key: str | None = None,
    ) -> None:
        self._site, self._host, self._asked_port = site, host, port
        self._addresses = addresses or {}
        self.port = 0
        self.key = None if _is_loopback(host) else (key or secrets.token_urlsafe(12))
        files = [path for path in _STATIC.iterdir() if path.suffix in _TYPES] if site is not None else []
        self._files = {f"/{path.name}": path.read_bytes() for path in files}
        self._loop = asyncio.new_event_loop()
        self._stopping = asyncio.Event()
        self._started = threading.Event()
        self._problem: OSError | None = None
        self._thread = threading.Thread(target=self._run, name="edge-viewer", daemon=True)

    @property
    def address(self) -> str:
        """Where the page is, with its key if it has one."""
        return self.address_without_key + (f"?key={self.key}" if self.key else "")

    @property
    def address_without_key(self) -> str:
        """The same for logs."""
        host = f"[{self._host}]" if ":" in self._host else self._host
        return f"http://{host}:{self.port}/"

    def start(self) -> None:
        """Begin to serve.

        Raises:
            EdgeError: no port could be had.
        """
        self._thread.start()
        self._started.wait(_START_TIMEOUT_S)
        if self.port == 0:
            said = self._problem.strerror if self._problem else "no answer"
            raise EdgeError(
                f"the page cannot be served on {self._host}:{self._asked_port} ({said}); choose another --page-port"
            )

    def stop(self) -> None:
        """Close every page's connection and end."""
        if self._thread.is_alive():
            with contextlib.suppress(RuntimeError):
                self._loop.call_soon_threadsafe(self._stopping.set)
            self._thread.join(2.0)

    def _run(self) -> None:
        try:
            self._loop.run_until_complete(self._serve())
            self._loop.run_until_complete(self._loop.shutdown_default_executor())
        finally:
            self._started.set()
            self._loop.close()

    async def _serve(self) -> None:
        ports = [self._asked_port + n for n in range(_TRIES)] if self._asked_port else [0]
        for port in ports:
            try:
                server = await serve(
                    self._talk,
                    self._host,
                    port,
                    process_request=self._answer,
                    open_timeout=_ANSWER_WITHIN_S,
                    compression=None,
                    max_size=self._site.longest_message_bytes if self._site is not None else 0,
                    server_header=None,
                    logger=_quiet(),
                )
            except OSError as error:
                self._problem = error
                continue
            self.port = next(iter(server.sockets)).getsockname()[1]
            self._started.set()
            await self._stopping.wait()
            server.close()
            await server.wait_closed()
            return

    async def _talk(self, connection: ServerConnection) -> None:
        if self._site is not None:
            await self._site.talk(connection)

    # One request, one page ------------------------------------------------------------------------------------------

    async def _answer(self, connection: ServerConnection, request: Request) -> Response | None:
        """The answer to a GET; None lets a page's WebSocket through."""
        parts = urlsplit(request.path)
        if not self._is_ours(request.headers.get("Host", "")):
            return _response(http.HTTPStatus.FORBIDDEN, b"this address is not served here\n")
        if parts.path in self._files and not parts.path.endswith(".html"):
            return await self._file(parts.path)
        address = self._addresses.get(parts.path)
        if not (address is not None and address.public) and not self._has_key(parts.query, request.headers):
            return _response(
                http.HTTPStatus.UNAUTHORIZED, b"add ?key=... to the address, as it was printed when this was started\n"
            )
        if address is not None:
            said = await asyncio.to_thread(address.answer)
            return _response(said.status, said.body, said.content_type)
        if parts.path == "/ws" and self._site is not None:
            origin = request.headers.get("Origin")
            same = origin is None or urlsplit(origin).netloc == request.headers.get("Host", "")
            return None if same else _response(http.HTTPStatus.FORBIDDEN, b"only for the page itself\n")
        index = f"/{self._site.index}" if self._site is not None else ""
        return await self._file(index if parts.path == "/" else parts.path)

    async def _file(self, path: str) -> Response:
        content = self._files.get(path)
        if content is not None:
            return _response(http.HTTPStatus.OK, content, _TYPES[Path(path).suffix])
        if self._site is None:
            return _response(http.HTTPStatus.NOT_FOUND, f"there are {', '.join(self._addresses)}\n".encode())
        try:
            found = await asyncio.to_thread(self._site.get, unquote(path))
        except EdgeError as error:
            return _response(http.HTTPStatus.NOT_FOUND, f"{error}\n".encode())
        if found is None:
            return _response(http.HTTPStatus.NOT_FOUND, b"nothing is there; the page is at /\n")
        return _response(http.HTTPStatus.OK, *found)

    def _has_key(self, query: str, headers: Headers) -> bool:
        """Whether the key came along, in the address or as a bearer token, or none is needed."""
        given = parse_qs(query).get("key", [headers.get("Authorization", "").removeprefix("Bearer ")])[0]
        return self.key is None or hmac.compare_digest(given.encode(), self.key.encode())

    def _is_ours(self, host: str) -> bool:
        """Whether a request was meant for us: other names may be another site's that points here (DNS rebinding)."""
        name = urlsplit(f"//{host}").hostname or ""
        return self.key is not None or _is_loopback(name)


def _response(status: http.HTTPStatus, body: bytes, content_type: str = "text/plain; charset=utf-8") -> Response:
    headers = Headers({"Content-Type": content_type, "Content-Length": str(len(body)), "Connection": "close"})
    headers.update(_HEADERS)
    return Response(status.value, status.phrase, headers, body)


def _is_loopback(host: str) -> bool:
    return host in ("localhost", "::1") or host.startswith("127.")


def _quiet() -> logging.Logger:
    """Websockets logs every broken handshake with a traceback; addresses may hold a key."""
    logger = logging.getLogger("edge.viewer.websockets")
    logger.setLevel(logging.CRITICAL)
    return logger
