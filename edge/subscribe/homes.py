"""Homes as messages and as rooms that are placed: what a page sends, what a broker retains, what exports draw."""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from edge.derive.home import WALL_M, PlacedRoom, sizes_of
from edge.derive.model import RoomModel, View
from edge.derive.openings import Opening
from edge.errors import EdgeError, GeometryError
from edge.geometry.polygon import is_simple
from edge.geometry.rigid import LEVEL_FORWARD
from edge.mqtt.endpoint import Endpoint
from edge.mqtt.home_message import (
    HomeMessage,
    HomeOpening,
    HomeOverlap,
    HomePassage,
    HomeRoom,
    HomeSharedWall,
)
from edge.mqtt.messages import timestamp
from edge.subscribe.watcher import Received, Watcher


def placed_rooms(message: HomeMessage) -> list[PlacedRoom]:
    """The rooms of a home, without pictures and light.

    Raises:
        GeometryError: the outline of one crosses itself.
    """
    return [placed_room(room) for room in message.rooms]


def placed_room(said: HomeRoom) -> PlacedRoom:
    """One room and where it is.

    Raises:
        GeometryError: its outline crosses itself.
    """
    if not is_simple(said.polygon_m):
        raise GeometryError(f"the outline of room {said.name} crosses itself or has no area; remove it and add it anew")
    openings = tuple(
        Opening(o.kind, o.wall, _point(o.start_m), _point(o.end_m), o.sill_m, o.height_m, o.source)
        for o in said.openings
        if o.wall < len(said.polygon_m) and o.start_m != o.end_m
    )
    model = RoomModel(
        np.array(said.polygon_m, dtype=np.float64),
        said.ceiling_height_m,
        "metric",
        said.extent,
        View("equirectangular", LEVEL_FORWARD, said.camera_height_m),
        openings,
        confidence=said.confidence,
        about={"device": said.device, "camera": said.name, "captured_at": said.captured_at, "of": said.camera},
    )
    return PlacedRoom(model, said.x_m, said.y_m, math.radians(said.turn_deg))


def fetch_home(endpoint: Endpoint, name: str, *, base: str = "edge", within_s: float = 10.0) -> HomeMessage:
    """A home that a broker retains.

    Raises:
        EdgeError: there is none of that name.
    """
    found: list[HomeMessage] = []
    others: set[str] = set()
    came = threading.Event()

    def take(received: Received) -> None:
        if isinstance(received.message, HomeMessage):
            others.add(received.message.name)
            if received.message.name == name:
                found.append(received.message)
                came.set()

    watcher = Watcher(endpoint, base=base, on_message=take)
    watcher.start()
    try:
        came.wait(within_s)
        connection_error = watcher.state.connection_error
    finally:
        watcher.stop()
    if not found:
        known = f"; there are {', '.join(sorted(others))}" if others else "; put one together in the live page"
        why = f" ({connection_error})" if connection_error else ""
        raise EdgeError(f"no home {name} is on this broker{why}{known}")
    return found[-1]


def home_message(
    name: str, rooms: Sequence[PlacedRoom], *, wall_thickness_m: float = WALL_M, saved_at_s: float | None = None
) -> HomeMessage:
    """The message of a home, with what its rooms come to together.

    Raises:
        EdgeError: a room's size is not known.
    """
    sizes = sizes_of(rooms)
    return HomeMessage(
        name=name,
        saved_at=timestamp(time.time() if saved_at_s is None else saved_at_s),
        wall_thickness_m=wall_thickness_m,
        rooms=tuple(_said(room) for room in rooms),
        area_m2=round(sizes.area_m2, 4),
        rooms_area_m2=round(sizes.rooms_area_m2, 4),
        volume_m3=round(sizes.volume_m3, 4),
        overlaps=tuple(HomeOverlap(rooms=o.rooms, area_m2=round(o.area_m2, 4)) for o in sizes.overlaps),
        shared_walls=tuple(
            HomeSharedWall(rooms=s.rooms, walls=s.walls, length_m=round(s.length_m, 4), gap_m=round(s.gap_m, 4))
            for s in sizes.shared_walls
        ),
        passages=tuple(
            HomePassage(rooms=p.rooms, openings=p.openings, width_m=round(p.width_m, 4)) for p in sizes.passages
        ),
    )


def named(room: PlacedRoom, name: str) -> PlacedRoom:
    """The room under another name."""
    about: dict[str, Any] = {"of": room.model.camera} | room.model.about | {"camera": name}
    return replace(room, model=replace(room.model, about=about))


def _said(room: PlacedRoom) -> HomeRoom:
    model = room.model
    if model.scale != "metric":
        raise EdgeError(
            f"the size of room {model.camera} is not known, so it cannot stand beside others; configure camera_height_m"
        )
    return HomeRoom(
        name=model.camera,
        device=str(model.about.get("device") or "edge"),
        camera=str(model.about.get("of") or model.camera),
        captured_at=model.about.get("captured_at"),
        x_m=round(room.x_m, 4),
        y_m=round(room.y_m, 4),
        turn_deg=round(math.degrees(math.remainder(room.turn_rad, math.tau)), 3),
        polygon_m=tuple(_point(corner, 4) for corner in model.polygon),
        extent=model.extent,
        ceiling_height_m=round(model.ceiling_height, 4),
        camera_height_m=round(model.view.height, 4),
        confidence=model.confidence,
        openings=tuple(
            HomeOpening(
                kind=o.kind,
                wall=o.wall,
                start_m=_point(o.start),
                end_m=_point(o.end),
                sill_m=o.sill,
                height_m=o.height,
                source=o.source,
            )
            for o in model.openings
        ),
        area_m2=round(model.area, 4),
    )


def _point(at: Any, digits: int = 6) -> tuple[float, float]:
    return round(float(at[0]), digits), round(float(at[1]), digits)
