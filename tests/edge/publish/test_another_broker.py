"""A publisher that is told of another broker while it runs."""

from __future__ import annotations

from typing import Any

from edge.mqtt.endpoint import Endpoint
from edge.mqtt.topics import Topics
from edge.publish.publisher import Publisher
from tests.brokers import unused_port, wait_until


def test_a_broker_that_is_named_while_another_is_connected_to_is_gone_to(mosquitto: Any) -> None:
    """The configuration is read again in the middle of an attempt: the connection to the old broker does not last."""
    old, new = mosquitto(port=unused_port()), mosquitto(port=unused_port())
    ports = [old.port]

    def where() -> Endpoint:
        port = ports[-1]
        if port == old.port:
            ports.append(new.port)
            publisher.connect_anew()
        return Endpoint("127.0.0.1", port)

    publisher = Publisher(where, Topics("dev"), retry_s=(0.1, 0.4))
    publisher.start()
    try:
        assert wait_until(lambda: publisher.statistics().reconnects == 1)
        assert wait_until(lambda: publisher.wait_connected(0.0))
        assert publisher._link.endpoint.port == new.port
    finally:
        publisher.stop()
