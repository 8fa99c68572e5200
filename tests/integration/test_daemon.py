"""The main job, end to end: real processes, real brokers, the shipped engines and clips."""

from __future__ import annotations

import json
import re
import signal
import socket
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import psutil
import pytest

from tests.brokers import Mosquitto, Subscriber, unused_port, wait_until
from tests.integration.conftest import PANORAMA, PERSPECTIVE, DaemonProcess, Starter, check_message

LAST_LINE = re.compile(
    r"^published: depth (\d+), layout (\d+), lighting (\d+)(?:; superseded \d+)?(?:; kept \d+)?; dropped \d+; "
    r"errors (\d+)$"
)
Brokers = Callable[..., Mosquitto]
Subscribers = Callable[..., Subscriber]


def results(subscriber: Subscriber, camera: str) -> dict[str, int]:
    """How many results of each task have come."""
    return {t: len(subscriber.on(f"edge/test/{camera}/{t}")) for t in ("depth", "layout", "lighting")}


def test_every_camera_publishes_every_task(daemon: Starter, mosquitto: Brokers, subscribe: Subscribers) -> None:
    """Both cameras, all tasks, through Mosquitto: schema-valid, physically possible, with MQTT 5 properties."""
    broker = mosquitto()
    subscriber = subscribe(broker.port)
    at = {"host": "127.0.0.1", "port": broker.port}
    run = daemon(cameras=[PANORAMA, PERSPECTIVE], mqtt=at, inference={"precision": "auto"})

    def published() -> bool:
        return all(min(results(subscriber, camera).values()) > 0 for camera in ("panorama", "perspective"))

    assert wait_until(published, 60), run.lines
    subscriber.wait("edge/test/panorama/depth/image", timeout_s=60)
    assert run.terminate(30) == 0, run.lines
    for message in list(subscriber.received):
        check_message(message.topic, message.payload)
    depth = subscriber.on("edge/test/panorama/depth")[-1]
    assert depth.properties.ContentType == "application/json"
    picture = cv2.imdecode(
        np.frombuffer(subscriber.on("edge/test/panorama/depth/image")[-1].payload, np.uint8), cv2.IMREAD_UNCHANGED
    )
    assert picture.dtype == np.uint16
    stated = json.loads(depth.payload)
    assert picture.shape == (stated["height_px"], stated["width_px"])
    assert np.median(picture) / 1000 == pytest.approx(stated["metric"]["median_m"], rel=0.02)


def test_embedded_broker_and_last_line(daemon: Starter, subscribe: Subscribers) -> None:
    """Without a broker one is started on the next free port, and the last line alone says what was published."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        own = {"embedded": {"port": port, "websocket_port": unused_port()}}
        run = daemon("--for", "8", cameras=[PERSPECTIVE], mqtt=own)
        assert run.said("embedded broker on 127.0.0.1:")
        found = re.search(r"127\.0\.0\.1:(\d+)", next(line for line in run.lines if "embedded broker" in line))
        assert found is not None
        assert int(found[1]) != port
        subscriber = subscribe(int(found[1]), version="3.1.1")
        assert run.wait() == 0, run.lines
    last = LAST_LINE.match(run.lines[-1])
    assert last is not None, run.lines[-3:]
    assert min(int(n) for n in last.groups()[:3]) > 0
    assert int(last[4]) == 0
    assert min(results(subscriber, "perspective").values()) > 0


def test_sigterm_says_offline_and_leaves_nothing(daemon: Starter, mosquitto: Brokers, subscribe: Subscribers) -> None:
    """SIGTERM: exit 0 within five seconds, state offline retained, cameras offline, no child left."""
    broker = mosquitto()
    run = daemon(cameras=[PANORAMA, PERSPECTIVE], mqtt={"host": "127.0.0.1", "port": broker.port})
    subscriber = subscribe(broker.port)
    subscriber.wait("edge/test/perspective/lighting", timeout_s=60)
    children = psutil.Process(run.process.pid).children(recursive=True)
    assert len(children) >= 2
    assert run.terminate() == 0
    assert not psutil.wait_procs(children, timeout=2)[1]
    late = subscribe(broker.port)
    assert json.loads(late.wait("edge/test/bridge/state")[-1].payload) == {"state": "offline"}
    assert json.loads(late.wait("edge/test/panorama/state")[-1].payload)["state"] == "offline"


def test_a_killed_camera_comes_back_and_the_other_goes_on(
    daemon: Starter, mosquitto: Brokers, subscribe: Subscribers
) -> None:
    """A capture process killed by SIGKILL is reported and restarted; the other camera never stops."""
    broker = mosquitto()
    run = daemon(cameras=[PANORAMA, PERSPECTIVE], mqtt={"host": "127.0.0.1", "port": broker.port})
    subscriber = subscribe(broker.port)
    for camera in ("panorama", "perspective"):
        subscriber.wait(f"edge/test/{camera}/lighting", timeout_s=60)
    victim = capture_process(run, "panorama")
    before = len(subscriber.on("edge/test/perspective/depth"))
    victim.send_signal(signal.SIGKILL)

    def states() -> list[str]:
        return [json.loads(m.payload)["state"] for m in subscriber.on("edge/test/panorama/state")]

    assert wait_until(lambda: "offline" in states()[1:], 10), states()
    assert wait_until(lambda: states()[-1] == "online", 20), states()
    assert wait_until(lambda: len(subscriber.on("edge/test/perspective/depth")) > before + 2, 20)


def capture_process(run: DaemonProcess, camera: str) -> psutil.Process:
    """The child that captures `camera`."""
    children = psutil.Process(run.process.pid).children(recursive=True)
    return next(c for c in children if camera in c.cmdline())


def test_a_wrong_camera_harms_nobody_else(daemon: Starter, mosquitto: Brokers, subscribe: Subscribers) -> None:
    """A 4:3 picture declared a panorama: errors with the remedy on bridge/event, the other camera published."""
    broker = mosquitto()
    wrong = {**PANORAMA, "name": "wrong", "source": PERSPECTIVE["source"]}
    subscriber = subscribe(broker.port)
    run = daemon("--for", "6", cameras=[wrong, PERSPECTIVE], mqtt={"host": "127.0.0.1", "port": broker.port})
    assert run.wait() == 1
    assert min(results(subscriber, "perspective").values()) > 0
    assert max(results(subscriber, "wrong").values()) == 0
    events = [json.loads(m.payload) for m in subscriber.on("edge/test/bridge/event")]
    assert any(e["type"] == "task_failed" and "twice as wide" in e["message"] for e in events), events
    assert any("nothing published for wrong/depth" in line for line in run.lines)


def test_no_broker_yet(daemon: Starter, mosquitto: Brokers, subscribe: Subscribers, tmp_path: Path) -> None:
    """A broker that is down at the start is retried and then served; nothing ends."""
    port = unused_port()
    run = daemon(cameras=[PERSPECTIVE], mqtt={"host": "127.0.0.1", "port": port})
    assert run.said("nothing listens there")
    mosquitto(port=port)
    subscriber = subscribe(port)
    subscriber.wait("edge/test/perspective/layout", timeout_s=60)
    assert json.loads(subscriber.wait("edge/test/bridge/info")[-1].payload)["cameras"][0]["name"] == "perspective"


@pytest.mark.parametrize(
    ("change", "status", "words"),
    [
        ({"camera": []}, 78, "cameras"),
        ({"cameras": [{**PERSPECTIVE, "hfov_deg": None}]}, 78, "hfov_deg"),
        ({"cameras": [PERSPECTIVE, PERSPECTIVE]}, 78, "cameras[0]"),
        ({"cameras": [PERSPECTIVE], "tasks": {"depth": {"engine": "none"}}}, 78, "tasks.depth.engine: no model"),
        ({"cameras": [PERSPECTIVE], "tasks": {"depth": {"engine": "layout"}}}, 78, "is for layout"),
    ],
)
def test_mistakes_end_with_a_message(daemon: Starter, change: dict[str, Any], status: int, words: str) -> None:
    """Bad configuration exits 78, also where it names a missing or wrong engine; the key is named; no traceback."""
    run = daemon("--for", "5", **change)
    assert run.wait() == status
    text = " ".join(run.lines)
    assert words in text
    assert "Traceback" not in text


def test_requests_are_answered(daemon: Starter, mosquitto: Brokers, subscribe: Subscribers) -> None:
    """`health` answers with what runs; an unknown verb gets an error, not silence; HTTP says that it serves."""
    broker = mosquitto()
    run = daemon(cameras=[PERSPECTIVE], mqtt={"host": "127.0.0.1", "port": broker.port})
    subscriber = subscribe(broker.port)
    subscriber.wait("edge/test/perspective/lighting", timeout_s=60)
    assert subscriber.client is not None
    subscriber.client.publish("edge/test/request/health", b'{"transaction": "7"}', qos=1)
    answer = json.loads(subscriber.wait("edge/test/response/health")[-1].payload)
    assert (answer["status"], answer["transaction"]) == ("ok", "7")
    assert answer["data"]["memory_bytes"] > 10e6
    subscriber.client.publish("edge/test/request/dance", b"", qos=1)
    assert json.loads(subscriber.wait("edge/test/response/dance")[-1].payload)["status"] == "error"
    page = next(found[0] for line in run.lines if (found := re.search(r"http://127\.0\.0\.1:\d+/", line)))
    for path, expected in (("healthz", "alive\n"), ("readyz", "ready\n"), ("metrics", "edge_results_total{")):
        with urllib.request.urlopen(page + path, timeout=10) as answer:
            assert expected in answer.read().decode()
    assert run.terminate() == 0


def test_systemd_hears_ready_alive_and_stopping(
    daemon: Starter, mosquitto: Brokers, subscribe: Subscribers, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As Type=notify: READY once it serves, WATCHDOG while frames go through, how it serves, STOPPING at the end."""
    broker = mosquitto()
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as systemd:
        systemd.bind(str(tmp_path / "notify"))
        systemd.settimeout(30)
        monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "notify"))
        monkeypatch.setenv("WATCHDOG_USEC", "3000000")
        run = daemon(cameras=[PERSPECTIVE], mqtt={"host": "127.0.0.1", "port": broker.port})
        assert systemd.recv(256).startswith(b"READY=1")
        assert systemd.recv(256) == b"WATCHDOG=1"
        subscribe(broker.port).wait("edge/test/perspective/lighting", timeout_s=60)
        while systemd.recv(256) != b"STATUS=serving: 1 of 1 cameras online":
            pass
        assert run.terminate() == 0
        heard = set()
        systemd.settimeout(1)
        while b"STOPPING=1" not in heard:
            heard.add(systemd.recv(256))


def test_offline_is_said_before_what_hangs_is_waited_for(
    daemon: Starter, mosquitto: Brokers, subscribe: Subscribers
) -> None:
    """With every capture process stopped (SIGSTOP), the daemon is still there when subscribers learn that it goes."""
    broker = mosquitto()
    run = daemon(cameras=[PANORAMA, PERSPECTIVE], mqtt={"host": "127.0.0.1", "port": broker.port})
    subscriber = subscribe(broker.port)
    subscriber.wait("edge/test/perspective/lighting", timeout_s=60)
    children = psutil.Process(run.process.pid).children(recursive=True)
    for child in children:
        child.suspend()
    run.process.terminate()
    subscriber.wait("edge/test/bridge/state", count=2)
    assert run.process.poll() is None
    assert all(child.is_running() for child in children)
    assert json.loads(subscriber.on("edge/test/bridge/state")[-1].payload) == {"state": "offline"}
    assert json.loads(subscriber.on("edge/test/panorama/state")[-1].payload)["state"] == "offline"
    assert run.process.wait(10) == 0
    assert not psutil.wait_procs(children, timeout=2)[1]


def test_sigterm_is_quick_without_a_broker(daemon: Starter) -> None:
    """A broker that never answers (packets go nowhere) does not delay the end past five seconds, nor spoil exit 0."""
    run = daemon(cameras=[PERSPECTIVE], mqtt={"host": "192.0.2.1", "port": 1883})
    assert run.said("serving")
    assert run.terminate() == 0


def test_a_run_that_published_nothing_says_so(daemon: Starter) -> None:
    """With no broker at all, --for ends with exit 1, what was replaced, kept and lost is told, and an error counted."""
    run = daemon("--for", "4", cameras=[PERSPECTIVE], mqtt={"host": "127.0.0.1", "port": unused_port()})
    assert run.wait() == 1
    line = next(line for line in run.lines if LAST_LINE.match(line))
    assert line.startswith("published: depth 0, layout 0, lighting 0; superseded ")
    assert int(line.split("kept ")[1].split(";")[0]) >= 1, "the event of the camera that came online"
    assert int(line.split("dropped ")[1].split(";")[0]) > 0
    assert int(line.rsplit(" ", 1)[1]) > 0
