"""Brokers that are not there, die, freeze, hang up, stay silent, refuse, or take less than they are sent."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.brokers import Mosquitto, quiet_port, wait_until
from tests.faults.device import RECOVERY_S, Device, Figures, crowding, lasting, long_only, soon
from tests.faults.ledger import CountingSubscriber
from tests.strict_broker import StrictBroker

pytestmark = pytest.mark.faults

Brokers = Callable[..., Mosquitto]
Devices = Callable[..., Device]
Counting = Callable[..., CountingSubscriber]
Strict = Callable[..., StrictBroker]


def after(
    device: Device, subscriber: CountingSubscriber, figures: Figures, row: str, hurt_s: float, back_s: float
) -> None:
    """What holds after every outage: results again, no event lost, the newest of what is retained, exit 0 in time."""
    first_s = device.serves(subscriber, since_s=back_s)
    wait_until(lambda: not device.balance(subscriber, hurt_s, first_s).missing_results, 30)
    complete_s = time.monotonic() - back_s
    until_s = time.monotonic()
    time.sleep(2)
    status, took_s = device.end()
    lost = device.balance(subscriber, hurt_s, until_s)
    figures.note(
        row,
        recovery_s=round(first_s - back_s, 2),
        complete_s=round(complete_s, 1),
        lost=lost.said(),
        rss_mib=device.memory(),
        status=status,
        end_s=round(took_s, 2),
        said=device.heard(since_s=hurt_s - 1),
        bridge=[a.payload.decode() for a in subscriber.on("bridge/state", hurt_s)],
        protocol=[a.payload.decode().split('"protocol":"')[-1][:5] for a in subscriber.on("bridge/health")[-1:]],
        degraded=subscriber.last("bridge/health").get("degraded"),
    )
    assert not lost.unreplaced
    assert lost.missing_results == ()
    assert soon(first_s - back_s, RECOVERY_S)
    assert (status, soon(took_s)) == (0, True)
    assert subscriber.last("bridge/state") == {"state": "offline"}
    assert all("Traceback" not in line for line in device.heard())


def lose_a_camera(device: Device) -> None:
    """Something to tell in an outage: a capture process dies, and is started again."""
    device.capture_process("perspective").kill()


def test_a_broker_that_comes_late(device: Devices, counting: Counting, mosquitto: Brokers, figures: Figures) -> None:
    """A broker that is not there at the start is said with the remedy, and used once it comes up."""
    port = quiet_port()
    subscriber, run = counting(port), device(port)
    assert run.said("nothing listens there")
    hurt_s = run.started_s
    assert wait_until(lambda: run.produced() > 10, 60)
    lose_a_camera(run)
    time.sleep(lasting(5, 18))
    mosquitto(port=port)
    after(run, subscriber, figures, "1", hurt_s, time.monotonic())


@pytest.mark.parametrize("kept", ["", "autosave 1800 s", pytest.param("autosave 5 s", marks=long_only)])
def test_a_broker_that_is_killed(
    device: Devices, counting: Counting, mosquitto: Brokers, figures: Figures, tmp_path: Path, kept: str
) -> None:
    """SIGKILL, with and without persistence: everything retained is there again, and each event once it is back."""
    settings = "allow_anonymous true\n"
    if kept:
        every_s = kept.split()[1]
        settings += f"persistence true\npersistence_location {tmp_path}/\nautosave_interval {every_s}\n"
    broker = mosquitto(settings=settings)
    subscriber, run = counting(broker.port), device(broker.port)
    run.serves(subscriber)
    time.sleep(lasting(1, 8))
    before = {a.topic for a in subscriber.arrivals if a.topic.endswith(("/state", "/info", "/layout", "/lighting"))}
    hurt_s = time.monotonic()
    broker.stop()  # by SIGKILL
    lose_a_camera(run)
    time.sleep(lasting(8, 20))
    broker.start()
    back_s = time.monotonic()
    assert wait_until(lambda: before <= {a.topic for a in list(subscriber.arrivals) if a.at_s >= back_s}, 40)
    row = {"": "2", "autosave 1800 s": "2p", "autosave 5 s": "2pa"}[kept]
    after(run, subscriber, figures, row, hurt_s, back_s)


def test_a_broker_that_freezes(device: Devices, counting: Counting, mosquitto: Brokers, figures: Figures) -> None:
    """SIGSTOP, then SIGCONT: it is said that nothing is confirmed; afterwards the protocol is the one of before."""
    broker = mosquitto()
    subscriber, run = counting(broker.port), device(broker.port)
    run.serves(subscriber)
    hurt_s = time.monotonic()
    broker.signal(signal.SIGSTOP)
    lose_a_camera(run)
    if lasting(0, 1):
        assert run.said("stopped confirming", timeout_s=40)
        figures.note("3", noticed_s=round(next(t for t, line in run.lines if "stopped confirming" in line) - hurt_s, 1))
    time.sleep(max(lasting(12, 60) - (time.monotonic() - hurt_s), 0))
    broker.signal(signal.SIGCONT)
    after(run, subscriber, figures, "3", hurt_s, time.monotonic())
    assert "MQTT 5" in run.heard("connected to broker")[-1]


def test_a_broker_that_never_answers(
    device: Devices, counting: Counting, mosquitto: Brokers, strict: Strict, figures: Figures
) -> None:
    """Connections that are accepted and stay mute: said once, tried again with growing pauses, ended at once."""
    port = quiet_port()
    mute = strict(port=port, mute=True)
    other, run = counting(port, topic="none"), device(port)
    other.stop()
    assert run.said("did not answer")
    hurt_s = run.started_s
    assert wait_until(lambda: run.produced() > 10, 60)
    time.sleep(lasting(6, 50))
    tries = len([at_s for at_s in mute.connected_s if at_s > hurt_s])
    mute.close()
    subscriber = counting(port)
    mosquitto(port=port)
    assert subscriber.connected.wait(5)
    figures.note("4", connections=tries, after_s=round(time.monotonic() - hurt_s))
    after(run, subscriber, figures, "4", hurt_s, time.monotonic())
    assert len(run.heard("did not answer")) <= 2
    assert tries <= 15 + lasting(0, 30) / 2


def test_a_broker_that_hangs_up(
    device: Devices, counting: Counting, mosquitto: Brokers, strict: Strict, figures: Figures
) -> None:
    """Connections that are accepted and closed: at most fifteen in thirty seconds, said once, and then served."""
    port = quiet_port()
    closing = strict(port=port, accept=False)
    run = device(port)
    assert run.said("closed the connection")
    hurt_s = next(at_s for at_s, line in run.lines if "closed the connection" in line)
    time.sleep(lasting(10, 37))
    tries = len([at_s for at_s in closing.connected_s if at_s < hurt_s + 30])
    closing.close()
    subscriber = counting(port)
    mosquitto(port=port)
    assert subscriber.connected.wait(5)
    figures.note("8", connections_30s=tries)
    after(run, subscriber, figures, "8", hurt_s, time.monotonic())
    assert tries <= 15
    assert len(run.heard("closed the connection")) <= 2


def passwords(folder: Path, **users: str) -> str:
    """Lines of mosquitto.conf that let these users in."""
    file = folder / "passwords"
    file.unlink(missing_ok=True)
    for number, (user, password) in enumerate(users.items()):
        command = ["mosquitto_passwd", "-b", *(["-c"] if not number else []), str(file), user, password]
        subprocess.run(command, check=True, capture_output=True)
    return f"allow_anonymous false\npassword_file {file}\n"


@pytest.mark.parametrize("mended", [pytest.param("at the broker", marks=long_only), "in the file"])
def test_a_wrong_password(
    device: Devices, mosquitto: Brokers, counting: Counting, figures: Figures, tmp_path: Path, mended: str
) -> None:
    """Said with the remedy; the password's file is read at every attempt, so that who mends it needs no restart."""
    secret = tmp_path / "secret"
    secret.write_text("wrong\n")
    broker = mosquitto(settings=passwords(tmp_path, edge="right", watch="w"))
    subscriber = counting(broker.port, login=("watch", "w"))
    run = device(broker.port, mqtt={"username": "edge", "password_file": str(secret)})
    assert run.said("refused")
    hurt_s = run.started_s
    assert wait_until(lambda: run.produced() > 10, 60)
    lose_a_camera(run)
    time.sleep(lasting(5, 30))
    if mended == "in the file":
        secret.write_text("right\n")
    else:
        passwords(tmp_path, edge="wrong", watch="w")
        broker.signal(signal.SIGHUP)
    after(run, subscriber, figures, "5" if mended == "at the broker" else "5f", hurt_s, time.monotonic())
    assert any("mqtt.password" in line for line in run.heard("refused"))


def test_a_second_client_of_the_same_id(
    device: Devices, counting: Counting, mosquitto: Brokers, figures: Figures
) -> None:
    """Two that take the connection from each other: after three losses both causes and remedy are said."""
    broker = mosquitto()
    subscriber, run = counting(broker.port), device(broker.port)
    run.serves(subscriber)
    hurt_s = time.monotonic()
    rival = f"while true; do mosquitto_sub -p {broker.port} -i edge-test -t none -V 5; sleep 0.2; done"
    with subprocess.Popen(["bash", "-c", rival], stdout=-3, stderr=-3, start_new_session=True) as other:
        assert run.said("if another client is called 'edge-test'", timeout_s=60)
        named_s = time.monotonic() - hurt_s
        time.sleep(max(lasting(0, 45) - named_s, 0))
        os.killpg(other.pid, signal.SIGKILL)
    back_s = time.monotonic()
    run.serves(subscriber, since_s=back_s)
    told = wait_until(
        lambda: any(b"another client is called" in a.payload for a in subscriber.on("bridge/health", back_s)),
        10 * crowding(),
    )
    figures.note("6", named_s=round(named_s, 1))
    after(run, subscriber, figures, "6", hurt_s, back_s)
    assert told, subscriber.last("bridge/health").get("degraded")


@pytest.mark.parametrize("limit", ["message_size_limit", "max_packet_size"])
def test_messages_larger_than_the_broker_takes(
    device: Devices, counting: Counting, mosquitto: Brokers, figures: Figures, limit: str
) -> None:
    """What is too large is held back and named; what is smaller goes on arriving over one connection."""
    broker = mosquitto(settings=f"allow_anonymous true\n{limit} 2000\n")
    subscriber = counting(broker.port)
    hurt_s = time.monotonic()
    run = device(broker.port)
    assert wait_until(lambda: run.produced() > 0, 60)
    first_s = time.monotonic()
    assert wait_until(lambda: len([a for a in subscriber.on("/lighting")]) >= 8, 60), run.heard()
    arrived_s = subscriber.on("/lighting")[0].at_s - first_s
    time.sleep(lasting(5, 20))
    healths = [json.loads(a.payload) for a in subscriber.on("bridge/health", first_s + 10)]  # what is not too large
    health = healths[-1] if healths else {}
    connections, held = len(run.heard("connected to broker")), len(run.heard("held back for"))
    status, took_s = run.end()
    lost = run.balance(subscriber, first_s + 10, time.monotonic())
    figures.note(
        "7" if limit == "message_size_limit" else "7x",
        recovery_s=round(arrived_s, 1),
        connections=connections,
        lost=lost.said(),
        rss_mib=run.memory(),
        status=status,
        end_s=round(took_s, 2),
        said=run.heard(since_s=hurt_s),
        degraded=health.get("degraded"),
        dropped=health.get("dropped"),
    )
    assert connections <= 2 * held + 1, (
        "two losses for each kind that is too large, and none where the broker says its limit"
    )
    assert lost.lost["lighting"] == 0
    assert run.heard("/layout: ")
    assert not health or any("layout" in str(text) for text in health["degraded"])
    assert status == 0
