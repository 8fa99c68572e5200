"""What waits to be published: bounded, and fair about what is lost.

*Retained* topics keep their latest message, so that a new connection can be told everything; a newer one replaces one
that was not sent yet. What is QoS 1 and not retained waits in *lanes*, in order: replies to requests, events and, where
that is asked for, results that a newer one replaced. The older part of events and results may be on the disk, and is
loaded from there by `edge.publish.spooling`. *Live* messages wait in a short queue, and also lose what grew old.

Every message that is put in has one fate, and every loss is counted by reason.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Literal

from edge.monitor.metrics import Metrics
from edge.mqtt.messages import Message, schema_name
from edge.mqtt.topics import CHANNELS, JSON, Channel, Kind
from edge.publish.compose import Binary
from edge.publish.pace import Pace

Content = Message | Binary
Maker = Callable[[], Content]
Lane = Literal["reply", "event", "result"]

_MADE = Binary(b"", {})
_LOADED = 32
"""Messages of a lane that are fetched from the disk ahead of time."""


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
    settled: bool = False
    """Whether it went out or was given up."""
    replayed: bool = False
    """A result that a newer one has replaced: sent for the record, and not retained."""
    order: int = 0
    """The how manyeth it was to be put in."""
    number: int | None = None
    """Under which it is on the disk, if it is."""

    @property
    def channel(self) -> Channel:
        """The QoS, retention and expiry of its topic."""
        return CHANNELS[self.kind]

    @property
    def retain(self) -> bool:
        """Whether the broker is to keep it."""
        return self.channel.retain and not self.replayed

    @property
    def lane(self) -> Lane | None:
        """Where it waits in order; None: by its topic, or with the live ones."""
        if self.replayed:
            return "result"
        if not self.channel.qos or (self.channel.retain and self.keep):
            return None
        return "event" if self.kind == "bridge_event" else "reply"

    @property
    def is_result(self) -> bool:
        """Whether it is a retained result of a camera, which the disk may keep."""
        of_camera = self.channel.path.startswith("{camera}/") and self.kind != "camera_state"
        return self.channel.retain and self.keep and of_camera

    def encode(self) -> bytes:
        """The payload, made and encoded the first time; whatever made it, and the picture it was made of, is let go."""
        if self.payload is None:
            made = self.content() if callable(self.content) else self.content
            if isinstance(made, Message):
                said = (("schema", schema_name(made)), ("captured_at", getattr(made, "captured_at", None)))
                payload, self.properties = made.encoded(), {k: v for k, v in said if v}
            else:
                payload, self.properties = made.data, made.properties
            self.payload, self.content = payload, _MADE
            return payload
        return self.payload


@dataclass(frozen=True, slots=True)
class Waiting:
    """How much waits, and where; a repetition of what went out before is none of it."""

    offered: int
    """Messages put in since the start."""
    restored: int
    """Messages of earlier runs, found on the disk."""
    in_memory: int
    """Not sent, or sent and not confirmed."""
    on_disk: int


class _Queue:
    """A lane: the older of it on the disk, some of those loaded, the newer in memory, some of all on their way."""

    def __init__(self) -> None:
        self.memory: deque[Outgoing] = deque()
        self.loaded: deque[Outgoing] = deque()
        self.sent: set[Outgoing] = set()
        self.rows = 0
        """Messages on the disk."""
        self.after = 0
        """The number of the last one that was loaded."""
        self.done: set[int] = set()
        """Numbers on the disk that are to be removed there."""

    @property
    def in_hand(self) -> set[int]:
        """Numbers on the disk that are loaded or on their way."""
        return {item.number for item in (*self.loaded, *self.sent) if item.number is not None}

    @property
    def on_disk(self) -> int:
        """Messages that are on the disk alone."""
        return max(0, self.rows - len(self.done) - len(self.in_hand))

    @property
    def low(self) -> bool:
        """Whether more of what is on the disk should be loaded."""
        return bool(self.on_disk) and len(self.loaded) < _LOADED

    @property
    def ready(self) -> bool:
        """Whether the next one is in memory."""
        return bool(self.loaded) or bool(self.memory and not self.on_disk)

    def __len__(self) -> int:
        return len(self.memory) + len(self.loaded) + self.on_disk

    def take(self) -> Outgoing:
        item = (self.loaded or self.memory).popleft()
        self.sent.add(item)
        return item

    def back(self, item: Outgoing) -> None:
        """It was not confirmed: first again, from the disk if it is there, with all that was loaded after it."""
        self.sent.discard(item)
        if item.number is None:
            self.memory.appendleft(item)
            return
        self.loaded.clear()
        self.after = 0


class Outbox:
    """A thread-safe store of outgoing messages with bounded memory."""

    def __init__(
        self,
        metrics: Metrics,
        *,
        live_limit: int = 64,
        durable_limit: int = 512,
        all_results: bool = False,
        replay_per_s: float = 100.0,
    ) -> None:
        """Nothing waits yet.

        Args:
            metrics: where losses are counted by reason.
            live_limit: live messages that may wait.
            durable_limit: messages of each lane that may wait in memory.
            all_results: keep results that a newer one has replaced before they were sent.
            replay_per_s: messages a second, at most, of those that waited on the disk or were replaced.
        """
        self._metrics, self.all_results = metrics, all_results
        self._live_limit, self._durable_limit = live_limit, durable_limit
        self._changed = threading.Condition()
        self._retained: dict[str, Outgoing] = {}
        self._unsent: dict[str, None] = {}
        self._queues: dict[Lane, _Queue] = {"reply": _Queue(), "event": _Queue(), "result": _Queue()}
        self._live: deque[Outgoing] = deque()
        self._sent: set[Outgoing] = set()
        """What is on its way and in no lane."""
        self._pace = Pace(replay_per_s)
        self._turn_of_live = False
        self._woken = False
        self._order = 0
        self._left = 0
        """Latest results that wait on the disk for the next run."""

    # For everyone -----------------------------------------------------------------------------------------------------

    def put(self, item: Outgoing) -> None:
        """Queue `item`, or let it replace an unsent one of the same retained topic; never waits."""
        with self._changed:
            self._metrics.offered.add()
            self._order += 1
            item.order = self._order
            lane = item.lane
            if lane is not None:
                self._bounded(self._queues[lane].memory, item, self._durable_limit)
            elif item.channel.retain:
                if item.topic in self._unsent:
                    self._replaced(self._retained[item.topic])
                self._retained[item.topic] = item
                self._unsent[item.topic] = None
            else:
                self._bounded(self._live, item, self._live_limit)
            self._changed.notify_all()

    def _bounded(self, queue: deque[Outgoing], item: Outgoing, limit: int) -> None:
        queue.append(item)
        while len(queue) > limit:
            self._lost(queue.popleft(), "queue_full")

    def _replaced(self, old: Outgoing) -> None:
        """A newer message of its topic came before it was sent or confirmed."""
        if old.delivered or old.settled:
            return
        if self._has_place(old):
            old.replayed = True
            self._bounded(self._queues["result"].memory, old, self._durable_limit)
        else:
            self._lost(old, "superseded")

    def _has_place(self, old: Outgoing) -> bool:
        """Whether it is sent though a newer one has replaced it."""
        return self.all_results and old.is_result and old.channel.content_type == JSON

    def _lost(self, item: Outgoing, reason: str) -> None:
        if not item.delivered and not item.settled:
            self._metrics.dropped.add(reason)
        item.settled = True

    def waiting(self) -> Waiting:
        """How much waits now."""
        with self._changed:
            unsent = [self._retained[topic] for topic in self._unsent]
            in_memory = sum(not item.delivered for item in {*unsent, *self._sent}) + len(self._live)
            queues = self._queues.values()
            in_memory += sum(len(q.memory) + len(q.loaded) + len(q.sent) for q in queues)
            on_disk = sum(q.on_disk for q in queues) + self._left
            return Waiting(self._metrics.offered.total, self._metrics.restored.total, in_memory, on_disk)

    def __len__(self) -> int:
        """Number of messages that wait to be sent."""
        with self._changed:
            return len(self._unsent) + sum(len(q) for q in self._queues.values()) + len(self._live)

    # For the publishing thread ----------------------------------------------------------------------------------------

    def take(self) -> Outgoing | None:
        """The next message, which is then to be settled, forgotten or given back; None if there is nothing to send now.

        Retained ones first, then replies and events. Replayed results and live ones take turns.
        """
        with self._changed:
            if self._unsent:
                topic = next(iter(self._unsent))
                del self._unsent[topic]
                return self._on_its_way(self._retained[topic])
            for lane in ("reply", "event"):
                if (item := self._next_of(lane)) is not None:
                    return item
            self._turn_of_live = not self._turn_of_live
            if self._turn_of_live:
                return self._next_live() or self._next_of("result")
            return self._next_of("result") or self._next_live()

    def _on_its_way(self, item: Outgoing) -> Outgoing:
        self._sent.add(item)
        return item

    def _next_of(self, lane: Lane) -> Outgoing | None:
        queue = self._queues[lane]
        if not queue.ready or ((queue.loaded or lane == "result") and not self._pace.passes()):
            return None
        return queue.take()

    def _next_live(self) -> Outgoing | None:
        while self._live:
            item = self._live.popleft()
            if time.monotonic() - item.queued_at_s <= (item.channel.expiry_s or float("inf")):
                return self._on_its_way(item)
            self._lost(item, "expired")
        return None

    @property
    def pressing(self) -> bool:
        """Whether anything waits in memory: what is on the disk may wait for the next run."""
        with self._changed:
            return bool(self._unsent or self._live) or any(
                q.memory and not q.on_disk and not q.loaded for q in self._queues.values()
            )

    @property
    def low(self) -> bool:
        """Whether more of what is on the disk should be loaded."""
        with self._changed:
            return any(q.low for q in self._queues.values())

    def _delay_s(self) -> float | None:
        """How long until there is something to take; None: nobody knows."""
        queues = self._queues
        if self._unsent or self._live or any(q.ready and not q.loaded for q in (queues["reply"], queues["event"])):
            return 0.0
        return self._pace.delay_s if any(q.ready for q in queues.values()) else None

    def wait(self, timeout_s: float, *, for_items: bool = True) -> None:
        """Sleep until `wake` is called, the time is over or, unless told otherwise, there is something to take.

        For the publishing thread alone: a `wake` ends one wait of one thread.
        """
        with self._changed:
            delay_s = self._delay_s() if for_items else None
            if not self._woken and delay_s != 0.0:
                self._changed.wait(timeout_s if delay_s is None else min(timeout_s, delay_s))
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
        """Return messages of a lost connection, oldest first: those of lanes are first again, live ones are lost."""
        with self._changed:
            for item in reversed(items):
                self._sent.discard(item)
                if item.lane is not None:
                    self._queues[item.lane].back(item)
                elif not item.channel.retain:
                    self._lost(item, "connection_lost")
                elif self._retained.get(item.topic) is item:
                    self._unsent.setdefault(item.topic)
                else:
                    self._replaced(item)

    def settle(self, item: Outgoing) -> None:
        """It went out, or was confirmed."""
        with self._changed:
            self._let_go(item)
            item.delivered = item.settled = True

    def forget(self, item: Outgoing, reason: str) -> None:
        """Count `item` as lost, and stop keeping it if it is retained."""
        with self._changed:
            self._lost(item, reason)
            self._let_go(item)
            if self._retained.get(item.topic) is item:
                del self._retained[item.topic]
                self._unsent.pop(item.topic, None)

    def _let_go(self, item: Outgoing) -> None:
        self._sent.discard(item)
        if item.lane is not None:
            queue = self._queues[item.lane]
            queue.sent.discard(item)
            if item.number is not None:
                queue.done.add(item.number)

    def retire(self, topic: str) -> None:
        """Keep the retained message of a topic no longer: nothing goes there any more."""
        with self._changed:
            item = self._retained.pop(topic, None)
            if item is not None and topic in self._unsent:
                del self._unsent[topic]
                self._lost(item, "superseded")

    def keeps(self, topic: str) -> bool:
        """Whether a retained message of this topic is repeated on every connection."""
        with self._changed:
            return topic in self._retained

    # For what keeps them on the disk ----------------------------------------------------------------------------------

    def unkept(self, lane: Lane, put_before_s: float) -> list[Outgoing]:
        """What is in memory or on its way, put in before that time and not on the disk; the oldest first."""
        with self._changed:
            queue = self._queues[lane]
            found = [i for i in (*queue.sent, *queue.memory) if i.number is None and i.queued_at_s <= put_before_s]
            return sorted(found, key=lambda item: item.order)

    def unkept_latest(self, put_before_s: float) -> dict[str, Outgoing]:
        """The latest result of each topic that was put in before that time and is not confirmed."""
        with self._changed:
            items = [self._retained[topic] for topic in self._unsent] + [i for i in self._sent if i.channel.retain]
            waiting = [i for i in items if i.is_result and not i.delivered and i.queued_at_s <= put_before_s]
            return {i.topic: i for i in sorted(waiting, key=lambda item: item.order)}

    def kept(self, lane: Lane, numbers: dict[Outgoing, int], rows: int, *, gone: Iterable[int] = ()) -> None:
        """These are on the disk now, where the lane has so many; `gone`: what was too many by then, of any age."""
        with self._changed:
            queue, gone = self._queues[lane], set(gone)
            queue.rows = rows
            for item, number in numbers.items():
                if number not in gone:
                    item.number = number
                    if item.settled:
                        queue.done.add(number)
                elif item not in queue.sent:
                    self._lost(item, "spool_full")
            queue.memory = deque(i for i in queue.memory if i.number is None and not i.settled)
            earlier = len(gone.difference(numbers.values()))
            if earlier:
                self._metrics.dropped.add("spool_full", by=earlier)

    def done(self, lane: Lane) -> tuple[set[int], set[int]]:
        """(Numbers to remove from the disk, numbers that are loaded or on their way)."""
        with self._changed:
            return set(self._queues[lane].done), self._queues[lane].in_hand

    def removed(self, lane: Lane, numbers: Iterable[int], rows: int, *, lost: dict[str, int] | None = None) -> None:
        """These are not on the disk any more, where the lane has so many; `lost`: how many were, by reason."""
        with self._changed:
            queue = self._queues[lane]
            queue.done.difference_update(numbers)
            queue.rows = rows
            for reason, count in (lost or {}).items():
                if count:
                    self._metrics.dropped.add(reason, by=count)

    def wanted(self, lane: Lane) -> int | None:
        """The number after which to go on loading; None: enough is loaded."""
        with self._changed:
            queue = self._queues[lane]
            return queue.after if queue.low else None

    def load(self, lane: Lane, items: list[Outgoing], after: int) -> None:
        """Take in what was on the disk after the number that was wanted, up to `after`; nothing: begin anew."""
        with self._changed:
            queue = self._queues[lane]
            passed = queue.done | queue.in_hand
            queue.loaded.extend(item for item in items if item.number not in passed)
            queue.after = after
            self._changed.notify_all()

    def restore(self, items: Sequence[Outgoing], rows: dict[Lane, int]) -> None:
        """Take in what an earlier run left: so many of each lane, and the latest results, which come before all here.

        Where there is a newer one the latest is replaced by that. Their `order` is from minus their number to -1.
        """
        with self._changed:
            for lane, count in rows.items():
                self._queues[lane].rows = count
                self._metrics.restored.add(by=count)
            for place, item in enumerate(items, start=-len(items)):
                self._metrics.restored.add()
                item.order = place
                if item.topic not in self._retained:
                    self._retained[item.topic] = item
                    self._unsent[item.topic] = None
                elif self._has_place(item):
                    item.replayed = True
                    self._queues["result"].memory.appendleft(item)
                else:
                    self._lost(item, "superseded")
            self._changed.notify_all()

    def leave(self, items: Iterable[Outgoing]) -> None:
        """These are the latest of their topics on the disk, for the next run; they, and what was loaded, wait there."""
        with self._changed:
            for queue in self._queues.values():
                queue.loaded.clear()
                queue.after = 0
            for item in items:
                if self._retained.get(item.topic) is item and item.topic in self._unsent:
                    del self._unsent[item.topic]
                    self._left += not item.delivered

    def disk_lost(self) -> None:
        """Nothing is on the disk any more: what was there alone is lost, the rest goes on from memory."""
        with self._changed:
            for queue in self._queues.values():
                if queue.on_disk:
                    self._metrics.dropped.add("spool_damaged", by=queue.on_disk)
                for item in (*queue.loaded, *queue.sent):
                    item.number = None
                queue.memory.extendleft(reversed(queue.loaded))
                queue.loaded.clear()
                queue.done.clear()
                queue.rows = queue.after = 0
