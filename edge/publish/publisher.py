"""The publishing thread: takes messages from anyone without waiting, encodes them, and keeps the connection.

`publish` returns at once whatever the broker does. On every connection the daemon announces itself again: state online,
then every retained message, because a restarted broker may have forgotten them.
"""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Collection, Mapping
from functools import partial
from typing import Literal, cast

from edge.errors import PublishError
from edge.keep.spool import Spool
from edge.monitor.clock import Deadline
from edge.monitor.metrics import Metrics
from edge.mqtt.endpoint import RETRY_S, STEADY_S, Endpoint
from edge.mqtt.failures import NotConnectedError, UnsendableError, remedy_for
from edge.mqtt.link import Incoming, Link, Metadata, Subscription, Will
from edge.mqtt.messages import BridgeProbe, BridgeState, Response
from edge.mqtt.topics import CHANNELS, Kind, Topics
from edge.processes import backoff
from edge.publish.attempts import attempt
from edge.publish.compose import Binary
from edge.publish.hearing import Hearing
from edge.publish.orphans import Orphans
from edge.publish.outbox import Content, Maker, Outbox, Outgoing
from edge.publish.requests import Handler, Requests
from edge.publish.spooling import Spooling
from edge.publish.statistics import PublisherStatistics, median_and_worst
from edge.publish.suspects import Suspects
from edge.publish.troubles import Troubles, shortcomings
from edge.publish.twin import Twin
from edge.publish.window import InFlight, Window

_log = logging.getLogger(__name__)

_FAREWELL_S, _REQUESTS_S = 0.3, 0.5
_SENDING, _CONNECTED = 0.4, 0.67
"""Of the time in which to stop: sending what is queued, and all that needs the connection; the rest is the disk's."""
_RESERVOIR = 512
_CAREFUL_S = 0.25
_WARNED = 8
"""Reasons for being without a connection that are not repeated until there is one."""
_ALLOW = "allow this user in the broker's access list"
_LARGEST_INCOMING_BYTES = 8 << 20
"""A broker that speaks MQTT 5 keeps larger messages to itself; of another's, memory holds one at a time."""
_OWN_LIMIT = "mqtt.max_packet_bytes"
_PACKET_OVERHEAD_BYTES = 512
"""Room for MQTT's own header and properties beside topic and payload."""


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
        durable_limit: int = 512,
        retry_s: tuple[float, float] = RETRY_S,
        max_packet_bytes: int | None = None,
        response_prefix: str | None = None,
        allowed: Collection[str] | None = None,
        retained: Collection[str] | None = None,
        listeners: Mapping[str, Callable[[Incoming], None]] | None = None,
        run: str | None = None,
        metrics: Metrics | None = None,
        spool: Spool | None = None,
        all_results: bool = False,
        replay_per_s: float = 100.0,
    ) -> None:
        """Nothing runs yet.

        Args:
            endpoint: where the broker is, or who knows it, asked at every attempt to connect.
            topics: the device's.
            client_id: None: made of the device's name.
            handlers: what answers each verb.
            live_limit: live results that may wait.
            durable_limit: events, and responses, that may wait in memory.
            retry_s: shortest and longest time between attempts to connect.
            max_packet_bytes: larger messages are not sent; None: the broker's own limit alone.
            response_prefix: where requests may have their response sent; None: the device's own responses alone.
            allowed: the verbs that may be asked for; None: all that have a handler.
            retained: the retained topics of cameras that are in use; what is kept of others is cleared. None: nothing.
            listeners: by topic, what else is listened to, and who is called on the network thread and returns at once.
            run: what tells this run of the daemon from others in `bridge/info`; None: nobody listens for others.
            metrics: where to count.
            spool: keeps on the disk what the broker has not confirmed; None: memory alone.
            all_results: also send results that a newer one had replaced before they went out, not retained.
            replay_per_s: messages a second, at most, of those that waited for long.
        """
        self.topics = topics
        self.last_error: str | None = None
        """Why there is no connection; while there is one, why a message was last not published on it."""
        self._warned: deque[str] = deque(maxlen=_WARNED)
        self._metrics = metrics or Metrics()
        self._outbox = Outbox(
            self._metrics,
            live_limit=live_limit,
            durable_limit=durable_limit,
            all_results=all_results,
            replay_per_s=replay_per_s,
        )
        self._retry_s = retry_s
        self._window = Window()
        self._suspects = Suspects()
        self._troubles = Troubles()
        self._max_packet_bytes = max_packet_bytes
        self._requests = Requests(
            topics, handlers or {}, self._respond, response_prefix=response_prefix, allowed=allowed
        )
        self._anew = threading.Event()
        self._orphans = None if retained is None else Orphans(topics, retained)
        twin = None if run is None else Twin(topics, run)
        self._hearing = Hearing(self._outbox, self._requests, self._orphans, twin, self._deny_offline, listeners)
        self._spooling = Spooling(spool, self._outbox, topics, self._orphans)
        self._encode_ms: deque[float] = deque(maxlen=_RESERVOIR)
        self._publish_ms: deque[float] = deque(maxlen=_RESERVOIR)
        self._busy_s = 0.0
        self._connected = threading.Event()
        self._stopping = threading.Event()
        self._stop_at_s: float | None = None
        self._sending = False
        self._said_offline = False
        self._link = Link(
            endpoint,
            client_id or f"edge-{topics.device}",
            will=Will(topics.of("bridge_state"), BridgeState(state="offline").encoded()),
            subscriptions=(
                Subscription(topics.requests, instead=tuple(topics.of("request", verb=v) for v in handlers or {})),
                *self._hearing.subscriptions,
            ),
            on_message=self._hearing.received,
            on_change=self._outbox.wake,
            largest_bytes=_LARGEST_INCOMING_BYTES,
        )
        self._thread = self._new_thread()

    def _new_thread(self) -> threading.Thread:
        return threading.Thread(target=self._run, name="edge-publish", daemon=True)

    # For everyone --------------------------------------------------------------------------------------------------

    def start(self) -> None:
        """Begin to connect; messages may be published at once, and wait."""
        self._say("online")
        self._spooling.start()
        self._thread.start()
        self._requests.start()

    def publish(self, kind: Kind, content: Content | Maker, *, camera: str | None = None) -> None:
        """Queue a message, or a callable that makes it on the publishing thread; never waits and never fails late.

        Raises:
            PublishError: `camera` cannot be part of a topic.
        """
        self._outbox.put(Outgoing(kind, self.topics.of(kind, camera=camera), content, camera))
        if not self._connected.is_set():
            self._spooling.look()

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

    def announce_again(self) -> None:
        """Send every retained message again."""
        self._outbox.announce_again()

    def connect_anew(self) -> None:
        """Ask where the broker is and connect there, whatever connection there is."""
        self._anew.set()  # `_serve` looks at least four times a second

    @property
    def largest_bytes(self) -> int | None:
        """Topic and payload of a message may have so many bytes; None: no limit is known."""
        return self._limit()[0]

    def _limit(self) -> tuple[int | None, str]:
        """The least of what topic and payload may have, bytes, and whose limit that is."""
        stated = ((self._link.limits.max_packet_bytes, "the broker's limit"), (self._max_packet_bytes, _OWN_LIMIT))
        known = [(n - _PACKET_OVERHEAD_BYTES, f"{whose} of {n}") for n, whose in stated if n]
        found = self._suspects.limit_bytes
        if found is not None:
            known.append((found - 1, f"what the broker takes: it ended the connection when {found} were sent"))
        return min(known, default=(None, "no limit"))

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
        """Counts and times since the start; on the publishing thread they agree to the message."""
        waiting, published = self._outbox.waiting(), self._metrics.published.read()
        return PublisherStatistics(
            connected=self._connected.is_set(),
            protocol=self._link.version,
            reconnects=max(self._metrics.connections.total - 1, 0),
            offered=waiting.offered,
            restored=waiting.restored,
            published={(cast(Kind, kind), camera or None): n for (kind, camera), n in published.items()},
            published_bytes=self._metrics.published_bytes.total,
            dropped={reason: n for (reason,), n in self._metrics.dropped.read().items()},
            queued=waiting.in_memory,
            spooled=waiting.on_disk,
            spool_bytes=self._spooling.size_bytes,
            spool_oldest_s=self._spooling.oldest_s,
            encode_ms=median_and_worst(self._encode_ms),
            publish_ms=median_and_worst(self._publish_ms),
            busy_s=self._busy_s,
            last_error=self.last_error,
        )

    def stop(self, timeout_s: float = 3.0) -> None:
        """Send what is queued, say offline, disconnect and keep what is left on the disk, all within `timeout_s`."""
        until = Deadline(timeout_s)
        self._stop_at_s = time.monotonic() + timeout_s * _SENDING
        self._stopping.set()
        self._outbox.wake()
        if self._thread.is_alive():
            self._thread.join(timeout_s * _CONNECTED)
        self._spooling.stop(until.left_s())
        self._requests.stop(until.left_s(_REQUESTS_S))

    def _say(self, state: Literal["online", "offline"]) -> None:
        self._outbox.put(Outgoing("bridge_state", self.topics.of("bridge_state"), BridgeState(state=state)))

    def _deny_offline(self) -> None:
        if not self._stopping.is_set():
            self._say("online")

    def _respond(self, topic: str, response: Response, correlation: bytes | None) -> None:
        self._outbox.put(Outgoing("response", topic, response, correlation=correlation))

    # On the publishing thread ----------------------------------------------------------------------------------------

    def _run(self) -> None:
        failures = 0
        while not self._stopping.is_set():
            lasted_s, explained = 0.0, False
            self._anew.clear()  # before the broker is looked up: it may be another one while that is connected to
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
        self._warned.clear()
        self._outbox.announce_again()
        self._window.begin(self._link.limits.receive_maximum)
        self._hearing.connected()
        self._connected.set()
        self._spooling.connected(True)
        _log.info("connected to broker %s, MQTT %s", self._link.endpoint, self._link.version)
        return True

    def _report(self, error: str) -> None:
        if error not in self._warned:  # attempts with one protocol and another fail in different words, in turns
            _log.warning("%s", error)
            self._warned.append(error)
        self.last_error = error

    def _serve(self) -> None:
        """Publish until the connection is lost, or until all is out or time is over once stopping."""
        steady_s = time.monotonic() + STEADY_S
        while self._link.up and not self._anew.is_set():
            self._settle_delivered()
            if topics := self._hearing.heard_enough():
                self._link.unsubscribe(topics)
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
            if self._window.needs_probe:
                self._probe()
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
                if item.number is not None and self._outbox.low:
                    self._spooling.look()
        finally:
            self._sending = False
            self._busy_s += time.thread_time() - begun_s
        return item is not None

    def _probe(self) -> None:
        """See whether the broker still takes messages: nothing else would tell soon."""
        payload, channel = BridgeProbe().encoded(), CHANNELS["bridge_probe"]
        metadata = Metadata(channel.content_type, expiry_s=1)
        try:
            mid = self._link.send(self.topics.of("bridge_probe"), payload, qos=1, retain=False, metadata=metadata)
        except PublishError as error:
            self._report(str(error))
        else:
            self._window.probed(mid)

    def _finished(self, stop_at_s: float) -> bool:
        return time.monotonic() > stop_at_s or not (self._outbox.pressing or len(self._window))

    def _send(self, item: Outgoing) -> None:
        payload = self._encode(item)
        if payload is None:
            return
        size_bytes = len(payload) + len(item.topic)
        if self._suspects.held(item.kind):
            self._outbox.forget(item, "held_back")
            return
        largest_bytes, whose = self._limit()
        if largest_bytes is not None and size_bytes > largest_bytes:
            self._trouble(item, f"{size_bytes} bytes are over {whose}; raise it there")
            self._outbox.forget(item, "too_large")
            return
        channel = item.channel
        properties = item.properties | ({"replayed": "true"} if item.replayed else {})
        metadata = Metadata(channel.content_type, channel.expiry_s, item.correlation, properties)
        sent_at_s = time.monotonic()
        self._suspects.sent(item.kind, item.topic, size_bytes)  # also if the broker hangs up in the middle of it
        try:
            mid = self._link.send(item.topic, payload, qos=channel.qos, retain=item.retain, metadata=metadata)
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
        payload, error = attempt(item.encode)
        if payload is None:
            self._trouble(item, str(error))
            self._outbox.forget(item, "invalid")
            return None
        self._encode_ms.append((time.monotonic() - begun_s) * 1000.0)
        return payload

    def _settle_delivered(self) -> None:
        for done, refusal in self._window.settle(self._link.delivered()):
            if refusal is None:
                self._taken(done)
            else:
                self._refused(done, refusal)

    def _taken(self, done: InFlight) -> None:
        item = done.item
        if item.channel.qos:
            self._suspects.confirmed(done.size_bytes)
        self._troubles.taken(self._place(item))
        self._publish_ms.append((time.monotonic() - done.sent_at_s) * 1000.0)
        self._metrics.published_bytes.add(by=done.size_bytes)
        if not item.delivered:
            self._metrics.published.add(item.kind, item.camera or "")
        self._outbox.settle(item)
        self._spooling.confirmed(item)
        self._hearing.confirmed(item)

    def _refused(self, done: InFlight, reason: str) -> None:
        item = done.item
        self._suspects.confirmed(done.size_bytes)
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
        self._spooling.connected(False)
        self._link.abandon()
        if self._stopping.is_set():
            return False
        if self._link.loss:
            self._report(self._link.loss)
        found = self._suspects.lost(lasted_s, self._link.loss_reason)
        if found is not None:
            _log.warning("%s", found)
        self._troubles.lost(self._link.endpoint, self._link.client_id, steady=lasted_s >= STEADY_S)
        return found is not None

    # What is wrong ---------------------------------------------------------------------------------------------------

    def degraded(self) -> tuple[str, ...]:
        """Everything that keeps messages from the broker or from those who subscribe there, with what to do."""
        found = [] if self._connected.is_set() or self.last_error is None else [self.last_error]
        if not self._suspects.held_back():
            found += self._troubles.of_connection()
        retains = self._link.limits.retain_available or not self._connected.is_set()
        found += shortcomings(self._link.endpoint, retains=retains, older=self._link.older)
        refused = [
            f"subscription {topic}: the broker refused it: {reason}; requests do not arrive: {_ALLOW}"
            for topic, reason in self._link.refused_subscriptions.copy().items()
            if topic.startswith(self.topics.requests.removesuffix("#"))
        ]
        return (
            *found,
            *self._suspects.held_back(),
            *refused,
            *self._troubles.of_topics(),
            *self._hearing.degraded(),
            *self._spooling.degraded(),
        )

    @property
    def alive(self) -> bool:
        """Whether its threads run."""
        return self._thread.is_alive() and self._requests.alive and self._spooling.alive

    def revive(self) -> str | None:
        """Start again what died; its name, None if nothing did."""
        if self._thread.is_alive():
            dead = not self._requests.alive
            self._requests.start()
            if dead:
                return "answering requests"
            return "keeping messages on the disk" if self._spooling.revive() else None
        attempt(partial(self._settle_loss, 0.0))
        self._thread = self._new_thread()
        self._thread.start()
        return "publishing"

    def _place(self, item: Outgoing) -> str:
        """The topic, by which troubles are kept; one for all responses, whose topics whoever asks may choose."""
        return self.topics.responses if item.kind == "response" else item.topic

    def _trouble(self, item: Outgoing, text: str) -> None:
        """Something is wrong with what goes on a topic; said once until a message on it is taken."""
        self.last_error = self._troubles.on(self._place(item), text)
