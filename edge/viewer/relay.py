"""From subscribers to pages: each page gets the latest of every topic, and a slow one only misses what is outdated.

Memory is bounded by the number of topics, the number of pages and the length of `History`.
"""

from __future__ import annotations

import asyncio
import json
import struct
import threading
import time
from collections import deque

from edge.subscribe.watcher import Received
from edge.viewer.history import History

_EVENTS = 100
_QUEUED = frozenset({"bridge_event", "response"})
"""Kinds of which every message counts, not only the latest."""
_LARGEST_BYTES = 16 << 20


def frame(topic: str, payload: bytes) -> bytes:
    """A message as it goes to a page: length of the topic (16 bits, big-endian), topic in UTF-8, payload."""
    name = topic.encode()
    return struct.pack(">H", len(name)) + name + payload


class Page:
    """One browser: what it is still to be sent. Made and read on the server's loop, filled from any thread."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._waiting: dict[str, bytes] = {}
        self._events: deque[bytes] = deque(maxlen=_EVENTS)
        self._changed = asyncio.Event()
        self._lock = threading.Lock()
        self.looks_back = False
        """Whether it shows another time than now; then nothing new is sent."""

    def put(self, topic: str, payload: bytes, *, queued: bool = False) -> None:
        """Send this as soon as the page takes it, instead of an older one of the same topic unless `queued`."""
        with self._lock:
            if queued:
                self._events.append(frame(topic, payload))
            else:
                self._waiting[topic] = payload
        try:
            self._loop.call_soon_threadsafe(self._changed.set)
        except RuntimeError:
            return  # the server has stopped

    async def next(self) -> bytes:
        """The next frame to send."""
        while True:
            with self._lock:
                if self._events:
                    return self._events.popleft()
                if self._waiting:
                    topic = next(iter(self._waiting))
                    return frame(topic, self._waiting.pop(topic))
                self._changed.clear()
            await self._changed.wait()

    def clear(self) -> None:
        """Drop what waits."""
        with self._lock:
            self._waiting.clear()


class Relay:
    """Takes in what watchers receive and hands it to every page."""

    def __init__(self) -> None:
        self._latest: dict[str, bytes] = {}
        self._events: deque[tuple[str, bytes]] = deque(maxlen=_EVENTS)
        self._history = History()
        self._pages: set[Page] = set()
        self._lock = threading.Lock()

    def accept(self, message: Received) -> None:
        """Take in one message; callable from any thread. What is no valid message of ours is not shown."""
        address, gone = message.address, not message.payload
        if address is None or address.kind == "request" or (message.error is not None and not gone):
            return
        if len(message.payload) <= _LARGEST_BYTES:
            self.say(message.topic, message.payload, queued=address.kind in _QUEUED)

    def say(self, topic: str, payload: bytes, *, queued: bool = False) -> None:
        """Hand a message to every page; an empty one: what was said there holds no more. Callable from any thread."""
        with self._lock:
            if queued:
                self._events.append((topic, payload))
            elif payload:
                self._latest[topic] = payload
                self._history.add(topic, payload, time.time())
            else:
                self._latest.pop(topic, None)
            pages = [page for page in self._pages if not page.looks_back]
        for page in pages:
            page.put(topic, payload, queued=queued)

    def join(self, loop: asyncio.AbstractEventLoop) -> Page:
        """A new page, which is sent what is known so far."""
        page = Page(loop)
        with self._lock:
            self._pages.add(page)
            known, events = dict(self._latest), tuple(self._events)
        for topic, payload in known.items():
            page.put(topic, payload)
        for topic, payload in events:
            page.put(topic, payload, queued=True)
        return page

    def leave(self, page: Page) -> None:
        """A page that is gone."""
        with self._lock:
            self._pages.discard(page)

    def show(self, page: Page, at_s: float | None) -> None:
        """Let a page show what held at a time, in seconds since the Unix epoch; None: now, and what comes."""
        with self._lock:
            page.looks_back = at_s is not None
            found = dict(self._latest) if at_s is None else self._history.at(at_s)
        page.clear()
        for topic, payload in found.items():
            page.put(topic, payload)

    def span(self) -> str:
        """How far back a page may look, as JSON: first and last time in seconds since the Unix epoch."""
        with self._lock:
            return json.dumps({"span": self._history.span_s})

    def last(self, topic: str) -> bytes | None:
        """The last payload of exactly this topic."""
        with self._lock:
            return self._latest.get(topic)

    def latest(self, path: str) -> bytes | None:
        """The last payload of the one topic that ends in `/path`; None if there is none, or more than one."""
        with self._lock:
            found = [payload for topic, payload in self._latest.items() if topic.endswith(f"/{path}")]
        return found[0] if len(found) == 1 else None
