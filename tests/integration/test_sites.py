"""The brokers of docs/fleet.md, as they are shipped: a site's behind a central one, over TLS; shared subscriptions."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import paho.mqtt.client as paho
import pytest
from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion
from typer.testing import CliRunner

from edge.commands.fleet import app
from edge.commands.mosquitto import mosquitto_program, unused_port
from tests.brokers import Mosquitto, wait_until
from tests.edge.mqtt.test_tls import openssl, signed
from tests.fleet_devices import SimulatedDevice, simulated
from tests.test_systemd import SYSTEMD, program

Brokers = Callable[..., Mosquitto]
EXAMPLES = SYSTEMD / "mosquitto"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """An authority, and the central broker's certificate by it."""
    if mosquitto_program() is None or shutil.which("openssl") is None:
        pytest.skip("mosquitto or openssl is not installed")
    openssl("req -x509 -newkey rsa:2048 -nodes -days 30 -subj /CN=ca -keyout ca.key -out ca.crt", tmp_path)
    signed(tmp_path, "broker", -1, 10)
    return tmp_path


def settings(folder: Path, name: str, users: tuple[str, ...], *, tls: bool = False, bridge: bool = False) -> str:
    """The shipped edge.conf, with the files that it names here; its comments taken back where it says to.

    `users`: who may log in, with the password `pw`. `bridge`: the rules for a site's bridge too.
    """
    passwords, rules = folder / f"{name}.passwd", folder / f"{name}.acl"
    passwords.touch(mode=0o600)
    for user in users:
        subprocess.run([program("mosquitto_passwd"), "-b", passwords, user, "pw"], check=True, capture_output=True)
    text = (EXAMPLES / "edge.acl").read_text(encoding="utf-8")
    rules.write_text(re.sub(r"(?m)^# (user site-north|topic readwrite edge/#)$", r"\1", text) if bridge else text)
    text = (EXAMPLES / "edge.conf").read_text(encoding="utf-8")
    if tls:
        text = re.sub(r"(?m)^# ((?:cafile|certfile|keyfile) .*)$", r"\1", text)
        text = text.replace("/etc/mosquitto/broker.pem", "/etc/mosquitto/broker.crt").replace("ca.pem", "ca.crt")
        assert text.count("\ncertfile ") == 1
    text = text.replace("listener 1883\n", "").replace("persistence true\n", "")
    text = text.replace("/etc/mosquitto/edge.", f"{folder}/{name}.").replace("/etc/mosquitto/", f"{folder}/")
    # what belongs to the listener stands first, as in the shipped file
    own = re.findall(r"(?m)^(?:cafile|certfile|keyfile) .*\n", text)
    return "".join(own) + re.sub(r"(?m)^(?:cafile|certfile|keyfile) .*\n", "", text)


def central(folder: Path, start: Brokers, port: int) -> Mosquitto:
    """The central broker: TLS alone, a user per site, and a reader."""
    text = settings(folder, "central", ("site-north", "homeassistant"), tls=True, bridge=True)
    own = "".join(re.findall(r"(?m)^(?:cafile|certfile|keyfile) .*\n", text))
    return start(settings=text.removeprefix(own), listener=own, port=port)


def site(folder: Path, start: Brokers, central_port: int, password: str = "pw") -> Mosquitto:
    """The site's broker: its devices' users, and the shipped bridge."""
    text = (EXAMPLES / "bridge.conf").read_text(encoding="utf-8")
    for line, here in {
        "address central.example:8883": f"address 127.0.0.1:{central_port}",
        "remote_password change-me": f"remote_password {password}",
        "bridge_cafile /etc/mosquitto/ca.pem": f"bridge_cafile {folder}/ca.crt",
    }.items():
        assert line in text
        text = text.replace(line, here)
    return start(settings=settings(folder, "site", ("north-1", "north-2")) + text)


def fleet(folder: Path, port: int, *arguments: str) -> dict[str, object] | list[dict[str, str]]:
    """What `edge fleet --json` says at the central broker, as the reader; empty where it cannot."""
    (folder / "secret").write_text("pw")
    login = ["--username", "homeassistant", "--password-file", str(folder / "secret"), "--ca", str(folder / "ca.crt")]
    done = CliRunner().invoke(app, ["--port", str(port), *login, *(arguments or ("--json",))])
    found: dict[str, object] | list[dict[str, str]] = json.loads(done.stdout) if done.stdout else []
    return found


@pytest.mark.slow
def test_a_central_broker_has_the_devices_of_a_site(folder: Path, mosquitto: Brokers) -> None:
    """Two devices of a site are listed at the centre and answer through it, over TLS, with the shipped files.

    When the central broker comes back with nothing, all that is retained is there again.
    """
    port = unused_port()
    above = central(folder, mosquitto, port)
    below = site(folder, mosquitto, port)
    devices = [
        SimulatedDevice(name, below.port, version="0.3.0", degraded=(), password="pw")
        for name in ("north-1", "north-2")
    ]

    def states() -> dict[str, str]:
        return {d["name"]: d["state"] for d in fleet(folder, port) if isinstance(d, dict)}

    both = {"north-1": "online", "north-2": "online"}
    with simulated(devices):
        assert wait_until(lambda: states() == both, 40)
        answers = fleet(folder, port, "request", "ping", "--json")
        assert isinstance(answers, dict)
        assert sorted(answers) == sorted(both)
        assert all(answer["status"] == "ok" for answer in answers.values() if isinstance(answer, dict))
        above.stop()
        central(folder, mosquitto, port)
        assert wait_until(lambda: states() == both, 90)
        devices[0].client._sock_close()
        assert wait_until(lambda: states() == both | {"north-1": "offline"}, 40), "its will goes up too"


@pytest.mark.slow
def test_a_site_that_is_not_trusted_gets_nothing_up(folder: Path, mosquitto: Brokers) -> None:
    """With a wrong password nothing of it is at the centre; its devices go on at their own broker."""
    port = unused_port()
    central(folder, mosquitto, port)
    below = site(folder, mosquitto, port, password="wrong")
    device = SimulatedDevice("north-1", below.port, version="0.3.0", degraded=(), password="pw")
    with simulated([device]):
        assert not wait_until(lambda: fleet(folder, port) != [], 3)
        assert device.client.is_connected()


def subscriber(port: int, topic: str, user: str) -> tuple[paho.Client, list[paho.MQTTMessage]]:
    """A plain client that has subscribed, and what it is sent."""
    got: list[paho.MQTTMessage] = []
    ready: list[int] = []
    client = paho.Client(CallbackAPIVersion.VERSION2, protocol=MQTTProtocolVersion.MQTTv5)
    client.username_pw_set(user, "pw")
    client.on_connect = lambda c, *_: c.subscribe(topic, 1)
    client.on_subscribe = lambda *_: ready.append(1)
    client.on_message = lambda _client, _data, message: got.append(message)
    client.connect("127.0.0.1", port)
    client.loop_start()
    assert wait_until(lambda: ready)
    return client, got


def test_a_shared_subscription_gives_each_message_to_one(tmp_path: Path, mosquitto: Brokers) -> None:
    """Of a group each gets some, none twice; only a reader may have it, by the shipped rules.

    Mosquitto 2.0.11 sends such a subscription what is retained, which the standard does not: it is marked so.
    """
    broker = mosquitto(settings=settings(tmp_path, "broker", ("north-1", "north-2", "homeassistant")))
    device, _ = subscriber(broker.port, "edge/north-1/request/#", "north-1")
    topic, group = "edge/north-1/hall/layout", "$share/plans/edge/+/+/layout"
    device.publish(topic, "before", 1, retain=True).wait_for_publish(5)
    readers = [subscriber(broker.port, group, "homeassistant") for _ in range(2)]
    other, overheard = subscriber(broker.port, group.replace("plans", "spies"), "north-2")
    sent = {str(n) for n in range(20)}
    for text in sorted(sent):
        device.publish(topic, text, 1, retain=True).wait_for_publish(5)

    def live() -> list[list[str]]:
        return [[m.payload.decode() for m in got if not m.retain] for _, got in readers]

    assert wait_until(lambda: sum(map(len, live())) >= len(sent))
    shares = live()
    assert sorted(shares[0] + shares[1]) == sorted(sent)
    assert all(shares)
    assert overheard == []
    for client in (device, other, *(client for client, _ in readers)):
        client.disconnect()
        client.loop_stop()
