"""A sheet on the floor, clicked in the page: the lines are those of `edge calibrate`, and true."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from typer.testing import CliRunner

from edge.__main__ import app
from edge.derive.calibrate.floor import in_camera, on_floor
from edge.errors import EdgeError
from edge.mqtt.info_message import CameraInfo
from edge.mqtt.link import Incoming
from edge.publish.compose import calibrated_fisheye, calibrated_lens, pose
from edge.publish.pictures import PictureOptions, camera_picture
from edge.scene import CameraModel, Fisheye, Frame, Intrinsics
from edge.subscribe.cameras import camera_model
from edge.subscribe.watcher import validated
from edge.viewer.live import LivePage
from edge.viewer.relay import Relay
from edge.viewer.sheet import Sheet, hung_by
from tests.documentation.examples import of_the_device
from tests.edge.derive.calibrate.drawn import (
    A4,
    BELOW,
    FISHEYE,
    HFOV_RAD,
    K,
    ceiling_picture,
    drawn_at,
    floor_picture,
)
from tests.edge.viewer.chromium import EXECUTABLE, Browser, opened

PITCH_DEG, ROLL_DEG, HEIGHT_M = -24.0, 1.5, 1.45
PLACE = (0.1, 1.7, 0.4)
ROUGH = CameraModel("perspective", hfov_rad=HFOV_RAD, camera_height_m=1.3, pitch_rad=float(np.deg2rad(-20.0)))
"""What the configuration says of the camera."""
WHERE = "(([x, y]) => { const b = document.querySelector('.frame > svg').getBoundingClientRect();"
WHERE += " return [b.left + x * b.width, b.top + y * b.height]; })"
"""Where a place of the picture, in fractions of it, is on the screen."""


SHEET_M = np.array([[0, 0], [1, 0], [1, 1], [0, 1]]) * (A4.width_m, A4.height_m)
SHEET_M -= (SHEET_M.max(axis=0) - A4.plain.points_m.max(axis=0)) / 2
"""Its corners where the first of its board's is the origin."""


def corners() -> np.ndarray:
    """(4, 2) where the sheet's corners truly are, in fractions of the picture."""
    seen = in_camera(on_floor(SHEET_M, *PLACE), np.deg2rad(PITCH_DEG), np.deg2rad(ROLL_DEG), HEIGHT_M)
    return drawn_at(seen, K) / (K.width_px, K.height_px)


def camera_info(model: CameraModel) -> CameraInfo:
    """What a device says of a camera."""
    fisheye = calibrated_fisheye(model.fisheye)
    hfov_deg = None if model.hfov_rad is None else float(np.degrees(model.hfov_rad))
    return CameraInfo(
        name="hall", source="replay", projection=model.projection, camera_height_m=model.camera_height_m,
        hfov_deg=hfov_deg, lens=calibrated_lens(model.intrinsics), fisheye=fisheye, pose=pose(model), tasks=("layout",),
        settings={},
    )  # fmt: skip


def known(model: CameraModel, frame: Frame) -> Relay:
    """What a page has of a camera that publishes its picture, as a device publishes it."""
    relay = Relay()
    said = of_the_device()["bridge_info"].model_copy(update={"device": "one", "cameras": (camera_info(model),)})
    picture = camera_picture(frame, "one", PictureOptions())().data
    for kind, payload in (("bridge/info", said.encoded()), ("hall/picture", picture)):
        relay.accept(validated(Incoming(f"edge/one/{kind}", payload, retained=True)))
    return relay


@pytest.fixture
def relay() -> Relay:
    """Of one whose picture is exact, but for noise and JPEG."""
    image = floor_picture(np.deg2rad(PITCH_DEG), np.deg2rad(ROLL_DEG), HEIGHT_M, PLACE, board=None)
    return known(ROUGH, Frame("hall", 1, 1.7e9, time.monotonic(), image, ROUGH))


@pytest.fixture
def shown(relay: Relay, tmp_path: Path) -> Iterator[Browser]:
    """The camera's picture in a browser, the tool taken."""
    with opened(LivePage(relay), tmp_path / "profile") as page:
        page.until("window.state?.chosen === 'one/hall'")
        page.press("Camera")
        page.press("Sheet on the floor")
        page.until("document.querySelector('.frame > svg:not([hidden])') !== null")
        yield page


def is_true(lines: str) -> None:
    """Height within 1 %, pitch and roll within 0.3 degrees."""
    found = yaml.safe_load(lines)
    assert found["camera_height_m"] == pytest.approx(HEIGHT_M, rel=0.01)
    assert found["pitch_deg"] == pytest.approx(PITCH_DEG, abs=0.3)
    assert found["roll_deg"] == pytest.approx(ROLL_DEG, abs=0.3)


@pytest.mark.slow
@pytest.mark.skipif(EXECUTABLE is None, reason="needs Chromium")
def test_four_clicks_give_the_lines_of_the_command(shown: Browser, relay: Relay, tmp_path: Path) -> None:
    """Clicked a few pixels off, one far off and dragged home: the height to 1 %, the tilt to 0.3 degrees.

    The command, given the picture and the corners as the page has them, prints the same.
    """
    true = corners()
    off_px = np.array([[2, -1], [-2, 1], [1, 2], [60, 20]])
    for corner, off in zip(true, off_px, strict=True):
        x, y = shown.value(f"{WHERE}({corner.tolist()})")
        shown.click(x + off[0], y + off[1])
    shown.until("state.sheet.error")  # no sheet has that shape
    start, end = (shown.value(f"{WHERE}({at})") for at in ("state.sheet.corners[3]", true[3].tolist()))
    shown.drag(start, end)
    shown.until("state.sheet.lines")
    lines = shown.value("state.sheet.lines")
    is_true(lines)
    assert shown.value("document.querySelector('#sheet pre').textContent") == lines
    assert "A4 sheet: height" in shown.value("document.getElementById('sheet').textContent")

    (tmp_path / "hall.jpg").write_bytes(relay.last("edge/one/hall/picture") or b"")
    hall = {"name": "hall", "source": {"type": "replay", "path": "."}, "hfov_deg": 75.0, "pitch_deg": -20.0}
    engines = {"engines": str(Path(__file__).parents[3] / "engines")}
    (tmp_path / "config.yaml").write_text(yaml.safe_dump({"cameras": [hall], "inference": engines}))
    at = ":".join(f"{640 * x:.6f},{360 * y:.6f}" for x, y in shown.value("state.sheet.corners"))
    command = ["calibrate", "hall", "-c", tmp_path / "config.yaml", "--picture", tmp_path / "hall.jpg"]
    done = CliRunner().invoke(app, [str(a) for a in (*command, "--sheet", "a4", "--corners", at)])
    assert (done.exit_code, done.stdout.splitlines()) == (
        0, [lines.splitlines()[0], "    # in place of pitch_deg", *lines.splitlines()[1:]],
    )  # fmt: skip
    told = shown.value("state.sheet.told")
    assert [line for line in done.stderr.splitlines() if line] == told


@pytest.mark.slow
@pytest.mark.skipif(EXECUTABLE is None, reason="needs Chromium")
def test_a_keyboard_alone_does_it(shown: Browser) -> None:
    """Corners put there at once, moved by arrow keys; another size of paper is another height; Escape ends."""
    shown.press("Corners by keys")
    shown.until("document.activeElement.getAttribute('aria-label')?.startsWith('Corner 1')")
    free = [tuple(at) for at in corners()]
    for number in range(4):
        shown.value(f"document.querySelectorAll('.corner')[{number}].focus()")
        at = shown.value(f"state.sheet.corners[{number}]")
        goal = min(free, key=lambda p: float(np.hypot(p[0] - at[0], p[1] - at[1])))
        free.remove(goal)
        for axis, keys, size in ((0, ("ArrowLeft", "ArrowRight"), 640), (1, ("ArrowUp", "ArrowDown"), 360)):
            steps = round((goal[axis] - at[axis]) * size)
            key = keys[steps > 0]
            for _ in range(abs(steps) // 10):
                shown.key(key, shift=True)
            for _ in range(abs(steps) % 10):
                shown.key(key)
    shown.until("state.sheet.lines")
    is_true(shown.value("state.sheet.lines"))
    shown.value("(() => { const s = document.querySelector('#sheet select'); s.value = 'a3'; s.onchange(); })()")
    shown.until("state.sheet.told?.some((said) => said.startsWith('A3 sheet'))")
    taller = yaml.safe_load(shown.value("state.sheet.lines"))["camera_height_m"]
    assert taller == pytest.approx(HEIGHT_M * 2**0.5, rel=0.02)
    shown.key("Escape")
    shown.until("state.sheet === null && document.querySelector('.frame > svg').matches('[hidden]')")
    assert shown.value("document.getElementById('sheet').hidden")


def test_what_cannot_be_is_said(relay: Relay) -> None:
    """Corners of something else, a camera that is not there, and one whose picture is not published."""
    far = ((0.1, 0.6), (0.9, 0.6), (0.9, 0.9), (0.1, 0.9))
    for camera, said in (
        ("one/hall", "lies no A4 sheet"),
        ("one/attic", "no picture of one/attic"),
        ("", "no picture"),
    ):
        with pytest.raises(EdgeError, match=said):
            hung_by(Sheet(camera=camera, paper="a4", corners=far), relay)


def test_a_camera_is_what_its_device_says_of_it() -> None:
    """Whatever its lens and however it hangs: what is published of it is the same camera again."""
    random = np.random.default_rng(5)
    bent = Intrinsics(960, 540, 625.512, 624.987, 481.231, 268.004, k1=-0.123456, p1=1e-4)
    lenses: list[dict[str, Any]] = [
        {"projection": "perspective", "hfov_rad": HFOV_RAD},
        {"projection": "perspective", "intrinsics": bent},
        {"projection": "fisheye", "fisheye": FISHEYE},
        {"projection": "equirectangular"},
    ]
    for lens in lenses:
        for yaw, pitch, roll in random.uniform((-3.1, -1.5, -3.1), (3.1, 1.5, 3.1), (20, 3)):
            model = CameraModel(**lens, camera_height_m=1.3, yaw_rad=yaw, pitch_rad=pitch, roll_rad=roll)
            said = camera_model(camera_info(model))
            assert (said.projection, said.intrinsics, said.camera_height_m) == (model.projection, model.intrinsics, 1.3)
            assert (said.hfov_rad or 0) == pytest.approx(model.hfov_rad or 0)
            if isinstance(model.fisheye, Fisheye):
                assert isinstance(said.fisheye, Fisheye)
                assert said.fisheye.fov_rad == pytest.approx(model.fisheye.fov_rad)
                assert said.fisheye.fx_px == model.fisheye.fx_px
            angles = (said.yaw_rad, said.pitch_rad, said.roll_rad)
            assert angles == pytest.approx((yaw, pitch, roll), abs=1e-6)


def test_a_fisheye_under_the_ceiling() -> None:
    """Published smaller than its lens was calibrated at, with a sheet below it: height to 1 %, pitch to .3."""
    pitch_rad, roll_rad, height_m = float(np.deg2rad(-86.0)), float(np.deg2rad(3.0)), 2.2
    model = CameraModel("fisheye", fisheye=FISHEYE, camera_height_m=2.0, pitch_rad=float(np.deg2rad(-88.0)))
    frame = Frame("hall", 1, 1.7e9, time.monotonic(), ceiling_picture(pitch_rad, roll_rad, height_m, None), model)
    at = drawn_at(in_camera(on_floor(SHEET_M, *BELOW), pitch_rad, roll_rad, height_m), FISHEYE)
    at /= (FISHEYE.width_px, FISHEYE.height_px)
    found = hung_by(Sheet(camera="one/hall", paper="a4", corners=tuple((x, y) for x, y in at)), known(model, frame))
    lines = yaml.safe_load(found["lines"])
    assert lines["camera_height_m"] == pytest.approx(height_m, rel=0.01), found
    assert lines["pitch_deg"] == pytest.approx(-86.0, abs=0.3), found
    assert "yaw_deg" in lines, "it looks down so steeply that yaw and roll are one"
