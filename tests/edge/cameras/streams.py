"""Small real servers of pictures: one that is silent, MJPEG over HTTP, and MPEG-TS over RTSP."""

from __future__ import annotations

import base64
import contextlib
import re
import socket
import socketserver
import struct
import threading
import time
from collections.abc import Iterator

TS_PACKET_BYTES, TS_PAYLOAD_TYPE = 188, 33
SDP = "v=0\r\no=- 0 0 IN IP4 127.0.0.1\r\ns=clip\r\nt=0 0\r\nm=video 0 RTP/AVP 33\r\na=control:track\r\n"


class _Server(socketserver.ThreadingTCPServer):
    allow_reuse_address = True
    daemon_threads = True
    block_on_close = False


@contextlib.contextmanager
def serving(handler: type[socketserver.BaseRequestHandler]) -> Iterator[int]:
    """Serve on a free loopback port, which is given."""
    with _Server(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
        yield server.server_address[1]
        server.shutdown()


class Silent(socketserver.BaseRequestHandler):
    """Accepts, and says nothing until the other side leaves."""

    def handle(self) -> None:
        """Swallow what comes."""
        swallow(self.request)


def swallow(connection: socket.socket) -> None:
    """Read and forget until the other side leaves."""
    connection.settimeout(30)
    with contextlib.suppress(OSError):
        while connection.recv(4096):
            pass


def mjpeg(jpegs: list[bytes], *, then_silent: bool) -> type[socketserver.BaseRequestHandler]:
    """A camera that sends these pictures as multipart/x-mixed-replace, then falls silent or hangs up."""

    class Handler(socketserver.BaseRequestHandler):
        def handle(self) -> None:
            self.request.recv(4096)
            head = "HTTP/1.0 200 OK\r\nContent-Type: multipart/x-mixed-replace; boundary=edge\r\n\r\n"
            self.request.sendall(head.encode())
            for jpeg in jpegs:
                part = f"--edge\r\nContent-Type: image/jpeg\r\nContent-Length: {len(jpeg)}\r\n\r\n"
                self.request.sendall(part.encode() + jpeg + b"\r\n")
            if then_silent:
                swallow(self.request)

    return Handler


class Rtsp(socketserver.StreamRequestHandler):
    """A camera that asks for Basic credentials and plays an MPEG transport stream over RTSP's own connection, for ever.

    Subclasses state `ts`, the stream, and `credentials`, "user:password".
    """

    ts: bytes
    credentials: str

    def handle(self) -> None:
        """Answer requests until PLAY, then play until the other side leaves."""
        expected = "Basic " + base64.b64encode(self.credentials.encode()).decode()
        while line := self.rfile.readline().decode():
            verb = line.split(" ")[0]
            headers = dict(re.split(r":\s*", h, maxsplit=1) for h in iter(self._header, ""))
            permitted = verb == "OPTIONS" or headers.get("Authorization") == expected
            self._answer(headers["CSeq"], verb if permitted else "")
            if permitted and verb == "PLAY":
                self._play()
                return

    def _header(self) -> str:
        return self.rfile.readline().decode().strip()

    def _answer(self, number: str, verb: str) -> None:
        status, more, body = "200 OK", "Session: 1\r\nPublic: DESCRIBE, SETUP, PLAY, TEARDOWN\r\n", ""
        if not verb:
            status, more = "401 Unauthorized", 'WWW-Authenticate: Basic realm="camera"\r\n'
        elif verb == "DESCRIBE":
            more, body = "Content-Type: application/sdp\r\n", SDP
        elif verb == "SETUP":
            more = "Transport: RTP/AVP/TCP;unicast;interleaved=0-1\r\nSession: 1\r\n"
        head = f"RTSP/1.0 {status}\r\nCSeq: {number}\r\n{more}Content-Length: {len(body)}\r\n\r\n"
        self.wfile.write((head + body).encode())

    def _play(self) -> None:
        number, size = 0, 7 * TS_PACKET_BYTES
        with contextlib.suppress(OSError):
            while True:
                for at in range(0, len(self.ts), size):
                    rtp = struct.pack(">BBHII", 0x80, TS_PAYLOAD_TYPE, number % 65536, number * 90, 1)
                    packet = rtp + self.ts[at : at + size]
                    self.wfile.write(struct.pack(">cBH", b"$", 0, len(packet)) + packet)
                    number += 1
                    time.sleep(0.001)
