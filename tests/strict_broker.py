"""A small MQTT 5 broker that enforces what it says in CONNACK, as the standard demands, and refuses what it is told to.

Real brokers are used wherever one can be made to do what a test needs; Mosquitto cannot refuse by reason code, nor be
without retained messages. It keeps nothing and passes nothing on.
"""

from __future__ import annotations

import contextlib
import socket
import struct
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest


@dataclass
class StrictBroker:
    """Listens on a port of the loopback interface until `close`."""

    port: int = 0
    """0: any that is free."""
    receive_maximum: int = 0
    retain_available: bool = True
    maximum_qos: int = 2
    maximum_packet: int = 0
    """Stated in CONNACK; larger packets end the connection."""
    silent_maximum: int = 0
    """Larger packets end the connection without a word, as brokers do whose limit is on messages."""
    wildcards: bool = True
    puback: int = 0
    """Reason code of every confirmation."""
    suback: int = 1
    confirm_after_s: float = 0.0
    accept: bool = True
    """False: every connection is closed at once."""
    mute: bool = False
    """Every connection is kept open, and never answered."""
    drops: bool = False
    """Every connection ends right after it was accepted."""
    connected_s: list[float] = field(default_factory=list)
    """When each connection came (monotonic clock)."""
    subscriptions: list[str] = field(default_factory=list)
    received: list[tuple[str, int, bool]] = field(default_factory=list)
    """(topic, QoS, retain) of what was accepted."""
    payloads: dict[str, bytes] = field(default_factory=dict)
    violations: list[str] = field(default_factory=list)
    most_in_flight: int = 0

    def __post_init__(self) -> None:
        """Listen."""
        self._server, self._unanswered = socket.create_server(("127.0.0.1", self.port)), list[socket.socket]()
        self.port = self._server.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self) -> None:
        """Listen no more, and end what was never answered."""
        with contextlib.suppress(OSError):
            self._server.shutdown(socket.SHUT_RDWR)
        for one in (self._server, *self._unanswered):
            one.close()

    @property
    def connections(self) -> int:
        """How many there were."""
        return len(self.connected_s)

    def count(self) -> Counter[str]:
        """Accepted messages by topic."""
        return Counter(topic for topic, *_ in self.received)

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._server.accept()
            except OSError:
                return
            self.connected_s.append(time.monotonic())
            if self.mute:
                self._unanswered.append(client)
                continue
            if not self.accept:
                client.close()
                continue
            threading.Thread(target=_Session(self, client).run, daemon=True).start()


class _Session:
    """One connection."""

    def __init__(self, broker: StrictBroker, client: socket.socket) -> None:
        self.broker, self.client, self.in_flight, self.lock = broker, client, 0, threading.Lock()

    def run(self) -> None:
        """Until either side ends it."""
        with contextlib.suppress(OSError, EOFError), self.client:
            while True:
                kind, flags, body = self._packet()
                if not self._handle(kind, flags, body):
                    return

    def _exactly(self, count: int) -> bytes:
        data = b""
        while len(data) < count:
            more = self.client.recv(count - len(data))
            if not more:
                raise EOFError
            data += more
        return data

    def _packet(self) -> tuple[int, int, bytes]:
        first, length, shift = self._exactly(1)[0], 0, 0
        while True:
            byte = self._exactly(1)[0]
            length |= (byte & 127) << shift
            shift += 7
            if byte < 128:
                return first >> 4, first & 15, self._exactly(length)

    def _send(self, first: int, body: bytes) -> None:
        length, head = len(body), bytes([first])
        while True:
            length, low = divmod(length, 128)
            head += bytes([low | (128 if length else 0)])
            if not length:
                break
        with self.lock:
            self.client.sendall(head + body)

    def _handle(self, kind: int, flags: int, body: bytes) -> bool:
        if kind == 1:
            return self._connect(body)
        if kind == 3:
            return self._publish(flags, body)
        if kind == 8:
            length = struct.unpack(">H", body[3:5])[0]
            topic = body[5 : 5 + length].decode()
            self.broker.subscriptions.append(topic)
            if "+" in topic and not self.broker.wildcards:
                return self._violation(0xA2, f"wildcard in {topic}")
            self._send(0x90, body[:2] + b"\0" + bytes([self.broker.suback]))
        if kind == 10:
            self._send(0xB0, body[:2] + b"\0\0")
        if kind == 12:
            self._send(0xD0, b"")
        return kind != 14

    def _connect(self, body: bytes) -> bool:
        broker, flags, code = self.broker, body[7], 0
        if flags & 0x20 and not broker.retain_available:
            code = 0x9A
        if (flags >> 3) & 3 > broker.maximum_qos:
            code = 0x9B
        properties = b""
        if broker.receive_maximum:
            properties += b"\x21" + struct.pack(">H", broker.receive_maximum)
        if not broker.retain_available:
            properties += b"\x25\0"
        if broker.maximum_qos < 2:
            properties += b"\x24" + bytes([broker.maximum_qos])
        if broker.maximum_packet:
            properties += b"\x27" + struct.pack(">I", broker.maximum_packet)
        if not broker.wildcards:
            properties += b"\x28\0"
        self._send(0x20, bytes([0, code, len(properties)]) + properties)
        return code == 0 and not broker.drops

    def _publish(self, flags: int, body: bytes) -> bool:
        broker, qos, retain = self.broker, (flags >> 1) & 3, bool(flags & 1)
        length = struct.unpack(">H", body[:2])[0]
        topic = body[2 : 2 + length].decode()
        if retain and not broker.retain_available:
            return self._violation(0x9A, f"retained {topic}")
        if qos > broker.maximum_qos:
            return self._violation(0x9B, f"QoS {qos} on {topic}")
        if broker.maximum_packet and len(body) + 5 > broker.maximum_packet:
            return self._violation(0x95, f"{len(body)} bytes on {topic}")
        if broker.silent_maximum and len(body) > broker.silent_maximum:
            broker.violations.append(f"{len(body)} bytes on {topic}")
            return False
        if qos:
            self.in_flight += 1
            broker.most_in_flight = max(broker.most_in_flight, self.in_flight)
            if broker.receive_maximum and self.in_flight > broker.receive_maximum:
                return self._violation(0x93, f"{self.in_flight} in flight")
            message_id = body[2 + length : 4 + length]
            threading.Thread(target=self._confirm, args=(message_id,), daemon=True).start()
        if not qos or broker.puback < 0x80:
            broker.received.append((topic, qos, retain))
            broker.payloads[topic] = body
        return True

    def _confirm(self, message_id: bytes) -> None:
        time.sleep(self.broker.confirm_after_s)
        self.in_flight -= 1
        with contextlib.suppress(OSError):
            self._send(0x40, message_id + bytes([self.broker.puback, 0]))

    def _violation(self, code: int, what: str) -> bool:
        self.broker.violations.append(what)
        self._send(0xE0, bytes([code, 0]))
        return False


@pytest.fixture
def strict() -> Iterator[Callable[..., StrictBroker]]:
    """Starts strict brokers; they end with the test."""
    running: list[StrictBroker] = []

    def start(**options: Any) -> StrictBroker:
        running.append(StrictBroker(**options))
        return running[-1]

    yield start
    for broker in running:
        broker.close()
