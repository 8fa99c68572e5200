"""The embedded broker: it finds ports, is quiet, and says why when it cannot start."""

from __future__ import annotations

import socket
import subprocess
import sys
from pathlib import Path

import pytest

from edge.errors import PublishError
from edge.mqtt.broker import EmbeddedBroker, free_port


def test_the_next_free_port_is_taken() -> None:
    """A port in use is passed over, and the two listeners never share one."""
    with socket.create_server(("127.0.0.1", 0)) as used:
        port = used.getsockname()[1]
        broker = EmbeddedBroker(port, port)
        broker.start()
        try:
            assert len({port, broker.port, broker.ws_port}) == 3
            for accepting in (broker.port, broker.ws_port):
                socket.create_connection(("127.0.0.1", accepting), 2).close()
        finally:
            broker.stop()
        with pytest.raises(OSError, match="refused"):
            socket.create_connection(("127.0.0.1", broker.port), 2)


def test_a_client_that_says_nothing_does_not_hold_it_up() -> None:
    """A connection without a word of MQTT is closed when the broker stops, and the port is free again."""
    broker = EmbeddedBroker(28840, 28940)
    broker.start()
    with socket.create_connection(("127.0.0.1", broker.port), 2) as silent:
        silent.settimeout(5)
        broker.stop()
        assert silent.recv(1) == b""
    assert free_port(broker.port) == broker.port


def test_no_free_port_is_an_error_with_a_remedy() -> None:
    """Without a port there is no broker, and the message names the way out."""
    with pytest.raises(PublishError, match=r"mqtt\.host"):
        free_port(65536)


_SESSION = """
import sys, time
from edge.mqtt.broker import EmbeddedBroker
from edge.publish.publisher import Publisher
from edge.mqtt.topics import Topics
broker = EmbeddedBroker(28830, 28930)
broker.start()
publisher = Publisher(broker.endpoint, Topics("dev"))
publisher.start()
assert publisher.wait_connected(10)
publisher.stop()
broker.stop()
"""


def test_it_says_nothing_on_the_terminal() -> None:
    """A whole session of broker and client leaves standard output and standard error empty."""
    ran = subprocess.run(
        [sys.executable, "-c", _SESSION], cwd=Path(__file__).parents[3], capture_output=True, timeout=60, check=True
    )
    assert (ran.stdout, ran.stderr) == (b"", b"")
