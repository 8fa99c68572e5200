"""What waits to be published: bounded, and fair about what is lost.

Three classes, as the topics table has them. *Retained* topics keep their latest message, so that a new connection can
be told everything; a newer one replaces one that was not sent yet. *Durable* messages (QoS 1, not retained) wait in a
queue that loses its oldest beyond a bound. *Live* results do too, with a shorter queue, and also lose what grew old.
Every loss is counted by reason.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field

from edge.monitor.metrics import Count
from edge.mqtt.messages import Message, schema_name
from edge.mqtt.topics import CHANNELS, Channel, Kind
from edge.publish.compose import Binary

Content = Message | Binary
Maker = Callable[[], Content]


@dataclass(eq=False)
class Outgoing:
    """One message on its way. `content` may be a callable: then it is made on the publishing thread."""

    kind: Kind
    topic: str
    content: Content | Maker
    camera: str | None = None
    correlation: bytes | None = None
    queued_at_s: float = field(default_factory=time.monotonic)
    payload: bytes | None = None
    """The encoded content, once it was encoded."""
    properties: dict[str, str] = field(default_factory=dict)
    keep: bool = True
    """Whether a retained message is repeated on every connection."""
    delivered: bool = False
    """Whether it went out before, so that repeating a retained message does not count twice."""

    @property
    def channel(self) -> Channel:
        """The QoS, retention and expiry of its topic."""
        return CHANNELS[self.kind]


class Outbox:
    """A thread-safe store of outgoing messages with bounded memory."""

    def __init__(self, dropped: Count, *, live_limit: int = 64, durable_limit: int = 256) -> None:
        """`dropped` counts losses by reason."""
        self.dropped = dropped
        self._live_limit, self._durable_limit = live_limit, durable_limit
        self._changed = threading.Condition()
        self._retained: dict[str, Outgoing] = {}
        self._unsent: dict[str, None] = {}
        self._durable: deque[Outgoing] = deque()
        self._live: deque[Outgoing] = deque()
        self._woken = False

    def put(self, item: Outgoing) -> None:
        """Queue `item`, or let it replace an unsent one of the same retained topic; never waits."""
        with self._changed:
            if item.channel.retain and item.keep:
                if item.topic in self._unsent:
                    self.dropped.add("superseded")
                self._retained[item.topic] = item
                self._unsent[item.topic] = None
            elif item.channel.qos:
                self._bounded(self._durable, item, self._durable_limit)
            else:
                self._bounded(self._live, item, self._live_limit)
            self._changed.notify_all()

    def _bounded(self, queue: deque[Outgoing], item: Outgoing, limit: int) -> None:
        queue.append(item)
        while len(queue) > limit:
            queue.popleft()
            self.dropped.add("queue_full")

    def take(self) -> Outgoing | None:
        """The next message: retained before durable before live; None if there is nothing to send."""
        with self._changed:
            if self._unsent:
                topic = next(iter(self._unsent))
                del self._unsent[topic]
                return self._retained[topic]
            if self._durable:
                return self._durable.popleft()
            while self._live:
                item = self._live.popleft()
                if time.monotonic() - item.queued_at_s <= (item.channel.expiry_s or float("inf")):
                    return item
                self.dropped.add("expired")
            return None

    def wait(self, timeout_s: float, *, for_items: bool = True) -> None:
        """Sleep until `wake` is called, the time is over or, unless told otherwise, there is something to take.

        For the publishing thread alone: a `wake` ends one wait of one thread.
        """
        with self._changed:
            if not (self._woken or (for_items and (self._unsent or self._durable or self._live))):
                self._changed.wait(timeout_s)
            self._woken = False

    def wake(self) -> None:
        """End a `wait`, the current or the next."""
        with self._changed:
            self._woken = True
            self._changed.notify_all()

    def announce_again(self) -> None:
        """Mark every retained message as unsent: a new connection may be to a broker that forgot them."""
        with self._changed:
            self._unsent = dict.fromkeys(self._retained)

    def give_back(self, items: list[Outgoing]) -> None:
        """Return messages of a lost connection: durable ones go first in the queue, live ones are counted as lost."""
        with self._changed:
            for item in reversed(items):
                if item.channel.retain and item.keep:
                    self._unsent.setdefault(item.topic)
                elif item.channel.qos:
                    self._durable.appendleft(item)
                else:
                    self.dropped.add("connection_lost")

    def forget(self, item: Outgoing, reason: str) -> None:
        """Count `item` as lost, and stop keeping it if it is retained."""
        with self._changed:
            self.dropped.add(reason)
            if self._retained.get(item.topic) is item:
                del self._retained[item.topic]
                self._unsent.pop(item.topic, None)

    def retire(self, topic: str) -> None:
        """Keep the retained message of a topic no longer: nothing goes there any more."""
        with self._changed:
            self._retained.pop(topic, None)
            self._unsent.pop(topic, None)

    def __len__(self) -> int:
        """Number of messages that wait."""
        with self._changed:
            return len(self._unsent) + len(self._durable) + len(self._live)


def encoded(content: Content | Maker) -> tuple[bytes, dict[str, str]]:
    """Payload and user properties of a message, made if need be."""
    made = content() if callable(content) else content
    if not isinstance(made, Message):
        return made.data, made.properties
    captured_at, name = getattr(made, "captured_at", None), schema_name(made)
    return made.encoded(), {k: v for k, v in (("schema", name), ("captured_at", captured_at)) if v}
