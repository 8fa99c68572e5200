"""Mosquitto's example configuration: a real broker with its rules lets through what it should, and nothing else."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.brokers import Mosquitto
from tests.test_systemd import SYSTEMD, program, run


@pytest.fixture
def broker_port(tmp_path: Path, mosquitto: Callable[..., Mosquitto]) -> int:
    """A Mosquitto with the example's rules, the users edge-demo, edge-other and homeassistant, password `pw`."""
    passwd = program("mosquitto_passwd")
    program("mosquitto_pub")
    passwords, rules = tmp_path / "passwd", tmp_path / "acl"
    shutil.copy(SYSTEMD / "mosquitto" / "edge.acl", rules)
    passwords.touch(mode=0o600)
    for user in ("edge-demo", "edge-other", "homeassistant"):
        subprocess.run([passwd, "-b", passwords, user, "pw"], check=True, capture_output=True)
    settings = (SYSTEMD / "mosquitto" / "edge.conf").read_text(encoding="utf-8")
    for line, here in {
        "listener 1883\n": "",
        "persistence true\n": "",
        "/etc/mosquitto/edge.passwd": str(passwords),
        "/etc/mosquitto/edge.acl": str(rules),
    }.items():
        assert line in settings
        settings = settings.replace(line, here)
    return mosquitto(settings=settings).port


@pytest.mark.parametrize(
    ("user", "topic", "arrives"),
    [
        ("edge-demo", "edge/edge-demo/hall/layout", True),
        ("edge-other", "edge/edge-demo/hall/layout", False),
        ("homeassistant", "edge/edge-demo/hall/layout", False),
        ("homeassistant", "edge/edge-demo/request/scan", True),
    ],
)
def test_example_rules_keep_devices_apart(broker_port: int, user: str, topic: str, arrives: bool) -> None:
    """A device writes its own topics only; a reader reads all and may only ask."""
    login = ("-h", "127.0.0.1", "-p", str(broker_port), "-P", "pw", "-q", "1")
    send = ("mosquitto_pub", *login, "-r", "-t", topic, "-u", user, "-m", "hello")
    run(program(send[0]), *send[1:])
    received = run(program("mosquitto_sub"), *login, "-u", "edge-demo", "-t", "edge/edge-demo/#", "-C", "1", "-W", "1")
    assert ("hello" in received.stdout) == arrives


@pytest.mark.parametrize(
    ("writer", "topic", "reader", "arrives"),
    [
        ("edge-demo", "homeassistant/device/edge-demo/hall/config", "homeassistant", True),
        ("edge-demo", "homeassistant/device/edge-demo/hall/config", "edge-demo", True),
        ("edge-other", "homeassistant/device/edge-demo/hall/config", "homeassistant", False),
        ("edge-demo", "homeassistant/device/edge-demo/hall/config", "edge-other", False),
        ("edge-demo", "homeassistant/device/edge-demo/config", "homeassistant", False),
        ("edge-demo", "homeassistant/sensor/edge-demo/hall/config", "homeassistant", False),
        ("edge-demo", "homeassistant/status", "homeassistant", False),
        ("homeassistant", "homeassistant/status", "edge-demo", True),
        ("homeassistant", "homeassistant/device/edge-demo/hall/config", "edge-demo", True),
    ],
)
def test_example_rules_let_a_device_describe_itself_alone(
    broker_port: int, writer: str, topic: str, reader: str, arrives: bool
) -> None:
    """To Home Assistant a device says what it is, never what another is, and hears of its start; no more."""
    login = ("-h", "127.0.0.1", "-p", str(broker_port), "-P", "pw", "-q", "1")
    run(program("mosquitto_pub"), *login, "-r", "-t", topic, "-u", writer, "-m", "hello")
    received = run(program("mosquitto_sub"), *login, "-u", reader, "-t", topic, "-C", "1", "-W", "1")
    assert ("hello" in received.stdout) == arrives


@pytest.mark.parametrize(
    ("writer", "topic", "arrives"),
    [
        ("edge-demo", "edge/home/flat 3", True),
        ("edge-demo", "edge/home/flat 3/layout", False),
    ],
)
def test_example_rules_let_a_home_be_told_by_who_serves_a_page(
    broker_port: int, writer: str, topic: str, arrives: bool
) -> None:
    """A home is one level below edge/home, heard by the others who serve a page; nothing deeper, nothing beside."""
    login = ("-h", "127.0.0.1", "-p", str(broker_port), "-P", "pw", "-q", "1")
    run(program("mosquitto_pub"), *login, "-r", "-t", topic, "-u", writer, "-m", "hello")
    reader = "edge-other" if arrives else "homeassistant"
    received = run(program("mosquitto_sub"), *login, "-u", reader, "-t", topic, "-C", "1", "-W", "1")
    assert ("hello" in received.stdout) == arrives


def test_example_admits_nobody_without_a_password(broker_port: int) -> None:
    """An anonymous client is refused."""
    result = run(program("mosquitto_pub"), "-h", "127.0.0.1", "-p", str(broker_port), "-t", "edge/x", "-m", "hello")
    assert result.returncode != 0
