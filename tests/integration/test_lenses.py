"""Cameras of every lens in one daemon: a rig, a cube, a fisheye; a rig that lost a camera."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from edge.cameras.cube import FACES, face_view
from edge.scene import CameraModel, FisheyeCircle, ImageArray
from tests.brokers import Mosquitto, Subscriber, wait_until
from tests.edge.cameras.test_seams import real
from tests.integration.conftest import PANORAMA, Starter, check_message

pytestmark = pytest.mark.slow
WIDE = CameraModel("perspective", hfov_rad=np.deg2rad(100))


def written(path: Path, image: ImageArray) -> str:
    """A picture as a file."""
    cv2.imwrite(str(path), image[..., ::-1])
    return str(path)


def member(folder: Path, name: str, yaw_deg: float) -> dict[str, Any]:
    """A camera of a rig in the demo's room."""
    picture = real(replace(WIDE, yaw_rad=np.deg2rad(yaw_deg)), (320, 240))
    (folder / name).mkdir()
    written(folder / name / "0.png", picture)
    source = {"type": "replay", "path": str(folder / name), "fps": 5.0}
    return {"name": name, "source": source, "hfov_deg": 100.0, "yaw_deg": yaw_deg}


def composed(name: str, source: dict[str, Any]) -> dict[str, Any]:
    """A camera with a composed source."""
    return {
        "name": name,
        "source": source | {"width_px": 1024},
        "projection": "equirectangular",
        "camera_height_m": 1.3,
    }


def test_every_lens_publishes_what_it_sees(
    tmp_path: Path, daemon: Starter, mosquitto: Callable[..., Mosquitto], subscribe: Callable[..., Subscriber]
) -> None:
    """A rig's room is the visible part, a cube's the panorama's own; a fisheye says its lens; a lost camera is said."""
    files = [written(tmp_path / f"{face}.png", real(face_view(face).model, (256, 256))) for face in FACES]
    around = real(CameraModel("fisheye", fisheye=FisheyeCircle(np.deg2rad(200))), (512, 512))
    (tmp_path / "empty").mkdir()
    nothing = {"type": "replay", "path": str(tmp_path / "empty"), "watch": True}
    left, right = member(tmp_path, "left", -45), member(tmp_path, "right", 45)
    fisheye = {"name": "fisheye", "projection": "fisheye", "fisheye": {"fov_deg": 200}, "camera_height_m": 1.3}
    cameras = [
        PANORAMA,
        composed("cube", {"type": "cube", "faces": files}),
        composed("rig", {"type": "rig", "cameras": [left, right]}),
        composed("lost", {"type": "rig", "cameras": [left, right | {"source": nothing}]}),
        fisheye | {"source": {"type": "replay", "path": written(tmp_path / "f.png", around), "fps": 2.0}},
    ]
    broker = mosquitto()
    subscriber = subscribe(broker.port)
    run = daemon(cameras=cameras, mqtt={"host": "127.0.0.1", "port": broker.port}, health={"every_s": 1.0})

    def last(topic: str) -> dict[str, Any]:
        subscriber.wait(f"edge/test/{topic}", timeout_s=60)
        return dict(json.loads(subscriber.on(f"edge/test/{topic}")[-1].payload))

    rooms = {name: last(f"{name}/layout") for name in ("panorama", "cube", "rig", "fisheye", "lost")}
    depths = {name: last(f"{name}/depth") for name in ("panorama", "cube", "rig", "fisheye")}
    assert {name: room["extent"] for name, room in rooms.items()} == {
        "panorama": "room",
        "cube": "room",
        "rig": "visible",
        "fisheye": "visible",
        "lost": "visible",
    }
    assert rooms["cube"]["metric"]["area_m2"] == pytest.approx(rooms["panorama"]["metric"]["area_m2"], rel=0.15)
    medians = {name: depth["metric"]["median_m"] for name, depth in depths.items()}
    assert medians["cube"] == pytest.approx(medians["panorama"], rel=0.15)
    assert depths["cube"]["valid_fraction"] == 1.0
    assert 0.1 < depths["rig"]["valid_fraction"] < 0.6
    assert depths["fisheye"]["kind"] == "range"
    assert depths["fisheye"]["lens"] is None
    assert depths["fisheye"]["fisheye"]["fov_deg"] == 200
    assert depths["fisheye"]["valid_fraction"] == pytest.approx(np.pi / 4, abs=0.02)

    def said() -> list[str]:
        return [text for text in last("bridge/health")["degraded"] if text.startswith("camera lost")]

    assert wait_until(lambda: bool(said()), 30), run.lines
    assert "right sends no pictures; its part of the panorama is masked" in said()[0]
    assert wait_until(lambda: bool(last("lost/layout")["degraded"]), 20)
    for message in list(subscriber.received):
        check_message(message.topic, message.payload)
    assert run.terminate() == 0
