"""How a daemon lives and ends: signals at any moment, output that nobody takes, what is not there, what is refused."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import IO, Any

import pytest
import yaml

from tests.brokers import Mosquitto, Subscriber, wait_until
from tests.integration.conftest import PERSPECTIVE, REPOSITORY, Starter, handles
from tests.strict_broker import StrictBroker

HEAVY = ("onnxruntime", "pydantic", "numpy")


def configuration(folder: Path, **change: Any) -> Path:
    """A configuration with one camera and the shipped engines."""
    config = {
        "device": {"name": "test"},
        "cameras": [PERSPECTIVE],
        "inference": {"engines": str(REPOSITORY / "engines")},
    }
    path = folder / "config.yaml"
    path.write_text(yaml.safe_dump(config | change))
    return path


def start(config: Path, *arguments: str, **streams: IO[Any] | int) -> subprocess.Popen[bytes]:
    """`edge run` as systemd starts it."""
    command = [sys.executable, "-m", "edge", "run", "--config", str(config), *arguments]
    return subprocess.Popen(command, cwd=REPOSITORY, **({"stdout": -3, "stderr": -3} | streams))  # type: ignore[call-overload, no-any-return]


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_that_comes_at_once_is_heard(tmp_path: Path, number: signal.Signals) -> None:
    """Handlers stand before anything is imported that takes long; exit 0 from then on."""
    process = start(configuration(tmp_path))
    try:
        assert wait_until(lambda: handles(process.pid, signal.SIGTERM) and handles(process.pid, signal.SIGHUP), 5)
        mapped = Path(f"/proc/{process.pid}/maps").read_text()
        assert not [name for name in HEAVY if name in mapped]
        process.send_signal(number)
        assert process.wait(5) == 0
    finally:
        process.kill()
        process.wait()


@pytest.mark.parametrize("after_s", [0.1, 0.4, 0.8, 1.2, 2.0])
def test_sigterm_while_it_starts_ends_well(tmp_path: Path, after_s: float) -> None:
    """So long after its handlers stand: while it imports, reads its configuration, loads models, connects."""
    process = start(configuration(tmp_path, mqtt={"host": "127.0.0.1", "port": 9}))
    try:
        assert wait_until(lambda: handles(process.pid, signal.SIGTERM), 5)
        time.sleep(after_s)
        process.terminate()
        assert process.wait(10) == 0
    finally:
        process.kill()
        process.wait()


def test_other_commands_say_that_they_were_interrupted() -> None:
    """Ctrl-C at once in `edge check` is not success."""
    with subprocess.Popen([sys.executable, "-m", "edge", "check"], cwd=REPOSITORY, stdout=-3, stderr=-3) as process:
        assert wait_until(lambda: handles(process.pid, signal.SIGTERM), 5)
        process.send_signal(signal.SIGINT)
        assert process.wait(10) == 130


@pytest.mark.slow
@pytest.mark.parametrize("output", ["full disk", "closed pipe", "closed"])
def test_output_that_nobody_takes_ends_nothing(
    tmp_path: Path, mosquitto: Callable[..., Mosquitto], subscribe: Callable[..., Subscriber], output: str
) -> None:
    """It serves on, a closed terminal's SIGHUP does not end it either, and it ends with 0 when told."""
    broker = mosquitto()
    config = configuration(tmp_path, mqtt={"host": "127.0.0.1", "port": broker.port}, log={"level": "debug"})
    if output == "closed":
        command = f"exec {sys.executable} -m edge run --show --config {config} >&- 2>&-"
        process = subprocess.Popen(["bash", "-c", command], cwd=REPOSITORY)
    elif output == "full disk":
        with open("/dev/full", "wb") as full:
            process = start(config, "--show", stdout=full, stderr=full)
    else:
        reading, writing = os.pipe()
        process = start(config, "--show", stdout=writing, stderr=writing)
        os.close(writing)
        os.read(reading, 1)
        os.close(reading)
    try:
        subscriber = subscribe(broker.port)
        subscriber.wait("edge/test/perspective/lighting", timeout_s=60)
        process.send_signal(signal.SIGHUP)
        time.sleep(6)  # longer than between two tables that it shows
        before = len(subscriber.on("edge/test/perspective/lighting"))
        subscriber.wait("edge/test/perspective/lighting", before + 2, timeout_s=20)
        process.terminate()
        assert process.wait(5) == 0
        assert b"offline" in subscriber.wait("edge/test/bridge/state")[-1].payload
    finally:
        process.kill()
        process.wait()


def test_what_is_not_there_is_told_from_what_is_wrong(daemon: Starter, tmp_path: Path) -> None:
    """69, which systemd tries again: a late disk's folder, models, password, certificate; 78, which it does not."""
    late, other = tmp_path / "late", tmp_path / "other"
    late.mkdir()
    shutil.copytree(REPOSITORY / "engines" / "depth", other / "depth")
    secret = {"host": "h", "username": "u", "password_file": str(late / "password")}
    for status, change in (
        (69, {"inference": {"engines": str(late / "engines")}}),
        (69, {"inference": {"engines": str(late)}}),
        (69, {"mqtt": secret}),
        (69, {"mqtt": {"host": "h", "tls": {"ca": str(late / "ca.pem")}}}),
        (78, {"inference": {"engines": str(other)}, "tasks": {"depth": {"engine": "dept"}}}),
        (78, {"mqtt": secret, "log": {"level": "loud"}}),
    ):
        run = daemon(cameras=[PERSPECTIVE], **change)
        assert run.wait() == status, run.lines
        assert "Traceback" not in " ".join(run.lines)
    missing = start(tmp_path / "gone" / "config.yaml", stderr=subprocess.PIPE)
    assert b"no such file" in missing.communicate(timeout=30)[1]
    assert missing.returncode == 69


def test_a_run_that_was_refused_says_so(daemon: Starter) -> None:
    """A broker that confirms nothing: the last line counts what was refused, the reason is said, and --for exits 1."""
    broker = StrictBroker(puback=0x87)
    depth_only = {**PERSPECTIVE, "tasks": ["depth"]}  # QoS 0, for which a broker cannot even say no
    run = daemon("--for", "5", cameras=[depth_only], mqtt={"host": "127.0.0.1", "port": broker.port})
    assert run.wait() == 1, run.lines
    broker.close()
    last = next(line for line in run.lines if line.startswith("published:"))
    assert int(last.split("refused ")[1].split(")")[0].split(",")[0]) > 0
    assert any("the broker refused" in line and "not authorized" in line for line in run.lines)
