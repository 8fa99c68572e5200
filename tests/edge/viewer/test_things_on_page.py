"""Things on the live page: in the room, in the list, asked for by a box that is drawn on the picture."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from edge.derive.glb import room_glb
from edge.mqtt.link import Incoming
from edge.publish.compose import Source, layout_message
from edge.publish.objects import object_part, objects_message
from edge.scene import Frame
from edge.subscribe.watcher import validated
from edge.viewer.live import LivePage
from edge.viewer.relay import Relay
from edge.viewer.server import PageServer
from tests.documentation.examples import of_the_device
from tests.edge.derive.rooms import BOX, PANORAMA, layout, model
from tests.edge.things import CHAIR
from tests.edge.viewer.chromium import EXECUTABLE, browser

SOURCE = Source("one", "objects", "0" * 64)
DRAW = """(() => {
  const canvas = document.querySelector("#picture canvas");
  const { left, top, width, height } = canvas.getBoundingClientRect();
  const at = (type, x, y) => canvas.dispatchEvent(new PointerEvent(type,
    { clientX: left + x * width, clientY: top + y * height, pointerId: 1, bubbles: true }));
  canvas.setPointerCapture = () => {};
  at("pointerdown", 0.2, 0.3); at("pointermove", 0.3, 0.5); at("pointerup", 0.4, 0.7);
})()"""


@pytest.mark.slow
@pytest.mark.skipif(EXECUTABLE is None, reason="needs Chromium")
def test_things_stand_in_the_room_and_are_asked_for(tmp_path: Path) -> None:
    """A chair is a mesh of the room with a layer of its own; a box on the picture, by keys too, goes to the device."""
    asked: list[tuple[str, dict[str, Any]]] = []

    def ask(device: str, arguments: dict[str, Any]) -> dict[str, Any]:
        asked.append((device, arguments))
        return {"object": json.loads(object_part(CHAIR).model_dump_json(by_alias=True))}

    relay = Relay()
    server = PageServer(LivePage(relay, ask=ask), port=0)
    server.start()
    frame = Frame("hall", 1, 1.7e9, time.monotonic(), np.zeros((4, 8, 3), np.uint8), PANORAMA)
    info = of_the_device()["bridge_info"].model_copy(update={"device": "one", "objects_by_request": True})
    _, picture = cv2.imencode(".jpg", np.full((200, 400, 3), 90, np.uint8))
    for kind, payload in (
        ("bridge/info", info.encoded()),
        ("hall/layout", layout_message(frame, layout(BOX), SOURCE, 0.1).encoded()),
        ("hall/objects", objects_message("hall", [CHAIR], SOURCE, 1.7e9).encoded()),
        ("hall/room", room_glb(model(BOX, textured=False, objects=(CHAIR,)))),
        ("hall/picture", picture.tobytes()),
    ):
        relay.accept(validated(Incoming(f"edge/one/{kind}", payload, retained=True)))
    try:
        with browser(tmp_path / "profile") as shown:
            shown.open(server.address)
            shown.until("window.state?.glb === 1 && state.things === 1")
            assert "chair" in shown.value("document.getElementById('cards').textContent")
            shown.press("Objects")
            shown.press("Camera")
            shown.press("Reconstruct a thing")
            shown.value(DRAW)
            shown.press("Reconstruct")
            shown.until("document.getElementById('cards').textContent.includes('confidence 82 %')")
            shown.press("Box by keys")
            shown.until("document.activeElement.matches('#picture canvas')")
            for key, shift in (("ArrowRight", False), ("ArrowDown", False), ("ArrowUp", True), ("ArrowRight", True)):
                for _ in range(10):
                    shown.key(key, shift=shift)
            shown.press("Reconstruct")
            shown.until("document.getElementById('cards').textContent.includes('Box by keys')")
            shown.until("[...document.querySelectorAll('#cards .note')].every((said) => said.textContent !== '…')")
            assert shown.problems == []
    finally:
        server.stop()
    for (device, arguments), box in zip(asked, ([0.2, 0.3, 0.4, 0.7], [0.5, 0.5, 0.8, 0.6]), strict=True):
        assert (device, arguments["camera"]) == ("one", "hall")
        assert arguments["box"] == pytest.approx(box, abs=0.02)
