"""Requests to a real daemon over a real broker: what an integrator asks, from any client."""

from __future__ import annotations

import base64
import contextlib
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import cv2
import jsonschema
import numpy as np
import psutil
import pytest
import yaml

from edge.commands.mosquitto import Mosquitto, mosquitto_program
from edge.commands.page import flag_over
from edge.errors import EdgeError
from edge.mqtt.endpoint import Endpoint
from edge.mqtt.schemas import request_schemas
from edge.mqtt.verbs import VERBS
from tests.brokers import Subscriber, wait_until
from tests.edge.inference.conftest import model_folder  # noqa: F401 - a fixture
from tests.integration.conftest import PANORAMA, PERSPECTIVE, REPOSITORY

HALL = {**PERSPECTIVE, "name": "hall", "tasks": ["depth", "lighting"]}
SLOW = {"depth": {"every_s": 0.5}, "lighting": {"every_s": 0.2}}
PAGE = (REPOSITORY / "docs" / "requests.md").read_text(encoding="utf-8")


@dataclass
class Served:
    """A daemon that answers, the file it runs by, and one who asks."""

    folder: Path
    broker: Mosquitto
    client: Subscriber
    process: subprocess.Popen[bytes] = field(init=False)
    asked: int = 0
    config: dict[str, Any] = field(default_factory=dict)
    notified: socket.socket = field(default_factory=lambda: socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM))
    """What systemd would be told."""

    @property
    def path(self) -> Path:
        """Its configuration."""
        return self.folder / "config.yaml"

    def write(self, **change: Any) -> None:
        """Another configuration, not read yet."""
        self.path.write_text(yaml.safe_dump(self.config | change))

    def ask(self, verb: str, **arguments: Any) -> dict[str, Any]:
        """The answer, in its time and valid by its schema."""
        self.asked += 1
        transaction, topic = f"t{self.asked}", f"edge/test/response/{verb}"
        body = json.dumps({**arguments, "transaction": transaction})
        self.client.client.publish(f"edge/test/request/{verb}", body, qos=1)  # type: ignore[union-attr]

        def answers() -> list[dict[str, Any]]:
            said = [json.loads(m.payload) for m in self.client.on(topic)]
            return [a for a in said if a["transaction"] == transaction]

        assert wait_until(answers, VERBS[verb].within_s + 2), f"no answer to {verb}"
        schema = request_schemas()[f"response_{re.sub('[/-]', '_', verb)}"]
        jsonschema.Draft202012Validator(schema).validate(answers()[0])
        return answers()[0]

    def done(self, verb: str, **arguments: Any) -> dict[str, Any]:
        """The data of an answer that must be good."""
        answer = self.ask(verb, **arguments)
        assert answer["status"] == "ok", answer
        data: dict[str, Any] = answer["data"]
        return data

    def refused(self, verb: str, **arguments: Any) -> str:
        """The error of one that must not."""
        answer = self.ask(verb, **arguments)
        assert answer["status"] == "error", answer
        return str(answer["error"])

    def events(self, kind: str) -> list[dict[str, Any]]:
        """What happened, of one kind."""
        said = [json.loads(m.payload) for m in self.client.on("edge/test/bridge/event")]
        return [event for event in said if event["type"] == kind]

    def settings(self) -> dict[str, Any]:
        """What `bridge/info` says of the hall's tasks."""
        last = json.loads(self.client.on("edge/test/bridge/info")[-1].payload)
        found: dict[str, Any] = next(c["settings"] for c in last["cameras"] if c["name"] == "hall")
        return found


def started(folder: Path, **change: Any) -> Served:
    """A daemon of one camera, once it gave a result."""
    broker = Mosquitto(folder, settings="user root\nallow_anonymous true\n").start()
    config = {
        "device": {"name": "test"},
        "cameras": [HALL],
        "tasks": SLOW,
        "inference": {"engines": str(REPOSITORY / "engines"), "threads": 1},
        "mqtt": {"host": "127.0.0.1", "port": broker.port},
        "requests": {"allow": list(VERBS)},
        "review": {"folder": "review", "people": "kept"},
        "drift": {"enabled": True},
    }
    client = Subscriber(broker.port).start()
    served = Served(folder, broker, client, config=config | change)
    served.notified.bind(str(folder / "notify"))
    served.notified.setblocking(False)
    served.write()
    begin(served)
    return served


def begin(served: Served) -> None:
    """Start the daemon on its file."""
    command = [sys.executable, "-m", "edge", "run", "--quiet", "--config", str(served.path)]
    environment = {**os.environ, "NOTIFY_SOCKET": str(served.folder / "notify")}
    before = len(served.client.on("edge/test/hall/lighting"))
    served.process = subprocess.Popen(command, cwd=REPOSITORY, stdout=-3, stderr=-3, env=environment)
    served.client.wait("edge/test/hall/lighting", before + 2, timeout_s=60)


def ended(served: Served) -> None:
    """End all of it."""
    served.process.kill()
    served.process.wait()
    served.notified.close()
    served.client.stop()
    served.broker.stop()


def told_systemd(served: Served) -> list[str]:
    """Every message since the last time."""
    said = []
    with contextlib.suppress(BlockingIOError):
        while True:
            said.append(served.notified.recv(4096).decode())
    return said


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """One daemon for all tests of this file that leave it as it was."""
    if mosquitto_program() is None:
        pytest.skip("mosquitto is not installed; `make test` installs it where it may")
    found = started(tmp_path_factory.mktemp("requests"))
    yield found
    ended(found)


def test_ping_info_and_health(served: Served) -> None:
    """Each says what it is of, and as fast as it promises."""
    assert served.done("ping")["device"] == "test"
    assert served.done("info")["cameras"][0]["settings"]["depth"]["enabled"] is True
    assert served.done("health")["degraded"] == []


def test_a_snapshot_is_one_frame_of_now(served: Served) -> None:
    """Picture and nouns have one frame's number, captured after it was asked for; the results are published too."""
    asked_at = time.time()
    data = served.done("snapshot", camera="hall", width_px=320)
    assert data["failed"] == {}
    assert data["layout"] is None, "the camera has no such task"
    assert {data["frame"]} == {data["depth"]["frame"], data["lighting"]["frame"]}
    taken = time.mktime(time.strptime(data["captured_at"][:19], "%Y-%m-%dT%H:%M:%S")) - time.timezone
    assert taken >= int(asked_at)
    jpeg = base64.b64decode(data["picture"]["data"])
    picture = cv2.imdecode(np.frombuffer(jpeg, np.uint8), cv2.IMREAD_COLOR)
    assert picture is not None
    assert picture.shape == (data["picture"]["height_px"], data["picture"]["width_px"], 3) == (240, 320, 3)

    def published() -> bool:
        on = served.client.on("edge/test/hall/depth")
        return any(json.loads(m.payload)["frame"] == data["frame"] for m in on)

    assert wait_until(published, 5)


def test_what_is_set_holds_and_is_undone(served: Served) -> None:
    """Off: nothing more comes, but by snapshot; on again by null; the file and bridge/info say what differs."""
    done = served.done("set", camera="hall", task="lighting", enabled=False)
    assert done["settings"]["overridden"] == ["enabled"]
    assert wait_until(lambda: served.settings()["lighting"]["enabled"] is False, 5)
    count = len(served.client.on("edge/test/hall/lighting"))
    time.sleep(0.7)
    assert len(served.client.on("edge/test/hall/lighting")) == count
    assert served.done("snapshot", camera="hall", picture=False)["lighting"] is not None
    kept = served.folder / "overrides.json"
    assert kept.stat().st_mode & 0o777 == 0o600
    assert json.loads(kept.read_text())["tasks"] == [
        {"camera": "hall", "task": "lighting", "enabled": False, "every_s": None}
    ]
    served.done("set", camera="hall", task="lighting", enabled=None)
    assert json.loads(kept.read_text())["tasks"] == []
    before = len(served.client.on("edge/test/hall/lighting"))
    served.client.wait("edge/test/hall/lighting", before + 2)
    assert served.events("settings_changed")[-1]["data"]["overridden"] == []


def test_what_cannot_be_set_is_refused_with_what_there_is(served: Served) -> None:
    """A camera or task that is not there, a wrong value: nothing changes."""
    assert served.refused("set", camera="attic", task="depth", enabled=True) == "no camera 'attic'; there are hall"
    assert "add layout to its tasks" in served.refused("set", camera="hall", task="layout", enabled=True)
    assert "set takes camera, task, enabled, every_s" in served.refused("set", camera="hall", task="depth", on=True)
    assert served.settings()["depth"]["overridden"] == []


def test_a_camera_is_restarted_on_request(served: Served) -> None:
    """Another process captures; frames go on with higher numbers."""
    newest = json.loads(served.client.on("edge/test/hall/lighting")[-1].payload)["frame"]
    served.done("restart-camera", camera="hall")
    before = len(served.client.on("edge/test/hall/lighting"))
    served.client.wait("edge/test/hall/lighting", before + 1)
    assert json.loads(served.client.on("edge/test/hall/lighting")[-1].payload)["frame"] > newest
    assert served.events("camera_restarted")


def test_a_baseline_is_begun_anew(served: Served) -> None:
    """Of a camera that is followed; of another it is refused, with the names there are."""
    assert served.done("baseline", camera="hall") == {"camera": "hall"}
    assert "there is hall" in served.refused("baseline", camera="attic")


def test_a_flagged_picture_is_kept_with_its_results(served: Served) -> None:
    """In a folder that nobody else may read: the whole picture, what was inferred, and the note."""
    data = served.done("flag", camera="hall", note="the wall is wrong")
    entry = served.folder / "review" / data["entry"]
    assert {path.name for path in entry.iterdir()} == {"about.json", "picture.jpg"}
    assert entry.stat().st_mode & 0o077 == 0
    about = json.loads((entry / "about.json").read_text())
    assert (about["note"], about["frame"]) == ("the wall is wrong", data["frame"])
    assert about["results"]["depth"]["frame"] == data["frame"]
    picture = cv2.imread(str(entry / "picture.jpg"))
    assert picture is not None
    assert picture.shape == (480, 640, 3)


def test_the_live_page_has_a_picture_kept(served: Served) -> None:
    """Over the broker, as its button does; what the device says against it is said."""
    flag = flag_over(Endpoint("127.0.0.1", served.broker.port), "edge")
    assert (served.folder / "review" / flag("test", "hall") / "picture.jpg").is_file()
    with pytest.raises(EdgeError, match="no camera"):
        flag("test", "cellar")


@pytest.mark.parametrize("arguments", [["ping"], ["snapshot", "camera=hall"]])
def test_the_example_in_the_docs_runs(served: Served, tmp_path: Path, arguments: list[str]) -> None:
    """Python's, as it stands on the page."""
    (example,) = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
    (tmp_path / "ask.py").write_text(example)
    command = [sys.executable, "ask.py", f"127.0.0.1:{served.broker.port}", "test", *arguments]
    run = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=30, check=False)
    assert run.returncode == 0, run.stderr
    assert json.loads(run.stdout).get("device") == "test" or "picture" in json.loads(run.stdout)


def test_the_flow_in_the_docs_asks_what_may_be_asked() -> None:
    """Node-RED's: each node is wired to one that is there, and the request is one that the schema takes."""
    blocks = [json.loads(b) for b in re.findall(r"```json\n(\[.*?\])\n```", PAGE, re.DOTALL)]
    (flow,) = blocks
    ids = {node["id"] for node in flow}
    assert {target for node in flow for wires in node.get("wires", []) for target in wires} <= ids
    asking = next(node["func"] for node in flow if node["id"] == "edge_ask")
    assert "/request/snapshot'" in asking
    jsonschema.validate({"camera": "hall", "transaction": "1a"}, request_schemas()["request_snapshot"])
    assert "camera: 'hall', transaction: msg._msgid" in asking


def request(served: Served, *arguments: str) -> subprocess.CompletedProcess[str]:
    """`edge request` to its end."""
    command = [sys.executable, "-m", "edge", "request", *arguments, "--config", str(served.path)]
    return subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, timeout=60, check=False)


def test_edge_request_from_a_shell(served: Served, tmp_path: Path) -> None:
    """Done is 0 with the answer, and the picture in a file."""
    done = request(served, "snapshot", "camera=hall", "width_px=160", "--picture", str(tmp_path / "hall.jpg"))
    assert done.returncode == 0, done.stderr
    assert yaml.safe_load(done.stdout)["camera"] == "hall"
    assert cv2.imread(str(tmp_path / "hall.jpg")).shape == (120, 160, 3)  # type: ignore[union-attr]


@pytest.mark.parametrize(
    ("arguments", "status", "said"),
    [
        (("set", "camera=hall", "task=depth", "every_s=-1"), 1, "every_s: Input should be greater"),
        (("set", "camera"), 1, "is no KEY=VALUE"),
        (("ping", "--device", "nobody", "--timeout", "0.5"), 69, "no daemon of that name has used this broker"),
    ],
)
def test_edge_request_that_is_not_answered_well(
    served: Served, arguments: tuple[str, ...], status: int, said: str
) -> None:
    """Refused is 1 and no answer 69, each with the reason and no traceback."""
    failed = request(served, *arguments)
    assert failed.returncode == status
    assert said in failed.stderr
    assert "Traceback" not in failed.stderr


def test_a_reload_with_a_mistake_changes_nothing(served: Served) -> None:
    """Every mistake is in the answer and the event; results go on."""
    served.write(health={"every_s": "often"}, log={"level": "loud"})
    error = served.refused("reload")
    assert "health.every_s" in error
    assert "log.level" in error
    assert {"health.every_s", "log.level"} <= set(served.events("reload_failed")[-1]["data"]["keys"])
    before = len(served.client.on("edge/test/hall/lighting"))
    served.client.wait("edge/test/hall/lighting", before + 2)
    served.write()
    assert served.done("reload") == {"applied": [], "restart_required": []}


def test_a_reload_applies_what_it_can_and_says_the_rest(served: Served) -> None:
    """By SIGHUP: a camera more, another cadence, what needs a restart; then a camera less, its topics cleared."""
    depth = {"depth": {"every_s": 5.0}, "lighting": {"every_s": 0.1}}
    more = {**PANORAMA, "name": "den", "tasks": ["lighting", "layout"]}  # layout's model is not loaded yet
    served.write(cameras=[HALL, more], tasks=depth, device={"name": "other"})
    told_systemd(served)
    served.process.send_signal(signal.SIGHUP)
    messages: list[str] = []

    def reloaded() -> bool:
        messages.extend(told_systemd(served))  # all along: what nobody reads fills the socket, and more is lost
        new = (f"edge/test/den/{task}" for task in ("lighting", "layout"))
        return all(served.client.on(topic) for topic in new) and bool(served.events("reloaded"))

    assert wait_until(reloaded, 25)
    messages += told_systemd(served)
    said = [line for message in messages for line in message.splitlines()]
    reloading = said.index("RELOADING=1")
    assert said[reloading + 1].startswith("MONOTONIC_USEC=")
    assert {"READY=1", "STATUS=2 cameras"} <= set(said[reloading + 2 :])
    told = served.events("reloaded")[-1]["data"]
    assert told["applied"] == ["cameras.den", "tasks.depth.every_s", "tasks.lighting.every_s"]
    assert told["restart_required"] == ["device.name"]
    assert json.loads(served.client.on("edge/test/bridge/info")[-1].payload)["restart_required"] == ["device.name"]
    served.write()
    served.done("reload")

    def cleared() -> bool:
        topics = ("edge/test/den/lighting", "edge/test/den/layout", "edge/test/den/room", "edge/test/den/state")
        return all(served.client.on(topic)[-1].payload == b"" for topic in topics)

    assert wait_until(cleared, 5)
    assert not served.client.on("edge/other/bridge/state")


@pytest.mark.slow
def test_what_was_set_outlives_the_daemon_and_its_file_may_be_broken(tmp_path: Path) -> None:
    """SIGKILL right after the answer: it holds in the next run. A file that is no JSON is set aside, and said."""
    if mosquitto_program() is None:
        pytest.skip("mosquitto is not installed; `make test` installs it where it may")
    served = started(tmp_path)
    try:
        served.done("set", camera="hall", task="depth", every_s=1.5)
        served.process.kill()
        served.process.wait()
        begin(served)
        assert wait_until(lambda: served.settings()["depth"]["every_s"] == 1.5, 5)
        served.process.kill()
        served.process.wait()
        (tmp_path / "overrides.json").write_bytes(os.urandom(100))
        begin(served)
        assert "could not be used" in served.done("health")["degraded"][0]
        assert (tmp_path / "overrides.json.bad").exists()
        assert served.settings()["depth"]["overridden"] == []
    finally:
        ended(served)


@pytest.mark.slow
def test_another_broker_is_used_after_a_reload(tmp_path: Path, mosquitto: Callable[..., Mosquitto]) -> None:
    """It says goodbye to the one and announces everything to the other; then back, by a request there."""
    served, other = started(tmp_path), mosquitto()
    there = Subscriber(other.port).start()
    try:
        served.write(mqtt={"host": "127.0.0.1", "port": other.port})
        served.process.send_signal(signal.SIGHUP)
        there.wait("edge/test/hall/lighting", 3, timeout_s=20)
        assert b"online" in there.on("edge/test/bridge/state")[-1].payload
        assert b"offline" in served.client.on("edge/test/bridge/state")[-1].payload
    finally:
        there.stop()
        ended(served)


@pytest.mark.slow
def test_an_engine_is_built_and_taken_back_while_it_serves(
    tmp_path: Path,
    model_folder: Callable[..., Path],  # noqa: F811
) -> None:
    """It ends with an event, built or with what is missing; results go on meanwhile, and a second is refused."""
    if mosquitto_program() is None:
        pytest.skip("mosquitto is not installed; `make test` installs it where it may")
    engines = model_folder("tiny").parent
    for name in ("depth", "lighting"):
        shutil.copytree(REPOSITORY / "engines" / name, engines / name)
    served = started(tmp_path, inference={"engines": str(engines), "plans": str(tmp_path / "plans"), "threads": 1})
    try:
        assert served.done("engine/build", engine="tiny", precision="fp32") == {"accepted": True, "engine": "tiny"}
        assert "already" in served.refused("engine/build", engine="tiny")
        before = len(served.client.on("edge/test/hall/lighting"))
        ends = ("engine_build_done", "engine_build_failed")
        assert wait_until(lambda: any(served.events(kind) for kind in ends), 60)
        assert len(served.client.on("edge/test/hall/lighting")) > before
        built = served.events("engine_build_done")
        assert not built or built[0]["data"]["engines"][0]["engine"] == "tiny"
        assert served.refused("engine/rollback", engine="tiny"), "there is none before it"
        served.done("engine/build", engine="tiny", precision="fp32", force=True)
        child = psutil.Process(served.process.pid).children(recursive=True)
        served.process.send_signal(signal.SIGHUP)
        served.process.terminate()
        assert served.process.wait(5) == 0, "in the middle of a build and of a reload"
        assert wait_until(lambda: not any(process.is_running() for process in child), 5)
    finally:
        ended(served)
