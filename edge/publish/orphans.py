"""Retained messages of cameras and tasks that are gone: a broker keeps them until somebody clears them."""

from __future__ import annotations

from collections.abc import Collection

from edge.mqtt.link import Incoming, Subscription
from edge.mqtt.topics import CHANNELS, Kind, Topics

_FORMER: dict[str, Kind] = {"scene": "room"}
"""What earlier versions published, with the kind that took its place."""


class Orphans:
    """Finds what this device once published below a camera's name and does not any more."""

    def __init__(self, topics: Topics, kept: Collection[str]) -> None:
        """`kept`: the retained topics of the cameras as they are configured."""
        self._prefix, self._kept = f"{topics.base}/{topics.device}/", frozenset(kept)
        paths = {c.path.removeprefix("{camera}/"): kind for kind, c in CHANNELS.items() if c.retain}
        self._kinds = {path: kind for path, kind in paths.items() if "/" not in path} | _FORMER

    def keep(self, kept: Collection[str]) -> dict[str, Kind]:
        """Other topics are in use from now on; which of the old ones are not, with their kind."""
        gone, self._kept = self._kept - frozenset(kept), frozenset(kept)
        found = {topic: self._kinds.get(topic.removeprefix(self._prefix).partition("/")[2]) for topic in sorted(gone)}
        return {topic: kind for topic, kind in found.items() if kind is not None}

    @property
    def subscriptions(self) -> tuple[Subscription, ...]:
        """What to subscribe to for a moment: the broker answers with all that it keeps."""
        return tuple(Subscription(f"{self._prefix}+/{path}", own=False) for path in self._kinds)

    def kind_of(self, incoming: Incoming) -> Kind | None:
        """The kind of topic to clear, or None if this message is none that should be."""
        camera, _, path = incoming.topic.removeprefix(self._prefix).partition("/")
        orphan = (
            incoming.retained
            and incoming.payload
            and incoming.topic.startswith(self._prefix)
            and incoming.topic not in self._kept
            and camera not in ("bridge", "request", "response")
        )
        return self._kinds.get(path) if orphan else None
