"""Cameras whose process dies or freezes, whose files vanish, whose server is killed; and many that are not there."""

from __future__ import annotations

import json
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import cv2
import psutil
import pytest

from tests.brokers import Mosquitto, quiet_port, wait_until
from tests.faults.camera_server import CREDENTIALS
from tests.faults.device import CAMERAS, RECOVERY_S, Device, Figures, lasting, long_only, soon
from tests.faults.ledger import CountingSubscriber
from tests.integration.conftest import DEMO, PANORAMA, PERSPECTIVE, REPOSITORY

pytestmark = pytest.mark.faults

Devices = Callable[..., Device]
Counting = Callable[..., CountingSubscriber]
Brokers = Callable[..., Mosquitto]


def states(subscriber: CountingSubscriber, camera: str, since_s: float) -> list[tuple[float, str]]:
    """When a camera was in which state, as a subscriber was told."""
    found = subscriber.on(f"/{camera}/state", since_s)
    return [(a.at_s, json.loads(a.payload)["state"]) for a in found if not a.retained]


def longest_gap_s(subscriber: CountingSubscriber, camera: str, since_s: float) -> float:
    """The longest time without a result of a camera."""
    times = [a.at_s for a in subscriber.results(since_s) if f"/{camera}/" in a.topic]
    return max((b - a for a, b in pairwise(times)), default=float("inf"))


def close(
    device: Device, subscriber: CountingSubscriber, figures: Figures, row: str, hurt_s: float, back_s: float
) -> None:
    """What holds for every fault of a camera: no message is lost, another camera goes on, exit 0 in time."""
    until_s = time.monotonic()
    time.sleep(2)
    gap_s = longest_gap_s(subscriber, "panorama", hurt_s)
    status, took_s = device.end()
    lost = device.balance(subscriber, hurt_s, until_s)
    told = states(subscriber, "perspective", hurt_s)
    recovery_s = next(t for t, s in told if s == "online" and t > back_s) - back_s
    figures.note(
        row,
        noticed_s=round(next(t for t, s in told if s != "online") - hurt_s, 2),
        recovery_s=round(recovery_s, 2),
        other_camera_gap_s=round(gap_s, 2),
        lost=lost.said(),
        rss_mib=device.memory(),
        status=status,
        end_s=round(took_s, 2),
        said=device.heard(since_s=hurt_s),
        events=len(subscriber.on("bridge/event", hurt_s)),
    )
    assert not lost.unreplaced
    assert gap_s < 5
    assert soon(recovery_s, RECOVERY_S)
    assert (status, soon(took_s)) == (0, True)


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGSTOP])
def test_a_capture_process_that_dies_or_freezes(
    device: Devices, counting: Counting, mosquitto: Brokers, figures: Figures, number: signal.Signals
) -> None:
    """The camera is said to be offline or stalled, its process is replaced and gone, and it is online again."""
    broker = mosquitto()
    subscriber = counting(broker.port)
    stall_s = lasting(4, 10)
    run = device(broker.port, cameras=[CAMERAS[0], {**CAMERAS[1], "stall_timeout_s": stall_s}])
    run.serves(subscriber)
    time.sleep(2)
    child = run.capture_process("perspective")
    hurt_s = time.monotonic()
    child.send_signal(number)
    assert wait_until(lambda: [s for _, s in states(subscriber, "perspective", hurt_s)][-1:] == ["online"], 30)
    assert not child.is_running() or child.status() == psutil.STATUS_ZOMBIE
    killed = number == signal.SIGKILL
    close(run, subscriber, figures, "10" if killed else "11", hurt_s, hurt_s + (0.0 if killed else stall_s))
    assert run.heard("killed by SIGKILL" if killed else "sent no picture for")


def test_pictures_that_are_deleted(
    device: Devices, counting: Counting, mosquitto: Brokers, figures: Figures, tmp_path: Path
) -> None:
    """A folder that vanishes: an error with the remedy, a few events and not one for each picture; back when it is."""
    folder = tmp_path / "pictures"
    shutil.copytree(DEMO / "perspective", folder)
    replay = {**CAMERAS[1], "source": {"type": "replay", "path": str(folder), "fps": 5.0}}
    broker = mosquitto()
    subscriber = counting(broker.port)
    run = device(broker.port, cameras=[CAMERAS[0], replay])
    run.serves(subscriber)
    hurt_s = time.monotonic()
    folder.rename(tmp_path / "away")
    assert wait_until(lambda: any(s == "offline" for _, s in states(subscriber, "perspective", hurt_s)), 30)
    time.sleep(lasting(3, 25))
    assert wait_until(lambda: any("perspective" in t for t in subscriber.last("bridge/health")["degraded"]), 5)  # type: ignore[attr-defined]
    (tmp_path / "away").rename(folder)
    back_s = time.monotonic()
    assert wait_until(lambda: any(s == "online" for _, s in states(subscriber, "perspective", back_s)), 40)
    close(run, subscriber, figures, "12", hurt_s, back_s)
    assert len(subscriber.on("bridge/event", hurt_s)) <= 12 + lasting(0, 20)
    assert run.heard(str(folder))


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Callable[[int], subprocess.Popen[bytes]]]:
    """Starts a network camera that plays a clip of a room."""
    clip = tmp_path / "clip.ts"
    pictures = [cv2.imread(str(path)) for path in sorted((DEMO / "perspective").glob("*.jpg"))[:10]]
    height, width = pictures[0].shape[:2]
    writer = cv2.VideoWriter(str(clip), cv2.VideoWriter_fourcc(*"mpg2"), 25.0, (width, height))
    for picture in pictures * 10:
        writer.write(picture)
    writer.release()
    running: list[subprocess.Popen[bytes]] = []

    def start(port: int) -> subprocess.Popen[bytes]:
        command = [sys.executable, "-m", "tests.faults.camera_server", str(port), str(clip)]
        running.append(subprocess.Popen(command, cwd=REPOSITORY, stdout=-3, stderr=-3))
        return running[-1]

    yield start
    for process in running:
        process.kill()
        process.wait(5)


@pytest.mark.parametrize("number", [signal.SIGKILL, pytest.param(signal.SIGSTOP, marks=long_only)])
def test_a_network_camera_that_dies_or_freezes(
    device: Devices,
    counting: Counting,
    mosquitto: Brokers,
    server: Callable[[int], subprocess.Popen[bytes]],
    figures: Figures,
    number: signal.Signals,
) -> None:
    """Said with the remedy within the read timeout and never with the password; back soon after the camera is."""
    port = quiet_port()
    process = server(port)
    source = {"type": "rtsp", "url": f"rtsp://{CREDENTIALS}@127.0.0.1:{port}/live"}
    broker = mosquitto()
    subscriber = counting(broker.port)
    run = device(broker.port, cameras=[CAMERAS[0], {**CAMERAS[1], "source": source}])
    run.serves(subscriber)
    hurt_s = time.monotonic()
    process.send_signal(number)
    assert wait_until(lambda: any(s == "offline" for _, s in states(subscriber, "perspective", hurt_s)), 30)
    time.sleep(max(lasting(8, 25) - (time.monotonic() - hurt_s), 0))
    if number == signal.SIGKILL:
        server(port)
    else:
        process.send_signal(signal.SIGCONT)
    back_s = time.monotonic()
    assert wait_until(lambda: any(s == "online" for _, s in states(subscriber, "perspective", back_s)), 40)
    close(run, subscriber, figures, "13" if number == signal.SIGKILL else "13s", hurt_s, back_s)
    secret = CREDENTIALS.split(":")[1]
    assert not any(secret in line for line in run.heard())
    assert not any(secret.encode() in a.payload for a in subscriber.arrivals)


def test_many_cameras_that_are_not_there(
    device: Devices, counting: Counting, mosquitto: Brokers, figures: Figures, tmp_path: Path
) -> None:
    """Eight of sixteen absent: the others are served evenly, each absent one is told once and in `degraded`."""
    there = [
        {**(PANORAMA if n % 2 else PERSPECTIVE), "name": f"here{n}", "tasks": ["lighting"], "camera_height_m": 1.3}
        for n in range(8)
    ]
    gone = [
        {
            **PERSPECTIVE,
            "name": f"gone{n}",
            "tasks": ["lighting"],
            "source": {"type": "v4l2", "device": f"/dev/none{n}"},
        }
        for n in range(8)
    ]
    broker = mosquitto()
    subscriber = counting(broker.port)
    run = device(broker.port, cameras=[*there, *gone], tasks={"lighting": {"every_s": 1.0}})
    assert wait_until(lambda: len({a.topic for a in subscriber.results()}) == 8, 90), run.heard()
    since_s = time.monotonic()
    time.sleep(lasting(10, 30))
    counts = {f"here{n}": len(subscriber.on(f"/here{n}/lighting", since_s)) for n in range(8)}
    assert wait_until(lambda: subscriber.on("bridge/health", since_s), 5)
    degraded: Any = subscriber.last("bridge/health")["degraded"]
    errors = [json.loads(a.payload)["camera"] for a in subscriber.on("bridge/event") if b"camera_error" in a.payload]
    log = len(run.heard())
    children = run.children()
    status, took_s = run.end()
    figures.note(
        "23",
        results=counts,
        after_s=lasting(10, 30),
        degraded=len(degraded),
        error_events=len(errors),
        log_lines=log,
        rss_mib=run.memory(),
        status=status,
        end_s=round(took_s, 2),
    )
    assert min(counts.values()) >= 0.6 * max(counts.values()) > 0
    assert all(errors.count(f"gone{n}") == 1 for n in range(8)), errors
    assert all(any(f"gone{n}" in text for text in degraded) for n in range(8))
    assert (status, soon(took_s)) == (0, True)
    assert not psutil.wait_procs(children, timeout=2)[1]


def test_cameras_that_die_again_and_again(
    device: Devices, counting: Counting, mosquitto: Brokers, figures: Figures
) -> None:
    """Restarts leave nothing: no descriptor, no thread, no process, no memory; and lose no message."""
    rounds, forgiven_s = int(lasting(3, 25)), 4.0
    names = [f"camera{n}" for n in range(4)]
    cameras = [{**PERSPECTIVE, "name": n, "tasks": ["lighting"], "stall_timeout_s": forgiven_s} for n in names]
    broker = mosquitto()
    subscriber = counting(broker.port)
    run = device(broker.port, cameras=cameras, tasks={"lighting": {"every_s": 0.5}})
    run.serves(subscriber)
    process = psutil.Process(run.process.pid)

    def strike(times: int) -> None:
        for _ in range(times):
            killed = [run.capture_process(name) for name in names]
            for child in killed:
                child.kill()
            psutil.wait_procs(killed, timeout=30)
            for name in names:
                run.capture_process(name)
            run.serves(subscriber, since_s=time.monotonic())
            time.sleep(forgiven_s)  # sooner the next start would be put off for longer

    strike(1)
    hurt_s = time.monotonic()
    before = process.num_fds(), process.num_threads(), process.memory_info().rss
    strike(rounds)
    now = process.num_fds(), process.num_threads(), process.memory_info().rss
    children, until_s = len(run.children()), time.monotonic()
    time.sleep(1)
    status, took_s = run.end()
    lost = run.balance(subscriber, hurt_s, until_s)
    figures.note(
        "24",
        restarts=4 * rounds,
        after_s=round(until_s - hurt_s),
        descriptors=f"{before[0]}/{now[0]}",
        threads=f"{before[1]}/{now[1]}",
        rss_mib=f"{before[2] / 2**20:.1f}/{now[2] / 2**20:.1f}",
        children=children,
        lost=lost.said(),
        status=status,
        end_s=round(took_s, 2),
    )
    assert now[0] <= before[0] + 2
    assert now[1] <= before[1]
    assert now[2] - before[2] < 12 * 2**20
    assert children == 4
    assert not lost.unreplaced
    assert status == 0
