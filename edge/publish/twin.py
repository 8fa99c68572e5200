"""Another daemon under this device's name, or our own last connection: both speak on our topics without being us.

Each daemon claims its name by the `run` in its retained `bridge/info`. Whoever finds another's claim in the place of
his own, or hears one made, is not alone.
"""

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
        self._claimed = False
        self._earlier: set[str] = set()
        """Runs whose claim stood before ours: most likely this daemon's own last one, which a broker may restore."""

    @property
    def subscriptions(self) -> tuple[Subscription, ...]:
        """Where others may speak; a broker that does not let us listen there is fine."""
        return tuple(Subscription(topic, own=False) for topic in (self._state, self._info))

    def claimed(self) -> None:
        """The broker has our own `bridge/info`: what stands there from now on was said after it."""
        self._claimed = True

    def heard(self, incoming: Incoming) -> Said | None:
        """What somebody else said just now, or since we did: that this device is offline, or what it runs."""
        if len(incoming.payload) > _LARGEST_BYTES:
            return None
        if incoming.topic == self._state:
            return "offline" if b'"offline"' in incoming.payload and not incoming.retained else None
        run = self._another(incoming.payload) if incoming.topic == self._info else None
        if run is None or (incoming.retained and self._from_before(run)):
            return None
        self._seen_s = self._clock()
        return "info"

    def _from_before(self, run: str) -> bool:
        """Whether a claim that the broker kept may be older than ours; not again, if it stands in the place of ours."""
        if not self._claimed:
            self._earlier.add(run)
            return True
        if run in self._earlier:
            self._earlier.discard(run)
            return True
        return False

    def _another(self, payload: bytes) -> str | None:
        """The run that this info is of, if it is this device's and not our own."""
        try:
            info = json.loads(payload)
        except (ValueError, RecursionError):
            return None
        if not isinstance(info, dict) or info.get("device") != self._device or info.get("run") == self._run:
            return None
        return str(info.get("run"))

    def degraded(self) -> tuple[str, ...]:
        """What to do about a twin that was heard lately."""
        if self._seen_s is None or self._clock() - self._seen_s > _REMEMBERED_S:
            return ()
        return (f"another daemon publishes as {self._device!r} on this broker; give each its own device.name",)
