"""`edge export` as people call it: from a saved room, from a broker; what it says of mistakes."""

from __future__ import annotations

from pathlib import Path

import pytest
from typer.testing import CliRunner

from edge.__main__ import app
from edge.commands.export import FORMATS
from edge.derive.glb import room_glb
from edge.derive.home import PlacedRoom
from edge.mqtt.broker import EmbeddedBroker
from edge.mqtt.topics import Topics
from edge.publish.compose import Binary, Source, layout_message
from edge.publish.publisher import Publisher
from edge.scene import Frame, RoomLayout
from edge.subscribe.homes import home_message
from tests.edge.derive.rooms import model

FILES = [suffix for suffix in FORMATS if suffix != ".ifc"]


def run(*arguments: object) -> tuple[int, str]:
    """Exit code and output of `edge export`."""
    done = CliRunner().invoke(app, ["export", *map(str, arguments)])
    return done.exit_code, done.output


@pytest.fixture
def room(tmp_path: Path) -> Path:
    """A saved room."""
    path = tmp_path / "saved.glb"
    path.write_bytes(room_glb(model()))
    return path


def test_a_saved_room_becomes_every_format(room: Path, tmp_path: Path) -> None:
    """One file of each ending; a GLB of a GLB is the same file."""
    code, output = run(*(tmp_path / f"out{suffix}" for suffix in FILES), "--scene", room)
    assert code == 0, output
    for suffix in FILES:
        assert (tmp_path / f"out{suffix}").stat().st_size > 100
    assert (tmp_path / "out.glb").read_bytes() == room.read_bytes()
    assert (tmp_path / "out.jpg").is_file()
    assert run(tmp_path / "again.svg", "--scene", tmp_path / "out.json", "--camera-height-m", 1.3)[0] == 0


def test_a_saved_message_becomes_a_plan(frame: Frame, layout: RoomLayout, source: Source, tmp_path: Path) -> None:
    """`edge.layout` as it was published."""
    (tmp_path / "layout.json").write_bytes(layout_message(frame, layout, source, 0.0).encoded())
    code, output = run(tmp_path / "plan.svg", "--scene", tmp_path / "layout.json")
    assert code == 0, output
    assert f'data-area-m2="{layout.area_m2:.2f}' in (tmp_path / "plan.svg").read_text(encoding="utf-8")


def test_a_running_device_s_room_is_its_retained_one(tmp_path: Path) -> None:
    """From a real broker; where several cameras have rooms, one must be named."""
    broker = EmbeddedBroker(28860, 28960)
    broker.start()
    publisher = Publisher(broker.endpoint, Topics("dev"))
    publisher.start()
    try:
        for camera in ("hall", "kitchen"):
            publisher.publish("room", Binary(room_glb(model()), {}), camera=camera)
        assert publisher.flush(20)
        at = ("--host", broker.endpoint.host, "--port", broker.endpoint.port)
        code, output = run(tmp_path / "a.glb", *at)
        assert code == 1
        assert "--device dev --camera hall" in output
        assert "--camera kitchen" in output
        code, output = run(tmp_path / "a.glb", "--camera", "kitchen", *at)
        assert code == 0, output
        assert (tmp_path / "a.glb").read_bytes() == room_glb(model())
        code, output = run(tmp_path / "a.glb", "--camera", "attic", "--within", 0.6, *at)
        assert (code, "no room of attic" in output) == (1, True)
    finally:
        publisher.stop()
        broker.stop()


def test_a_saved_home_is_written_whole(tmp_path: Path) -> None:
    """Its message, as a broker retains it, gives the plan, the model and the table of both rooms."""
    path = tmp_path / "flat.json"
    path.write_bytes(home_message("flat", [PlacedRoom(model()), PlacedRoom(model(), 5.1)]).encoded())
    code, output = run(*(tmp_path / f"flat{ending}" for ending in (".svg", ".glb", ".dxf", ".csv")), "--scene", path)
    assert code == 0, output
    assert 'data-area-m2="40.0000"' in (tmp_path / "flat.svg").read_text()
    assert (tmp_path / "flat.csv").read_text().count("room,") == 2


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["x.foo"], "end the name in one of"),
        (["nowhere/x.glb"], "there is no folder"),
        (["x.glb", "--scene", "none.glb"], "cannot be read"),
        (["x.glb", "--scene", "text.glb"], "neither a GLB nor JSON"),
        (["x.glb", "--scene", "list.json"], "no message edge.layout"),
        (["x.glb", "--picture", "text.glb"], "whole picture"),
        (["x.glb", "--picture", "text.glb", "--scene", "text.glb"], "give one of them"),
        (["x.usdz", "--scene", "home.json"], "a home of several rooms is written as .glb, .svg, .dxf, .csv"),
    ],
)
def test_mistakes_are_told_in_words(
    arguments: list[str], said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Exit code 1 and one sentence; nothing is written."""
    monkeypatch.chdir(tmp_path)
    Path("text.glb").write_text("a text")
    Path("list.json").write_text("[1]")
    Path("home.json").write_bytes(home_message("flat", [PlacedRoom(model())]).encoded())
    code, output = run(*arguments)
    assert code == 1
    assert said in " ".join(output.split())
    assert not Path("x.glb").exists()
