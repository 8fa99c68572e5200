"""The subscriber's view: it reads what was published, says what does not fit, and shows what matters."""

from __future__ import annotations

import io
import json
import re
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace

import pytest
from rich.console import Console

from edge.mqtt.broker import EmbeddedBroker
from edge.mqtt.endpoint import Endpoint
from edge.mqtt.link import Incoming
from edge.mqtt.messages import BridgeState, CameraState, timestamp
from edge.mqtt.topics import Topics
from edge.publish.compose import Source, depth_message, depth_picture, layout_message, lighting_message
from edge.publish.publisher import Publisher
from edge.publish.rooms import room_model
from edge.scene import DepthMap, Frame, Lighting, RoomLayout
from edge.subscribe.table import json_line, show, summary, table, text_line
from edge.subscribe.watcher import Received, Watcher, WatchState, validated
from tests.strict_broker import StrictBroker

TOPICS = Topics("dev")


def _rendered(state: WatchState, now_s: float) -> str:
    console = Console(file=io.StringIO(), width=160, color_system=None)
    console.print(table(state, now_s))
    output = console.file
    assert isinstance(output, io.StringIO)
    return output.getvalue()


@pytest.fixture
def seen(frame: Frame, depth: DepthMap, layout: RoomLayout, lighting: Lighting, source: Source) -> list[Received]:
    """One of each result, read back as a subscriber reads it."""
    now = timestamp(time.time())
    payloads = {
        TOPICS.of("bridge_state"): BridgeState(state="online").encoded(),
        TOPICS.of("camera_state", camera="living"): CameraState(
            device="dev", camera="living", state="online", since=now
        ).encoded(),
        TOPICS.of("depth", camera="living"): depth_message(frame, depth, source, 0.08).encoded(),
        TOPICS.of("depth_image", camera="living"): depth_picture(frame, depth, source).data,
        TOPICS.of("layout", camera="living"): layout_message(frame, layout, source, 0.25).encoded(),
        TOPICS.of("room", camera="living"): room_model(frame, layout, source).data,
        TOPICS.of("lighting", camera="living"): lighting_message(frame, lighting, source, 0.03).encoded(),
    }
    return [validated(Incoming(topic, payload, False)) for topic, payload in payloads.items()]


def test_the_table_shows_what_was_published(seen: list[Received]) -> None:
    """Camera, state, task, latency and the values that matter stand in the table, with their units."""
    state = WatchState()
    for message in seen:
        assert message.error is None
        state.add(message, 100.0)
    text = _rendered(state, 100.0)
    for part in (
        "dev online",
        "living",
        "median depth 2.50 m",
        "area 20.0 m², height 2.50 m",
        "4 corners",
        "manhattan",
    ):
        assert part in text
    for part in ("90° right", " 30° up", "strength 0.40", " 80 ", " 250 ", " 30 ", "7 messages"):
        assert part in text


def test_what_others_wrote_cannot_act_on_a_terminal() -> None:
    """Names and words from a broker are shown with their escapes, and are no markup, in each of the views."""
    state = WatchState()
    words = b'"at":"2026-01-31T12:00:00.000000Z","type":"x","camera":null,"data":{}'
    sent = {
        "edge/\x1b[2J/[bold]cam/state": CameraState(
            device="d", camera="c", state="offline", since=timestamp(0.0), error="\x9b31m"
        ).encoded(),
        "edge/dev/bridge/event": b'{"device":"d","message":"\\u001b[31m\\u009b\\u202e",%s}' % words,
        "edge/dev/bridge/info": b'{"\\u001b[2J":1}',
    }
    for topic, payload in sent.items():
        received = validated(Incoming(topic, payload, False))
        state.add(received, 1.0)
        assert text_line(received).isprintable()
        assert not set(json_line(received)) & set("\x1b\x9b\u202e")
        assert json.loads(json_line(received))["topic"] == topic
    shown = _rendered(state, 1.0)
    assert not set(shown) & set("\x1b\x9b\u202e")
    assert "[bold]cam" in shown


def test_rates_are_those_of_the_last_ten_seconds(seen: list[Received]) -> None:
    """Messages every half second are 2 Hz, whatever happened long before; silence is 0."""
    state = WatchState()
    depth = next(s for s in seen if s.topic.endswith("/depth"))
    state.add(depth, 0.0)
    for step in range(20):
        state.add(depth, 100.0 + step * 0.5)
    row = state.rows["dev", "living", "depth"]
    assert row.rate_hz(109.5) == pytest.approx(2.0)
    assert row.rate_hz(200.0) == 0.0


def test_a_relative_result_shows_no_metres(frame: Frame, depth: DepthMap, layout: RoomLayout, source: Source) -> None:
    """What is relative is said to be, without a unit of length."""
    relative = depth_message(frame, replace(depth, scale="relative"), source, 0.0)
    room = layout_message(frame, replace(layout, scale="relative"), source, 0.0)
    assert summary(relative).startswith("median depth 2.50 (")
    assert summary(relative).endswith("), relative")
    assert "in camera heights" in summary(room)
    for text in (summary(relative), summary(room)):
        assert not re.search(r"\d m\b|m²", text)


@pytest.mark.parametrize(
    ("topic", "payload", "error"),
    [
        ("edge/dev/a/depth", b"{}", "Field required"),
        ("edge/dev/a/depth", b"not json", "JSON"),
        ("edge/dev/bridge/state", b'{"state":"asleep"}', "online"),
        ("edge/dev/a/depth/image", b"GIF89a", "image/png"),
        ("edge/dev/a/room", b"<gltf/>", "model/gltf-binary"),
        ("edge/dev/a/picture", b"\x89PNG", "image/jpeg"),
        ("edge/dev/a/depth/view", b"", "image/jpeg"),
    ],
)
def test_what_does_not_fit_its_schema_is_said(topic: str, payload: bytes, error: str) -> None:
    """An invalid message is counted, shown and named, and never taken for a result."""
    message = validated(Incoming(topic, payload, False))
    assert error in str(message.error)
    state = WatchState()
    state.add(message, 1.0)
    assert (state.invalid, state.rows) == (1, {})
    assert topic in _rendered(state, 1.0)
    assert "INVALID" in text_line(message)
    assert "error" in json.loads(json_line(message))


def test_lines_are_one_message_each(seen: list[Received]) -> None:
    """A JSON line has topic and payload as published, pictures are told by size, text lines have the values."""
    for message in seen:
        line = json_line(message)
        assert "\n" not in line
        body = json.loads(line)
        assert body["topic"] == message.topic
        if message.topic.endswith(("/image", "/room")):
            assert body["bytes"] == len(message.payload)
        else:
            assert body["payload"] == json.loads(message.payload)
    assert "80 ms  median depth 2.50 m" in text_line(next(s for s in seen if s.topic.endswith("/depth")))


@pytest.mark.parametrize("topic", ["edge/dev/hall/depth", "edge/dev/response/info", "elsewhere"])
@pytest.mark.parametrize(
    ("payload", "key", "value"),
    [
        (b'{"a":"\\ud800"}', "payload", {"a": "\ud800"}),
        (b'{"a":"\xed\xa0\x80"}', "payload", {"a": "\ud800"}),
        ("äö".encode(), "text", "äö"),
        (b'{"a":NaN}', "text", '{"a":NaN}'),
        (b"9" * 5000, "text", "9" * 5000),
        (b"[" * 200_000, "text", "[" * 200_000),
        (b'{"a":' * 100_000, "text", '{"a":' * 100_000),
    ],
    ids=["escaped surrogate", "raw surrogate", "text", "NaN", "long number", "deep list", "deep object"],
)
def test_any_payload_is_one_line_of_json(topic: str, payload: bytes, key: str, value: object) -> None:
    """Text that is no JSON, or nested too deeply, is passed as text; every line is JSON that UTF-8 can carry."""
    message = validated(Incoming(topic, payload, False))
    line = json_line(message)
    assert "\n" not in line
    assert json.loads(line.encode("utf-8"))[key] == value
    assert "\n" not in text_line(message)


@pytest.mark.parametrize(
    "topic", ["edge/dev/hall/depth/image", "edge/dev/hall/picture", "edge/dev/hall/room", "elsewhere"]
)
def test_pictures_are_told_by_their_size(topic: str) -> None:
    """Bytes of a picture are never passed as text, also where the picture is none."""
    assert json.loads(json_line(validated(Incoming(topic, b"GIF\0\xff", False))))["bytes"] == 5


@pytest.fixture
def publisher(embedded: EmbeddedBroker) -> Iterator[Publisher]:
    """A publisher on the embedded broker."""
    publisher = Publisher(embedded.endpoint, TOPICS)
    publisher.start()
    assert publisher.wait_connected(10)
    yield publisher
    publisher.stop()


def test_a_watcher_reads_a_real_broker(
    embedded: EmbeddedBroker, publisher: Publisher, frame: Frame, depth: DepthMap, source: Source
) -> None:
    """What goes through a broker arrives checked, in order, and ends up in the state."""
    arrived: list[Received] = []
    watcher = Watcher(embedded.endpoint, on_message=arrived.append)
    watcher.start()
    assert watcher.wait_connected(10)
    deadline_s = time.monotonic() + 10
    while len(watcher.state.rows) < 1 and time.monotonic() < deadline_s:
        publisher.publish("depth", depth_message(frame, depth, source, 0.1), camera="living")
        time.sleep(0.05)
    watcher.stop()
    assert arrived[0].topic == "edge/dev/bridge/state"
    assert ("dev", "living", "depth") in watcher.state.rows
    assert watcher.state.invalid == 0


class _ClosedPipe(io.StringIO):
    def write(self, text: str) -> int:
        raise BrokenPipeError


def test_showing_ends_with_its_reader(embedded: EmbeddedBroker, publisher: Publisher) -> None:
    """Lines go to the console until the time is over; a reader that went away ends it at once."""
    console = Console(file=io.StringIO(), color_system=None)
    state = show(embedded.endpoint, console, view="json", for_s=1.0)
    assert state.received >= 1
    output = console.file
    assert isinstance(output, io.StringIO)
    assert json.loads(output.getvalue().splitlines()[0])["payload"] == {"state": "online"}
    stop = threading.Event()
    show(embedded.endpoint, Console(file=_ClosedPipe(), color_system=None), view="lines", stop=stop)
    assert stop.is_set()


def test_a_watcher_says_why_it_sees_nothing() -> None:
    """Without a broker the table names the reason and the remedy."""
    from edge.mqtt.endpoint import Endpoint

    state = show(Endpoint("127.0.0.1", 1), Console(file=io.StringIO(), color_system=None), for_s=0.6)
    assert "start the broker" in str(state.connection_error)
    assert "start the broker" in _rendered(state, 0.0)


def test_a_broker_that_closes_is_not_stormed(strict: Callable[..., StrictBroker]) -> None:
    """Closed at once, or after it was accepted: waits grow, as the daemon's do; here for the first 4 s."""
    brokers = strict(accept=False), strict(drops=True)
    watchers = [Watcher(Endpoint("127.0.0.1", broker.port)) for broker in brokers]
    for watcher in watchers:
        watcher.start()
    time.sleep(4.0)
    for watcher in watchers:
        watcher.stop()
    assert all(3 <= broker.connections <= 10 for broker in brokers), [broker.connections for broker in brokers]
