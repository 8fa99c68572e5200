"""Retained messages of cameras and tasks that are gone: a broker keeps them until somebody clears them.

They are found in two ways: the broker is asked for what it keeps, where it lets this device subscribe to that, and the
spool has a record of what was published.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping

from edge.mqtt.link import Incoming, Subscription
from edge.mqtt.topics import CHANNELS, RESERVED_CAMERA_NAMES, Kind, Topics

_FORMER: dict[str, Kind] = {"scene": "room"}
"""What earlier versions published, with the kind that took its place."""


class Orphans:
    """Finds what this device once published below a camera's name and does not any more."""

    def __init__(self, topics: Topics, kept: Collection[str]) -> None:
        """`kept`: the retained topics of the cameras as they are configured."""
        self._prefix, self._described = topics.own
        self._discoveries, self._kept = topics.discoveries, frozenset(kept)
        self._cleared: set[str] = set()
        paths = {c.path.removeprefix("{camera}/"): kind for kind, c in CHANNELS.items() if c.retain}
        self._kinds = {path: kind for path, kind in paths.items() if "/" not in path} | _FORMER

    def keep(self, kept: Collection[str]) -> dict[str, Kind]:
        """Other topics are in use from now on; which of the old ones are not, with their kind."""
        gone, self._kept = self._kept - frozenset(kept), frozenset(kept)
        self._cleared -= self._kept
        found = {topic: self._kind(topic) for topic in sorted(gone)}
        return {topic: kind for topic, kind in found.items() if kind is not None}

    def _kind(self, topic: str) -> Kind | None:
        """Of a retained topic of a camera, or of what Home Assistant is told."""
        if topic.startswith(self._described):
            return "discovery"
        camera, _, path = topic.removeprefix(self._prefix).partition("/")
        of_camera = topic.startswith(self._prefix) and camera not in RESERVED_CAMERA_NAMES
        return self._kinds.get(path) if of_camera else None

    @property
    def subscriptions(self) -> tuple[Subscription, ...]:
        """What to subscribe to for a moment: the broker answers with all that it keeps."""
        of_cameras = (f"{self._prefix}+/{path}" for path in self._kinds)
        return tuple(Subscription(topic, own=False) for topic in (*of_cameras, self._discoveries))

    def in_use(self, topic: str) -> bool:
        """Whether a configured camera's task publishes there."""
        return topic in self._kept

    def kind_of(self, incoming: Incoming) -> Kind | None:
        """The kind of topic to clear, or None if this message is none that should be."""
        if not incoming.retained or not incoming.payload or self.in_use(incoming.topic):
            return None
        kind = self._kind(incoming.topic)
        return None if kind is None or self._is_cleared(incoming.topic) else kind

    def _is_cleared(self, topic: str) -> bool:
        """Whether that was asked before: once is enough."""
        before = topic in self._cleared
        self._cleared.add(topic)
        return before

    def of(self, published: Mapping[str, str]) -> list[tuple[str, Kind]]:
        """The topics to clear, with their kinds, of those that were recorded as published."""
        return [
            (topic, kind)
            for topic, kind in published.items()
            if topic.startswith((self._prefix, self._described))
            and kind in CHANNELS
            and not self.in_use(topic)
            and not self._is_cleared(topic)
        ]
