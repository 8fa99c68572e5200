"""The room as GLB on `<camera>/room`: which parts go into it, and when it is worth sending again."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from edge.derive.glb import SCHEMA, room_glb
from edge.derive.model import model_of
from edge.errors import GeometryError, PublishError
from edge.geometry.mask import covered
from edge.publish.compose import Binary, Source, user_properties
from edge.scene import FoundObject, Frame, Lighting, RoomLayout

_SAME = 0.01
"""In metres, or in camera heights."""
_WITHOUT_TEXTURE_BYTES = 32_768
"""More than a room's shape, sizes and light ever take."""


@dataclass(frozen=True, slots=True)
class SceneOptions:
    """What the model of a room has beside its shape."""

    texture: bool = True
    """Whether the camera's picture is laid on the walls."""
    max_bytes: int = 2_000_000
    """Of the whole file."""


def same_room(one: RoomLayout | None, other: RoomLayout) -> bool:
    """Whether two rooms differ by less than a model is worth sending again for: 1 cm at every corner and in height."""
    if one is None or (one.scale, one.extent, one.polygon_m.shape) != (
        other.scale,
        other.extent,
        other.polygon_m.shape,
    ):
        return False
    moved = float(np.abs(one.polygon_m - other.polygon_m).max())
    return max(moved, abs(one.ceiling_height_m - other.ceiling_height_m)) < _SAME


def room_model(
    frame: Frame,
    layout: RoomLayout,
    source: Source,
    lighting: Lighting | None = None,
    options: SceneOptions | None = None,
    objects: Sequence[FoundObject] = (),
) -> Binary:
    """The room as GLB, with the properties that MQTT 5 carries beside it.

    Args:
        frame: what the layout was inferred from; its picture is what is laid on the walls.
        layout: the room.
        source: who inferred it.
        lighting: the last that was inferred of this camera.
        options: None: as by default.
        objects: what was reconstructed of this camera.

    Raises:
        PublishError: the layout is no room that can be built.
    """
    wanted = options or SceneOptions()
    said = user_properties(SCHEMA, frame, source.device)
    height, width = frame.image.shape[:2]
    hidden = covered(frame.model.masks, width, height) if frame.model.masks else None
    if frame.seen is not None:
        hidden = ~frame.seen if hidden is None else hidden | ~frame.seen
    try:
        model = model_of(
            layout,
            frame.model,
            frame.image,
            lighting=lighting,
            textured=wanted.texture,
            hidden=hidden,
            max_bytes=wanted.max_bytes - _WITHOUT_TEXTURE_BYTES,
            objects=objects,
            about=said | {"frame": frame.sequence, "model": {"name": source.model, "sha256": source.sha256[:12]}},
        )
        data = room_glb(model)
    except GeometryError as error:
        raise PublishError(f"{frame.camera}: no model of the room: {error}") from error
    properties = {
        "scale": model.scale,
        "unit": model.unit,
        "extent": model.extent,
        "textured": str(wanted.texture).lower(),
    }
    return Binary(data, said | properties)
