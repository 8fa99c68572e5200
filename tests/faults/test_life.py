"""SIGTERM at every moment, SIGKILL, SIGHUP; a configuration that turns to rubbish; a disk that is full."""

from __future__ import annotations

import os
import random
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest
import yaml

from tests.brokers import Mosquitto, quiet_port, wait_until
from tests.faults.device import Device, Figures, configuration, lasting, long_only, soon
from tests.faults.ledger import CountingSubscriber
from tests.integration.conftest import REPOSITORY, handles

pytestmark = pytest.mark.faults

Devices = Callable[..., Device]
Counting = Callable[..., CountingSubscriber]
Brokers = Callable[..., Mosquitto]


@pytest.mark.parametrize("after_s", [0.05, 0.2, 0.5, 1.0, 1.5, 2.5, 3.5])
def test_sigterm_while_it_starts(device: Devices, mosquitto: Brokers, figures: Figures, after_s: float) -> None:
    """So long after its start: exit 0 in under five seconds (by the signal while Python starts), no children."""
    broker = mosquitto()
    run = device(broker.port)
    time.sleep(after_s)
    children, heard = run.children(), handles(run.process.pid, signal.SIGTERM)
    status, took_s = run.end()
    figures.note("14", after_s=after_s, status=status, end_s=round(took_s, 2))
    assert status == 0 or (not heard and status == -signal.SIGTERM)
    assert soon(took_s)
    assert not psutil.wait_procs(children, timeout=1)[1]


@pytest.mark.parametrize(
    "trouble",
    [
        "none",
        "never there",
        "killed",
        pytest.param("frozen 0.5 s", marks=long_only),
        "frozen 10 s",
        "cameras frozen",
    ],
)
def test_sigterm_while_it_serves(
    device: Devices, counting: Counting, mosquitto: Brokers, figures: Figures, trouble: str
) -> None:
    """Whatever the broker and the cameras do: exit 0 in under five seconds, children gone, `offline` where it can."""
    broker = mosquitto()
    subscriber = counting(broker.port)
    run = device(quiet_port() if trouble == "never there" else broker.port)
    assert wait_until(lambda: run.produced() > 12, 60), run.heard()
    if trouble == "killed":
        broker.stop()
        time.sleep(2)
    elif trouble.startswith("frozen"):
        broker.signal(signal.SIGSTOP)
        time.sleep(float(trouble.split()[1]))
    children = run.children()
    if trouble == "cameras frozen":
        for child in children:
            child.suspend()
    since_s = time.monotonic()
    status, took_s = run.end()
    offline = [a.at_s - since_s for a in subscriber.on("bridge/state", since_s) if b"offline" in a.payload]
    lost = run.balance(subscriber, run.started_s, since_s)
    figures.note("14", broker=trouble, status=status, end_s=round(took_s, 2), offline_s=offline[:1], lost=lost.said())
    assert (status, soon(took_s)) == (0, True)
    assert not psutil.wait_procs(children, timeout=1)[1]
    if trouble in ("none", "cameras frozen"):
        assert offline[0] < 2
        assert not lost.unreplaced


def test_sigkill(device: Devices, counting: Counting, mosquitto: Brokers, figures: Figures) -> None:
    """Its children go, the broker says offline at once, nothing stays in memory, and the next run serves."""
    broker = mosquitto()
    subscriber = counting(broker.port)
    run = device(broker.port)
    run.serves(subscriber)
    shared = set(os.listdir("/dev/shm"))
    children = run.children()
    killed_s = time.monotonic()
    run.end(signal.SIGKILL)
    assert wait_until(lambda: subscriber.on("bridge/state", killed_s), 5)
    will_s = subscriber.on("bridge/state", killed_s)[0].at_s - killed_s
    assert not psutil.wait_procs(children, timeout=5)[1]
    gone_s = time.monotonic() - killed_s
    again_s = time.monotonic()
    again = device(broker.port)
    first_s = again.serves(subscriber, since_s=again_s) - again_s
    status, took_s = again.end()
    figures.note(
        "15",
        recovery_s=round(first_s, 2),
        will_s=round(will_s, 2),
        children_gone_s=round(gone_s, 2),
        shared_memory=sorted(set(os.listdir("/dev/shm")) - shared),
        states={c: subscriber.last(f"/{c}/state").get("state") for c in ("panorama", "perspective")},
        status=status,
        end_s=round(took_s, 2),
    )
    assert b"offline" in subscriber.on("bridge/state", killed_s)[0].payload
    assert not set(os.listdir("/dev/shm")) - shared
    assert status == 0


@pytest.mark.parametrize(
    "change",
    [
        pytest.param("none", marks=long_only),
        "cadence and camera",
        pytest.param("rubbish", marks=long_only),
        "rubbish, again and again",
    ],
)
def test_sighup(device: Devices, counting: Counting, mosquitto: Brokers, figures: Figures, change: str) -> None:
    """What the file says now is applied without a message lost; rubbish is told and the last good one stays."""
    broker = mosquitto()
    subscriber = counting(broker.port)
    run = device(broker.port)
    run.serves(subscriber)
    hurt_s = time.monotonic()
    if change == "cadence and camera":
        one = {**run.config["cameras"][0], "name": "attic"}
        changed = {**run.config, "cameras": [one, run.config["cameras"][1]], "tasks": {"lighting": {"every_s": 1.0}}}
        run.path.write_text(yaml.safe_dump(changed), encoding="utf-8")
    elif change != "none":
        run.path.write_bytes(rubbish()["cut in half"])
    for _ in range(10 if "again" in change else 1):
        run.process.send_signal(signal.SIGHUP)
        time.sleep(0.3)
    kind = b'"reload_failed"' if "rubbish" in change else b'"reloaded"'
    assert wait_until(lambda: any(kind in a.payload for a in subscriber.on("bridge/event", hurt_s)), 20)
    told_s = subscriber.on("bridge/event", hurt_s)[0].at_s - hurt_s
    applied_s = time.monotonic()
    expected = "attic" if change == "cadence and camera" else "panorama"
    assert wait_until(lambda: subscriber.on(f"/{expected}/layout", applied_s), 30)
    until_s = time.monotonic()
    time.sleep(2)
    status, took_s = run.end()
    lost = run.balance(subscriber, hurt_s, until_s)
    figures.note(
        "16",
        change=change,
        told_s=round(told_s, 2),
        lost=lost.said(),
        status=status,
        end_s=round(took_s, 2),
        said=[line[:300] for line in run.heard(since_s=hurt_s)],
    )
    assert not lost.unreplaced
    assert (status, soon(took_s)) == (0, True)
    if change == "cadence and camera":
        assert subscriber.on("/panorama/state")[-1].payload == b""


def rubbish() -> dict[str, bytes]:
    """Files that are no configuration."""
    bomb = "a: &a [x, x, x, x, x, x, x, x, x]\n"
    for name, last in zip("bcdefghij", "abcdefghi", strict=True):
        bomb += f"{name}: &{name} [{', '.join(f'*{last}' for _ in range(9))}]\n"
    sound = yaml.safe_dump(configuration(1883)).encode()
    return {
        "random bytes": random.Random(1).randbytes(4096),
        "empty": b"",
        "a list": b"- 1\n- 2\n",
        "an unknown key": sound + b"colour: blue\n",
        "a wrong type": sound.replace(b"every_s: 2", b"every_s: often"),
        "a tag of Python": b"device: !!python/object/apply:os.system ['true']\n",
        "5,000 deep": b"[" * 5000 + b"]" * 5000,
        "aliases that multiply": bomb.encode(),
        "cut in half": sound[: len(sound) // 2],
        "NULs": b"\0" * 4096,
    }


@pytest.mark.parametrize("name", [*rubbish(), "a folder", "missing"])
def test_rubbish_instead_of_a_configuration(tmp_path: Path, figures: Figures, name: str) -> None:
    """Exit 78 (69 if it is not there) within seconds, one message without traceback, whatever the file holds."""
    path = tmp_path / "config.yaml"
    if name == "a folder":
        path.mkdir()
    elif name != "missing":
        path.write_bytes(rubbish()[name])
    command = [sys.executable, "-m", "edge", "run", "--config", str(path)]
    begun_s = time.monotonic()
    ended = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, timeout=200, check=False)
    took_s = time.monotonic() - begun_s
    said = (ended.stdout + ended.stderr).strip().splitlines()
    figures.note("17", file=name, status=ended.returncode, end_s=round(took_s, 2), said=[s[:200] for s in said[:6]])
    assert ended.returncode == (69 if name == "missing" else 78)
    assert "Traceback" not in ended.stderr
    assert 1 <= len(said) <= 12
    assert soon(took_s, 10.0)


def test_rubbish_while_it_runs(device: Devices, counting: Counting, mosquitto: Brokers, figures: Figures) -> None:
    """A configuration that is overwritten while it is used changes nothing of what is served."""
    broker = mosquitto()
    subscriber = counting(broker.port)
    run = device(broker.port)
    run.serves(subscriber)
    hurt_s = time.monotonic()
    run.path.write_bytes(rubbish()["random bytes"])
    time.sleep(4)
    until_s = time.monotonic()
    time.sleep(1)
    status, took_s = run.end()
    lost = run.balance(subscriber, hurt_s, until_s)
    figures.note("17r", lost=lost.said(), status=status, end_s=round(took_s, 2))
    assert not lost.unreplaced
    assert status == 0


def test_a_full_disk(
    device: Devices, counting: Counting, mosquitto: Brokers, figures: Figures, full_disk: Path
) -> None:
    """With no room for plans, caches and temporary files, and none for its output: it serves, and restarts cameras."""
    folders = dict.fromkeys(("HOME", "TMPDIR", "XDG_CACHE_HOME", "XDG_STATE_HOME", "STATE_DIRECTORY"), str(full_disk))
    broker = mosquitto()
    subscriber = counting(broker.port)
    inference = {**configuration(1)["inference"], "plans": str(full_disk / "plans")}
    run = device(broker.port, environment=folders, inference=inference)
    run.serves(subscriber)
    hurt_s = time.monotonic()
    run.capture_process("perspective").kill()
    time.sleep(1)
    run.serves(subscriber, since_s=time.monotonic())
    until_s = time.monotonic()
    time.sleep(1)
    status, took_s = run.end()
    lost = run.balance(subscriber, hurt_s, until_s)
    figures.note("18", lost=lost.said(), status=status, end_s=round(took_s, 2), said=run.heard(since_s=hurt_s))
    assert not lost.unreplaced
    assert (status, soon(took_s)) == (0, True)


def test_the_watchdog_is_fed_through_faults(
    device: Devices, mosquitto: Brokers, figures: Figures, tmp_path: Path
) -> None:
    """As Type=notify with no broker and every camera frozen: systemd goes on hearing that it is alive."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as systemd:
        systemd.bind(str(tmp_path / "notify"))
        systemd.settimeout(30)
        environment = {"NOTIFY_SOCKET": str(tmp_path / "notify"), "WATCHDOG_USEC": "4000000"}
        run = device(quiet_port(), environment=environment)
        heard = [(time.monotonic(), systemd.recv(256))]
        assert heard[0][1].startswith(b"READY=1")
        assert wait_until(lambda: run.produced() > 6, 60)
        for child in run.children():
            child.suspend()
        until_s = time.monotonic() + lasting(14, 25)
        while time.monotonic() < until_s:
            heard.append((time.monotonic(), systemd.recv(256)))
        alive = [at_s for at_s, text in heard if b"WATCHDOG=1" in text]
        longest_s = max(b - a for a, b in zip(alive, alive[1:], strict=False))
        status, took_s = run.end()
    figures.note("+", longest_s=round(longest_s, 2), status=status, end_s=round(took_s, 2))
    assert longest_s < 4
    assert status == 0
