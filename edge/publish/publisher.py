"""The publishing thread: takes messages from anyone without waiting, encodes them, and keeps the connection.

`publish` returns at once whatever the broker does. On every connection the daemon announces itself again: state online,
then every retained message, because a restarted broker may have forgotten them.
"""

from __future__ import annotations

import logging
import math
import threading
import time
from collections import deque
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Literal, cast

from edge.errors import PublishError
from edge.monitor.metrics import Metrics
from edge.monitor.throughput import percentiles
from edge.mqtt.failures import NotConnectedError, UnsendableError, remedy_for
from edge.mqtt.link import (
    Endpoint,
    Incoming,
    Link,
    Metadata,
    Subscription,
    Version,
    Will,
)
from edge.mqtt.messages import BridgeState, Response
from edge.mqtt.topics import Kind, Topics
from edge.processes import backoff
from edge.publish.attempts import attempt
from edge.publish.compose import Binary
from edge.publish.orphans import Orphans
from edge.publish.outbox import Content, Maker, Outbox, Outgoing, encoded
from edge.publish.requests import Handler, Requests
from edge.publish.suspects import STEADY_S, Suspects
from edge.publish.twin import Twin
from edge.publish.window import Window

_log = logging.getLogger(__name__)

_FAREWELL_S = 0.3
_RESERVOIR = 512
_SUSPICIOUS = 3
_FLAPPING_S = 120.0
"""How long a connection that was lost again and again is spoken of after the last time."""
_CAREFUL_S = 0.25
_ORPHANS_S = 5.0
_ANNOUNCE_EVERY_S = 60.0
_ALLOW = "allow this user in the broker's access list"
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
        max_packet_bytes: int | None = None,
        response_prefix: str | None = None,
        allowed: Collection[str] | None = None,
        retained: Collection[str] | None = None,
        run: str | None = None,
        metrics: Metrics | None = None,
    ) -> None:
        """Nothing runs yet.

        Args:
            endpoint: where the broker is, or who knows it, asked at every attempt to connect.
            topics: the device's.
            client_id: None: made of the device's name.
            handlers: what answers each verb.
            live_limit: live results that may wait.
            durable_limit: events and responses that may wait.
            retry_s: shortest and longest time between attempts to connect.
            max_packet_bytes: larger messages are not sent; None: the broker's own limit alone.
            response_prefix: where requests may have their response sent; None: the device's own responses alone.
            allowed: the verbs that may be asked for; None: all that have a handler.
            retained: the retained topics of cameras that are in use; what is kept of others is cleared. None: nothing.
            run: what tells this run of the daemon from others in `bridge/info`; None: nobody listens for others.
            metrics: where to count.
        """
        self.topics = topics
        self.last_error: str | None = None
        """Why there is no connection; while there is one, why a message was last not published on it."""
        self._metrics = metrics or Metrics()
        self._outbox = Outbox(self._metrics.dropped, live_limit=live_limit, durable_limit=durable_limit)
        self._retry_s = retry_s
        self._window = Window()
        self._suspects = Suspects()
        self._troubles: dict[str, str] = {}
        """What is wrong with a topic, by topic; until a message on it is taken."""
        self._short_losses = 0
        """Connections in a row that were lost within seconds."""
        self._flapping: tuple[float, str] = (-math.inf, "")
        """Until when to speak of connections that are lost again and again, and what to say."""
        self._max_packet_bytes = max_packet_bytes
        self._requests = Requests(
            topics, handlers or {}, self._respond, response_prefix=response_prefix, allowed=allowed
        )
        self._anew = threading.Event()
        self._twin, self._announced_s = None if run is None else Twin(topics, run), -math.inf
        self._orphans = None if retained is None else Orphans(topics, retained)
        self._encode_ms: deque[float] = deque(maxlen=_RESERVOIR)
        self._publish_ms: deque[float] = deque(maxlen=_RESERVOIR)
        self._busy_s = 0.0
        self._connected = threading.Event()
        self._stopping = threading.Event()
        self._stop_at_s: float | None = None
        self._sending = False
        self._said_offline = False
        self._orphans_until_s = math.inf
        self._link = Link(
            endpoint,
            client_id or f"edge-{topics.device}",
            will=Will(topics.of("bridge_state"), BridgeState(state="offline").encoded()),
            subscriptions=(
                Subscription(topics.requests, instead=tuple(topics.of("request", verb=v) for v in handlers or {})),
                *(self._orphans.subscriptions if self._orphans else ()),
                *(self._twin.subscriptions if self._twin else ()),
            ),
            on_message=self._received,
            on_change=self._outbox.wake,
        )
        self._thread = self._new_thread()

    def _new_thread(self) -> threading.Thread:
        return threading.Thread(target=self._run, name="edge-publish", daemon=True)

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

    def configure(
        self,
        *,
        max_packet_bytes: int | None,
        response_prefix: str | None,
        allowed: Collection[str],
        retained: Collection[str],
    ) -> None:
        """Other rules from now on, as for `__init__`; what is retained on topics that are not in use is cleared."""
        self._max_packet_bytes = max_packet_bytes
        self._requests.configure(response_prefix=response_prefix, allowed=allowed)
        for topic, kind in self._orphans.keep(retained).items() if self._orphans else ():
            self._outbox.retire(topic)
            self._outbox.put(Outgoing(kind, topic, Binary(b"", {}), keep=False))

    def connect_anew(self) -> None:
        """Ask where the broker is and connect there, whatever connection there is."""
        self._anew.set()  # `_serve` looks at least four times a second

    @property
    def largest_bytes(self) -> int | None:
        """Topic and payload of a message may have so many bytes; None: no limit is known."""
        least = min((n for n in (self._link.limits.max_packet_bytes, self._max_packet_bytes) if n), default=None)
        return None if least is None else least - _PACKET_OVERHEAD_BYTES

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
        self._stopping.set()
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
        failures = 0
        while not self._stopping.is_set():
            lasted_s, explained = 0.0, False
            connected, error = attempt(self._connect)
            if connected:
                since_s = time.monotonic()
                _, error = attempt(self._serve)
                lasted_s = time.monotonic() - since_s
                explained = self._settle_loss(lasted_s)
            if error is not None:
                self._report(error)
            failures = 0 if explained or lasted_s >= STEADY_S or self._anew.is_set() else failures + 1
            self._stopping.wait(backoff(max(failures - 1, 0), *self._retry_s))

    def _connect(self) -> bool:
        try:
            self._link.open()
        except PublishError as error:
            self._report(str(error))
            return False
        self._metrics.connections.add()
        self.last_error = None
        self._outbox.announce_again()
        self._window.limit(self._link.limits.receive_maximum)
        self._orphans_until_s = time.monotonic() + _ORPHANS_S
        self._connected.set()
        _log.info("connected to broker %s, MQTT %s", self._link.endpoint, self._link.version)
        return True

    def _report(self, error: str) -> None:
        if error != self.last_error:
            _log.warning("%s", error)
        self.last_error = error

    def _serve(self) -> None:
        """Publish until the connection is lost, or until all is out or time is over once stopping."""
        steady_s = time.monotonic() + STEADY_S
        self._anew.clear()
        while self._link.up and not self._anew.is_set():
            self._settle_delivered()
            self._end_orphans()
            if time.monotonic() > steady_s:
                self._suspects.steady()
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
            if self._window.full or (self._suspects.careful and len(self._window)):
                self._outbox.wait(0.25, for_items=False)
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
        if self._suspects.held(item.kind):
            self._outbox.forget(item, "held_back")
            return
        largest = self.largest_bytes
        if largest is not None and size_bytes > largest:
            limit = largest + _PACKET_OVERHEAD_BYTES
            whose = "the broker's limit" if limit != self._max_packet_bytes else "mqtt.max_packet_bytes"
            self._trouble(item, f"{size_bytes} bytes are over {whose} of {limit}; raise it there")
            self._outbox.forget(item, "too_large")
            return
        channel = item.channel
        metadata = Metadata(channel.content_type, channel.expiry_s, item.correlation, item.properties)
        sent_at_s = time.monotonic()
        self._suspects.sent(item.kind, item.topic, size_bytes)  # also if the broker hangs up in the middle of it
        try:
            mid = self._link.send(item.topic, payload, qos=channel.qos, retain=channel.retain, metadata=metadata)
        except NotConnectedError as error:
            self._report(str(error))
            self._outbox.give_back([item])
            return
        except UnsendableError as error:
            self._trouble(item, str(error))
            self._outbox.forget(item, "unsendable")
            return
        self._window.add(mid, item, sent_at_s, size_bytes)
        if self._suspects.careful and not channel.qos:
            self._outbox.wait(_CAREFUL_S, for_items=False)  # nobody confirms it: see whether the connection holds

    def _encode(self, item: Outgoing) -> bytes | None:
        """The payload of `item`, made if need be; None, counted, if it cannot be made."""
        if item.payload is not None:
            return item.payload
        begun_s = time.monotonic()
        made, error = attempt(partial(encoded, item.content))
        if made is None:
            self._trouble(item, str(error))
            self._outbox.forget(item, "invalid")
            return None
        item.payload, item.properties = made
        self._encode_ms.append((time.monotonic() - begun_s) * 1000.0)
        return item.payload

    def _settle_delivered(self) -> None:
        now_s = time.monotonic()
        for done, refusal in self._window.settle(self._link.delivered()):
            item = done.item
            if refusal is not None:
                self._refused(item, refusal)
                continue
            if item.channel.qos:
                self._suspects.confirmed()
            self._troubles.pop(self._place(item), None)
            self._publish_ms.append((now_s - done.sent_at_s) * 1000.0)
            self._metrics.published_bytes.add(by=done.size_bytes)
            if not item.delivered:
                item.delivered = True
                self._metrics.published.add(item.kind, item.camera or "")

    def _refused(self, item: Outgoing, reason: str) -> None:
        self._suspects.confirmed()
        self._metrics.refused.add(self._place(item), reason.lower())
        self._outbox.forget(item, "refused")
        self._trouble(item, f"the broker refused it: {reason.lower()}; {remedy_for(reason)}")

    def _settle_loss(self, lasted_s: float) -> bool:
        """Count what went out, give back what did not, and say what ended the connection.

        Returns:
            Whether the loss was put down to a kind of message, which the next connection is without.
        """
        self._settle_delivered()
        self._connected.clear()
        self._outbox.give_back(self._window.clear())
        self._link.abandon()
        if self._stopping.is_set():
            return False
        if self._link.loss:
            self._report(self._link.loss)
        found = self._suspects.lost(lasted_s, self._link.loss_reason)
        if found is not None:
            _log.warning("%s", found)
        self._short_losses = 0 if lasted_s >= STEADY_S else self._short_losses + 1
        if self._short_losses >= _SUSPICIOUS:
            text = (
                f"broker {self._link.endpoint}: lost {self._short_losses} times within seconds; if another client is "
                f"called {self._link.client_id!r}, give each device its own device.name or mqtt.client_id"
            )
            self._flapping = (time.monotonic() + _FLAPPING_S, text)
            if self._short_losses == _SUSPICIOUS:
                _log.warning("%s", text)
        return found is not None

    # What is wrong ---------------------------------------------------------------------------------------------------

    def degraded(self) -> tuple[str, ...]:
        """Everything that keeps messages from the broker or from those who subscribe there, with what to do."""
        found = [] if self._connected.is_set() or self.last_error is None else [self.last_error]
        until_s, flapping = self._flapping
        if time.monotonic() < until_s and not self._suspects.held_back():
            found.append(flapping)
        if self._connected.is_set() and not self._link.limits.retain_available:
            found.append(
                f"broker {self._link.endpoint} keeps no retained messages: who subscribes later learns states and "
                "rooms only when they are published again; allow retained messages there"
            )
        refused = [
            f"subscription {topic}: the broker refused it: {reason}; requests do not arrive: {_ALLOW}"
            for topic, reason in self._link.refused_subscriptions.copy().items()
            if topic.startswith(self.topics.requests.removesuffix("#"))
        ]
        troubles = [f"{topic}: {text}" for topic, text in self._troubles.copy().items()]
        twins = self._twin.degraded() if self._twin else ()
        return (*found, *self._suspects.held_back(), *refused, *troubles, *twins)

    @property
    def alive(self) -> bool:
        """Whether its threads run."""
        return self._thread.is_alive() and self._requests.alive

    def revive(self) -> str | None:
        """Start again what died; its name, None if nothing did."""
        if self._thread.is_alive():
            dead = not self._requests.alive
            self._requests.start()
            return "answering requests" if dead else None
        attempt(partial(self._settle_loss, 0.0))
        self._thread = self._new_thread()
        self._thread.start()
        return "publishing"

    def _place(self, item: Outgoing) -> str:
        """The topic, by which troubles are kept; one for all responses, whose topics whoever asks may choose."""
        return self.topics.responses if item.kind == "response" else item.topic

    def _trouble(self, item: Outgoing, text: str) -> None:
        """Something is wrong with what goes on a topic; said once until a message on it is taken."""
        place = self._place(item)
        if place not in self._troubles:
            _log.warning("%s: %s", place, text)
        self._troubles[place] = text
        self.last_error = f"{place}: {text}"

    # What comes in, on the network thread ----------------------------------------------------------------------------

    def _received(self, incoming: Incoming) -> None:
        heard = self._twin.heard(incoming) if self._twin else None
        kind = self._orphans.kind_of(incoming) if self._orphans else None
        if heard == "offline" and not self._stopping.is_set():
            self._say("online")  # a twin has left, or our own last connection was given up only now
        elif heard == "info" and time.monotonic() - self._announced_s > _ANNOUNCE_EVERY_S:
            self._announced_s = time.monotonic()
            self._outbox.announce_again()  # so that it hears of us too
        elif kind is not None:
            _log.info("%s: cleared, no such camera or task any more", incoming.topic)
            self._outbox.put(Outgoing(kind, incoming.topic, Binary(b"", {}), keep=False))
        else:
            self._requests.accept(incoming)

    def _end_orphans(self) -> None:
        """The broker has answered with all that it keeps: what comes on these topics from now on is our own."""
        if self._orphans is not None and time.monotonic() > self._orphans_until_s:
            self._link.unsubscribe([s.topic for s in self._orphans.subscriptions])
            self._orphans_until_s = math.inf
