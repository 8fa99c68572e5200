"""The embedded broker, for a first run and for tests: amqtt on the loopback interface, MQTT 3.1.1 only.

It runs in a thread with its own event loop rather than in a child process: it dies with the daemon whatever happens,
and at a few messages a second it costs next to nothing. For anything that lasts, use Mosquitto.
"""

from __future__ import annotations

import asyncio
import logging
import socket
import threading
from typing import Any

from edge.errors import PublishError
from edge.mqtt.endpoint import Endpoint

_HOST = "127.0.0.1"
_PORTS_TRIED = 50
_START_TIMEOUT_S = 15.0
_GOODBYE_S = 1.0


def _is_free(port: int) -> bool:
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((_HOST, port))
            probe.listen(1)
        except OSError:
            return False
    return True


def free_port(first: int, taken: frozenset[int] = frozenset()) -> int:
    """The first free TCP port on the loopback interface from `first` on, not in `taken`.

    Raises:
        PublishError: none of the next fifty is free.
    """
    for port in range(first, min(first + _PORTS_TRIED, 65536)):
        if port not in taken and _is_free(port):
            return port
    raise PublishError(
        f"no free port from {first} to {first + _PORTS_TRIED - 1} for the embedded broker; stop what listens there, "
        "or name your own broker in mqtt.host"
    )


class EmbeddedBroker:
    """An MQTT broker on 127.0.0.1, over TCP and over WebSocket, from `start` to `stop`."""

    def __init__(self, port: int = 1883, ws_port: int = 8083) -> None:
        self.port, self.ws_port = port, ws_port
        """The ports wished for; after `start`, the ports in use."""
        self._ready = threading.Event()
        self._failure: PublishError | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._stopping: asyncio.Event | None = None
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Listen; returns when connections are accepted.

        Raises:
            PublishError: amqtt is not installed, no port is free, or it does not come up.
        """
        self.port = free_port(self.port)
        self.ws_port = free_port(self.ws_port, frozenset({self.port}))
        self._ready.clear()
        self._failure = None
        self._thread = threading.Thread(target=self._run, name="edge-broker", daemon=True)
        self._thread.start()
        if not self._ready.wait(_START_TIMEOUT_S):
            raise PublishError(
                f"the embedded broker did not start within {_START_TIMEOUT_S:g} s; name another in mqtt.host"
            )
        if self._failure is not None:
            raise self._failure

    @property
    def endpoint(self) -> Endpoint:
        """How to connect to it: 3.1.1 at once, because a newer client would first wait for an answer in vain."""
        return Endpoint(_HOST, self.port, protocol="3.1.1")

    def stop(self, timeout_s: float = 5.0) -> None:
        """Close all connections and stop listening."""
        thread, self._thread = self._thread, None
        if thread is None or self._loop is None or self._stopping is None:
            return
        if thread.is_alive():
            self._loop.call_soon_threadsafe(self._stopping.set)
        thread.join(timeout_s)

    def _run(self) -> None:
        try:
            asyncio.run(self._serve())
        except PublishError as error:
            self._failure = error
        finally:
            self._ready.set()

    async def _serve(self) -> None:
        try:
            from amqtt.broker import Broker
            from amqtt.contexts import BrokerConfig
            from amqtt.errors import AMQTTError
        except ImportError as error:
            raise PublishError(
                "no broker is configured and the embedded one is not installed; `pip install amqtt`, or set mqtt.host"
            ) from error
        _hush()
        self._loop = asyncio.get_running_loop()
        self._loop.set_exception_handler(lambda _loop, context: _log_leftover(context))
        self._stopping = asyncio.Event()
        connections: set[asyncio.StreamWriter] = set()

        class ClosingBroker(Broker):  # type: ignore[misc]
            """The vendor's broker without two faults: connections left open, and messages that nobody asked for."""

            async def stream_connected(
                self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, listener_name: str
            ) -> None:
                """Serve one TCP client, and close its connection whatever happened."""
                connections.add(writer)
                try:
                    await super().stream_connected(reader, writer, listener_name)
                finally:
                    connections.discard(writer)
                    writer.close()

            async def _publish_retained_messages_for_subscription(
                self, subscription: tuple[str, int], session: Any
            ) -> None:
                """Of all the broker's subscriptions, those of this client: the vendor sends it those of others too."""
                subscribers = self._subscriptions.get(subscription[0], ())
                if any(subscriber.client_id == session.client_id for subscriber, _ in subscribers):
                    await super()._publish_retained_messages_for_subscription(subscription, session)

        broker = ClosingBroker(BrokerConfig.from_dict(self._config()))
        try:
            await broker.start()
        except AMQTTError as error:
            raise PublishError(f"the embedded broker cannot start: {error}; name another in mqtt.host") from error
        self._ready.set()
        await self._stopping.wait()
        await _shut_down(broker, connections)

    def _config(self) -> dict[str, Any]:
        return {
            "listeners": {
                "default": {"type": "tcp", "bind": f"{_HOST}:{self.port}", "max_connections": 100},
                "websocket": {"type": "ws", "bind": f"{_HOST}:{self.ws_port}"},
            },
            "plugins": {"amqtt.plugins.authentication.AnonymousAuthPlugin": {"allow_anonymous": True}},
        }


async def _shut_down(broker: Any, connections: set[asyncio.StreamWriter]) -> None:
    """Let the broker say goodbye to its clients, then end what is left: it would wait for those for ever."""
    goodbye = asyncio.ensure_future(broker.shutdown())
    await asyncio.wait({goodbye}, timeout=_GOODBYE_S)
    for writer in tuple(connections):
        writer.close()
    await asyncio.wait({goodbye}, timeout=_GOODBYE_S)


def _hush() -> None:
    """Keep the vendor's chatter about every client off the terminal, unless someone asked for it."""
    for name in ("amqtt", "transitions", "websockets"):
        logger = logging.getLogger(name)
        if logger.level == logging.NOTSET:
            logger.setLevel(logging.CRITICAL)


def _log_leftover(context: dict[str, Any]) -> None:
    """A connection that ended in the middle of something is not worth a traceback on the terminal."""
    logging.getLogger(__name__).debug("embedded broker: %s", context.get("message"), exc_info=context.get("exception"))
