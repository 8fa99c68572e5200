"""The review page as a site: pictures that were put aside, their rooms corrected, and labels kept with them."""

from __future__ import annotations

import asyncio
import json
import struct
from typing import Annotated, Any, Literal

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from websockets.asyncio.server import ServerConnection
from websockets.exceptions import ConnectionClosed

from edge.cameras.picture import decoded
from edge.derive.formats.horizonnet import corner_lines
from edge.derive.glb import room_glb
from edge.derive.mesh import room_surfaces
from edge.derive.model import RoomModel, view_of
from edge.derive.texture import paint
from edge.errors import EdgeError, GeometryError
from edge.geometry.polygon import contains, counter_clockwise, is_simple
from edge.keep.review import ABOUT, PICTURE, Label, Review
from edge.scene import CameraModel

_SIDE_M = (0.5, 30.0)
_TEXTURE_BYTES = 400_000
_FILES = {PICTURE: "image/jpeg", ABOUT: "application/json"}

_Metres = Annotated[float, Field(allow_inf_nan=False)]
_Columns = Annotated[int, Field(ge=0, le=16383)]


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Room(_Part):
    """A room as it was drawn."""

    polygon_m: tuple[tuple[_Metres, _Metres], ...] = Field(min_length=3, max_length=64)
    camera_height_m: _Metres = Field(ge=0.2, le=10)
    ceiling_height_m: _Metres = Field(gt=0.2, le=40)

    def check(self) -> None:
        """Refuse what is no room around a camera.

        Raises:
            GeometryError: with what to correct.
        """
        polygon = np.array(self.polygon_m)
        if not is_simple(polygon):
            raise GeometryError("two walls cross each other; drag a corner until they do not")
        if not contains(polygon):
            raise GeometryError("the camera is outside of the room; drag a corner until it is inside")
        if self.ceiling_height_m <= self.camera_height_m:
            raise GeometryError("the ceiling is below the camera; drag it up, or correct the camera's height")
        sides = np.ptp(polygon, axis=0)
        if sides.min() < _SIDE_M[0] or sides.max() > _SIDE_M[1]:
            raise GeometryError(f"a room is {_SIDE_M[0]} to {_SIDE_M[1]:g} m wide; correct the camera's height")


class Asked(_Part):
    """What a page may ask: exactly one of `list`, `model`, `save` and `reject`."""

    id: int = Field(ge=0, lt=2**32)
    list: bool = False
    model: str | None = None
    save: str | None = None
    reject: str | None = None
    room: Room | None = None
    hidden: tuple[tuple[Literal["floor", "ceiling"], _Columns, _Columns], ...] = Field(default=(), max_length=256)
    status: Literal["accepted", "corrected"] = "corrected"


class ReviewPage:
    """What was put aside, to be looked at."""

    index = "review.html"
    longest_message_bytes = 1 << 16

    def __init__(self, review: Review) -> None:
        """`review`: where pictures wait, and labels are kept."""
        self._review = review

    def get(self, path: str) -> tuple[bytes, str] | None:
        """An entry's picture, or what is known about it."""
        parts = path.strip("/").split("/")
        if len(parts) != 3 or parts[0] != "entry" or parts[2] not in _FILES:
            return None
        try:
            return self._review.file(parts[1], parts[2]), _FILES[parts[2]]
        except EdgeError:
            return None

    async def talk(self, connection: ServerConnection) -> None:
        """Answer what the page asks, one question after the other."""
        try:
            async for message in connection:
                await connection.send(await asyncio.to_thread(self.answer, message))
        except ConnectionClosed:
            pass

    def answer(self, message: str | bytes) -> str | bytes:
        """The answer to one question: JSON with its `id`, or the id in 4 bytes and a GLB."""
        number: Any = None
        try:
            number = json.loads(message).get("id")
            asked = Asked.model_validate_json(message)
            if asked.model is not None:
                return struct.pack(">I", asked.id) + self._model(asked.model, _room(asked))
            return json.dumps({"id": asked.id} | self._done(asked))
        except ValidationError as error:
            first = error.errors()[0]
            said = f"{'.'.join(map(str, first['loc']))}: {first['msg']}"
            return json.dumps({"id": number, "error": said})
        except (ValueError, AttributeError, RecursionError):
            return json.dumps({"id": None, "error": "this is no question; reload the page"})
        except EdgeError as error:
            return json.dumps({"id": number, "error": str(error)})

    def _done(self, asked: Asked) -> dict[str, Any]:
        if asked.save is not None:
            self._save(asked.save, _room(asked), asked)
        elif asked.reject is not None:
            self._review.delete(asked.reject)
        else:
            waiting = [self._summary(name, "waiting") for name in self._review.entries()]
            labelled = [self._summary(name, None) for name in self._review.labelled()]
            return {"entries": [entry for entry in (*waiting, *labelled) if entry is not None]}
        return {}

    def _summary(self, name: str, status: str | None) -> dict[str, Any] | None:
        """None: it is gone, or was damaged."""
        try:
            about = json.loads(self._review.file(name, ABOUT))
            return {
                "name": name,
                "camera": about["camera"],
                "captured_at": about["captured_at"],
                "note": about["note"],
                "reasons": [reason["text"] for reason in about["reasons"]],
                "picture": (pictured := self._review.has_picture(name)),
                "missing": about["picture"].get("missing"),
                "editable": pictured and about["picture"]["projection"] == "equirectangular",
                "status": status or about["label"]["status"],
            }
        except (EdgeError, ValueError, KeyError, TypeError):
            return None

    def _save(self, name: str, room: Room, asked: Asked) -> None:
        room.check()
        if not self._review.has_picture(name):
            raise GeometryError("no picture is kept of it, so nothing can be labelled; skip or reject it")
        height, width = decoded(self._review.file(name, PICTURE)).shape[:2]
        if width != 2 * height:
            raise GeometryError("only whole panoramas can be labelled; skip or reject this picture")
        polygon = np.array(room.polygon_m)
        corners = corner_lines(polygon, room.camera_height_m, room.ceiling_height_m, width, height)
        self._review.label(name, Label(corners, room.model_dump(mode="json"), asked.hidden, asked.status))

    def _model(self, name: str, room: Room) -> bytes:
        """The room with the picture on its walls: whatever does not stand upright is not where it was drawn."""
        room.check()
        image = decoded(self._review.file(name, PICTURE))
        polygon, eye = counter_clockwise(np.array(room.polygon_m)), room.camera_height_m
        camera = CameraModel("equirectangular", camera_height_m=eye)
        surfaces = room_surfaces(polygon, room.ceiling_height_m, "room")
        texture = paint(surfaces, polygon, eye, image, camera, max_bytes=_TEXTURE_BYTES)
        view = view_of(camera, eye, (image.shape[1], image.shape[0]))
        return room_glb(RoomModel(polygon, room.ceiling_height_m, "metric", "room", view, texture=texture))


def _room(asked: Asked) -> Room:
    if asked.room is None:
        raise GeometryError("the room is missing; reload the page")
    return asked.room
