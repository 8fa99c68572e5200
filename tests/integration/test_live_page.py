"""The live page in a real browser, fed by a real daemon through a real broker."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
import pytest

from tests.edge.viewer.chromium import EXECUTABLE, Browser, browser
from tests.integration.conftest import PANORAMA, PERSPECTIVE, Starter

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(EXECUTABLE is None, reason="needs Chromium (apt install chromium)"),
]


@pytest.fixture
def page(tmp_path: Path, daemon: Starter) -> Iterator[tuple[Browser, str]]:
    """A browser that shows the page of a daemon with two cameras, once everything was inferred."""
    run = daemon(
        "--show",
        "--page-port",
        "0",
        cameras=[PANORAMA, PERSPECTIVE],
        mqtt={"embedded": {"port": 18830, "websocket_port": 18831}},
    )
    assert run.said("live page:"), run.lines
    address = next(line.split("live page: ")[1] for line in run.lines if "live page: " in line)
    with browser(tmp_path / "profile") as shown:
        shown.open(address)
        shown.until("window.state?.glb && state.light && state.points && state.cameras.length === 2", 90)
        yield shown, address


def picture(shown: Browser) -> np.ndarray:
    """What the browser shows, BGR."""
    decoded = cv2.imdecode(np.frombuffer(shown.screenshot(), np.uint8), cv2.IMREAD_COLOR)
    assert decoded is not None
    return decoded


def test_everything_is_shown(page: tuple[Browser, str], tmp_path: Path) -> None:
    """Room, probe, points, plan and picture are drawn; two clicks measure; nothing but its own host is asked."""
    shown, address = page
    stage = (slice(120, 700), slice(20, 940))
    ground = picture(shown)[60, 950]
    room = picture(shown)[stage]
    assert (np.abs(room.astype(int) - ground).sum(-1) > 24).mean() > 0.2
    shown.press("Depth points")
    assert np.abs(picture(shown)[stage].astype(int) - room).sum(-1).max() > 100
    shown.press("Depth points")

    shown.press("Measure")
    for x_px, y_px in ((450, 450), (560, 480)):
        shown.click(x_px, y_px)
    shown.until("state.measured > 0.05")

    shown.press("Plan")
    lengths = shown.value("[...document.querySelectorAll('#plan .size')].map(t => t.textContent)")
    assert len(lengths) >= 3
    assert all(re.fullmatch(r"\d+\.\d\d m", text) for text in lengths)
    shown.press("m → ft")
    shown.until("document.querySelector('#plan .area').textContent.endsWith('ft²')")
    shown.press("ft → m")
    shown.press("Camera")
    assert shown.value("document.querySelector('#picture canvas').width") >= 256
    assert shown.value("state.error") is None
    assert shown.problems == []
    asked = {url.partition("?")[0] for url in shown.asked if not url.startswith(f"blob:{address}")}
    assert asked <= {address + name for name in ("", "app.js", "style.css")}


def test_it_fits_a_phone_and_goes_by_keys(page: tuple[Browser, str]) -> None:
    """390 by 844 without anything wider than the screen; 4 shows the plan; every button can be reached."""
    shown, address = page
    shown.open(address, 390, 844, phone=True)
    shown.until("window.state?.glb > 0")
    assert shown.value("document.documentElement.scrollWidth") <= 390
    shown.call("Input.dispatchKeyEvent", type="keyDown", key="4", text="4")
    shown.until("state.view === 'plan'")
    assert shown.value("document.querySelector('#plan svg') !== null")
    assert shown.value("[...document.querySelectorAll('button')].every(b => b.tabIndex >= 0)")


def test_looking_back_and_live_again(page: tuple[Browser, str]) -> None:
    """The slider stops what comes; Live takes it up again."""
    shown, _ = page
    shown.until("!document.getElementById('scrub').disabled")
    shown.value("(() => { const s = document.getElementById('scrub'); s.value = 500; s.oninput(); })()")
    shown.until("state.live === false")
    shown.value("new Promise(r => setTimeout(r, 600))")
    before = shown.value("state.frames")
    shown.value("new Promise(r => setTimeout(r, 1500))")
    assert shown.value("state.frames") == before
    shown.press("Live")
    shown.until(f"state.frames > {before} + 3")
