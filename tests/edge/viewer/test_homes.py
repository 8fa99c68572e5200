"""Homes put together in the page: kept in a file, told retained, and the latest holds wherever it was saved."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest
from websockets.sync.client import connect

from edge.errors import EdgeError
from edge.mqtt.broker import EmbeddedBroker
from edge.mqtt.home_message import HomeMessage
from edge.mqtt.link import Incoming
from edge.subscribe.homes import fetch_home, home_message, placed_rooms
from edge.subscribe.watcher import validated
from edge.viewer.homes import Draft, Homes, HomeTeller
from edge.viewer.live import LivePage
from edge.viewer.relay import Relay
from edge.viewer.server import PageServer
from tests.brokers import wait_until
from tests.edge.derive.homes import room

ROOMS = {"d/hall": room("hall", 5, 3, ((1, 1.2, 0.9),)), "d/kitchen": room("kitchen", 3, 4, ((2, 0.8, 0.95),))}


def kept(path: Path) -> tuple[Homes, list[tuple[str, bytes]]]:
    """Homes in a file, and what is told of them."""
    told: list[tuple[str, bytes]] = []
    return Homes(path, lambda topic, payload: told.append((topic, payload))), told


def done(homes: Homes, do: str, said: dict[str, Any] | None = None, **more: Any) -> Any:
    """Ask as a page does, with the home as it was answered last."""
    draft = {"name": "flat", "rooms": (said or {}).get("rooms", []), "do": do, **more}
    return homes.done(Draft.model_validate(json.loads(json.dumps(draft))), ROOMS.get)["home"]


def put_together(homes: Homes) -> Any:
    """A home of two rooms, saved."""
    home = done(homes, "place", room="d/hall")
    home = done(homes, "place", home, room="d/kitchen")
    return done(homes, "save", home)


def test_a_home_is_put_together_kept_and_found_again(tmp_path: Path) -> None:
    """The door gives the second room's place; what was saved is told, and is there after a restart, for nobody else."""
    path = tmp_path / "state" / "homes.json"
    homes, told = kept(path)
    saved = put_together(homes)
    assert len(saved["passages"]) == 1
    assert saved["overlaps"] == []
    assert saved["area_m2"] == pytest.approx(27)
    (topic, payload) = told[-1]
    assert topic == "edge/home/flat"
    assert HomeMessage.model_validate_json(payload) == homes.get("flat")
    assert path.stat().st_mode & 0o777 == 0o600
    again, _ = kept(path)
    assert again.get("flat") == homes.get("flat")
    message = again.get("flat")
    assert message is not None
    assert home_message("flat", placed_rooms(message), saved_at_s=0).rooms == message.rooms
    done(homes, "remove")
    assert told[-1] == ("edge/home/flat", b"")
    assert kept(path)[0].get("flat") is None


def test_the_same_room_twice_has_two_names(tmp_path: Path) -> None:
    """One camera carried from room to room gives several snapshots; only what is asked for is kept."""
    homes, told = kept(tmp_path / "homes.json")
    home = done(homes, "place", room="d/hall")
    home = done(homes, "place", home, room="d/hall")
    assert [r["name"] for r in home["rooms"]] == ["hall", "hall 2"]
    assert [r["camera"] for r in home["rooms"]] == ["hall", "hall"]
    assert told == []
    assert homes.all == {}
    with pytest.raises(EdgeError, match="camera_height_m"):
        done(homes, "place", home, room="d/nowhere")


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"nonsense", "no file of homes"),
        (b'{"schema": "edge.homes/2", "homes": []}', "no file of homes"),
        (b"[" * 9_000_000, "too large"),
    ],
)
def test_a_bad_file_is_left_alone_and_said(tmp_path: Path, content: bytes, said: str) -> None:
    """The page goes on without it, nothing is written over it, and the remedy is named."""
    path = tmp_path / "homes.json"
    path.write_bytes(content)
    path.chmod(0o600)
    homes, told = kept(path)
    assert said in str(homes.problem)
    assert "move it away" in str(homes.problem)
    with pytest.raises(EdgeError, match="move it away"):
        put_together(homes)
    assert path.read_bytes() == content
    assert told == []


def test_others_may_not_have_changed_the_file(tmp_path: Path) -> None:
    """One that others may write is refused, with what to do."""
    path = tmp_path / "homes.json"
    put_together(kept(path)[0])
    os.chmod(path, 0o666)
    assert "chmod 600" in str(kept(path)[0].problem)


def test_what_was_saved_last_holds(tmp_path: Path) -> None:
    """Heard of the broker, a later one is kept and an earlier one is told anew."""
    homes, _ = kept(tmp_path / "homes.json")
    put_together(homes)
    ours = homes.get("flat")
    assert ours is not None
    earlier = ours.model_copy(update={"saved_at": "2020-01-31T12:00:00.000000Z", "rooms": ()})
    later = earlier.model_copy(update={"saved_at": "2120-01-31T12:00:00.000000Z"})
    assert list(homes.untold()) == ["edge/home/flat"]
    homes.heard("flat", earlier)
    assert homes.get("flat") == ours
    assert list(homes.untold()) == ["edge/home/flat"]
    homes.heard("flat", later)
    assert kept(tmp_path / "homes.json")[0].get("flat") == later
    assert homes.untold() == {}
    homes.heard("flat", None)
    assert kept(tmp_path / "homes.json")[0].all == homes.untold() == {}


@pytest.mark.parametrize(
    "change",
    [{"turn_deg": 400}, {"x_m": "NaN"}, {"polygon_m": [[0, 0], [1, 1], [1, 0], [0, 1]]}, {"ceiling_height_m": 0}],
)
def test_impossible_rooms_are_answered_with_words(tmp_path: Path, change: dict[str, Any]) -> None:
    """A page that sends nonsense is told so, and the connection stays."""
    homes, _ = kept(tmp_path / "homes.json")
    relay = Relay()
    server = PageServer(LivePage(relay, homes=homes), port=0)
    server.start()
    try:
        home = done(homes, "place", room="d/hall")
        home["rooms"][0] |= change
        with connect(f"ws://127.0.0.1:{server.port}/ws") as page:
            for said in ({"do": "save", "name": "flat", "rooms": home["rooms"]}, {"do": "fly"}, [1], "x"):
                page.send(json.dumps({"home": said}))
                assert json.loads(page.recv(timeout=5))["draft"]["error"]
    finally:
        server.stop()
    assert homes.all == {}


def test_a_saved_home_is_retained_by_a_broker(tmp_path: Path, embedded: EmbeddedBroker) -> None:
    """Told once the broker is there, and found there by name; who asks for another is told which there are."""
    teller = HomeTeller(embedded.endpoint)
    homes = Homes(tmp_path / "homes.json", teller.put)
    put_together(homes)
    teller.start(homes.untold, settle_s=0.1)
    try:
        assert fetch_home(embedded.endpoint, "flat", within_s=10) == homes.get("flat")
        with pytest.raises(EdgeError, match="there are flat"):
            fetch_home(embedded.endpoint, "house", within_s=0.5)
        assert wait_until(lambda: teller.problem is None)
    finally:
        teller.stop()


def test_a_relay_forgets_what_was_cleared() -> None:
    """An empty retained message removes what was known under its topic, of JSON and of pictures alike."""
    relay = Relay()
    for topic, payload in (("edge/d/c/room", b"glTF"), ("edge/home/flat", b"")):
        relay.accept(validated(Incoming(topic, payload, retained=True)))
    assert relay.last("edge/d/c/room") == b"glTF"
    relay.accept(validated(Incoming("edge/d/c/room", b"", retained=True)))
    assert relay.last("edge/d/c/room") is None
