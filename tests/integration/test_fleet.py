"""`edge fleet` with many simulated devices on a real Mosquitto, and the broker configurations of docs/fleet.md."""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import paho.mqtt.client as paho
import pytest
from click.testing import Result
from paho.mqtt.client import topic_matches_sub
from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion
from typer.testing import CliRunner

from edge.commands.fleet import app
from edge.mqtt.endpoint import Endpoint
from edge.mqtt.link import Incoming
from edge.subscribe.fleet import Answer, Device, Filter, Fleet, _Said
from tests.brokers import Mosquitto, wait_until
from tests.fleet_devices import SimulatedDevice, simulated, some
from tests.test_systemd import program

Brokers = Callable[..., Mosquitto]
BROKERS = Path(__file__).resolve().parents[2] / "systemd"


def fleet(broker: Mosquitto, *arguments: str) -> Result:
    """Run `edge fleet`."""
    return CliRunner().invoke(app, ["--port", str(broker.port), *arguments])


def test_retained_topics_tell_what_each_device_is(mosquitto: Brokers) -> None:
    """State, version, engines, complaints and when it spoke last; one that went without a word is offline."""
    broker = mosquitto()
    with simulated(some(11, broker.port)), Fleet.connected(Endpoint("127.0.0.1", broker.port)) as connected:
        found = connected.devices()
        assert [d.name for d in found] == sorted(d.name for d in found)
        first = next(d for d in found if d.name == "south-000")
        assert (first.state, first.version) == ("online", "0.1.0")
        assert [e.name for e in first.engines] == ["depth", "layout", "lighting"]
        assert first.degraded == ("camera hall is offline: no route to host",)
        assert first.last_seen is not None
    lost = SimulatedDevice("lost", broker.port, version="0.2.0", degraded=())
    with simulated([lost]):
        lost.client._sock_close()
        assert wait_until(lambda: '"offline"' in fleet(broker, "--json", "--device", "lost").stdout)


@pytest.mark.slow
def test_a_request_reaches_every_chosen_device_and_its_answers_are_gathered(mosquitto: Brokers) -> None:
    """By name, version or what is wrong; who refuses, is silent or offline is told apart, by the exit code too."""
    broker = mosquitto()
    mute = SimulatedDevice("north-mute", broker.port, version="0.3.0", degraded=(), silent=True)
    with simulated([*some(11, broker.port), mute]):
        pinged = fleet(broker, "--device", "south-*", "request", "ping", "--json")
        assert pinged.exit_code == 0, pinged.stderr
        answers = json.loads(pinged.stdout)
        assert sorted(answers) == ["south-000", "south-002", "south-004", "south-006", "south-008", "south-010"]
        assert {a["data"]["version"] for a in answers.values()} == {"0.1.0", "0.2.0"}
        refused = fleet(broker, "--degraded", "request", "set", "camera=hall", "task=depth", "every_s=2")
        assert refused.exit_code == 1
        assert refused.stdout.splitlines() == ["south-000: set is not allowed", "south-010: set is not allowed"]
        silent = fleet(broker, "--version", "0.3*", "request", "ping", "--timeout", "0.2")
        assert (silent.exit_code, silent.stdout) == (69, "north-mute: no answer\n")
        unguarded = fleet(broker, "request", "reload")
        assert unguarded.exit_code == 1
        assert "--all" in unguarded.stderr
    none = fleet(broker, "--state", "online", "request", "ping")
    assert none.exit_code == 69, none.output


@pytest.mark.parametrize(
    "payload",
    ["", "null", "[]", '"online"', "{}", "[" * 5000, '{"state": 3}', '{"engines": [{}], "version": "1", "cameras": []}',
     '{"at": "yesterday", "degraded": []}', '{"at": "2026-01-31T12:00:00Z", "degraded": [1]}', '{"at": 3}'],
)  # fmt: skip
def test_what_makes_no_sense_on_a_topic_is_left_out(payload: str) -> None:
    """Whatever lies retained there, what the device said before stays, and others are listed."""
    said = _Said("edge")
    said.add(Incoming("edge/a/bridge/state", b'{"state": "online"}', True))
    for kind in ("state", "info", "health"):
        said.add(Incoming(f"edge/a/bridge/{kind}", payload.encode(), True))
    assert said.devices == {"a": Device("a", "online")}


def test_filters_take_what_fits_all_of_them() -> None:
    """Each narrows; a model is named with as much of its digest as is known."""
    found = Device("north-1", "online", "0.2.0", degraded=("x",))
    assert Filter().takes(found)
    assert Filter(names=("a", "north-*"), state="online", version="0.2*", degraded=True).takes(found)
    assert not any(
        f.takes(found)
        for f in (Filter(names=("south-*",)), Filter(state="offline"), Filter(version="0.1*"), Filter(degraded=False))
    )
    assert not Filter(engine="depth").takes(found)


@pytest.mark.slow
def test_three_hundred_devices_are_shown_and_all_answer(mosquitto: Brokers) -> None:
    """What the broker retains of them comes whole, and no answer is lost (tests.fleet_devices measures how soon)."""
    broker = mosquitto()
    names = {f"{'north' if n % 2 else 'south'}-{n:03d}" for n in range(300)}
    with simulated(some(300, broker.port)), Fleet.connected(Endpoint("127.0.0.1", broker.port)) as connected:
        assert {d.name for d in connected.devices()} == names
        answers: dict[str, Answer] = connected.ask(names, "ping", {}, timeout_s=60)
        assert {name for name, answer in answers.items() if answer.status == "ok"} == names


def test_a_site_behind_a_bridge_is_part_of_the_fleet(mosquitto: Brokers) -> None:
    """The example's topics are enough for the central broker to list a site's devices and to ask them."""
    central = mosquitto()
    text = (BROKERS / "mosquitto/bridge.conf").read_text(encoding="utf-8")
    text = text.replace("central.example:8883", f"127.0.0.1:{central.port}")
    text = re.sub(r"(?m)^bridge_cafile .*\n", "", text)
    site = mosquitto(settings=f"allow_anonymous true\n{text}")
    with simulated(some(3, site.port)):
        assert wait_until(lambda: len(json.loads(fleet(central, "--json").stdout)) == 3, 20)
        asked = fleet(central, "request", "ping", "--json")
        assert asked.exit_code == 0, asked.output
        assert len(json.loads(asked.stdout)) == 3


def rules() -> list[list[Any]]:
    """EMQX's rules: Erlang terms, one a line, read as lists."""
    lines = (BROKERS / "emqx/acl.conf").read_text(encoding="utf-8").splitlines()
    terms = [line.rstrip(".").replace("{", "[").replace("}", "]") for line in lines if not line.startswith("%%")]
    strings = re.compile(r'"[^"]*"|\b[a-z_]+\b')
    return [json.loads(strings.sub(lambda m: m[0] if m[0][0] == '"' else f'"{m[0]}"', term)) for term in terms]


def emqx_allows(user: str, action: str, topic: str) -> bool:
    """What the first rule that fits says; `$[username]` is `${username}`, read by `rules`."""
    for verdict, who, *what in rules():
        if who not in ("all", ["user", user]):
            continue
        if not what:
            return bool(verdict == "allow")
        patterns = [pattern.replace("$[username]", user) for pattern in what[1]]
        if what[0] in ("all", action) and any(topic_matches_sub(pattern, topic) for pattern in patterns):
            return bool(verdict == "allow")
    return False


VERDICTS = [
    ("cam-1", "publish", "edge/cam-1/hall/layout", True),
    ("cam-1", "subscribe", "edge/cam-1/request/ping", True),
    ("cam-1", "publish", "edge/cam-2/hall/layout", False),
    ("cam-1", "publish", "homeassistant/device/cam-1/hall/config", True),
    ("cam-1", "publish", "homeassistant/device/cam-2/hall/config", False),
    ("cam-1", "publish", "homeassistant/status", False),
    ("cam-1", "publish", "edge/home/flat 3", True),
    ("cam-1", "publish", "edge/home/flat 3/layout", False),
    ("homeassistant", "subscribe", "edge/cam-1/hall/layout", True),
    ("homeassistant", "publish", "edge/cam-1/hall/layout", False),
    ("homeassistant", "publish", "edge/cam-1/request/ping", True),
]


@pytest.mark.parametrize(("user", "action", "topic", "allowed"), VERDICTS)
def test_emqx_keeps_devices_apart_as_mosquitto_does(user: str, action: str, topic: str, allowed: bool) -> None:
    """A device writes its own topics only; a reader reads all and may only ask."""
    assert emqx_allows(user, action, topic) == allowed


def test_mosquitto_takes_what_emqx_would(tmp_path: Path, mosquitto: Brokers) -> None:
    """What may be published, by its own answer to each message: the same as EMQX's rules say."""
    rules_of(tmp_path, ("cam-1", "homeassistant"))
    broker = mosquitto(settings=f"allow_anonymous false\npassword_file {tmp_path}/passwd\nacl_file {tmp_path}/acl\n")
    said: dict[tuple[str, str], bool] = {}
    for user in ("cam-1", "homeassistant"):
        taken: dict[int, bool] = {}
        client = paho.Client(CallbackAPIVersion.VERSION2, protocol=MQTTProtocolVersion.MQTTv5)
        client.username_pw_set(user, "pw")
        client.on_publish = lambda _c, _d, mid, reason, *_, taken=taken: taken.update({mid: not reason.is_failure})
        client.connect("127.0.0.1", broker.port)
        client.loop_start()
        assert wait_until(client.is_connected)
        sent = {t: client.publish(t, "x", 1).mid for u, action, t, _ in VERDICTS if (u, action) == (user, "publish")}
        assert wait_until(lambda sent=sent, taken=taken: len(taken) == len(sent))
        said |= {(user, topic): taken[mid] for topic, mid in sent.items()}
        client.disconnect()
        client.loop_stop()
    assert said == {(u, t): emqx_allows(u, action, t) for u, action, t, _ in VERDICTS if action == "publish"}


def rules_of(folder: Path, users: tuple[str, ...]) -> None:
    """The shipped rules, and users who may log in with `pw`."""
    (folder / "acl").write_text((BROKERS / "mosquitto/edge.acl").read_text(encoding="utf-8"))
    (folder / "passwd").touch(mode=0o600)
    for user in users:
        command = [program("mosquitto_passwd"), "-b", folder / "passwd", user, "pw"]
        subprocess.run(command, check=True, capture_output=True)


def test_emqx_configuration_is_hocon_and_denies_what_no_rule_allows() -> None:
    """It parses; nobody connects without a password or encryption, and its rules are those that are shipped."""
    pyhocon = pytest.importorskip("pyhocon")
    config = pyhocon.ConfigFactory.parse_file(BROKERS / "emqx/emqx.conf")
    assert config["authorization.no_match"] == "deny"
    assert Path(config["authorization.sources"][0]["path"]).name == "acl.conf"
    assert config["authentication"][0]["mechanism"] == "password_based"
    assert config["listeners.tcp.default.enable"] is False
    assert len(config["cluster.static.seeds"]) == 3
