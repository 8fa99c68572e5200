"""Counting to the message: what a daemon handed over, what a subscriber got, and what is missing between the two."""

from __future__ import annotations

import json
import threading
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

import paho.mqtt.client as paho
from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion

COUNTED = ("layout", "lighting", "state", "event")
_AGAIN_S = 0.02


def key_of(topic: str, payload: bytes) -> str | None:
    """What tells a QoS-1 message from every other: a result's frame and time, a state's time, an event's and its words.

    Frames are counted anew by every run of the daemon, so their number alone would be found in another run's.

    None for what is not counted: the bridge's own state and information, which are said again on every connection.
    """
    *_, where, what = topic.split("/")
    if what not in COUNTED or (where == "bridge" and what != "event"):
        return None
    try:
        message = json.loads(payload)
    except ValueError:
        return None
    told = {
        "layout": ("frame", "captured_at"),
        "lighting": ("frame", "captured_at"),
        "state": ("state", "since"),
        "event": ("at", "type", "message"),
    }[what]
    return "|".join((what, where, *(str(message.get(name)) for name in told)))


@dataclass(frozen=True)
class Balance:
    """Of the messages of a time: how many were handed over and how many of these no subscriber ever got, by kind."""

    produced: dict[str, int]
    lost: dict[str, int]
    lost_keys: tuple[str, ...]
    unreplaced: tuple[str, ...]
    """Of the lost ones, those for which no later message of their topic stands: events, and the newest of a topic."""

    @property
    def missing_results(self) -> tuple[str, ...]:
        """Of the lost ones, layouts and lighting."""
        return tuple(key for key in self.lost_keys if key.startswith(("layout|", "lighting|")))

    def said(self) -> str:
        """As `lost/produced` for each kind."""
        return ", ".join(f"{kind} {self.lost[kind]}/{self.produced[kind]}" for kind in COUNTED)


def balance(record: Path, received: Counter[str], since_s: float, until_s: float) -> Balance:
    """Compare what was handed over between two times (of the monotonic clock) with what was received at any time."""
    keys = [key for at_s, key in noted(record) if since_s <= at_s <= until_s]
    missing = tuple(key for key in keys if key not in received)
    places = [_place(key) for key in keys]
    newest = {place: number for number, place in enumerate(places) if keys[number] in received}
    bare = tuple(k for n, k in enumerate(keys) if k not in received and (_is_event(k) or newest.get(places[n], -1) < n))
    produced, lost = (Counter(key.split("|")[0] for key in some) for some in (keys, missing))
    return Balance({k: produced[k] for k in COUNTED}, {k: lost[k] for k in COUNTED}, missing, bare)


def _place(key: str) -> str:
    return "|".join(key.split("|")[:2])


def _is_event(key: str) -> bool:
    return key.startswith("event|")


def noted(record: Path) -> list[tuple[float, str]]:
    """What was handed over: when, and its key. A last line that a killed process wrote in part is left out."""
    if not record.exists():
        return []
    lines = record.read_text(encoding="utf-8").split("\n")[:-1]
    return [(at_s, key) for at_s, key in map(json.loads, lines)]


@dataclass
class Arrival:
    """One message as a subscriber got it."""

    at_s: float
    topic: str
    payload: bytes
    retained: bool


@dataclass
class CountingSubscriber:
    """A plain paho client that is there again within hundredths of a second, so that what it misses was lost before."""

    port: int
    topic: str = "#"
    login: tuple[str, str] | None = None
    arrivals: list[Arrival] = field(default_factory=list)
    keys: Counter[str] = field(default_factory=Counter)
    topics: Counter[str] = field(default_factory=Counter)
    connected: threading.Event = field(default_factory=threading.Event)

    def start(self) -> CountingSubscriber:
        """Connect as soon as anything listens, and again whenever that ended."""
        self._ending = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()
        return self

    def stop(self) -> None:
        """End."""
        self._ending.set()
        self._thread.join(5)

    def _run(self) -> None:
        while not self._ending.is_set():
            client = paho.Client(CallbackAPIVersion.VERSION2, protocol=MQTTProtocolVersion.MQTTv5)
            client.on_connect = lambda c, *_: c.subscribe(self.topic, 1)
            client.on_subscribe = lambda *_: self.connected.set()
            client.on_message = self._note
            if self.login is not None:
                client.username_pw_set(*self.login)
            try:
                client.connect("127.0.0.1", self.port, keepalive=600)
                while not self._ending.is_set() and client.loop(0.05) == 0:
                    pass
                client.disconnect()
            except OSError:
                pass
            self.connected.clear()
            time.sleep(_AGAIN_S)

    def _note(self, _client: paho.Client, _data: object, message: paho.MQTTMessage) -> None:
        self.arrivals.append(Arrival(time.monotonic(), message.topic, bytes(message.payload), message.retain))
        self.topics[message.topic] += 1
        key = key_of(message.topic, bytes(message.payload))
        if key is not None:
            self.keys[key] += 1

    def on(self, ending: str, since_s: float = 0.0) -> list[Arrival]:
        """What came since then on the topics with this ending, oldest first."""
        return [a for a in list(self.arrivals) if a.at_s >= since_s and a.topic.endswith(ending)]

    def results(self, since_s: float = 0.0) -> list[Arrival]:
        """Layouts and lighting that came since then, not those that a broker had kept."""
        ends = ("/layout", "/lighting")
        return [a for a in list(self.arrivals) if a.at_s >= since_s and a.topic.endswith(ends) and not a.retained]

    def last(self, ending: str) -> dict[str, object]:
        """The last message with this ending, as JSON; empty if there was none."""
        found = self.on(ending)
        return dict(json.loads(found[-1].payload)) if found else {}
