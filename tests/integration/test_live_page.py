"""The live page in a real browser, fed by a real daemon through a real broker."""

from __future__ import annotations

import json
import re
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
import pytest
import yaml

from edge.config.sections import load_config
from tests.edge.viewer.chromium import EXECUTABLE, Browser, browser
from tests.integration.conftest import PANORAMA, PERSPECTIVE, REPOSITORY, Starter

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(EXECUTABLE is None, reason="needs Chromium (apt install chromium)"),
]

ROOM = {
    "openings": [{"kind": "door", "bearing_deg": [-12, 8], "height_m": 2.0}],
    "heat_loss": {"design": {"outside_c": -3}, "walls": [{"bearing_deg": [-60, 60], "to": "outside"}]},
}
WALL = """
    (([wall, along]) => {
        const line = document.querySelectorAll('#plan .target')[wall];
        const [x, y] = ['x', 'y'].map((k) => [1, 2].map((n) => Number(line.getAttribute(k + n))));
        const at = new DOMPoint(x[0] + along * (x[1] - x[0]), y[0] + along * (y[1] - y[0]));
        const { x: right, y: down } = at.matrixTransform(line.getScreenCTM());
        return [right, down];
    })
"""
"""Where a place of a wall on the plan is on the screen."""


@pytest.fixture
def page(tmp_path: Path, daemon: Starter) -> Iterator[tuple[Browser, str]]:
    """A browser that shows the page of a daemon with two cameras, once everything was inferred."""
    run = daemon(
        "--show",
        "--page-port",
        "0",
        "--homes",
        str(tmp_path / "homes.json"),
        cameras=[PANORAMA | ROOM, PERSPECTIVE],
        mqtt={"embedded": {"port": 18830, "websocket_port": 18831}},
    )
    assert run.said("live page:"), run.lines
    address = next(line.split("live page: ")[1] for line in run.lines if "live page: " in line)
    with browser(tmp_path / "profile") as shown:
        shown.open(address)
        shown.until("window.state?.glb && state.light && state.cameras.length === 2", 90)
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
    shown.until("state.points > 1000")
    assert np.abs(picture(shown)[stage].astype(int) - room).sum(-1).max() > 100
    shown.press("Depth points")

    shown.press("Measure")
    for x_px, y_px in ((450, 450), (560, 480)):
        shown.click(x_px, y_px)
    shown.until("state.measured > 0.05")

    shown.press("True length")
    shown.value(
        "(() => { const [c, t] = ['select', 'input'].map((n) => document.querySelector(`.calibrate ${n}`));"
        " c.selectedIndex = c.options.length - 1; t.value = String(1.1 * c.value); t.oninput(); })()"
    )
    said = shown.value("document.querySelector('.calibrate output').textContent")
    assert float(re.fullmatch(r"camera_height_m: ([\d.]+)", said)[1]) == pytest.approx(1.1 * 1.3, abs=0.001)
    shown.press("True length")

    shown.press("Plan")
    lengths = shown.value("[...document.querySelectorAll('#plan .size')].map(t => t.textContent)")
    assert len(lengths) >= 3
    assert all(re.fullmatch(r"\d+\.\d\d m", text) for text in lengths)
    shown.press("m → ft")
    shown.until("document.querySelector('#plan .area').textContent.endsWith('ft²')")
    shown.press("ft → m")
    shown.press("Camera")
    shown.until("state.edges > 100")
    assert shown.value("state.error") is None
    assert shown.problems == []
    shown.press("All")
    assert shown.value("document.querySelectorAll('#all .tile').length") == 2
    asked = {url.partition("?")[0] for url in shown.asked if not url.startswith(f"blob:{address}")}
    assert asked <= {address + name for name in ("", "app.js", "style.css")}


def test_it_fits_a_phone_and_goes_by_keys(page: tuple[Browser, str]) -> None:
    """390 by 844 without anything wider than the screen; 4 shows the plan; every button can be reached."""
    shown, address = page
    shown.open(address, 390, 844, phone=True)
    shown.until("window.state?.glb > 0")
    assert shown.value("document.documentElement.scrollWidth") <= 390
    shown.key("4")
    shown.until("state.view === 'plan'")
    assert shown.value("document.querySelector('#plan svg') !== null")
    assert shown.value("[...document.querySelectorAll('button')].every(b => b.tabIndex >= 0)")


def test_looking_back_and_live_again(page: tuple[Browser, str]) -> None:
    """The slider stops what comes; Live takes it up again."""
    shown, _ = page
    shown.until("!document.getElementById('scrub').disabled")
    shown.value("(() => { const s = document.getElementById('scrub'); s.value = 500; s.oninput(); })()")
    shown.until("state.live === false")
    shown.until("((before) => new Promise((r) => setTimeout(() => r(state.frames === before), 1500)))(state.frames)")
    before = shown.value("state.frames")
    shown.press("Live")
    shown.until(f"state.frames > {before} + 3")


def test_doors_and_heat_loss_by_clicks(page: tuple[Browser, str], tmp_path: Path) -> None:
    """Two clicks on a wall are a window, one says what is behind it; the daemon takes the lines that are printed."""
    shown, _ = page
    shown.until("state.openings === 1")
    shown.press("Plan")
    shown.until("document.querySelector('#plan .hole.door.configured') !== null")
    shown.press("Heat loss")
    shown.until("[...document.querySelectorAll('#plan .wall')].some((wall) => wall.style.stroke)")
    shown.click(*shown.value(f"{WALL}([2, 0.5])"))
    shown.until("state.heatYaml")
    clicked = shown.value("state.heatYaml")
    shown.press("Close")
    shown.value("(state.heatYaml = null)")
    button = "[...document.querySelectorAll('#tools button')].find((b) => b.textContent === 'What is behind the walls')"
    shown.value(f"{button}.focus()")
    shown.key("Enter")  # no mouse: the same choices, the first has the keyboard
    shown.until("document.activeElement.closest('#behind') !== null && state.heatYaml")
    assert shown.value("state.heatYaml") == clicked
    assert "Measure next" in shown.value("document.getElementById('cards').textContent")
    shown.press("Heat loss")
    shown.press("Add door or window")
    shown.value("(() => { const s = document.querySelector('#openings select'); s.value = 'window'; s.onchange(); })()")
    for along in (0.3, 0.6):
        shown.click(*shown.value(f"{WALL}([2, {along}])"))
    shown.until("state.openings === 2 && document.querySelector('#plan .hole.window.new') !== null")
    shown.press("Dollhouse")
    shown.until("[...document.querySelectorAll('.labels .hole')].some((label) => label.textContent.includes('new'))")
    camera = (
        PANORAMA | yaml.safe_load(shown.value("state.openingsYaml")) | yaml.safe_load(shown.value("state.heatYaml"))
    )
    path = tmp_path / "pasted.yaml"
    path.write_text(yaml.safe_dump({"inference": {"engines": str(REPOSITORY / "engines")}, "cameras": [camera]}))
    (pasted,) = load_config(path).cameras
    assert [o.kind for o in pasted.openings] == ["window"]
    assert pasted.heat_loss is not None
    assert shown.problems == []


def test_a_home_is_put_together_and_kept(page: tuple[Browser, str], tmp_path: Path) -> None:
    """Two rooms, one dragged over the other: the overlap is said; dragged away, it is not; saved, it has addresses."""
    shown, address = page
    shown.press("Home")
    shown.until("document.querySelectorAll('#home .bar button').length === 2")
    for count, name in enumerate(("panorama", "perspective"), 1):
        shown.press(f"+ {name}")
        shown.until(f"state.home.rooms === {count}")
    middle = """
        ((i) => {{
            const r = document.querySelectorAll('.placed')[i].getBoundingClientRect();
            return [r.x + r.width / 2, r.y + r.height / 2];
        }})({})
    """
    (x, y), (to_x, to_y) = (shown.value(middle.format(i)) for i in (1, 0))
    shown.drag((x, y), (to_x + 10, to_y + 10))
    shown.until("state.home.overlaps === 1")
    shown.until("document.getElementById('cards').textContent.includes('overlap by')")
    shown.value("document.querySelector('.placed.chosen').focus()")
    for _ in range(16):
        shown.key("ArrowRight", shift=True)
    shown.until("state.home.overlaps === 0")
    shown.press("Save")
    shown.until("state.home.dirty === false")
    kept = json.loads((tmp_path / "homes.json").read_text())
    assert [room["name"] for room in kept["homes"][0]["rooms"]] == ["panorama", "perspective"]
    with urllib.request.urlopen(f"{address}home/Home/plan.svg", timeout=10) as answer:
        assert b"panorama" in answer.read()
    shown.open(f"{address}?again")
    shown.until("window.state?.home?.rooms === 2")
    assert shown.problems == []
