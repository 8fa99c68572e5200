"""The publishing thread: takes messages from anyone without waiting, encodes them, and keeps the connection.

`publish` returns at once whatever the broker does. On every connection the daemon announces itself again: state online,
then every retained message, because a restarted broker may have forgotten them.
"""

from __future__ import annotations

import logging
import random
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Literal, cast

from edge.errors import PublishError
from edge.monitor.metrics import Metrics
from edge.monitor.throughput import percentiles
from edge.mqtt.link import Endpoint, Link, Metadata, Version, Will
from edge.mqtt.messages import BridgeState, Message, Response, schema_name
from edge.mqtt.topics import Kind, Topics
from edge.publish.attempts import attempt
from edge.publish.outbox import Content, Maker, Outbox, Outgoing
from edge.publish.requests import Handler, Requests
from edge.publish.window import Window

_log = logging.getLogger(__name__)

_FAREWELL_S = 0.3
_RESERVOIR = 512
_STEADY_S = 10.0
"""A connection that lasted so long was sound: the next loss is retried at once."""
_SUSPICIOUS = 3
_PACKET_OVERHEAD_BYTES = 512
"""Room for MQTT's own header and properties beside topic and payload."""


@dataclass(frozen=True, slots=True)
class PublisherStatistics:
    """How publishing went since the start. Times are (median, 99th percentile) of the last few hundred, or None."""

    connected: bool
    protocol: Version | None
    reconnects: int
    published: dict[tuple[Kind, str | None], int]
    """By kind of topic and camera; confirmed by the broker for QoS 1, written to the network for QoS 0."""
    published_bytes: int
    dropped: dict[str, int]
    queued: int
    encode_ms: tuple[float, float] | None
    publish_ms: tuple[float, float] | None
    busy_s: float
    """Processor time of making payloads and handing them to the connection, since the start."""
    last_error: str | None


def _percentiles(values: deque[float]) -> tuple[float, float] | None:
    found = percentiles(values.copy())
    return None if found is None else (round(found[0], 3), round(found[1], 3))


class Publisher:
    """Publishes one device's messages and answers requests to it; `start` it, `stop` it."""

    def __init__(
        self,
        endpoint: Endpoint | Callable[[], Endpoint],
        topics: Topics,
        *,
        client_id: str | None = None,
        handlers: Mapping[str, Handler] | None = None,
        live_limit: int = 64,
        durable_limit: int = 256,
        retry_s: tuple[float, float] = (0.5, 30.0),
        metrics: Metrics | None = None,
    ) -> None:
        """`endpoint`: where the broker is, or who knows it, asked at every attempt to connect."""
        self.topics = topics
        self.last_error: str | None = None
        """Why there is no connection; while there is one, why a message was last not published on it."""
        self._metrics = metrics or Metrics()
        self._outbox = Outbox(self._metrics.dropped, live_limit=live_limit, durable_limit=durable_limit)
        self._retry_s = retry_s
        self._window = Window()
        self._requests = Requests(topics, handlers or {}, self._respond)
        self._encode_ms: deque[float] = deque(maxlen=_RESERVOIR)
        self._publish_ms: deque[float] = deque(maxlen=_RESERVOIR)
        self._busy_s = 0.0
        self._connected = threading.Event()
        self._stop_at_s: float | None = None
        self._sending = False
        self._said_offline = False
        self._link = Link(
            endpoint,
            client_id or f"edge-{topics.device}",
            will=Will(topics.of("bridge_state"), BridgeState(state="offline").encoded()),
            subscriptions=(topics.requests,),
            on_message=self._requests.accept,
            on_change=self._outbox.wake,
        )
        self._thread = threading.Thread(target=self._run, name="edge-publish", daemon=True)

    # For everyone --------------------------------------------------------------------------------------------------

    def start(self) -> None:
        """Begin to connect; messages may be published at once, and wait."""
        self._say("online")
        self._thread.start()
        self._requests.start()

    def publish(self, kind: Kind, content: Content | Maker, *, camera: str | None = None) -> None:
        """Queue a message, or a callable that makes it on the publishing thread; never waits and never fails late.

        Raises:
            PublishError: `camera` cannot be part of a topic.
        """
        self._outbox.put(Outgoing(kind, self.topics.of(kind, camera=camera), content, camera))

    def wait_connected(self, timeout_s: float) -> bool:
        """Whether a connection stands, waiting up to `timeout_s` for it."""
        return self._connected.wait(timeout_s)

    def flush(self, timeout_s: float) -> bool:
        """Wait until everything queued went out; False if it did not within `timeout_s`."""
        deadline_s = time.monotonic() + timeout_s
        while len(self._outbox) or self._sending or len(self._window):
            if time.monotonic() > deadline_s:
                return False
            time.sleep(0.01)
        return True

    def statistics(self) -> PublisherStatistics:
        """Counts and times since the start."""
        return PublisherStatistics(
            connected=self._connected.is_set(),
            protocol=self._link.version,
            reconnects=max(self._metrics.connections.total - 1, 0),
            published=self.published(),
            published_bytes=self._metrics.published_bytes.total,
            dropped={reason: n for (reason,), n in self._metrics.dropped.items()},
            queued=len(self._outbox),
            encode_ms=_percentiles(self._encode_ms),
            publish_ms=_percentiles(self._publish_ms),
            busy_s=self._busy_s,
            last_error=self.last_error,
        )

    def stop(self, timeout_s: float = 2.0) -> None:
        """Send what is queued, say offline and disconnect, all within `timeout_s`; then give up what is left."""
        if not self._thread.is_alive():
            return
        self._stop_at_s = time.monotonic() + timeout_s * 0.6
        self._outbox.wake()
        self._thread.join(timeout_s)
        self._requests.stop()

    def published(self) -> dict[tuple[Kind, str | None], int]:
        """Messages that went out, by kind of topic and camera (None: the bridge's own)."""
        return {(cast(Kind, kind), camera or None): n for (kind, camera), n in self._metrics.published.items()}

    def _say(self, state: Literal["online", "offline"]) -> None:
        self._outbox.put(Outgoing("bridge_state", self.topics.of("bridge_state"), BridgeState(state=state)))

    def _respond(self, topic: str, response: Response, correlation: bytes | None) -> None:
        self._outbox.put(Outgoing("response", topic, response, correlation=correlation))

    # On the publishing thread ----------------------------------------------------------------------------------------

    def _run(self) -> None:
        delay_s, short = self._retry_s[0], 0
        while self._stop_at_s is None:
            if self._connect():
                since_s = time.monotonic()
                _, error = attempt(self._serve)
                self._settle_loss()
                if error is not None:
                    self._report(error)
                short = short + 1 if time.monotonic() - since_s < _STEADY_S else 0
                delay_s = delay_s if short else self._retry_s[0]
                if short == _SUSPICIOUS:
                    self._report(
                        f"broker {self._link.endpoint}: lost {short} times within seconds; if another client is called "
                        f"{self._link.client_id!r}, give each device its own device.name or mqtt.client_id"
                    )
            if self._stop_at_s is None:
                self._outbox.pause(delay_s * random.uniform(0.5, 1.0))
                delay_s = min(delay_s * 2.0, self._retry_s[1])

    def _connect(self) -> bool:
        try:
            self._link.open()
        except PublishError as error:
            self._report(str(error))
            return False
        self._metrics.connections.add()
        self.last_error = None
        self._outbox.announce_again()
        self._connected.set()
        _log.info("connected to broker %s, MQTT %s", self._link.endpoint, self._link.version)
        return True

    def _report(self, error: str) -> None:
        if error != self.last_error:
            _log.warning("%s", error)
        self.last_error = error

    def _serve(self) -> None:
        """Publish until the connection is lost, or until all is out or time is over once stopping."""
        while self._link.up:
            self._settle_delivered()
            if self._stop_at_s is not None and self._finished(self._stop_at_s):
                if self._said_offline:
                    self._link.close()
                    return
                self._said_offline = True
                self._stop_at_s = time.monotonic() + _FAREWELL_S
                self._say("offline")
            if self._window.stuck:
                self._link.loss = f"broker {self._link.endpoint}: stopped confirming; connecting anew"
                return
            if self._window.full:
                self._outbox.pause(0.25)
            elif not self._send_next():
                self._outbox.wait(0.25)

    def _send_next(self) -> bool:
        """Send one message if there is one; `_sending` covers the moment in which it is in neither list."""
        self._sending, begun_s = True, time.thread_time()
        try:
            item = self._outbox.take()
            if item is not None:
                self._send(item)
        finally:
            self._sending = False
            self._busy_s += time.thread_time() - begun_s
        return item is not None

    def _finished(self, stop_at_s: float) -> bool:
        return time.monotonic() > stop_at_s or not (len(self._outbox) or len(self._window))

    def _send(self, item: Outgoing) -> None:
        payload = self._encode(item)
        if payload is None:
            return
        size_bytes = len(payload) + len(item.topic)
        limit = self._link.max_packet_bytes
        if limit is not None and size_bytes + _PACKET_OVERHEAD_BYTES > limit:
            self._report(f"{item.topic}: {size_bytes} bytes are over the broker's limit of {limit}; raise it there")
            self._outbox.forget(item, "too_large")
            return
        channel = item.channel
        metadata = Metadata(channel.content_type, channel.expiry_s, item.correlation, item.properties)
        sent_at_s = time.monotonic()
        try:
            mid = self._link.send(item.topic, payload, qos=channel.qos, retain=channel.retain, metadata=metadata)
        except PublishError as error:
            self._report(str(error))
            self._outbox.give_back([item])
            return
        self._window.add(mid, item, sent_at_s, size_bytes)

    def _encode(self, item: Outgoing) -> bytes | None:
        """The payload of `item`, made if need be; None, counted, if it cannot be made."""
        if item.payload is not None:
            return item.payload
        begun_s = time.monotonic()
        content, error = attempt(partial(_resolved, item.content))
        if content is None:
            self._report(f"{item.topic}: {error}")
            self._outbox.forget(item, "invalid")
            return None
        if isinstance(content, Message):
            item.payload = content.encoded()
            captured_at, name = getattr(content, "captured_at", None), schema_name(content)
            item.properties = {k: v for k, v in (("schema", name), ("captured_at", captured_at)) if v}
        else:
            item.payload, item.properties = content.data, content.properties
        item.content = content
        self._encode_ms.append((time.monotonic() - begun_s) * 1000.0)
        return item.payload

    def _settle_delivered(self) -> None:
        now_s = time.monotonic()
        for done in self._window.settle(self._link.delivered()):
            self._publish_ms.append((now_s - done.sent_at_s) * 1000.0)
            self._metrics.published_bytes.add(by=done.size_bytes)
            if not done.item.delivered:
                done.item.delivered = True
                self._metrics.published.add(done.item.kind, done.item.camera or "")

    def _settle_loss(self) -> None:
        """Count what went out, give back what did not."""
        self._settle_delivered()
        self._connected.clear()
        self._outbox.give_back(self._window.clear())
        self._link.abandon()
        if self._link.loss and self._stop_at_s is None:
            self._report(self._link.loss)


def _resolved(content: Content | Maker) -> Content:
    return content() if callable(content) else content
