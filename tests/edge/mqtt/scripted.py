"""A server that answers as the test says, packet by packet."""

from __future__ import annotations

import contextlib
import socket
import struct
import threading
from collections.abc import Callable
from dataclasses import dataclass

ACCEPTED_5, ACCEPTED_311 = b"\x20\x03\x00\x00\x00", b"\x20\x02\x00\x00"
NO_SUCH_VERSION = {5: b"\x20\x03\x00\x84\x00", 4: b"\x20\x02\x00\x01"}


@dataclass(frozen=True)
class Connect:
    """A CONNECT packet (MQTT 5, section 3.1; MQTT 3.1.1 without properties)."""

    version: int
    clean: bool
    keepalive_s: int
    client_id: str
    will: tuple[str, bytes, int, bool] | None
    """Topic, payload, QoS, retain."""
    login: tuple[str, str | None] | None

    @classmethod
    def of(cls, body: bytes) -> Connect:
        """Read it."""
        assert body[:6] == b"\0\4MQTT"
        version, flags, keepalive_s = struct.unpack(">BBH", body[6:10])
        rest = memoryview(body)[10:]

        def properties() -> None:
            nonlocal rest
            if version == 5:
                rest = rest[1 + rest[0] :]

        def text() -> bytes:
            nonlocal rest
            length = struct.unpack(">H", rest[:2])[0]
            found, rest = bytes(rest[2 : 2 + length]), rest[2 + length :]
            return found

        properties()
        client_id, will, login = text().decode(), None, None
        if flags & 4:
            properties()
            will = (text().decode(), text(), (flags >> 3) & 3, bool(flags & 32))
        if flags & 128:
            login = (text().decode(), text().decode() if flags & 64 else None)
        return cls(version, bool(flags & 2), keepalive_s, client_id, will, login)


class Scripted:
    """A server that answers every CONNECT as `answer` says: with bytes, with a hang-up (b""), or never (None)."""

    def __init__(self, answer: Callable[[Connect], bytes | None]) -> None:
        self.answer, self.connects = answer, list[Connect]()
        self.then: bytes = b""
        """Sent right after the answer."""
        self.received: list[tuple[int, bytes]] = []
        self.clients: list[socket.socket] = []
        self._server = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._server.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    @property
    def versions(self) -> list[int]:
        """Of the attempts so far: 5, or 4 for 3.1.1."""
        return [connect.version for connect in self.connects]

    def close(self) -> None:
        """End it and all its connections."""
        for sock in (self._server, *self.clients):
            with contextlib.suppress(OSError):
                sock.shutdown(socket.SHUT_RDWR)
            sock.close()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                self.clients.append(self._server.accept()[0])
                threading.Thread(target=self._talk, args=(self.clients[-1],), daemon=True).start()

    def _talk(self, client: socket.socket) -> None:
        with contextlib.suppress(OSError, EOFError):
            _, body = _packet(client)
            self.connects.append(Connect.of(body))
            answer = self.answer(self.connects[-1])
            if answer == b"":
                client.shutdown(socket.SHUT_RDWR)
                client.close()
                return
            client.sendall((answer or b"") + self.then)
            while True:
                self.received.append(_packet(client))


def _packet(client: socket.socket) -> tuple[int, bytes]:
    """(type, body) of one packet of less than 128 bytes."""
    head = client.recv(2, socket.MSG_WAITALL)
    if len(head) < 2:
        raise EOFError
    return head[0] >> 4, client.recv(head[1], socket.MSG_WAITALL)
