"""Servers that are no brokers: they accept and close, or accept and never say a word; and a clock for a process."""

from __future__ import annotations

import contextlib
import random
import socket
import threading
import time

_PORTS = range(20000, 32000)
"""Below those that the system gives to who connects: there, who tries for long enough is connected to himself."""


def quiet_port() -> int:
    """A port that nobody listens on, nor can come to be connected from."""
    while True:
        port = random.choice(_PORTS)
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port


class Listener:
    """Listens on a loopback port until `close`, counting who connects, and does with them as it was told."""

    def __init__(self, port: int = 0, *, mute: bool = False) -> None:
        """`mute`: connections are kept open and never answered; otherwise they are closed at once."""
        self.accepted_s: list[float] = []
        self._mute, self._open = mute, list[socket.socket]()
        self._server = socket.create_server(("127.0.0.1", port))
        self.port: int = self._server.getsockname()[1]
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self) -> None:
        while True:
            try:
                client, _ = self._server.accept()
            except OSError:
                return
            self.accepted_s.append(time.monotonic())
            if self._mute:
                self._open.append(client)
            else:
                client.close()

    def close(self) -> None:
        """Listen no more, and end what is open."""
        with contextlib.suppress(OSError):
            self._server.shutdown(socket.SHUT_RDWR)
        self._server.close()
        for client in self._open:
            client.close()
        self._thread.join(2)
