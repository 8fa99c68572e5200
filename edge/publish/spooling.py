"""The spooling thread: what the broker does not take goes to the disk, and comes back when it takes messages again.

Nothing is written while the broker confirms promptly: a message goes to the disk when it is a second old and not
confirmed. While there is no connection an event is written at once, replaced results once a second and the latest of
each retained topic once a minute; where all results are kept, when it is five seconds old. What is confirmed is
removed within a second, so a message may be delivered twice after a kill, and none is lost that was written.

The disk may hang, be full, damaged or not ours to write: publishing goes on from memory, and `degraded` says so.
"""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from functools import partial
from pathlib import Path

from edge.errors import SpoolError
from edge.keep.spool import Entry, Spool
from edge.mqtt.topics import CHANNELS, Kind, Topics
from edge.publish.attempts import attempt
from edge.publish.compose import Binary
from edge.publish.orphans import Orphans
from edge.publish.outbox import Lane, Outbox, Outgoing

_log = logging.getLogger(__name__)

_LANES: tuple[Lane, ...] = ("event", "result")
_GRACE_S = 1.0
"""How old a message is, on a connection, when it is written; and how often anything but an event is."""
_LATEST_S = 60.0
_SETTLED_S = 5.0
"""Where all results are kept the latest of a topic is written when it is so old; what is replaced sooner, only once."""
_EXPIRE_S = 60.0
_TOGETHER_S = 0.1
"""What comes within so short a time is written together."""
_RETRY_S = 10.0
_BATCH = 128


class Spooling:
    """Moves messages between an outbox and a spool; `start` it, `stop` it."""

    def __init__(self, spool: Spool | None, outbox: Outbox, topics: Topics, orphans: Orphans | None = None) -> None:
        """Nothing runs yet.

        Args:
            spool: None: nothing is kept on the disk, and nothing runs.
            outbox: what is kept.
            topics: the device's.
            orphans: knows which retained topics are in use; None: all that were ever published.
        """
        self._asked = spool is not None
        self._spool, self._outbox, self._orphans = spool or Spool(Path()), outbox, orphans
        self._prefixes = topics.own
        self._wake = threading.Event()
        self._stopping = threading.Event()
        self._up = False
        self._base = 0
        self._open = False
        self._oldest_since_s: float | None = None
        self._again_s = self._wrote_s = self._latest_s = self._expired_s = float("-inf")
        self._latest: dict[str, Outgoing | None] = {}
        """What the disk holds as the latest of each topic; None: an earlier run's."""
        self._recorded: set[str] = set()
        self._record: deque[tuple[str, Kind | None]] = deque()
        """Topics to remember, and (None) to forget."""
        self._problem: str | None = None
        self._set_aside: str | None = None
        self._thread = self._new_thread()

    def _new_thread(self) -> threading.Thread:
        return threading.Thread(target=self._run, name="edge-spool", daemon=True)

    # For everyone -----------------------------------------------------------------------------------------------------

    def start(self) -> None:
        """Open the spool, on its own thread, and begin."""
        if self._asked:
            self._thread.start()

    def stop(self, timeout_s: float) -> None:
        """Write what is left, within the time."""
        self._stopping.set()
        self._wake.set()
        if self._thread.is_alive():
            self._thread.join(timeout_s)

    @property
    def alive(self) -> bool:
        """Whether its thread runs, as it must where there is a spool."""
        return self._thread.is_alive() or not self._asked

    def revive(self) -> bool:
        """Start again if it died; whether it had."""
        if self.alive:
            return False
        self._thread = self._new_thread()
        self._thread.start()
        return True

    def connected(self, up: bool) -> None:
        """Whether there is a connection, from now on."""
        self._up = up
        self._wake.set()

    def look(self) -> None:
        """There may be something to write, or to load."""
        self._wake.set()

    def degraded(self) -> tuple[str, ...]:
        """What keeps messages from the disk, and what was lost there."""
        return tuple(text for text in (self._problem, self._set_aside) if text)

    @property
    def size_bytes(self) -> int:
        """Of what is on the disk."""
        return self._spool.size_bytes if self._open else 0

    @property
    def oldest_s(self) -> float | None:
        """For how long the oldest of it has waited; None: there is nothing, or it is not known."""
        since_s = self._oldest_since_s
        return None if since_s is None else time.monotonic() - since_s

    def confirmed(self, item: Outgoing) -> None:
        """The broker has taken it: what it retains is remembered, so that it can be cleared some day."""
        if not self._asked or not item.channel.retain or not item.topic.startswith(self._prefixes):
            return
        if not item.keep:
            self._record.append((item.topic, None))
        elif item.camera is not None and item.retain and item.topic not in self._recorded:
            self._recorded.add(item.topic)
            self._record.append((item.topic, item.kind))

    # On its own thread ------------------------------------------------------------------------------------------------

    def _run(self) -> None:
        if self._open:  # by a thread that died, whose connection no other may use
            self._open = False
            self._outbox.disk_lost()
            self._spool.close()
        while not self._stopping.is_set():
            _, error = attempt(self._turn)
            if error is not None:
                self._say(error)
            self._wake.wait(_GRACE_S)
            self._stopping.wait(_TOGETHER_S)
            self._wake.clear()
        attempt(partial(self._turn, last=True))
        self._spool.close()

    def _turn(self, *, last: bool = False) -> None:
        now_s = time.monotonic()
        if not self._up:
            for item in self._outbox.unkept("result", now_s):
                self._encoded(item)  # lets go of its picture
        if now_s < self._again_s and not last:
            return
        try:
            if not self._open:
                self._begin()
            self._write(time.monotonic(), last)  # what it has just taken over is there too
            self._oldest_since_s = self._spool.oldest_since_s()
            if last:
                self._outbox.leave(item for item in self._latest.values() if item is not None)
            self._problem = None
        except SpoolError as error:
            self._failed(error)
            return
        try:
            for lane in () if last or not self._up else _LANES:
                self._fetch(lane)
        except SpoolError as error:  # what is there cannot be had, and newer messages wait for it
            self._give_up(error)

    def _begin(self) -> None:
        """Open it, and take over what an earlier run left there."""
        self._spool.open()
        latest, published = self._spool.latest(), self._spool.published()
        self._open = True
        self._latest = {entry.topic: None for entry in latest}
        self._recorded |= set(published)
        items = [item for entry in latest if (item := self._item(entry)) is not None and self._in_use(entry.topic)]
        self._base = self._spool.next_number() + len(items)  # whose orders are below 0
        rows: dict[Lane, int] = {lane: self._spool.rows(lane) for lane in _LANES}
        self._outbox.restore(items, rows)
        for item in items:
            self._latest[item.topic] = item
        if found := len(items) + sum(rows.values()):
            _log.info("%s: %d messages of an earlier run wait to be published", self._spool.folder, found)
        for topic, kind in self._orphans.of(published) if self._orphans else ():
            _log.info("%s: cleared, no such camera or task any more", topic)
            self._outbox.put(Outgoing(kind, topic, Binary(b"", {}), keep=False))

    def _in_use(self, topic: str) -> bool:
        return self._orphans is None or self._orphans.in_use(topic)

    def _item(self, entry: Entry) -> Outgoing | None:
        """What an entry says, to be sent; None if it is another device's, or of no kind that is known."""
        if entry.kind not in CHANNELS or not entry.topic.startswith(self._prefixes):
            return None
        return Outgoing(
            entry.kind,
            entry.topic,
            Binary(b"", {}),
            entry.camera,
            payload=entry.payload,
            properties=dict(entry.properties),
        )

    def _write(self, now_s: float, last: bool) -> None:
        due = last or now_s - self._wrote_s >= _GRACE_S
        before_s = now_s if last or not self._up else now_s - _GRACE_S
        new: dict[Lane, dict[Outgoing, int]] = {"event": self._new("event", before_s), "result": {}}
        if due:
            new["result"] = self._new("result", before_s)
        keep, drop = self._latest_to_write(now_s, before_s, last) if due else ({}, [])
        marked = {lane: self._outbox.done(lane) for lane in _LANES}
        expire = due and now_s - self._expired_s >= _EXPIRE_S and bool(self._spool.size_bytes)
        removals = due and any(done for done, _ in marked.values())
        if not (any(new.values()) or keep or drop or expire or removals or (due and self._record)):
            return
        record = [self._record.popleft() for _ in range(len(self._record))]
        gone: dict[Lane, list[int]] = {}
        expired: dict[Lane, list[int]] = {}
        try:
            with self._spool.writing():
                for lane in _LANES:
                    done, busy = marked[lane]
                    self._spool.remove(lane, done)
                    expired[lane] = self._spool.expire(lane, busy=busy) if expire else []
                    gone[lane] = self._spool.add(lane, [_entry(i, n) for i, n in new[lane].items()], busy=busy)
                self._write_latest(keep, drop)
                self._write_record(record)
        except SpoolError:
            self._record.extendleft(reversed(record))
            raise
        self._wrote_s = now_s
        self._latest_s = now_s if keep else self._latest_s
        self._expired_s = now_s if expire else self._expired_s
        for lane in _LANES:
            rows = self._spool.rows(lane)
            self._outbox.removed(lane, marked[lane][0], rows, lost={"expired": len(expired[lane])})
            self._outbox.kept(lane, new[lane], rows, gone=gone[lane])

    def _new(self, lane: Lane, before_s: float) -> dict[Outgoing, int]:
        items = self._outbox.unkept(lane, before_s)
        return {item: self._base + item.order for item in items if self._encoded(item)}

    def _encoded(self, item: Outgoing) -> bool:
        _, error = attempt(item.encode)
        if error is not None and not item.settled:
            _log.warning("%s: %s", item.topic, error)
            self._outbox.forget(item, "invalid")
        return error is None

    def _latest_to_write(self, now_s: float, before_s: float, last: bool) -> tuple[dict[str, Outgoing], list[str]]:
        """What is to be the latest of which topic, and the topics that need none any more."""
        every = self._outbox.all_results
        if every and not last:  # what is replaced goes into its lane; what is replaced at once is written only there
            before_s = now_s - _SETTLED_S
        there, waiting = self._outbox.unkept_latest(now_s), self._outbox.unkept_latest(before_s)
        drop = [
            topic
            for topic, item in self._latest.items()
            if topic not in there or (every and item not in (there[topic], waiting.get(topic)))
        ]
        if not (every or last) and now_s - self._latest_s < _LATEST_S:
            return {}, drop
        changed = {t: i for t, i in waiting.items() if self._latest.get(t) is not i}
        return {topic: item for topic, item in changed.items() if self._encoded(item)}, drop

    def _write_latest(self, keep: dict[str, Outgoing], drop: list[str]) -> None:
        self._spool.drop_latest(drop)
        for topic in drop:
            del self._latest[topic]
        for topic, item in keep.items():
            self._latest.pop(topic, None)
            if self._spool.put_latest(_entry(item, self._base + item.order)):
                self._latest[topic] = item

    def _write_record(self, record: list[tuple[str, Kind | None]]) -> None:
        for topic, kind in record:
            if kind is not None:
                self._spool.record_published(topic, kind)
            elif not self._outbox.keeps(topic):
                self._recorded.discard(topic)
                self._spool.forget_published(topic)

    def _fetch(self, lane: Lane) -> None:
        """Load what comes next of a lane."""
        after = self._outbox.wanted(lane)
        if after is None:
            return
        entries, damaged = self._spool.read(lane, after, _BATCH)
        items: list[Outgoing] = []
        foreign: list[int] = []
        for entry in entries:
            item = self._item(entry)
            if item is None:
                foreign.append(entry.number)
                continue
            item.number, item.replayed = entry.number, lane == "result"
            items.append(item)
        numbers = [*(entry.number for entry in entries), *damaged]
        self._outbox.load(lane, items, max(numbers, default=0))
        if damaged or foreign:
            with self._spool.writing():
                self._spool.remove(lane, (*damaged, *foreign))
            lost = {"spool_damaged": len(damaged), "not_ours": len(foreign)}
            self._outbox.removed(lane, (), self._spool.rows(lane), lost=lost)

    # What goes wrong --------------------------------------------------------------------------------------------------

    def _failed(self, error: SpoolError) -> None:
        """Go on from memory, and try again later."""
        if error.reason == "damaged":
            self._give_up(error)
            return
        self._say(str(error))
        self._again_s = time.monotonic() + _RETRY_S

    def _give_up(self, error: SpoolError) -> None:
        """What is in the file is lost: go on with a new one, if one can be made."""
        self._open, self._oldest_since_s = False, None
        self._latest.clear()
        self._recorded.clear()
        self._outbox.disk_lost()
        text = str(error)
        try:
            aside = self._spool.set_aside()
        except SpoolError as second:
            self._again_s = time.monotonic() + _RETRY_S
            self._say(str(second))
            return
        self._set_aside = f"{text}; set aside as {aside}, and what waited in it is lost"
        _log.error("%s", self._set_aside)
        self._again_s = float("-inf")
        self._wake.set()

    def _say(self, problem: str) -> None:
        text = f"{problem}; until then messages wait in memory, and a restart loses them"
        if text != self._problem:
            _log.warning("%s", text)
        self._problem = text


def _entry(item: Outgoing, number: int) -> Entry:
    return Entry(number, item.kind, item.topic, item.camera, item.encode(), item.properties)
