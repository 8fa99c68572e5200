"""Another daemon under this device's name, or our own last connection: both speak on our topics without being us."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from typing import Literal

from edge.mqtt.link import Incoming, Subscription
from edge.mqtt.topics import Topics

_REMEMBERED_S = 300.0
_LARGEST_BYTES = 256 * 1024

Said = Literal["offline", "info"]


class Twin:
    """Listens on the device's own `bridge/state` and `bridge/info` to what others say there."""

    def __init__(self, topics: Topics, run: str, clock: Callable[[], float] = time.monotonic) -> None:
        """`run`: what tells this run from any other, as in our `bridge/info`."""
        self._state, self._info = topics.of("bridge_state"), topics.of("bridge_info")
        self._device, self._run, self._clock = topics.device, run, clock
        self._seen_s: float | None = None

    @property
    def subscriptions(self) -> tuple[Subscription, ...]:
        """Where others may speak; a broker that does not let us listen there is fine."""
        return tuple(Subscription(topic, own=False) for topic in (self._state, self._info))

    def heard(self, incoming: Incoming) -> Said | None:
        """What somebody else said just now: that this device is offline, or what it runs."""
        if incoming.retained or len(incoming.payload) > _LARGEST_BYTES:
            return None  # from before
        if incoming.topic == self._state:
            return "offline" if b'"offline"' in incoming.payload else None
        if incoming.topic != self._info or not self._another(incoming.payload):
            return None
        self._seen_s = self._clock()
        return "info"

    def _another(self, payload: bytes) -> bool:
        try:
            info = json.loads(payload)
        except (ValueError, RecursionError):
            return False
        return isinstance(info, dict) and info.get("device") == self._device and info.get("run") != self._run

    def degraded(self) -> tuple[str, ...]:
        """What to do about a twin that was heard lately."""
        if self._seen_s is None or self._clock() - self._seen_s > _REMEMBERED_S:
            return ()
        return (f"another daemon publishes as {self._device!r} on this broker; give each its own device.name",)
