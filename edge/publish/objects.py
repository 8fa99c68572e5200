"""Objects as messages: the list on `<camera>/objects`, the GLB on `<camera>/objects/model`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from edge.derive.glb import OBJECTS_SCHEMA, objects_glb
from edge.derive.objects import base_of, footprint
from edge.mqtt.messages import timestamp
from edge.mqtt.objects_message import ObjectInRoom, ObjectsMessage
from edge.publish.compose import Binary, Source, checked
from edge.scene import FoundObject

MOST_BYTES = 1_000_000
"""Of the GLB: the oldest meshes are left out beyond it."""


def _degrees(angle_rad: float | None) -> float | None:
    return None if angle_rad is None else round(float(np.degrees(angle_rad)), 1)


def object_part(found: FoundObject) -> ObjectInRoom:
    """One of them.

    Raises:
        PublishError: the values are not plausible.
    """
    base, corners = base_of(found), footprint(found)
    values: dict[str, Any] = {
        "name": found.name,
        "class": found.label,
        "box": tuple(round(v, 4) for v in found.box),
        "confidence": round(found.confidence, 4),
        "mesh": found.mesh is not None,
        "scale": "relative" if found.size_m is None else "metric",
        "size_m": None if found.size_m is None else tuple(round(v, 3) for v in found.size_m),
        "placement": "unplaced" if found.place is None else "floor",
        "position_m": None if base is None else tuple(base.round(3).tolist()),
        "footprint_m": None if corners is None else tuple(tuple(c) for c in corners.round(3).tolist()),
        "yaw_deg": None if found.place is None else _degrees(found.place.yaw_rad),
        "other_yaw_deg": _degrees(found.other_yaw_rad),
        "note": found.note,
        "seen_at": timestamp(found.seen_at),
    }
    return checked(ObjectInRoom, **values)


def objects_message(camera: str, objects: Sequence[FoundObject], source: Source, at: float) -> ObjectsMessage:
    """The list; `at`: of the newest picture, s since the Unix epoch.

    Raises:
        PublishError: the values are not plausible.
    """
    return checked(
        ObjectsMessage,
        device=source.device,
        camera=camera,
        at=timestamp(at),
        model=source.model,
        sha256=source.sha256[:12],
        count=sum(o.mesh is not None for o in objects),
        objects=tuple(object_part(o) for o in objects),
    )


def objects_model(camera: str, objects: Sequence[FoundObject], source: Source, at: float) -> Binary:
    """The GLB; empty, which takes it from the broker, where none has a mesh."""
    shaped = [o for o in objects if o.mesh is not None]
    about = {"device": source.device, "captured_at": timestamp(at)}
    said = {"schema": OBJECTS_SCHEMA, "camera": camera} | about
    while shaped:
        data = objects_glb(camera, shaped, about | {"model": {"name": source.model, "sha256": source.sha256[:12]}})
        if len(data) <= MOST_BYTES:
            return Binary(data, said)
        shaped = shaped[1:]
    return Binary(b"", said)
