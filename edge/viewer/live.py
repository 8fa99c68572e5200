"""The live page as a site: the last picture of each camera, all messages, looking back, and one thing to ask for."""

from __future__ import annotations

import asyncio
import contextlib
import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

from websockets.asyncio.server import ServerConnection
from websockets.exceptions import ConnectionClosed

from edge.errors import EdgeError
from edge.viewer.relay import Page, Relay

_PICTURES = {"picture.jpg": "picture", "depth.png": "depth/image", "room.glb": "room"}
_PICTURE_TYPES = {".jpg": "image/jpeg", ".png": "image/png", ".glb": "model/gltf-binary"}

Flag = Callable[[str, str], str]
"""Has a device keep what a camera of it shows for review: the name of what was kept; raises EdgeError."""


class LivePage:
    """What devices publish."""

    index = "index.html"
    longest_message_bytes = 4096

    def __init__(self, relay: Relay, flag: Flag | None = None) -> None:
        """`relay`: what to show; `flag`: how to ask a device to keep a picture."""
        self._relay, self._flag = relay, flag

    def get(self, path: str) -> tuple[bytes, str] | None:
        """The last that was published at `/camera/NAME/picture.jpg` and the like."""
        camera, _, name = path.removeprefix("/camera/").rpartition("/")
        if not path.startswith("/camera/") or not camera or name not in _PICTURES:
            return None
        found = self._relay.latest(f"{camera}/{_PICTURES[name]}")
        return None if found is None else (found, _PICTURE_TYPES[Path(name).suffix])

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
            at_s, flagged = asked.get("at", 0), asked.get("flag")
        except (ValueError, AttributeError, RecursionError):
            return None
        if flagged is not None:
            return await self._flagged(flagged)
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


async def _send(connection: ServerConnection, page: Page) -> None:
    with contextlib.suppress(ConnectionClosed):
        while True:
            await connection.send(await page.next())
