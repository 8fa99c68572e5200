"""Things asked for of a real daemon over a real broker: the answer, the list, the meshes, the room, the commands."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import cv2
import jsonschema
import pytest

from edge.derive.glb import read_objects
from edge.mqtt.schemas import json_schema
from tests.brokers import wait_until
from tests.edge.object_model import write_extruder
from tests.edge.things import PERSPECTIVE as LENS
from tests.edge.things import scene
from tests.integration.conftest import REPOSITORY
from tests.integration.test_requests import Served, ended, started

pytestmark = pytest.mark.slow
_, _, BOX = scene(LENS, (0.4, 2.5), 180.0)


def edge(*arguments: str) -> subprocess.CompletedProcess[str]:
    """A command of this program."""
    return subprocess.run(
        [sys.executable, "-m", "edge", *arguments], cwd=REPOSITORY, capture_output=True, text=True, timeout=300
    )


@pytest.fixture
def served(tmp_path: Path) -> Any:
    """A daemon whose camera sees a chair, with a tiny network of things beside the shipped ones."""
    engines = tmp_path / "engines"
    engines.mkdir()
    for name in ("depth", "layout", "lighting"):
        (engines / name).symlink_to(REPOSITORY / "engines" / name)
    write_extruder(engines / "objects")
    frame, _, _ = scene(LENS, (0.4, 2.5), 180.0)
    pictures = tmp_path / "pictures"
    pictures.mkdir()
    cv2.imwrite(str(pictures / "0.png"), frame.image[..., ::-1])
    camera = {
        "name": "hall",
        "source": {"type": "replay", "path": str(pictures), "fps": 5.0},
        "hfov_deg": 75.0,
        "camera_height_m": 1.5,
        "pitch_deg": -15.0,
        "tasks": ["depth", "layout", "lighting"],
    }
    tasks = {
        "depth": {"every_s": 1.0},
        "layout": {"every_s": 1.0},
        "lighting": {"every_s": 1.0},
        "objects": {"engine": "objects"},
    }
    inference = {"engines": str(engines), "threads": 1}
    found = started(tmp_path, cameras=[camera], tasks=tasks, inference=inference)
    yield found
    ended(found)


def last(served: Served, topic: str) -> bytes:
    """What was published there last."""
    return bytes(served.client.on(f"edge/test/hall/{topic}")[-1].payload)


def test_a_thing_is_asked_for_and_told(served: Served) -> None:
    """From a box come the answer, the list, the GLB, and, if it has a place, a node of the room; then it is gone."""
    info = json.loads(served.client.on("edge/test/bridge/info")[-1].payload)
    assert {e["task"]: e["name"] for e in info["engines"]}["objects"] == "objects"
    assert info["objects_by_request"] is True
    thing = served.done("objects", camera="hall", box=list(BOX), **{"class": "chair"})["object"]
    assert thing["class"] == "chair"
    assert thing["mesh"] is True
    assert wait_until(lambda: served.client.on("edge/test/hall/objects/model"), 30)
    said = json.loads(last(served, "objects"))
    jsonschema.Draft202012Validator(json_schema("objects")).validate(said)
    assert said["objects"] == [thing]
    assert [o.name for o in read_objects(last(served, "objects/model"))] == [thing["name"]]
    if thing["placement"] == "floor":
        assert wait_until(lambda: bool(read_objects(last(served, "room"))), 60)
    refusal = served.refused("objects", camera="hall", box=[0.02, 0.02, 0.2, 0.2])
    assert "polygon" in refusal
    assert served.done("objects", camera="hall", forget=True) == {"camera": "hall", "object": None, "count": 0}
    assert wait_until(lambda: not json.loads(last(served, "objects"))["objects"], 30)
    assert wait_until(lambda: last(served, "objects/model") == b"", 30)


def test_the_commands_know_its_engine(tmp_path: Path) -> None:
    """`edge check` proves it, `edge engines list` and `bench` take it, an engine of another kind is refused."""
    engines = tmp_path / "engines"
    shutil.copytree(REPOSITORY / "engines" / "depth", engines / "depth")
    write_extruder(engines / "objects")
    frame, _, _ = scene(LENS, (0.4, 2.5), 180.0)
    cv2.imwrite(str(tmp_path / "0.png"), frame.image[..., ::-1])
    path = tmp_path / "config.yaml"

    def configured(engine: str) -> None:
        path.write_text(
            json.dumps({
                "cameras": [{"name": "hall", "source": {"type": "replay", "path": str(tmp_path), "fps": 5.0},
                             "hfov_deg": 75.0, "tasks": ["depth"]}],
                "tasks": {"objects": {"engine": engine}},
                "inference": {"engines": str(engines), "backend": "ort-cpu", "threads": 1},
            })
        )  # fmt: skip

    configured("objects")
    checked = edge("check", "--config", str(path))
    line = next(line for line in checked.stdout.splitlines() if "engine objects" in line)
    assert "golden output reproduced" in checked.stdout, checked.stdout
    assert line
    timed = edge("engines", "bench", "objects", "--config", str(path))
    assert timed.returncode == 0, timed.stderr
    assert "objects" in timed.stdout
    assert edge("engines", "list", "--config", str(path)).returncode == 0
    configured("depth")
    refused = edge("check", "--config", str(path))
    assert "is for depth" in refused.stdout
    assert refused.returncode != 0
