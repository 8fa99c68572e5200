"""The live page as a site: the last picture of each camera, all messages, looking back, and one thing to ask for."""

from __future__ import annotations

import asyncio
import contextlib
import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

from pydantic import ValidationError
from websockets.asyncio.server import ServerConnection
from websockets.exceptions import ConnectionClosed

from edge.derive.glb import read_room
from edge.derive.model import RoomModel
from edge.errors import EdgeError, explain
from edge.mqtt.home_message import HomeMessage
from edge.mqtt.messages import LayoutMessage
from edge.mqtt.objects_message import ObjectsMessage
from edge.subscribe.homes import placed_rooms
from edge.subscribe.rooms import room_of
from edge.viewer.exports import CONTENT_TYPES, home_writers, room_writers
from edge.viewer.homes import Draft, Homes
from edge.viewer.relay import Page, Relay
from edge.viewer.sheet import Sheet, hung_by

_PICTURES = {
    "picture.jpg": ("picture", "image/jpeg"),
    "depth.png": ("depth/image", "image/png"),
    "room.glb": ("room", "model/gltf-binary"),
}
_PLANS = frozenset({".svg", ".dxf"})
"""What is called plan; all other exports of a room are called room."""

Ask = Callable[[str, dict[str, Any]], dict[str, Any]]
"""Has a device reconstruct a thing that a camera of it shows: the answer's data; raises EdgeError."""
Flag = Callable[[str, str], str]
"""Has a device keep what a camera of it shows for review: the name of what was kept; raises EdgeError."""


class LivePage:
    """What devices publish."""

    index = "index.html"
    longest_message_bytes = 1 << 20

    def __init__(
        self, relay: Relay, flag: Flag | None = None, homes: Homes | None = None, ask: Ask | None = None
    ) -> None:
        """What is shown, and what may be asked.

        Args:
            relay: what to show.
            flag: how to ask a device to keep a picture.
            homes: what people put together.
            ask: how to ask a device about a thing that a camera shows.
        """
        self._relay, self._flag, self._homes, self._ask = relay, flag, homes, ask

    def get(self, path: str) -> tuple[bytes, str] | None:
        """The last that was published at `/camera/NAME.jpg`, `/camera/NAME/plan.svg` and the like; and homes.

        Raises:
            EdgeError: nothing was published there yet, or it cannot be written in that format.
        """
        what, *names = path.removeprefix("/").split("/")
        if what == "home" and len(names) == 2:
            return self._home(names[0], Path(names[1]))
        if what != "camera" or not names or not all(names):
            return None
        if names[-1].endswith(".jpg") and names[-1] not in _PICTURES:
            names[-1:] = [names[-1].removesuffix(".jpg"), "picture.jpg"]
        camera, name = "/".join(names[:-1]), names[-1]
        if not camera:
            return None
        if name in _PICTURES:
            kind, content_type = _PICTURES[name]
            return self._published(camera, kind), content_type
        return self._export(camera, Path(name))

    def _published(self, camera: str, kind: str) -> bytes:
        found = self._relay.latest(f"{camera}/{kind}")
        if found is None:
            hint = "; configure `picture` of this camera" if kind == "picture" else ""
            raise EdgeError(f"nothing was published there yet, or two devices have a camera of that name{hint}")
        return found

    def _export(self, camera: str, name: Path) -> tuple[bytes, str] | None:
        write = room_writers().get(name.suffix)
        if write is None or name.stem != ("plan" if name.suffix in _PLANS else "room"):
            return None
        model = self._room_of(camera, flat=name.suffix in _PLANS)
        if model is None:
            raise EdgeError("no room was published there yet, or two devices have a camera of that name")
        return write(model), CONTENT_TYPES[name.suffix]

    def _room_of(self, camera: str, *, flat: bool = True) -> RoomModel | None:
        """The last room of a camera (of device/camera): `flat`: without its picture, if that can be."""
        layout, room = (self._relay.latest(f"{camera}/{kind}") for kind in ("layout", "room"))
        if room is not None and (layout is None or not flat):
            return read_room(room)
        if layout is None:
            return None
        objects = self._relay.latest(f"{camera}/objects")
        said = None if objects is None else ObjectsMessage.model_validate_json(objects)
        return room_of(LayoutMessage.model_validate_json(layout), said)

    def _home(self, home: str, name: Path) -> tuple[bytes, str] | None:
        write = home_writers().get(name.suffix)
        if write is None or name.stem != ("plan" if name.suffix in _PLANS else "home"):
            return None
        said = None if self._homes is None else self._relay.last(self._homes.topic(home))
        if said is None:
            raise EdgeError(f"there is no home {home}; put one together in the page and save it")
        return write(home, placed_rooms(HomeMessage.model_validate_json(said))), CONTENT_TYPES[name.suffix]

    async def talk(self, connection: ServerConnection) -> None:
        """Send what is published, answer what is asked."""
        loop = asyncio.get_running_loop()
        page = self._relay.join(loop)
        sending = loop.create_task(_send(connection, page))
        try:
            async for message in connection:
                answer = await self._answer(page, message)
                if answer:
                    await connection.send(answer)
        except ConnectionClosed:
            pass
        finally:
            self._relay.leave(page)
            sending.cancel()

    async def _answer(self, page: Page, message: str | bytes) -> str | None:
        try:
            asked: dict[str, Any] = json.loads(message)
            at_s, flagged, drafted = asked.get("at", 0), asked.get("flag"), asked.get("home")
            thing, sheet = asked.get("thing"), asked.get("sheet")
        except (ValueError, AttributeError, RecursionError):
            return None
        if flagged is not None:
            return await self._flagged(flagged)
        if thing is not None:
            return await self._reconstructed(thing)
        if sheet is not None:
            return json.dumps({"sheet": await asyncio.to_thread(self._hung_by, sheet)})
        if drafted is not None:
            return json.dumps({"draft": await asyncio.to_thread(self._drafted, drafted)})
        if at_s is not None and not (isinstance(at_s, int | float) and math.isfinite(at_s)):
            return None
        if "at" in asked:
            self._relay.show(page, at_s)
        return self._relay.span()

    async def _flagged(self, what: object) -> str:
        device, _, camera = what.partition("/") if isinstance(what, str) else ("", "", "")
        if self._flag is None or not device or not camera:
            return json.dumps({"flagged": None, "error": "this page cannot ask for that"})
        try:
            return json.dumps({"flagged": await asyncio.to_thread(self._flag, device, camera), "error": None})
        except EdgeError as error:
            return json.dumps({"flagged": None, "error": str(error)})

    async def _reconstructed(self, what: object) -> str:
        asked = dict(what) if isinstance(what, dict) else {}
        camera = asked.pop("camera", None)
        device, _, name = camera.partition("/") if isinstance(camera, str) else ("", "", "")
        if self._ask is None or not device or not name:
            return json.dumps({"object": None, "error": "this page cannot ask for that"})
        try:
            said = await asyncio.to_thread(self._ask, device, asked | {"camera": name})
        except EdgeError as error:
            return json.dumps({"object": None, "error": str(error)})
        return json.dumps({"object": said["object"], "error": None})

    def _hung_by(self, said: object) -> dict[str, Any]:
        try:
            return hung_by(Sheet.model_validate(said), self._relay)
        except ValidationError as error:
            return {"error": f"this sheet cannot be: {explain(error, 'sheet')[0]}"}
        except EdgeError as error:
            return {"error": str(error)}

    def _drafted(self, said: object) -> dict[str, Any]:
        if self._homes is None:
            return {"error": "homes are not kept by this page"}
        try:
            return self._homes.done(Draft.model_validate(said), self._room_of)
        except ValidationError as error:
            return {"error": f"this home cannot be: {explain(error, 'home')[0]}"}
        except EdgeError as error:
            return {"error": str(error)}


async def _send(connection: ServerConnection, page: Page) -> None:
    with contextlib.suppress(ConnectionClosed):
        while True:
            await connection.send(await page.next())
