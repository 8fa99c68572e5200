"""The pages' commands, run in a shell, in the order of the ledger: what they write and say, and how they end."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import yaml

from edge.derive.home import PlacedRoom
from edge.mqtt.topics import home_topic
from edge.mqtt.verbs import VERBS
from edge.scene import CameraModel, ImageArray
from edge.subscribe.homes import home_message
from tests.brokers import Subscriber, unused_port, wait_until
from tests.documentation.ledger import RUN, Run
from tests.documentation.pages import REPOSITORY, blocks
from tests.documentation.running import Place
from tests.edge.cameras.test_seams import real
from tests.edge.derive.calibrate.drawn import A4, blank, finished, floor_picture, held, near_poses, sheet_on
from tests.edge.derive.homes import room

HALL: dict[str, Any] = {
    "name": "hall",
    "source": {"type": "replay", "path": str(REPOSITORY / "edge" / "demo" / "panorama"), "fps": 2.0},
    "projection": "equirectangular",
    "camera_height_m": 1.3,
}


def those(scenario: str) -> list[Any]:
    """Commands of a scenario, with what is said of them, named by themselves."""
    return [pytest.param(command, run, id=command) for command, run in RUN[scenario].items()]


@pytest.mark.parametrize("scenario", ["with files alone"])
def test_commands_of_files(scenario: str, tmp_path: Path) -> None:
    """Schemas, a board, a report, a model's package and its signature: as the pages have them, one by one."""
    place = Place(tmp_path)
    for command, run in RUN[scenario].items():
        place.do(command, run)


# Beside a daemon ------------------------------------------------------------------------------------------------------


def configuration(place: Place, name: str, **change: Any) -> Path:
    """A configuration file of the folder."""
    config: dict[str, Any] = {
        "device": {"name": "north-1"},
        "cameras": [HALL],
        "inference": {"engines": "engines", "threads": 1},
        "tasks": {"depth": {"every_s": 1}, "layout": {"every_s": 1}, "lighting": {"every_s": 1}},
        "mqtt": {"embedded": {"port": unused_port(), "websocket_port": unused_port()}},
        "http": {"port": unused_port()},
    }
    path = place.folder / name
    path.write_text(yaml.safe_dump(config | change))
    return path


def rig_of_the_demo(folder: Path) -> dict[str, Any]:
    """A camera that is composed of two, which look into the demo's room."""
    wide = CameraModel("perspective", hfov_rad=np.deg2rad(110))
    members = []
    for name, yaw_deg in (("left", -45), ("right", 45)):
        (folder / name).mkdir()
        picture = real(replace(wide, yaw_rad=np.deg2rad(yaw_deg)), (640, 480))
        cv2.imwrite(str(folder / name / "0.png"), picture[..., ::-1])
        source = {"type": "replay", "path": str(folder / name), "fps": 5.0}
        members.append({"name": name, "source": source, "hfov_deg": 110, "yaw_deg": yaw_deg})
    return HALL | {"name": "around", "source": {"type": "rig", "cameras": members}}


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    """A folder with a daemon of one camera that allows every request, a home that was put together, and passwords."""
    place = Place(tmp_path_factory.mktemp("site"))
    configuration(place, "other.yaml")
    configuration(place, "rig.yaml", cameras=[rig_of_the_demo(place.folder)])
    (loss,) = [yaml.safe_load(b.text) for b in blocks() if b.text.startswith("heat_loss:")]
    allowed = {"requests": {"allow": list(VERBS)}, "review": {"folder": "review"}}
    path = configuration(place, "config.yaml", cameras=[HALL | loss], **allowed)
    written = yaml.safe_load(path.read_text())
    place.broker_port, place.http_port = written["mqtt"]["embedded"]["port"], written["http"]["port"]
    shutil.copy(next((REPOSITORY / "edge" / "demo" / "panorama").glob("*.jpg")), place.folder / "hall.jpg")
    for name in ("secret", "camera.password"):
        (place.folder / name).write_text("not much of one\n")
    log = (place.folder / "run.log").open("w")
    daemon = subprocess.Popen(
        [sys.executable, "-m", "edge", "run", "-c", str(path)], cwd=place.folder, env=place.environment,
        stdout=log, stderr=subprocess.STDOUT,
    )  # fmt: skip
    subscriber = Subscriber(place.broker_port, version="3.1.1")
    try:
        assert wait_until(lambda: "serving until" in (place.folder / "run.log").read_text(), 120)
        subscriber.start()
        subscriber.wait("edge/north-1/hall/room", timeout_s=240)
        flat = home_message("flat", [PlacedRoom(room("hall", 4, 3)), PlacedRoom(room("living", 5, 4), 5.1)])
        assert subscriber.client is not None
        subscriber.client.publish(home_topic("flat"), flat.encoded(), qos=1, retain=True).wait_for_publish(5)
        yield place
    finally:
        subscriber.stop()
        daemon.terminate()
        status = daemon.wait(30)
        log.close()
    assert status == 0, (place.folder / "run.log").read_text()


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.parametrize(("command", "run"), those("of a broker and a daemon"))
def test_commands_of_a_broker_and_a_daemon(site: Place, command: str, run: Run) -> None:
    """Each does what its page says, beside a daemon that serves, in the folder of its configuration."""
    site.do(command, run)


# A camera to calibrate ------------------------------------------------------------------------------------------------


def held_before_it() -> list[ImageArray]:
    """The board in somebody's hands, turned to another side in each picture."""
    images = []
    for pose in near_poses():
        image = blank()
        sheet_on(image, partial(held, pose), A4.plain)
        images.append(finished(image))
    return images


@pytest.fixture(scope="module")
def hung(tmp_path_factory: pytest.TempPathFactory) -> Place:
    """A camera that looks down at a board on the floor, at a blank sheet, and one before which a board is held."""
    place = Place(tmp_path_factory.mktemp("hung"))
    places = [(0.1, 1.9, 0.4), (-0.3, 2.1, 0.1), (0.4, 1.7, -0.5), (0.0, 2.0, 1.0)]
    on_the_floor = [floor_picture(np.deg2rad(-24.0), np.deg2rad(1.5), 1.45, where) for where in places]
    blank_sheet = [floor_picture(np.deg2rad(-24.0), np.deg2rad(1.5), 1.45, places[0], board=None)]
    for name, images in (
        ("config.yaml", on_the_floor),
        ("sheet.yaml", blank_sheet),
        ("lens.yaml", held_before_it()),
    ):
        pictures = place.folder / f"{name}-pictures"
        pictures.mkdir()
        for i, image in enumerate(images):
            cv2.imwrite(str(pictures / f"{i}.png"), cv2.resize(image[..., ::-1], (1440, 810)))
        camera = {
            "name": "hall",
            "source": {"type": "replay", "path": str(pictures), "fps": 5.0},
            "hfov_deg": 75.0,
            "camera_height_m": 1.4,
            "pitch_deg": -24.0,
        }
        configuration(place, name, cameras=[camera])
    return place


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.parametrize(("command", "run"), those("of a camera to calibrate"))
def test_commands_of_a_camera_to_calibrate(hung: Place, command: str, run: Run) -> None:
    """Each finds what it is for, with the board, with lengths, with the lens."""
    hung.do(command, run)


# make -----------------------------------------------------------------------------------------------------------------


@pytest.fixture
def made(tmp_path: Path) -> Place:
    """A checkout whose virtual environment is made: this one's Python and programs."""
    place = Place(tmp_path)
    for stamp in (".python", ".device", ".test", ".dev"):
        (tmp_path / stamp).touch()
    place.instead["make run"] = f"make -C {REPOSITORY} VENV={tmp_path} run"
    return place


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.parametrize(("command", "run"), those("of make"))
def test_commands_of_make(made: Place, command: str, run: Run) -> None:
    """The recipes run, once what they install is there."""
    made.do(command, run)
