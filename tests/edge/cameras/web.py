"""A small camera with a web server: single pictures, logins, redirects and streams on loopback."""

from __future__ import annotations

import base64
import contextlib
import hashlib
import http.server
import re
import threading
from collections.abc import Callable, Iterator

Reply = tuple[int, dict[str, str], bytes]


class Web:
    """What the camera gives, and what it was asked."""

    def __init__(self) -> None:
        self.port = 0
        self.replies: dict[str, Callable[[http.server.BaseHTTPRequestHandler], Reply]] = {}
        self.asked: list[tuple[str, str]] = []
        """Path and Authorization of each request."""

    def gives(self, path: str, content: bytes, kind: str = "image/jpeg", status: int = 200, **headers: str) -> None:
        """Answer a path with this."""
        self.replies[path] = lambda _: (status, {"Content-Type": kind, **headers}, content)

    def url(self, path: str, login: str = "") -> str:
        """The address of a path."""
        return f"http://{login}127.0.0.1:{self.port}{path}"


@contextlib.contextmanager
def web() -> Iterator[Web]:
    """Serve on a free port."""
    camera = Web()

    class Handler(http.server.BaseHTTPRequestHandler):
        def log_message(self, *_: object) -> None:
            """Say nothing."""

        def do_GET(self) -> None:
            path = self.path.partition("?")[0]
            camera.asked.append((self.path, self.headers.get("Authorization", "")))
            reply = camera.replies.get(path, lambda _: (404, {"Content-Type": "text/html"}, b"no"))
            status, headers, content = reply(self)
            self.send_response(status)
            for name, value in {"Content-Length": str(len(content)), **headers}.items():
                if value:
                    self.send_header(name, value)
            self.end_headers()
            with contextlib.suppress(OSError):
                self.wfile.write(content)

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    camera.port = server.server_address[1]
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
    try:
        yield camera
    finally:
        server.shutdown()
        server.server_close()


def basic(user: str, password: str, content: bytes) -> Callable[[http.server.BaseHTTPRequestHandler], Reply]:
    """Asks for RFC 7617's login."""
    expected = "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()

    def reply(request: http.server.BaseHTTPRequestHandler) -> Reply:
        if request.headers.get("Authorization") == expected:
            return 200, {"Content-Type": "image/jpeg"}, content
        return 401, {"WWW-Authenticate": 'Basic realm="camera"'}, b""

    return reply


def digest(
    user: str, password: str, content: bytes, algorithm: str = "MD5", qop: str = "auth"
) -> Callable[[http.server.BaseHTTPRequestHandler], Reply]:
    """Asks for RFC 7616's login; computed here from the RFC's formulas."""

    def h(text: str) -> str:
        return hashlib.new("sha256" if algorithm.startswith("SHA") else "md5", text.encode()).hexdigest()

    def reply(request: http.server.BaseHTTPRequestHandler) -> Reply:
        sent = dict(re.findall(r'(\w+)="?([^",]*)"?', request.headers.get("Authorization", "")))
        a1 = h(f"{user}:cam, 1:{password}")
        a2 = h(f"GET:{request.path}")
        middle = f"{sent.get('nc')}:{sent.get('cnonce')}:auth:" if qop else ""
        if sent.get("uri") == request.path and sent.get("response") == h(f"{a1}:abc:{middle}{a2}"):
            return 200, {"Content-Type": "image/jpeg"}, content
        stated = f'realm="cam, 1", nonce="abc", algorithm={algorithm}' + (f', qop="{qop}"' if qop else "")
        return 401, {"WWW-Authenticate": f"Digest {stated}"}, b""

    return reply
