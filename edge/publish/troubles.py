"""What is wrong between this device and its broker, for `degraded`: by topic, and of the connection as a whole."""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Callable

_log = logging.getLogger(__name__)

_SUSPICIOUS = 3
_FLAPPING_S = 120.0
"""How long a connection that was lost again and again is spoken of after the last time."""


class Troubles:
    """Remembers what went wrong until it goes well again. Read from any thread."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._of_topics: dict[str, str] = {}
        self._short_losses = 0
        """Connections in a row that were lost within seconds."""
        self._flapping: tuple[float, str] = (-math.inf, "")

    def on(self, topic: str, text: str) -> str:
        """Something is wrong with what goes on a topic; logged once until a message on it is taken. Returns both."""
        if topic not in self._of_topics:
            _log.warning("%s: %s", topic, text)
        self._of_topics[topic] = text
        return f"{topic}: {text}"

    def taken(self, topic: str) -> None:
        """A message on this topic was taken."""
        self._of_topics.pop(topic, None)

    def lost(self, endpoint: object, client_id: str, *, steady: bool) -> None:
        """The connection was lost; `steady`: after it had lasted."""
        self._short_losses = 0 if steady else self._short_losses + 1
        if self._short_losses < _SUSPICIOUS:
            return
        text = (
            f"broker {endpoint}: lost {self._short_losses} times within seconds; if another client is called "
            f"{client_id!r}, give each device its own device.name or mqtt.client_id"
        )
        self._flapping = (self._clock() + _FLAPPING_S, text)
        if self._short_losses == _SUSPICIOUS:
            _log.warning("%s", text)

    def of_connection(self) -> tuple[str, ...]:
        """That it is lost again and again."""
        until_s, text = self._flapping
        return (text,) if self._clock() < until_s else ()

    def of_topics(self) -> tuple[str, ...]:
        """What is wrong with which topic."""
        return tuple(f"{topic}: {text}" for topic, text in self._of_topics.copy().items())


def shortcomings(endpoint: object, *, retains: bool, older: bool) -> tuple[str, ...]:
    """What a broker cannot do, and what that costs: keep retained messages; MQTT 5."""
    found = []
    if not retains:
        found.append(
            f"broker {endpoint} keeps no retained messages: who subscribes later learns states and rooms only when "
            "they are published again; allow retained messages there"
        )
    if older:
        found.append(
            f"broker {endpoint} speaks MQTT 3.1.1 and no 5: results do not expire there, and carry no content type; "
            "update it, or set mqtt.protocol to '3.1.1' if that is meant"
        )
    return tuple(found)
