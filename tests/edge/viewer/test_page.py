"""The page over a server of its own: what it shows of several devices, and what the browser remembers."""

from __future__ import annotations

import json
import time
from pathlib import Path

import numpy as np
import pytest

from edge.derive.glb import room_glb
from edge.mqtt.link import Incoming
from edge.publish.compose import Source, layout_message
from edge.scene import CameraModel, Frame
from edge.subscribe.watcher import validated
from edge.viewer.live import LivePage
from edge.viewer.relay import Relay
from edge.viewer.server import PageServer
from tests.edge.derive.rooms import BOX, L_SHAPE, layout, model
from tests.edge.viewer.chromium import EXECUTABLE, browser


@pytest.mark.slow
@pytest.mark.skipif(EXECUTABLE is None, reason="needs Chromium")
def test_every_device_of_a_broker_is_shown(tmp_path: Path) -> None:
    """Two devices whose cameras have one name are told apart, each with its own room; the unit is remembered."""
    relay = Relay()
    server = PageServer(LivePage(relay), port=0)
    server.start()
    frame = Frame("hall", 1, 1.7e9, time.monotonic(), np.zeros((4, 8, 3), np.uint8), CameraModel("equirectangular"))
    for device, polygon in (("one", BOX), ("two", L_SHAPE)):
        said = layout_message(frame, layout(polygon), Source(device, "layout", "0" * 64), 0.1).encoded()
        for kind, payload in (("layout", said), ("room", room_glb(model(polygon)))):
            relay.accept(validated(Incoming(f"edge/{device}/hall/{kind}", payload, retained=True)))
    try:
        with browser(tmp_path / "profile") as shown:
            shown.open(server.address)
            shown.until("window.state?.glb === 1 && state.cameras.join() === 'one/hall,two/hall'")
            shown.press("two/hall")
            shown.until("state.glb === 2 && state.chosen === 'two/hall'")
            shown.press("Plan")
            assert shown.value("document.querySelectorAll('#plan .wall').length") == len(L_SHAPE)
            shown.press("All")
            assert shown.value("[...document.querySelectorAll('.tile b')].map((b) => b.textContent).join()") == (
                "one/hall,two/hall"
            )
            shown.press("m → ft")
            shown.open(f"{server.address}?again")
            shown.until("window.state?.unit === 'ft' && state.glb > 0")
            assert shown.problems == []
    finally:
        server.stop()


@pytest.mark.slow
@pytest.mark.skipif(EXECUTABLE is None, reason="needs Chromium")
def test_a_phone_shows_all_in_its_width(tmp_path: Path) -> None:
    """With a door being added nothing is wider than the screen; the chosen view is in sight; events say whose."""
    relay = Relay()
    server = PageServer(LivePage(relay), port=0)
    server.start()
    frame = Frame("hall", 1, 1.7e9, time.monotonic(), np.zeros((4, 8, 3), np.uint8), CameraModel("equirectangular"))
    said = layout_message(frame, layout(BOX), Source("one", "layout", "0" * 64), 0.1).encoded()
    for kind, payload in (("layout", said), ("room", room_glb(model(BOX)))):
        relay.accept(validated(Incoming(f"edge/one/hall/{kind}", payload, retained=True)))
    event = {"schema": "edge.event/1", "device": "one", "at": "2026-01-31T12:00:00.000000Z", "type": "camera_state"}
    event |= {"camera": "hall", "message": "offline"}
    relay.accept(validated(Incoming("edge/one/bridge/event", json.dumps(event).encode(), retained=False)))
    try:
        with browser(tmp_path / "profile") as shown:
            shown.open(server.address, 390, 844, phone=True)
            shown.until("window.state?.glb === 1")
            shown.press("Plan")
            shown.press("Add door or window")
            find = "document.querySelector('#plan .target').getBoundingClientRect()"
            x, y, width, height = shown.value(f"(({{x, y, width, height}}) => [x, y, width, height])({find})")
            for share in (0.4, 0.6):
                shown.click(x + width * share, y + height / 2)
            shown.until("Boolean(document.querySelector('#openings pre'))")
            assert shown.value("getComputedStyle(document.querySelector('#plan .target')).outlineStyle") == "none"
            for within in ("main", "#facts", "#openings"):
                assert shown.value(f"document.querySelector('{within}').getBoundingClientRect().right") <= 390
                wider = (
                    f"(({{scrollWidth, clientWidth}}) => scrollWidth - clientWidth)(document.querySelector('{within}'))"
                )
                assert shown.value(wider) <= 0
            assert shown.value("document.querySelector('#cards').innerText").count("hall: offline") == 1
            shown.press("All")
            at = "document.querySelector('#views [aria-selected=true]').getBoundingClientRect()"
            assert shown.value(f"{at}.left >= 0 && {at}.right <= 390")
            assert shown.problems == []
    finally:
        server.stop()
