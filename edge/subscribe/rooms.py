"""The room of a camera as a device published it last."""

from __future__ import annotations

import threading
from dataclasses import replace
from datetime import datetime
from typing import Any

import numpy as np

from edge.derive.glb import read_room
from edge.derive.mesh import outline
from edge.derive.model import RoomModel, View
from edge.derive.openings import Opening
from edge.errors import EdgeError
from edge.geometry.polygon import counter_clockwise
from edge.geometry.rigid import LEVEL_FORWARD
from edge.geometry.walls import Line
from edge.mqtt.endpoint import Endpoint
from edge.mqtt.messages import LayoutMessage, OpeningInWall
from edge.mqtt.objects_message import ObjectInRoom, ObjectsMessage
from edge.scene import FoundObject, ObjectPlace
from edge.subscribe.watcher import Received, Watcher

_SETTLE_S = 0.5
"""Retained messages come at once: so long after the first, all cameras are known."""


def room_of(said: LayoutMessage, objects: ObjectsMessage | None = None) -> RoomModel:
    """The room that a layout message describes, without picture and light; the camera is taken as level.

    `objects`: what was reconstructed of its camera; those with a place stand in it, as boxes without a shape.
    """
    metric, relative = said.metric, said.relative
    if metric is not None:
        polygon, ceiling, eye = metric.polygon_m, metric.ceiling_height_m, metric.camera_height_m
        sure = tuple(wall.confidence for wall in metric.walls)
    else:
        assert relative is not None
        polygon, ceiling, eye = relative.polygon, relative.ceiling_height, 1.0
        sure = tuple(wall.confidence for wall in relative.walls)
    corners = np.array([e.start for e in outline(counter_clockwise(np.array(polygon)), said.extent)])
    about: dict[str, Any] = said.model_dump(include={"device", "camera", "frame", "captured_at", "fit", "fit_reason"})
    view = View("equirectangular", LEVEL_FORWARD, eye)
    model = RoomModel(corners, ceiling, said.scale, said.extent, view, (), None, None, said.confidence, sure, about)
    openings = tuple(o for o in (_opening(model, o) for o in said.openings or ()) if o)
    things = () if objects is None or said.scale != "metric" else tuple(_object(o) for o in objects.objects)
    return replace(model, openings=openings, objects=tuple(o for o in things if o is not None))


def _object(said: ObjectInRoom) -> FoundObject | None:
    """One that stands somewhere."""
    if said.position_m is None or said.yaw_deg is None or said.size_m is None:
        return None
    (x, y, z), (width, depth, height) = said.position_m, said.size_m
    place = ObjectPlace((x, y, z), float(np.radians(said.yaw_deg)))
    at = datetime.fromisoformat(said.seen_at.replace("Z", "+00:00")).timestamp()
    size = (width, depth, height)
    return FoundObject(said.name, said.class_, said.box, said.confidence, said.note, at, None, size, place)


def _opening(model: RoomModel, said: OpeningInWall) -> Opening | None:
    """An opening by its bearings, in the wall that it names."""
    edge = next((e for e in model.edges if e.side == said.wall), None)
    if edge is None:
        return None
    line = Line(edge.inwards, float(edge.inwards @ edge.start))
    left, right = (line.on_ray(float(np.radians(deg))) for deg in (said.left_deg, said.right_deg))
    if not np.isfinite([*left, *right]).all():
        return None
    ends = [(round(float(x), 6), round(float(y), 6)) for x, y in (right, left)]
    return Opening(said.kind, said.wall, ends[0], ends[1], said.sill_m, said.height_m, said.source, said.confidence)


class _Kept:
    """Rooms and layouts by device and camera, as they arrive."""

    def __init__(self) -> None:
        self.rooms: dict[tuple[str, str], bytes] = {}
        self.layouts: dict[tuple[str, str], LayoutMessage] = {}
        self.any = threading.Event()

    def take(self, received: Received) -> None:
        """Keep what a room is in."""
        address = received.address
        if address is None or address.camera is None or received.error is not None:
            return
        key = (address.device, address.camera)
        if address.kind == "room":
            self.rooms[key] = received.payload
        elif isinstance(received.message, LayoutMessage):
            self.layouts[key] = received.message
        else:
            return
        self.any.set()


def fetch_room(
    endpoint: Endpoint,
    *,
    base: str = "edge",
    device: str | None = None,
    camera: str | None = None,
    within_s: float = 10.0,
) -> RoomModel:
    """The last room of a camera: its model if there is one, else its layout.

    Args:
        endpoint: the broker.
        base: first level of the topics.
        device: None: the only one that has a room.
        camera: None: the only one that has a room.
        within_s: how long to wait for the first.

    Raises:
        EdgeError: no such room was published, or several were and none was chosen.
    """
    kept = _Kept()
    watcher = Watcher(endpoint, base=base, device=device, on_message=kept.take)
    watcher.start()
    try:
        if kept.any.wait(within_s):
            threading.Event().wait(_SETTLE_S)
        connection_error = watcher.state.connection_error
    finally:
        watcher.stop()
    found = sorted(key for key in {*kept.rooms, *kept.layouts} if camera in (None, key[1]))
    if not found:
        why = connection_error or "is the daemon running, with the task layout?"
        raise EdgeError(f"no room of {camera or 'any camera'} came within {within_s:g} s: {why}")
    if len(found) > 1:
        names = ", ".join(f"--device {d} --camera {c}" for d, c in found)
        raise EdgeError(f"several rooms are published; choose one: {names}")
    data = kept.rooms.get(found[0])
    return read_room(data) if data is not None else room_of(kept.layouts[found[0]])
