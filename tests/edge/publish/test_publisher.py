"""Publishing against real brokers: what arrives, with which quality, and what survives when things go wrong."""

from __future__ import annotations

import gc
import json
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from edge.errors import PublishError
from edge.mqtt.broker import EmbeddedBroker
from edge.mqtt.endpoint import Endpoint, TlsOptions
from edge.mqtt.messages import BridgeEvent, timestamp
from edge.mqtt.topics import LIVE_EXPIRY_S, Kind, Topics
from edge.mqtt.verbs import CameraArguments
from edge.publish import window as window_module
from edge.publish.compose import Binary, Source, depth_message, depth_picture, layout_message
from edge.publish.publisher import Publisher
from edge.publish.requests import Handler
from edge.scene import DepthMap, Frame, RoomLayout

TOPICS = Topics("dev")
ONLINE, OFFLINE = b'{"state":"online"}', b'{"state":"offline"}'
Start = Callable[..., Publisher]


@pytest.fixture
def publish() -> Iterator[Start]:
    """Starts publishers that end with the test."""
    running: list[Publisher] = []

    def start(port: int, *, host: str = "127.0.0.1", **options: Any) -> Publisher:
        link = {k: options.pop(k) for k in ("username", "password", "tls", "protocol", "transport") if k in options}
        running.append(Publisher(Endpoint(host, port, **link), TOPICS, retry_s=(0.1, 0.4), **options))
        running[-1].start()
        return running[-1]

    yield start
    for publisher in running:
        publisher.stop()


def _event(number: int) -> BridgeEvent:
    return BridgeEvent(device="dev", at=timestamp(time.time()), type="test", message=str(number))


def _wait(condition: Callable[[], Any], timeout_s: float = 10.0) -> None:
    deadline_s = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline_s, "it did not come true"
        time.sleep(0.01)


def test_results_carry_their_mqtt5_properties(
    mosquitto: Any, subscribe: Any, publish: Start, frame: Frame, depth: DepthMap, source: Source
) -> None:
    """On MQTT 5: content type, format indicator, expiry on live results, schema and capture time beside the payload."""
    port = mosquitto().port
    seen = subscribe(port)
    publisher = publish(port)
    publisher.publish("depth", lambda: depth_message(frame, depth, source, 0.1), camera="living")
    publisher.publish("depth_image", lambda: depth_picture(frame, depth, source), camera="living")
    message = seen.wait("edge/dev/living/depth")[0]
    assert json.loads(message.payload)["frame"] == 42
    assert (message.properties.ContentType, message.properties.PayloadFormatIndicator) == ("application/json", 1)
    assert 0 < message.properties.MessageExpiryInterval <= LIVE_EXPIRY_S
    properties = dict(message.properties.UserProperty)
    assert properties == {"schema": "edge.depth/1", "captured_at": "2026-01-01T00:00:00.250000Z"}
    picture = seen.wait("edge/dev/living/depth/image")[0]
    assert picture.properties.ContentType == "image/png"
    assert dict(picture.properties.UserProperty)["frame"] == "42"
    assert publisher.statistics().protocol == "5"
    assert not hasattr(seen.wait("edge/dev/bridge/state")[0].properties, "MessageExpiryInterval")


@pytest.mark.parametrize("transport", ["tcp", "websockets"])
def test_the_embedded_broker_is_spoken_to_in_3_1_1(
    embedded: EmbeddedBroker,
    subscribe: Any,
    publish: Start,
    frame: Frame,
    layout: RoomLayout,
    source: Source,
    transport: str,
) -> None:
    """A broker without MQTT 5 is recognised, over TCP and WebSocket, and everything arrives on the older version."""
    seen = subscribe(embedded.port, version="3.1.1", topic="edge/#")
    publisher = publish(embedded.port if transport == "tcp" else embedded.ws_port, transport=transport)
    publisher.publish("layout", layout_message(frame, layout, source, 0.1), camera="living")
    assert json.loads(seen.wait("edge/dev/living/layout")[0].payload)["metric"]["area_m2"] == 20.0
    assert publisher.statistics().protocol == "3.1.1"
    publisher.stop()
    assert seen.wait("edge/dev/bridge/state", 2)[-1].payload == OFFLINE


def test_a_late_subscriber_is_told_what_is_retained(
    mosquitto: Any, subscribe: Any, publish: Start, frame: Frame, layout: RoomLayout, source: Source
) -> None:
    """State and layout await whoever comes later; live results and events do not."""
    port = mosquitto().port
    publisher = publish(port)
    publisher.publish("layout", layout_message(frame, layout, source, 0.1), camera="living")
    publisher.publish("bridge_event", _event(1))
    assert publisher.wait_connected(10)
    assert publisher.flush(10)
    late = subscribe(port)
    assert late.wait("edge/dev/living/layout")[0].retain
    assert late.wait("edge/dev/bridge/state")[0].payload == ONLINE
    time.sleep(0.2)
    assert late.topics() == ["edge/dev/bridge/state", "edge/dev/living/layout"]


_CHILD = """
import sys, time
from edge.mqtt.endpoint import Endpoint
from edge.publish.publisher import Publisher
from edge.mqtt.topics import Topics
Publisher(Endpoint("127.0.0.1", int(sys.argv[1])), Topics("dev")).start()
time.sleep(60)
"""


def test_a_killed_daemon_is_reported_by_its_will(mosquitto: Any, subscribe: Any) -> None:
    """When the process dies without a word, the broker says offline, retained."""
    port = mosquitto().port
    seen = subscribe(port)
    child = subprocess.Popen([sys.executable, "-c", _CHILD, str(port)], cwd=Path(__file__).parents[3])
    try:
        assert seen.wait("edge/dev/bridge/state", timeout_s=20)[-1].payload == ONLINE
    finally:
        child.kill()
        child.wait(5)
    assert seen.wait("edge/dev/bridge/state", 2)[-1].payload == OFFLINE
    assert subscribe(port).wait("edge/dev/bridge/state")[0].payload == OFFLINE


def test_a_clean_stop_says_offline_last(mosquitto: Any, subscribe: Any, publish: Start) -> None:
    """Stopping sends what waits, then offline, and nothing after it."""
    port = mosquitto().port
    seen = subscribe(port)
    publisher = publish(port)
    assert publisher.wait_connected(10)
    for number in range(50):
        publisher.publish("bridge_event", _event(number))
    publisher.stop()
    seen.wait("edge/dev/bridge/state", 2)
    assert len(seen.on("edge/dev/bridge/event")) == 50
    assert seen.received[-1].topic == "edge/dev/bridge/state"
    assert seen.received[-1].payload == OFFLINE


def test_a_broker_that_forgot_is_told_everything_again(
    mosquitto: Any, subscribe: Any, publish: Start, frame: Frame, layout: RoomLayout, source: Source
) -> None:
    """After a broker restart without persistence, state and every retained result are there again, counted once."""
    broker = mosquitto()
    publisher = publish(broker.port)
    publisher.publish("layout", layout_message(frame, layout, source, 0.1), camera="living")
    assert publisher.wait_connected(10)
    assert publisher.flush(10)
    broker.stop()
    _wait(lambda: not publisher.statistics().connected)
    publisher.publish("bridge_event", _event(1))
    broker.start()
    assert publisher.wait_connected(10)
    assert publisher.flush(10)
    late = subscribe(broker.port)
    assert json.loads(late.wait("edge/dev/living/layout")[0].payload)["frame"] == 42
    assert late.wait("edge/dev/bridge/state")[0].payload == ONLINE
    after = publisher.statistics()
    assert after.reconnects == 1
    assert after.published["layout", "living"] == 1
    assert after.published["bridge_event", None] == 1, "an event of the outage is delivered after it"


def test_a_broker_that_is_down_at_start_is_waited_for(mosquitto: Any, publish: Start) -> None:
    """Without a broker, the error says what to do, publishing does not wait, and the connection comes by itself."""
    broker = mosquitto()
    broker.stop()
    publisher = publish(broker.port)
    publisher.publish("bridge_event", _event(1))
    _wait(lambda: publisher.last_error)
    assert "start the broker, or correct mqtt.host and mqtt.port" in str(publisher.last_error)
    broker.start()
    assert publisher.wait_connected(10)
    assert publisher.flush(10)
    assert publisher.last_error is None


def _password_file(folder: Path, password: str) -> Path:
    path = folder / "passwords"
    path.unlink(missing_ok=True)
    tool = shutil.which("mosquitto_passwd")
    assert tool is not None
    subprocess.run([tool, "-c", "-b", str(path), "edge", password], check=True, capture_output=True)
    path.chmod(0o644)
    return path


@pytest.mark.parametrize("protocol", ["auto", "3.1.1"])
def test_a_wrong_password_is_named_and_forgiven(mosquitto: Any, publish: Start, tmp_path: Path, protocol: str) -> None:
    """A refused login says which keys to correct; once the broker accepts it, publishing goes on."""
    passwords = _password_file(tmp_path, "other")
    broker = mosquitto(settings=f"allow_anonymous false\npassword_file {passwords}\n")
    publisher = publish(broker.port, username="edge", password="right", protocol=protocol)
    _wait(lambda: publisher.last_error)
    assert "mqtt.username and mqtt.password" in str(publisher.last_error)
    assert "right" not in repr(publisher.statistics())
    assert not publisher.wait_connected(0)
    _password_file(tmp_path, "right")
    broker.signal(signal.SIGHUP)
    assert publisher.wait_connected(10)
    assert publisher.flush(10)


def _certificates(folder: Path) -> dict[str, Path]:
    """A new authority, and a certificate for 127.0.0.1 signed by it."""
    names = ("ca.key", "ca.crt", "server.key", "server.csr", "server.crt")
    path = {n: folder / n for n in names}
    (folder / "san").write_text("subjectAltName=IP:127.0.0.1\n")
    for arguments in (
        f"req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=authority -keyout {path['ca.key']} -out {path['ca.crt']}",
        f"req -newkey rsa:2048 -nodes -subj /CN=broker -keyout {path['server.key']} -out {path['server.csr']}",
        f"x509 -req -in {path['server.csr']} -CA {path['ca.crt']} -CAkey {path['ca.key']} -CAcreateserial -days 2 "
        f"-extfile {folder / 'san'} -out {path['server.crt']}",
    ):
        subprocess.run(["openssl", *arguments.split()], check=True, capture_output=True)
    return path


# The TLS library under paho leaves the socket of a failed handshake to the garbage collector, which warns of it.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_tls_needs_the_right_authority(mosquitto: Any, publish: Start, tmp_path: Path) -> None:
    """With the broker's authority it connects; without, the error names mqtt.tls.ca; a missing file is named."""
    if shutil.which("openssl") is None:
        pytest.skip("openssl is not installed, and the test needs it to make certificates")
    path = _certificates(tmp_path)
    listener = f"certfile {path['server.crt']}\nkeyfile {path['server.key']}\n"
    port = mosquitto(listener=listener).port
    assert publish(port, tls=TlsOptions(ca=path["ca.crt"]), client_id="good").wait_connected(10)
    assert publish(port, tls=TlsOptions(insecure=True), client_id="insecure").wait_connected(10)
    stranger = publish(port, tls=TlsOptions(), client_id="stranger")
    missing = publish(port, tls=TlsOptions(ca=tmp_path / "no.crt"), client_id="missing")
    plain = publish(port, client_id="plain")
    for publisher, text in ((stranger, "mqtt.tls.ca"), (missing, "a TLS file is missing"), (plain, "mqtt.tls")):
        _wait(lambda p=publisher: p.last_error)  # type: ignore[misc]
        assert text in str(publisher.last_error)
        publisher.stop()
    gc.collect()


def _ask(port: int, verb: str, payload: bytes, subscribe: Any, version: str = "5") -> Any:
    topic = f"edge/dev/response/{verb}"
    seen = subscribe(port, topic=topic, version=version)
    seen.client.publish(f"edge/dev/request/{verb}", payload, qos=1)
    return json.loads(seen.wait(topic)[0].payload)


def _restart(arguments: CameraArguments) -> dict[str, Any]:
    if arguments.camera != "hall":
        raise PublishError("no such camera; there is hall")
    return {"camera": arguments.camera}


HANDLERS: dict[str, Handler] = {"restart-camera": _restart, "ping": lambda _: {"x": [][1]}}
HALL = b'{"camera": "hall", "transaction": "t1"}'
UNKNOWN = "unknown request 'nonsense'; known: ping, restart-camera"
MISSING = "camera is missing; restart-camera takes camera"


@pytest.mark.parametrize(
    ("verb", "payload", "answer"),
    [
        ("restart-camera", HALL, ("ok", {"camera": "hall"}, None, "t1")),
        ("restart-camera", b'{"camera": "attic"}', ("error", {}, "no such camera; there is hall", None)),
        ("restart-camera", b"", ("error", {}, MISSING, None)),
        (
            "nonsense",
            b'{"transaction": 5}',
            ("error", {}, UNKNOWN, 5),
        ),
        ("restart-camera", b"{broken", ("error", {}, "the payload must be a JSON object", None)),
        ("restart-camera", b"[1]", ("error", {}, "the payload must be a JSON object", None)),
        ("restart-camera", b"\xff", ("error", {}, "the payload must be a JSON object", None)),
        ("ping", b"{}", ("error", {}, "internal error (IndexError", None)),
    ],
)
def test_every_request_is_answered(
    embedded: EmbeddedBroker, subscribe: Any, publish: Start, verb: str, payload: bytes, answer: Any
) -> None:
    """A request gets data or an error that says what to do, also an unknown verb, bad JSON and a broken handler."""
    publisher = publish(embedded.port, handlers=HANDLERS, protocol="3.1.1")
    assert publisher.wait_connected(10)
    response = _ask(embedded.port, verb, payload, subscribe, "3.1.1")
    status, data, error, transaction = answer
    assert (response["status"], response["data"], response["transaction"]) == (status, data, transaction)
    assert (response["error"] or "").startswith(error or "")
    assert (response["error"] is None) == (error is None)


def test_mqtt5_response_topic_and_correlation_are_honoured(mosquitto: Any, subscribe: Any, publish: Start) -> None:
    """A request that names a response topic is answered there, with its correlation data, and nowhere else."""
    from paho.mqtt.packettypes import PacketTypes
    from paho.mqtt.properties import Properties

    port = mosquitto().port
    assert publish(port, handlers=HANDLERS).wait_connected(10)
    seen = subscribe(port)
    properties = Properties(PacketTypes.PUBLISH)  # type: ignore[no-untyped-call]
    properties.ResponseTopic, properties.CorrelationData = "edge/dev/response/me", b"\x01\x02"
    seen.client.publish("edge/dev/request/restart-camera", HALL, qos=1, properties=properties)
    answer = seen.wait("edge/dev/response/me")[0]
    assert answer.properties.CorrelationData == b"\x01\x02"
    assert json.loads(answer.payload)["data"] == {"camera": "hall"}
    assert not seen.on("edge/dev/response/restart-camera")


def test_a_retained_request_is_refused(mosquitto: Any, subscribe: Any, publish: Start) -> None:
    """A request left lying on the broker is not carried out at every start."""
    port = mosquitto().port
    seen = subscribe(port, topic="edge/dev/response/#")
    seen.client.publish("edge/dev/request/restart-camera", HALL, qos=1, retain=True).wait_for_publish(5)
    publish(port, handlers=HANDLERS)
    assert "without retain" in json.loads(seen.wait("edge/dev/response/restart-camera")[0].payload)["error"]


def test_mosquitto_sub_reads_results(
    mosquitto: Any, publish: Start, frame: Frame, layout: RoomLayout, source: Source
) -> None:
    """The broker's own command line client reads a result as the JSON that was published."""
    tool = shutil.which("mosquitto_sub")
    if tool is None:
        pytest.skip("mosquitto-clients is not installed")
    port = mosquitto().port
    message = layout_message(frame, layout, source, 0.1)
    publish(port).publish("layout", message, camera="living")
    command = [tool, "-p", str(port), "-t", "edge/dev/living/layout", "-C", "1", "-W", "10"]
    output = subprocess.run(command, check=True, capture_output=True, timeout=20).stdout
    assert json.loads(output) == json.loads(message.encoded())


def test_a_frozen_broker_costs_bounded_memory_and_no_time(mosquitto: Any, publish: Start) -> None:
    """While a broker is stopped, publishing never waits, queues stay bounded, losses are counted, and it recovers."""
    broker = mosquitto()
    publisher = publish(broker.port, live_limit=20, durable_limit=30)
    assert publisher.wait_connected(10)
    broker.signal(signal.SIGSTOP)
    image = Binary(b"\x89PNG\r\n\x1a\n" + bytes(300_000), {})
    callers = threading.Thread(target=_publish_many, args=(publisher, image), daemon=True)
    callers.start()
    callers.join(20)
    assert not callers.is_alive(), "publish waits for the broker"
    now = publisher.statistics()
    assert now.queued <= 20 + 30 + 1 + 32
    assert now.offered == 400 + 100 + 1
    assert now.offered == sum(now.published.values()) + sum(now.dropped.values()) + now.queued
    broker.signal(signal.SIGCONT)
    assert publisher.flush(20)
    publisher.publish("bridge_event", _event(1))
    assert publisher.flush(10)


@pytest.mark.slow
@pytest.mark.parametrize("busy", [True, False])
def test_a_broker_that_hangs_is_noticed_and_found_again(mosquitto: Any, publish: Start, busy: bool) -> None:
    """Stopped for longer than it takes: noticed in under 15 s, also where nothing is published; then MQTT 5 again."""
    broker = mosquitto()
    publisher = publish(broker.port)
    assert publisher.wait_connected(10)
    assert publisher.flush(5)
    broker.signal(signal.SIGSTOP)
    begun_s = time.monotonic()
    while publisher.statistics().connected and time.monotonic() - begun_s < 30:
        if busy:
            publisher.publish("bridge_event", _event(1))
        time.sleep(0.2)
    assert 8 <= time.monotonic() - begun_s < (10 if busy else 15)
    assert any("stopped confirming" in text for text in publisher.degraded())
    time.sleep(4)
    broker.signal(signal.SIGCONT)
    assert publisher.wait_connected(10)
    assert publisher.statistics().protocol == "5"
    assert publisher.flush(10)


def test_a_quiet_connection_is_probed(mosquitto: Any, subscribe: Any, publish: Start, monkeypatch: Any) -> None:
    """Only when nothing else was confirmed for a while; the probe is valid, and counted nowhere."""
    monkeypatch.setattr(window_module, "_PROBE_AFTER_S", 0.3)
    port = mosquitto().port
    seen = subscribe(port)
    publisher = publish(port)
    assert publisher.wait_connected(10)
    for number in range(10):
        publisher.publish("bridge_event", _event(number))
        time.sleep(0.1)
    assert not seen.on("edge/dev/bridge/probe")
    assert json.loads(seen.wait("edge/dev/bridge/probe", 2)[0].payload) == {"schema": "edge.probe/1"}
    now = publisher.statistics()
    assert now.offered == sum(now.published.values()) == 11
    assert now.connected


def _publish_many(publisher: Publisher, image: Binary) -> None:
    for number in range(400):
        publisher.publish("depth_image", image, camera="living")
        if number % 4 == 0:
            publisher.publish("bridge_event", _event(number))


def test_stopping_does_not_wait_for_a_frozen_broker(mosquitto: Any, publish: Start) -> None:
    """A stopped broker does not keep the daemon from ending."""
    broker = mosquitto()
    publisher = publish(broker.port)
    assert publisher.wait_connected(10)
    broker.signal(signal.SIGSTOP)
    publisher.publish("bridge_event", _event(1))
    stopping = threading.Thread(target=publisher.stop)
    stopping.start()
    stopping.join(4.0)
    assert not stopping.is_alive()


def test_what_cannot_be_made_is_counted_and_harms_nothing(mosquitto: Any, subscribe: Any, publish: Start) -> None:
    """A message whose making fails, by our error or any other, is dropped as invalid; the next one goes out."""
    port = mosquitto().port
    seen = subscribe(port)
    publisher = publish(port)
    assert publisher.wait_connected(10)

    def refuse() -> BridgeEvent:
        raise PublishError("not plausible; run `edge check`")

    publisher.publish("bridge_event", refuse)
    publisher.publish("bridge_event", lambda: BridgeEvent(device="", at="", type="", message=""))
    publisher.publish("bridge_event", _event(3))
    assert json.loads(seen.wait("edge/dev/bridge/event")[0].payload)["message"] == "3"
    assert publisher.statistics().dropped["invalid"] == 2


def test_a_picture_over_the_brokers_limit_is_not_sent(mosquitto: Any, subscribe: Any, publish: Start) -> None:
    """A broker's stated maximum is respected: the message is dropped and counted, the connection stays."""
    port = mosquitto(settings="allow_anonymous true\nmax_packet_size 20000\n").port
    publisher = publish(port)
    assert publisher.wait_connected(10)
    publisher.publish("depth_image", Binary(bytes(30_000), {}), camera="living")
    _wait(lambda: publisher.statistics().dropped.get("too_large"))
    assert "raise it there" in str(publisher.last_error)
    assert publisher.statistics().reconnects == 0


def test_something_that_is_no_broker_is_named(publish: Start) -> None:
    """A port that answers nothing gives an error that says so, whatever version is tried."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        publisher = publish(silent.getsockname()[1], protocol="5")
        _wait(lambda: publisher.last_error, 15)
        assert "check that it is an MQTT broker" in str(publisher.last_error)


def test_unknown_hosts_are_named(publish: Start) -> None:
    """A host name that does not exist is told as such."""
    publisher = publish(1883, host="no-such-host.invalid")
    _wait(lambda: publisher.last_error, 20)
    assert "mqtt.host" in str(publisher.last_error)


def test_names_are_checked_when_publishing(publish: Start) -> None:
    """A camera name with a wildcard is refused to the caller, not discovered by the broker."""
    kind: Kind = "depth"
    with pytest.raises(PublishError, match="use letters"):
        publish(1).publish(kind, _event(1), camera="a/#")


def test_where_the_broker_is_is_asked_at_every_attempt(mosquitto: Any) -> None:
    """A password file, or an address, that is corrected while the daemon runs is used at the next attempt."""
    port, asked = mosquitto().port, list[int]()

    def endpoint() -> Endpoint:
        asked.append(1)
        return Endpoint("127.0.0.1", port if len(asked) > 2 else 1)

    publisher = Publisher(endpoint, Topics("dev"), retry_s=(0.05, 0.1))
    publisher.start()
    try:
        assert publisher.wait_connected(10)
        assert len(asked) >= 3
    finally:
        publisher.stop()
