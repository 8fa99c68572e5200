"""The page's server with real sockets: who is let in, what a page is sent, and what a slow one misses."""

from __future__ import annotations

import json
import struct
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from http import HTTPStatus
from typing import Any

import pytest
from websockets.exceptions import InvalidStatus
from websockets.sync.client import ClientConnection, connect

from edge.errors import EdgeError
from edge.mqtt.link import Incoming
from edge.publish.compose import Source, layout_message
from edge.scene import Frame
from edge.subscribe.watcher import validated
from edge.viewer.addresses import Address, Said
from edge.viewer.live import LivePage
from edge.viewer.relay import Relay
from edge.viewer.server import PageServer
from tests.edge.derive.rooms import layout as box

Serve = Callable[..., tuple[Relay, PageServer]]
EVENT = '{"schema":"edge.event/1","device":"d","at":"2026-01-31T12:00:00.000000Z","type":"x","message":"%d"}'


@pytest.fixture
def serve() -> Iterator[Serve]:
    """Servers on free ports."""
    servers = []

    def start(host: str = "127.0.0.1", **more: Any) -> tuple[Relay, PageServer]:
        relay = Relay()
        server = PageServer(more.pop("site", LivePage(relay)), host=host, port=0, **more)
        server.start()
        servers.append(server)
        return relay, server

    yield start
    for server in servers:
        server.stop()


def say(relay: Relay, topic: str, payload: bytes) -> None:
    """A device says something."""
    relay.accept(validated(Incoming(topic, payload, retained=False)))


def state(camera_state: str) -> bytes:
    """What a camera says of itself."""
    said = {"device": "d", "camera": "c", "state": camera_state, "since": "2026-01-31T12:00:00.000000Z"}
    return json.dumps({"schema": "edge.camera_state/1", **said}).encode()


def received(page: ClientConnection) -> tuple[str, bytes]:
    """The next message of a page."""
    data = page.recv(timeout=5)
    assert isinstance(data, bytes)
    (length,) = struct.unpack(">H", data[:2])
    return data[2 : 2 + length].decode(), data[2 + length :]


def get(server: PageServer, path: str, **headers: str) -> tuple[int, bytes]:
    """Status and content of a path."""
    request = urllib.request.Request(f"http://127.0.0.1:{server.port}{path}", headers=headers)
    try:
        with urllib.request.urlopen(request, timeout=5) as answer:
            return answer.status, answer.read()
    except urllib.error.HTTPError as error:
        return error.code, error.read()


def test_a_late_page_is_sent_what_is_known_and_then_what_comes(serve: Serve) -> None:
    """The latest of each topic first, whoever said it; nothing invalid, and no request."""
    relay, server = serve()
    say(relay, "edge/d/c/state", state("offline"))
    say(relay, "edge/d/c/state", state("online"))
    say(relay, "edge/d/c/lighting", b"{}")
    say(relay, "edge/d/request/info", b"{}")
    with connect(f"ws://127.0.0.1:{server.port}/ws") as page:
        assert received(page) == ("edge/d/c/state", state("online"))
        say(relay, "edge/d/c/room", b"glTF...")
        assert received(page) == ("edge/d/c/room", b"glTF...")


def test_a_slow_page_misses_only_what_is_outdated(serve: Serve) -> None:
    """A thousand states of 64 kB while a page reads nothing: it then gets few, and the last one; every event."""
    relay, server = serve()
    with connect(f"ws://127.0.0.1:{server.port}/ws", max_queue=1) as page:
        time.sleep(0.2)
        for n in range(1000):
            say(relay, "edge/d/c/room", b"glTF" + str(n).encode() + bytes(1 << 16))
        for n in range(20):
            say(relay, "edge/d/bridge/event", (EVENT % n).encode())
        rooms, events = [], []
        while len(events) < 20 or rooms[-1:] != [999]:
            topic, payload = received(page)
            if topic == "edge/d/c/room":
                rooms.append(int(payload[4:].rstrip(b"\0")))
            else:
                events.append(int(json.loads(payload)["message"]))
    assert rooms == sorted(rooms)
    assert len(rooms) < 300
    assert events == list(range(20))


def test_a_page_may_look_back(serve: Serve) -> None:
    """It is sent what held then, nothing that comes meanwhile, and after `null` what holds now."""
    relay, server = serve()
    say(relay, "edge/d/c/state", state("offline"))
    time.sleep(0.05)
    between_s = time.time()
    time.sleep(0.05)
    say(relay, "edge/d/c/state", state("online"))
    with connect(f"ws://127.0.0.1:{server.port}/ws") as page:
        assert received(page)[1] == state("online")
        page.send(json.dumps({"at": between_s}))
        messages = [page.recv(timeout=5), page.recv(timeout=5)]
        (span,) = [json.loads(m)["span"] for m in messages if isinstance(m, str)]
        assert span[0] < between_s < span[1]
        assert any(isinstance(m, bytes) and m.endswith(state("offline")) for m in messages)
        say(relay, "edge/d/c/state", state("frozen"))
        page.send(json.dumps({"at": None}))
        messages = [page.recv(timeout=5), page.recv(timeout=5)]
        assert any(isinstance(m, bytes) and m.endswith(state("frozen")) for m in messages)


@pytest.mark.parametrize("nonsense", ["", "[1]", "nonsense", '{"at": "x"}', '{"at": 1e999}', "[" * 3000, b"\xff\x00"])
def test_nonsense_of_a_page_is_passed_over(serve: Serve, nonsense: str | bytes) -> None:
    """The connection stays and serves."""
    relay, server = serve()
    with connect(f"ws://127.0.0.1:{server.port}/ws") as page:
        page.send(nonsense)
        say(relay, "edge/d/c/state", state("online"))
        assert received(page)[1] == state("online")


def test_only_this_machine_s_own_page_is_let_in(serve: Serve) -> None:
    """Another site's page, by name (DNS rebinding) or by origin, is not; nor is any file beside the page's."""
    _, server = serve()
    assert get(server, "/")[0] == 200
    assert get(server, "/app.js")[0] == 200
    assert get(server, "/", Host="evil.example")[0] == 403
    for path in ("/../server.py", "/static/app.js", "/etc/passwd", "/%2e%2e/server.py", "//", "/camera/", "/camera/x"):
        assert get(server, path)[0] == 404, path
    with pytest.raises(InvalidStatus):
        connect(f"ws://127.0.0.1:{server.port}/ws", origin="http://evil.example").close()  # type: ignore[arg-type]
    with connect(f"ws://127.0.0.1:{server.port}/ws", origin=f"http://127.0.0.1:{server.port}"):  # type: ignore[arg-type]
        pass


def test_beyond_this_machine_a_key_is_asked_for(serve: Serve) -> None:
    """Without the printed key there is neither page nor message nor picture."""
    relay, server = serve("0.0.0.0")
    say(relay, "edge/d/c/room", b"glTF")
    assert server.key is not None
    assert server.key in server.address
    for path in ("/", "/ws", "/camera/c/room.glb", "/?key=", "/?key=wrong"):
        assert get(server, path)[0] == 401, path
    assert get(server, f"/?key={server.key}")[0] == 200
    assert get(server, f"/camera/c/room.glb?key={server.key}") == (200, b"glTF")
    with pytest.raises(InvalidStatus):
        connect(f"ws://127.0.0.1:{server.port}/ws?key=wrong").close()
    with connect(f"ws://127.0.0.1:{server.port}/ws?key={server.key}") as page:
        assert received(page)[0] == "edge/d/c/room"


def test_addresses_for_dashboards(serve: Serve) -> None:
    """The last room of a camera under its name; two devices with a camera of that name must be told apart."""
    relay, server = serve()
    assert get(server, "/camera/hall/room.glb")[0] == 404
    say(relay, "edge/one/hall/room", b"glTF1")
    assert get(server, "/camera/hall/room.glb") == (200, b"glTF1")
    say(relay, "edge/two/hall/room", b"glTF2")
    assert get(server, "/camera/hall/room.glb")[0] == 404
    assert get(server, "/camera/two/hall/room.glb") == (200, b"glTF2")


def test_every_export_has_an_address(serve: Serve, frame: Frame, source: Source) -> None:
    """Plan and sizes from the layout alone, what is not published said with its remedy, and a picture by its name."""
    relay, server = serve()
    say(relay, "edge/d/hall/layout", layout_message(frame, box(), source, 0.1).encoded())
    status, plan = get(server, "/camera/hall/plan.svg")
    assert status == 200
    assert b"5.00 m" in plan
    assert get(server, "/camera/d/hall/plan.dxf")[1].startswith(b"  0\nSECTION")
    assert get(server, "/camera/hall/room.csv")[1].startswith(b"kind,name")
    assert get(server, "/camera/hall/room.html")[1].startswith(b"<!doctype html>")
    for path in ("/camera/hall/room.svg", "/camera/hall/plan.glb", "/camera/hall/room.exe", "/home/x/plan.svg"):
        assert get(server, path)[0] == 404, path
    assert b"configure `picture`" in get(server, "/camera/hall.jpg")[1]
    say(relay, "edge/d/hall/picture", b"\xff\xd8\xff...")
    assert get(server, "/camera/hall.jpg") == get(server, "/camera/d/hall/picture.jpg") == (200, b"\xff\xd8\xff...")


def test_a_taken_port_gives_way_to_the_next(serve: Serve) -> None:
    """Two daemons on one machine have a page each."""
    _, first = serve()
    second = PageServer(LivePage(Relay()), port=first.port)
    second.start()
    try:
        assert second.port != first.port
    finally:
        second.stop()


def test_the_page_may_ask_for_one_thing() -> None:
    """To keep what a camera shows: the device's answer comes back, or why not; other pages are not disturbed."""

    def flag(device: str, camera: str) -> str:
        if device != "d":
            raise EdgeError("not allowed; add flag to requests.allow")
        return f"entry of {camera}"

    for given, answer in (
        ("d/hall", {"flagged": "entry of hall", "error": None}),
        ("x/hall", {"flagged": None, "error": "not allowed; add flag to requests.allow"}),
        ({"no": "text"}, {"flagged": None, "error": "this page cannot ask for that"}),
    ):
        server = PageServer(LivePage(Relay(), flag), port=0)
        server.start()
        try:
            with connect(f"ws://127.0.0.1:{server.port}/ws") as page:
                page.send(json.dumps({"flag": given}))
                assert json.loads(page.recv(timeout=5)) == answer
        finally:
            server.stop()


def test_a_page_may_ask_for_one_thing_where_a_device_lets_it() -> None:
    """A box goes to the device with its camera's name; the answer's object comes back, or why there is none."""

    def ask(device: str, arguments: dict[str, Any]) -> dict[str, Any]:
        if "box" not in arguments:
            raise EdgeError("nothing inside the box stands out; send a polygon")
        return {"camera": arguments["camera"], "object": {"of": device, **arguments}, "count": 1}

    box = [0.1, 0.2, 0.3, 0.4]
    for given, answer in (
        ({"camera": "d/hall", "box": box}, {"object": {"of": "d", "camera": "hall", "box": box}, "error": None}),
        ({"camera": "d/hall"}, {"object": None, "error": "nothing inside the box stands out; send a polygon"}),
        ("hall", {"object": None, "error": "this page cannot ask for that"}),
    ):
        server = PageServer(LivePage(Relay(), ask=ask), port=0)
        server.start()
        try:
            with connect(f"ws://127.0.0.1:{server.port}/ws") as page:
                page.send(json.dumps({"thing": given}))
                assert json.loads(page.recv(timeout=5)) == answer
        finally:
            server.stop()


ADDRESSES = {
    "/healthz": Address(lambda: Said(b"alive\n"), public=True),
    "/readyz": Address(lambda: Said(b"no camera\n", HTTPStatus.SERVICE_UNAVAILABLE)),
}


def test_programs_have_addresses_of_their_own(serve: Serve) -> None:
    """Each with its status and text, beside the page; without a page there is nothing else."""
    _, server = serve(addresses=ADDRESSES)
    assert get(server, "/healthz") == (200, b"alive\n")
    assert get(server, "/readyz?verbose") == (503, b"no camera\n")
    assert get(server, "/")[0] == 200
    _, bare = serve(site=None, addresses=ADDRESSES)
    assert get(bare, "/healthz")[0] == 200
    assert [get(bare, path) for path in ("/", "/index.html", "/camera/c/picture.jpg", "/ws")] == [
        (404, b"there are /healthz, /readyz\n")
    ] * 4


def test_beyond_loopback_programs_bring_the_key(serve: Serve) -> None:
    """In the address, or as a bearer token as Prometheus sends it; whether it lives anybody may ask."""
    _, server = serve("0.0.0.0", addresses=ADDRESSES, key="a-key-of-the-owner")
    assert get(server, "/healthz")[0] == 200
    assert get(server, "/readyz")[0] == 401
    assert get(server, "/readyz?key=a-key-of-the-owner")[0] == 503
    assert get(server, "/readyz", Authorization="Bearer a-key-of-the-owner")[0] == 503
    assert get(server, "/readyz", Authorization="Bearer another")[0] == 401
    _, other = serve("0.0.0.0", addresses=ADDRESSES)
    assert other.key is not None
    assert get(other, f"/readyz?key={other.key}")[0] == 503


def test_an_answer_that_takes_long_keeps_nobody_waiting(serve: Serve) -> None:
    """Metrics are gathered on a thread of their own."""
    asked, free = threading.Event(), threading.Event()

    def slow() -> Said:
        asked.set()
        free.wait(10)
        return Said(b"")

    _, server = serve(addresses={**ADDRESSES, "/metrics": Address(slow)})
    waiting = threading.Thread(target=get, args=(server, "/metrics"))
    waiting.start()
    try:
        assert asked.wait(5)
        assert get(server, "/healthz")[0] == 200
    finally:
        free.set()
        waiting.join(5)


@pytest.mark.slow
def test_what_takes_long_to_make_is_sent(serve: Serve) -> None:
    """Longer than the ten seconds that its library gives an answer: the room of a busy device still arrives."""

    def slow() -> Said:
        time.sleep(11)
        return Said(b"room")

    _, server = serve(addresses={**ADDRESSES, "/metrics": Address(slow)})
    with urllib.request.urlopen(f"http://127.0.0.1:{server.port}/metrics", timeout=60) as answer:
        assert answer.read() == b"room"


def test_other_sites_names_reach_no_address(serve: Serve) -> None:
    """A page elsewhere whose name points here (DNS rebinding) is told nothing."""
    _, server = serve(addresses=ADDRESSES)
    assert get(server, "/readyz", Host="evil.example")[0] == 403
