"""Homes that people put together in the page: kept in a file on the machine that serves it, told on the broker.

A home belongs to no device, so whoever keeps its file tells it. Where several keep the same, what was saved last holds.
"""

from __future__ import annotations

import logging
import threading
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from edge.derive.home import WALL_M, placed, snapped
from edge.derive.model import RoomModel
from edge.errors import EdgeError, GeometryError, PlanError, PublishError, explain
from edge.keep.files import make_private_folder, read_private, write_private
from edge.mqtt.confirmed import send_confirmed
from edge.mqtt.endpoint import Endpoint
from edge.mqtt.home_message import MOST_ROOMS, HomeMessage, HomeName, HomeRoom
from edge.mqtt.link import Link
from edge.mqtt.topics import JSON, home_topic
from edge.processes import backoff
from edge.subscribe.homes import home_message, named, placed_room, placed_rooms

_log = logging.getLogger(__name__)

_LARGEST_BYTES = 8 << 20
_REMEDY = "make room, or name another file with --homes"
_SETTLE_S = 2.0
"""So long after the start a broker has said what it keeps."""
_RETRY_S = (1.0, 60.0)


class _File(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True)

    schema_: Literal["edge.homes/1"] = Field(default="edge.homes/1", alias="schema")
    homes: tuple[HomeMessage, ...]


class Draft(BaseModel):
    """What a page has of a home, and what is to be done with it."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    do: Literal["measure", "place", "snap", "save", "remove"]
    name: HomeName
    wall_thickness_m: float = Field(default=WALL_M, ge=0, le=1)
    rooms: tuple[HomeRoom, ...] = Field(default=(), max_length=MOST_ROOMS)
    room: str | None = None
    """Of `place`: the camera whose room is added, as device/camera."""
    index: int = Field(default=0, ge=0)
    """Of `snap`: which room was moved."""


class Homes:
    """The file and what stands in it.

    Args:
        path: of the file; made when the first home is saved.
        tell: called with (topic, payload) of a home that changed; an empty payload: it is gone.
        base: first level of the topics.
    """

    def __init__(self, path: Path, tell: Callable[[str, bytes], None], *, base: str = "edge") -> None:
        self.path, self._tell, self._base = path, tell, base
        self.problem: str | None = None
        """Why nothing is kept."""
        self._homes: dict[str, HomeMessage] = {}
        self._heard: dict[str, str] = {}
        """When the broker's were saved, by name."""
        self._lock = threading.Lock()
        try:
            self._homes = {home.name: home for home in _read(path)}
        except EdgeError as error:
            self.problem = str(error)
            _log.warning("%s", error)

    @property
    def all(self) -> dict[str, bytes]:
        """Every home that is kept, by topic."""
        with self._lock:
            return {self.topic(name): home.encoded() for name, home in self._homes.items()}

    def topic(self, name: str) -> str:
        """Where a home is told."""
        return home_topic(name, self._base)

    def get(self, name: str) -> HomeMessage | None:
        """A home by its name."""
        with self._lock:
            return self._homes.get(name)

    def heard(self, name: str, home: HomeMessage | None) -> None:
        """The broker said a home: one that is kept here too is kept as it was saved last; None: it was removed."""
        if home is not None and home.name != name:
            return
        with self._lock:
            self._heard[name] = home.saved_at if home else ""
            ours = self._homes.get(name)
            if ours is None or self.problem or (home and ours.saved_at >= home.saved_at):
                return
            others = {n: kept for n, kept in self._homes.items() if n != name}
            try:
                self._keep(others | ({name: home} if home else {}))
            except EdgeError as error:
                _log.warning("%s", error)

    def untold(self) -> dict[str, bytes]:
        """What is kept here and was not heard of the broker, or was saved later than that, by topic."""
        with self._lock:
            news = (home for name, home in self._homes.items() if home.saved_at > self._heard.get(name, ""))
            return {self.topic(home.name): home.encoded() for home in news}

    def done(self, draft: Draft, room_of: Callable[[str], RoomModel | None]) -> dict[str, Any]:
        """Do what a page asks, and answer with the home as it is now.

        Args:
            draft: what it asks.
            room_of: the room of a camera (device/camera) as it was published last.

        Raises:
            EdgeError: it cannot be done.
        """
        if draft.do == "remove":
            self._remove(draft.name)
            return {"home": None, "saved": True}
        rooms = [placed_room(room) for room in draft.rooms]
        if draft.do == "place":
            model = room_of(draft.room or "")
            if model is None or model.scale != "metric":
                raise EdgeError(f"no room in metres is known of {draft.room}; configure its camera_height_m")
            name = _free_name(model.camera, {room.model.camera for room in rooms})
            rooms.append(named(placed(rooms, model, draft.wall_thickness_m), name))
        elif draft.do == "snap" and draft.index < len(rooms):
            rooms[draft.index] = snapped(rooms, draft.index, draft.wall_thickness_m)
        if len(rooms) > MOST_ROOMS:
            raise EdgeError(f"a home has {MOST_ROOMS} rooms at most; begin another one")
        home = home_message(draft.name, rooms, wall_thickness_m=draft.wall_thickness_m)
        if draft.do == "save":
            self._save(home)
        return {"home": home.model_dump(mode="json", by_alias=True), "saved": draft.do == "save"}

    def _save(self, home: HomeMessage) -> None:
        with self._lock:
            self._keep(self._homes | {home.name: home})
        self._tell(self.topic(home.name), home.encoded())

    def _remove(self, name: str) -> None:
        with self._lock:
            self._keep({n: home for n, home in self._homes.items() if n != name})
        self._tell(self.topic(name), b"")

    def _keep(self, homes: dict[str, HomeMessage]) -> None:
        if self.problem is not None:
            raise EdgeError(self.problem)
        file = _File(homes=tuple(homes[name] for name in sorted(homes)))
        make_private_folder(self.path.parent, remedy=_REMEDY)
        write_private(self.path, file.model_dump_json(by_alias=True, indent=1).encode(), remedy=_REMEDY)
        self._homes = homes


def _free_name(wanted: str, taken: set[str]) -> str:
    return next(n for k in range(1, MOST_ROOMS + 2) if (n := wanted if k == 1 else f"{wanted} {k}") not in taken)


def _read(path: Path) -> tuple[HomeMessage, ...]:
    try:
        data = read_private(path)
    except PlanError as error:
        if error.reason == "missing":
            return ()
        raise EdgeError(f"homes are not kept: {error}") from error
    remedy = "repair it, or move it away and start again; until then no home is kept"
    if len(data) > _LARGEST_BYTES:
        raise EdgeError(f"{path} is too large for a file of homes ({len(data)} bytes); {remedy}")
    try:
        homes = _File.model_validate_json(data).homes
        for home in homes:
            placed_rooms(home)
        return homes
    except ValidationError as error:
        raise EdgeError(f"{path} is no file of homes: {explain(error, 'file')[0]}; {remedy}") from error
    except GeometryError as error:
        raise EdgeError(f"{path} is no file of homes: {error}; {remedy}") from error


class HomeTeller:
    """Sends homes to the broker, retained, on a connection of its own that is opened only for that."""

    def __init__(self, endpoint: Endpoint) -> None:
        self._endpoint = endpoint
        self.problem: str | None = None
        """Why the last attempt failed."""
        self._waiting: dict[str, bytes] = {}
        self._lock = threading.Lock()
        self._changed, self._stopping = threading.Event(), threading.Event()
        self._thread = threading.Thread(target=self._run, name="edge-homes", daemon=True)

    def start(self, untold: Callable[[], dict[str, bytes]] = dict, *, settle_s: float = _SETTLE_S) -> None:
        """Begin; what `untold` gives once the broker has said what it keeps, `settle_s` from now, is sent first."""
        self._untold, self._settle_s = untold, settle_s
        self._thread.start()

    def put(self, topic: str, payload: bytes) -> None:
        """Send this soon; only the latest of a topic."""
        with self._lock:
            self._waiting[topic] = payload
        self._changed.set()

    def stop(self) -> None:
        """End; what was not sent is sent after the next start."""
        self._stopping.set()
        self._changed.set()
        if self._thread.is_alive():
            self._thread.join(2.0)

    def _run(self) -> None:
        if not self._stopping.wait(self._settle_s):
            for topic, payload in self._untold().items():
                with self._lock:
                    self._waiting.setdefault(topic, payload)
            self._changed.set()
        failures = 0
        while not self._stopping.is_set():
            self._changed.wait()
            self._changed.clear()
            try:
                self._send_all()
                failures, self.problem = 0, None
            except PublishError as error:
                if self.problem is None:
                    _log.warning("homes are not told yet: %s", error)
                self.problem = str(error)
                failures += 1
                self._stopping.wait(backoff(failures - 1, *_RETRY_S))
                self._changed.set()

    def _send_all(self) -> None:
        with self._lock:
            waiting = dict(self._waiting)
        if not waiting or self._stopping.is_set():
            return
        link = Link(self._endpoint, f"edge-homes-{uuid.uuid4().hex[:12]}")
        link.open()
        try:
            for topic, payload in waiting.items():
                send_confirmed(link, topic, payload, JSON, retain=True)
                with self._lock:
                    if self._waiting.get(topic) is payload:
                        del self._waiting[topic]
        finally:
            link.close()
