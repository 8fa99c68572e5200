"""The rooms of a report: from a broker's retained messages, from a recording of `edge watch --json`, or from a file."""

from __future__ import annotations

import json
import time
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Annotated

import numpy as np
from pydantic import Field, ValidationError, model_validator

from edge.config.file import ConfigFile
from edge.config.heat_loss import HeatLossConfig
from edge.config.values import Name, Positive, Section, problem
from edge.derive.heat_loss.elements import Shape
from edge.derive.heat_loss.estimate import heat_loss, why_not
from edge.derive.heat_loss.uncertainty import Measurement
from edge.errors import ConfigErrors, EdgeError, explain
from edge.geometry.polygon import counter_clockwise, is_simple
from edge.mqtt.endpoint import Endpoint
from edge.mqtt.heat_loss_message import HeatLossMessage
from edge.mqtt.home_message import HomeMessage
from edge.mqtt.messages import LayoutMessage, timestamp
from edge.publish.heat_loss import Origin, heat_loss_message
from edge.subscribe.watcher import Received, Watcher

_TOPIC_END = "/heat_loss"
_KINDS: dict[str, type[HeatLossMessage] | type[LayoutMessage]] = {"heat_loss": HeatLossMessage, "layout": LayoutMessage}
_QUIET_S = 0.5
"""No further room for so long: the retained ones have all come."""

Corner = Annotated[tuple[float, float], Field(strict=False)]


@dataclass(frozen=True, slots=True)
class Home:
    """What a report is about."""

    name: str
    rooms: tuple[HeatLossMessage, ...]
    placed: HomeMessage | None = None
    """Where rooms are beside each other, if somebody put them together in the live page."""
    without: tuple[tuple[str, str], ...] = ()
    """Rooms of which there is a layout and no heat loss, by camera, and why."""


class RoomConfig(Section):
    """A room that was measured, by a camera or by hand."""

    name: Name
    polygon_m: Annotated[tuple[Corner, ...], Field(min_length=3, max_length=200, strict=False)] = Field(
        description="floor corners in order, x to the right and y forward from where bearings are taken"
    )
    ceiling_height_m: Positive
    camera_height_m: Positive = 1.5
    confidence: float = Field(default=1.0, ge=0, le=1)
    heat_loss: HeatLossConfig

    @model_validator(mode="after")
    def _is_a_room(self) -> RoomConfig:
        if not is_simple(self.polygon_m):
            raise problem("the outline crosses itself or has no area", "Give the corners in order", "polygon_m")
        return self


class HomeConfig(Section):
    """The rooms of a home."""

    name: str = Field(default="Home", min_length=1, max_length=200)
    rooms: Annotated[tuple[RoomConfig, ...], Field(min_length=1, strict=False)]


def home_of_file(path: Path) -> Home:
    """A home of a YAML file of rooms, or of a recording of `edge watch --json`.

    Raises:
        ConfigError: the file is not there or something in it is wrong.
        EdgeError: there is no heat loss in a recording.
    """
    if path.suffix in (".json", ".jsonl", ".ndjson"):
        return _recorded(path)
    file = ConfigFile.read(path, HomeConfig)
    try:
        home = HomeConfig.model_validate(file.data)
    except ValidationError as error:
        raise ConfigErrors([*file.duplicates, *file.problems(error, HomeConfig)]) from error
    if file.duplicates:
        raise ConfigErrors(file.duplicates)
    return Home(home.name, tuple(_computed(room, home.name) for room in home.rooms))


def _computed(room: RoomConfig, home: str) -> HeatLossMessage:
    shape = Shape(counter_clockwise(np.asarray(room.polygon_m, dtype=np.float64)), room.ceiling_height_m)
    loss = heat_loss(shape, room.heat_loss.settings, Measurement(room.camera_height_m, room.confidence))
    return heat_loss_message(loss, Origin(home, room.name, timestamp(time.time())))


def _recorded(path: Path) -> Home:
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise EdgeError(f"{path}: cannot be read as text; record with `edge watch --json > {path.name}`") from error
    seen = _Seen()
    for number, line in enumerate(lines, 1):
        try:
            entry = json.loads(line)
            kind = _KINDS.get(str(entry["topic"]).rpartition("/")[2])
            if kind is not None:
                seen.take(entry["topic"], kind.model_validate(entry["payload"]))
        except ValidationError as error:
            raise EdgeError(f"{path}, line {number}: {explain(error, 'payload')[0]}; record it again") from error
        except (ValueError, TypeError, KeyError):
            continue  # a picture, or a line that was cut off
    return seen.home(path.stem, f"{path} has no message on <camera>{_TOPIC_END}; record longer")


@dataclass(slots=True)
class _Seen:
    """The last of each room's messages, by topic."""

    heat_losses: dict[str, HeatLossMessage] = field(default_factory=dict)
    layouts: dict[str, LayoutMessage] = field(default_factory=dict)

    def take(self, topic: str, message: object) -> None:
        if isinstance(message, HeatLossMessage):
            self.heat_losses[topic] = message
        elif isinstance(message, LayoutMessage):
            self.layouts[topic] = message

    def home(self, name: str, nothing: str) -> Home:
        """Raises EdgeError: none of the rooms has a heat loss."""
        found = self.heat_losses
        without = tuple(
            (layout.camera, why_not(layout) or "its camera has no section heat_loss in config.yaml")
            for topic, layout in sorted(self.layouts.items())
            if topic.rpartition("/")[0] + _TOPIC_END not in found
        )
        if not found:
            raise EdgeError("; ".join([nothing, *(f"{camera}: {why}" for camera, why in without)]))
        return Home(name, tuple(found[topic] for topic in sorted(found)), without=without)


def home_of_broker(endpoint: Endpoint, *, base: str, device: str | None, wait_s: float) -> Home:
    """The rooms whose heat loss a broker retains.

    Raises:
        EdgeError: there is no connection, or no such room within `wait_s`.
    """
    seen = _Seen()
    homes: dict[str, HomeMessage] = {}
    last_s = [time.monotonic()]

    def take(received: Received) -> None:
        if isinstance(received.message, HomeMessage):
            homes[received.topic] = received.message
        else:
            seen.take(received.topic, received.message)
            last_s[0] = time.monotonic()

    watcher = Watcher(endpoint, base=base, device=device, on_message=take, with_homes=True)
    watcher.start()
    end_s = time.monotonic() + wait_s
    try:
        while time.monotonic() < end_s and not (seen.heat_losses and time.monotonic() - last_s[0] > _QUIET_S):
            time.sleep(0.05)
    finally:
        watcher.stop()
    if not watcher.state.ever_connected:
        raise EdgeError(f"never connected: {watcher.state.connection_error or 'no answer yet'}")
    nothing = f"no message on {base}/{device or '+'}/<camera>{_TOPIC_END} within {wait_s:g} s"
    home = seen.home(device or base, f"{nothing}; add the section heat_loss to a camera of config.yaml")
    placed = _placed(home, homes.values())
    return home if placed is None else replace(home, name=placed.name, placed=placed)


def _placed(home: Home, homes: Iterable[HomeMessage]) -> HomeMessage | None:
    """The home that has most of these rooms; None: none has one of them."""
    ours = {(room.device, room.camera) for room in home.rooms}
    common = [(len(ours & {(r.device, r.camera) for r in h.rooms}), h.saved_at, h) for h in homes]
    best = max(common, key=lambda found: found[:2], default=None)
    return best[2] if best is not None and best[0] else None
