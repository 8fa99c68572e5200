"""The page for who has no mouse, who sees badly, and who presses while messages come."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Literal

import cv2
import numpy as np
import pytest

from edge.derive.glb import room_glb
from edge.mqtt.info_message import ReviewInfo
from edge.mqtt.link import Incoming
from edge.publish.compose import Source, layout_message
from edge.scene import Frame
from edge.subscribe.watcher import validated
from edge.viewer.homes import Homes
from edge.viewer.live import LivePage
from edge.viewer.relay import Relay
from tests.brokers import wait_until
from tests.documentation.examples import of_the_device
from tests.edge.derive.rooms import BOX, L_SHAPE, PANORAMA, layout, model
from tests.edge.viewer.chromium import EXECUTABLE, Browser, opened

pytestmark = [pytest.mark.slow, pytest.mark.skipif(EXECUTABLE is None, reason="needs Chromium")]

FOCUSED = "(document.activeElement === document.body ? '' : (document.activeElement.ariaLabel || document.activeElement"
FOCUSED += ".textContent.trim() || document.activeElement.labels?.[0]?.textContent || ''))"
"""What has the keyboard, by its accessible name."""
MARKED = """(() => {
    const node = document.activeElement;
    const style = getComputedStyle(node);
    if (style.outlineStyle !== "none" && parseFloat(style.outlineWidth) >= 2) return true;
    const drawn = () => [node, ...node.querySelectorAll("*")].map((n) => getComputedStyle(n).stroke).join();
    const focused = drawn();
    node.blur();
    const left = drawn();
    node.focus();
    return node instanceof SVGElement && focused !== left;
})()"""
"""Whether one sees what has the keyboard: an outline, or, of a drawing, a line of another colour than else."""
FAINT = """(() => {
    const rgb = (text) => (text.match(/[\\d.]+/g) ?? []).map((v) => (text.startsWith("color(") ? v * 255 : Number(v)));
    const linear = (v) => (v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4);
    const light = ([r, g, b]) => 0.2126 * linear(r / 255) + 0.7152 * linear(g / 255) + 0.0722 * linear(b / 255);
    const behind = (node) => {
        for (; node; node = node.parentElement) {
            const colour = rgb(getComputedStyle(node).backgroundColor);
            if (colour.length === 3) return colour;
        }
        return rgb(getComputedStyle(document.body).backgroundColor);
    };
    const out = [];
    const words = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
    while (words.nextNode()) {
        const node = words.currentNode.parentElement;
        const unseen = !words.currentNode.data.trim() || !node.checkVisibility();
        if (unseen || node.closest(".labels, script, option")) continue;
        const style = getComputedStyle(node);
        const colour = rgb(node instanceof SVGElement ? style.fill : style.color);
        const [a, b] = [light(colour), light(behind(node))].sort((p, q) => q - p);
        const ratio = (a + 0.05) / (b + 0.05);
        if (ratio < 4.5) out.push([words.currentNode.data.trim(), ratio]);
    }
    return out;
})()"""
"""Texts whose contrast is less than WCAG 2.2 asks of small ones (success criterion 1.4.3: 4.5 to 1)."""


def layout_of(
    device: str, polygon: np.ndarray, number: int = 1, extent: Literal["room", "visible"] = "room"
) -> Incoming:
    """A room as a device says it."""
    frame = Frame("hall", number, 1.7e9, time.monotonic(), np.zeros((4, 8, 3), np.uint8), PANORAMA)
    said = layout_message(
        frame, replace(layout(polygon), extent=extent), Source(device, "layout", "0" * 64), 0.1
    ).encoded()
    return Incoming(f"edge/{device}/hall/layout", said, retained=True)


@pytest.fixture
def relay() -> Relay:
    """Two devices, one of them in trouble."""
    relay = Relay()
    picture = cv2.imencode(".jpg", np.full((200, 400, 3), 90, np.uint8))[1].tobytes()
    for device, polygon in (("one", BOX), ("two", L_SHAPE)):
        relay.accept(validated(layout_of(device, polygon)))
        for kind, payload in (("room", room_glb(model(polygon))), ("picture", picture)):
            relay.accept(validated(Incoming(f"edge/{device}/hall/{kind}", payload, retained=True)))
    lost = json.dumps({"schema": "edge.state/1", "state": "offline"}).encode()
    relay.accept(validated(Incoming("edge/two/bridge/state", lost, retained=True)))
    return relay


@pytest.fixture
def shown(relay: Relay, tmp_path: Path) -> Iterator[Browser]:
    """Their page."""
    homes = Homes(tmp_path / "homes.json", relay.say)
    live = LivePage(relay, lambda device, camera: f"{device} {camera}", homes)
    with opened(live, tmp_path / "profile") as page:
        page.until("window.state?.glb === 1 && state.cameras.length === 2")
        yield page


def tab_to(shown: Browser, label: str, *, back: bool = False) -> None:
    """Press the Tab key until `label` has the keyboard; everything on the way has a name."""
    for _ in range(90):
        shown.key("Tab", shift=back)
        name = shown.value(FOCUSED)
        if name.startswith(label):
            return
        assert name or shown.value("document.activeElement === document.body"), shown.value(
            "document.activeElement.outerHTML"
        )
    raise AssertionError(f"the keyboard does not come to {label}")


def test_a_keyboard_alone_does_everything(shown: Browser, tmp_path: Path) -> None:
    """Camera, views, unit, tools, a download; what is pressed keeps the keyboard, and Escape gives it back."""
    tab_to(shown, "two/hall")
    shown.key("Enter")
    shown.until("state.chosen === 'two/hall' && state.glb === 2")
    assert shown.value(FOCUSED) == "two/hall"
    for label, view in (
        ("Plan", "plan"),
        ("Inside", "inside"),
        ("Home", "home"),
        ("All", "all"),
        ("Camera", "picture"),
    ):
        tab_to(shown, label, back=label == "Inside" or label == "Camera")
        shown.key("Enter")
        shown.until(f"state.view === '{view}'")
        assert shown.value(FOCUSED) == label
    tab_to(shown, "m → ft")
    for unit in ("ft", "m"):
        shown.key("Enter")
        shown.until(f"state.unit === '{unit}'")
    for view, label, panel in (
        ("picture", "Sheet on the floor", "sheet"),
        ("dollhouse", "True length", "calibrate"),
        ("dollhouse", "Add door or window", "openings"),
        ("dollhouse", "Measure", None),
    ):
        if shown.value("state.view") != view:
            tab_to(shown, "Dollhouse", back=True)
            shown.key("Enter")
        tab_to(shown, label)
        shown.key("Enter")
        taken = f"document.querySelector('[data-tool=\"{label}\"]').ariaPressed"
        shown.until(f"{taken} === 'true'")
        if panel:
            assert not shown.value(f"document.getElementById('{panel}').hidden")
            tab_to(shown, "Which length" if panel == "calibrate" else "Kind of" if panel == "openings" else "Size of")
        else:
            tab_to(shown, "The room in three dimensions", back=True)
            shown.key("Enter")
            for _ in range(4):
                shown.key("ArrowLeft")
            shown.key("Enter")
            shown.until("state.measured > 0")
        shown.key("Escape")
        shown.until(f"{taken} === 'false' && {FOCUSED} === {json.dumps(label)}")
        assert panel is None or shown.value(f"document.getElementById('{panel}').hidden")
    shown.call("Browser.setDownloadBehavior", behavior="allow", downloadPath=str(tmp_path))
    tab_to(shown, "plan.svg")
    shown.key("Enter")
    assert wait_until((tmp_path / "hall-plan.svg").exists, 20)


def test_one_sees_what_has_the_keyboard(shown: Browser) -> None:
    """In every view whatever the Tab key comes to is marked."""
    seen = set()
    for view in range(1, 8):
        shown.key(str(view))
        shown.value("document.activeElement.blur()")
        for _ in range(70):
            shown.key("Tab")
            name = shown.value(FOCUSED)
            if not name:
                break
            assert shown.value(MARKED), name
            seen.add(name)
    assert {"one/hall", "m → ft", "Measure", "plan.svg", "Wall 1", "Live", "Name of this home"} <= seen


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_texts_can_be_read(shown: Browser, scheme: str) -> None:
    """In every view, by day and by night."""
    shown.call("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": scheme}])
    for view in range(1, 8):
        shown.key(str(view))
        if view in (1, 5):
            shown.press("True length" if view == 1 else "Sheet on the floor")
        assert shown.value("document.body.innerText.length") > 100
        assert shown.value(FAINT) == [], view


def test_a_press_is_for_the_camera_that_is_shown(shown: Browser, relay: Relay) -> None:
    """Of two cameras of which the same is known, so that nothing but the camera differs."""
    review = ReviewInfo(people="kept", automatic=False, by_request=True, most_days=1.0)
    for device in ("one", "two"):
        info = of_the_device()["bridge_info"].model_copy(update={"device": device, "review": review})
        relay.accept(validated(Incoming(f"edge/{device}/bridge/info", info.encoded(), retained=True)))
        relay.accept(validated(layout_of(device, BOX, 2)))
    shown.until("document.getElementById('cards').textContent.includes('Keep for review')")
    for device in ("two", "one"):
        shown.press(f"{device}/hall")
        shown.until(f"state.chosen === '{device}/hall'")
        shown.value("new Promise((drawn) => requestAnimationFrame(() => requestAnimationFrame(drawn)))")
        shown.press("Keep for review")
        shown.until(f"document.getElementById('cards').textContent.includes('kept as {device} hall')")


def test_drawings_keep_their_words_inside(shown: Browser, relay: Relay) -> None:
    """Of a plan, also of what a camera sees in part; of the home; of the tiles; by day on a phone too."""
    relay.accept(validated(layout_of("one", BOX, 2, extent="visible")))
    outside = """
        [...document.querySelectorAll('svg.plan text')].filter((text) => {
            if (!text.checkVisibility()) return false;
            const [word, all] = [text, text.closest('svg')].map((node) => node.getBoundingClientRect());
            const fits = (a, b, size) => word[a] >= all[a] - 1 && word[b] <= all[b] + 1 && word[size] < all[size] / 2;
            return !fits('left', 'right', 'width') || !fits('top', 'bottom', 'height');
        }).map((text) => text.textContent)"""
    for width_px, height_px in ((1280, 800), (390, 844)):
        shown.size(width_px, height_px)
        shown.press("Plan")
        shown.until("document.querySelector('#plan').textContent.includes('only what this camera sees')")
        assert shown.value(outside) == []
        shown.press("Home")
        if width_px == 1280:
            shown.press("+ one/hall")
        shown.until("document.querySelectorAll('#home text').length === 2")
        assert shown.value(outside) == []


def test_a_press_counts_though_a_message_comes_meanwhile(shown: Browser, relay: Relay) -> None:
    """On a camera's tile, on a download and on a button beside numbers that change: down, a message, up."""
    polygons = iter((L_SHAPE, BOX * 1.1, BOX * 1.2))
    shown.value("(window.pressed = [], addEventListener('click', ({ target }) => pressed.push(target.textContent)))")
    for view, find in (
        ("Dollhouse", "[...document.querySelectorAll('.downloads a')].find((a) => a.textContent === 'plan.dxf')"),
        ("Dollhouse", "document.querySelector('#cards details summary')"),
        ("All", "document.querySelector('.tile')"),
    ):
        shown.press(view)
        x, y = shown.value(
            f"(() => {{ {find}.scrollIntoView(); const b = {find}.getBoundingClientRect();"
            " return [b.left + b.width / 2, b.top + b.height / 2]; })()"
        )
        shown.value("(pressed.length = 0)")
        frames, area = shown.value("[state.frames, document.body.innerText]")
        shown.call("Input.dispatchMouseEvent", type="mousePressed", x=x, y=y, button="left", clickCount=1)
        relay.accept(validated(layout_of("one", next(polygons), frames + 2)))
        shown.until(f"state.frames > {frames} && document.body.innerText !== {json.dumps(area)}")
        shown.call("Input.dispatchMouseEvent", type="mouseReleased", x=x, y=y, button="left", clickCount=1)
        wanted = shown.value(f"{find}?.textContent ?? null") if view != "All" else "one/hall"
        shown.until(f"pressed.some((text) => text.includes({json.dumps(wanted)}))")
