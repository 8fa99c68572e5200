"""`edge report`: one page that needs nothing else, whose numbers are those of the messages."""

from __future__ import annotations

import json
import re
import subprocess
import xml.etree.ElementTree as ElementTree
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from edge.__main__ import app
from edge.commands.report_page import page
from edge.commands.report_plan import plan_svg, scale_of
from edge.commands.report_rooms import Home, home_of_broker, home_of_file
from edge.derive.heat_loss.assumptions import two_digits
from edge.derive.home import PlacedRoom
from edge.errors import ConfigErrors, EdgeError
from edge.mqtt.broker import EmbeddedBroker
from edge.mqtt.link import Link, Metadata
from edge.mqtt.topics import home_topic
from edge.publish.compose import Source, layout_message
from edge.scene import Frame, RoomLayout
from edge.subscribe.homes import home_message
from tests.edge.derive.homes import room as a_room
from tests.edge.viewer.chromium import EXECUTABLE

EXAMPLE = Path(__file__).resolve().parents[3] / "docs" / "heat-loss.example.yaml"
VOID = {"meta", "br", "link", "img", "input", "hr"}


@pytest.fixture(scope="module")
def home() -> Home:
    """The example's rooms."""
    return home_of_file(EXAMPLE)


class Reader(HTMLParser):
    """Checks that tags close in order, and keeps text and what would be fetched."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.text: list[str] = []
        self.fetched: list[str] = []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Remember it, and its addresses."""
        self.fetched += [str(value) for name, value in attrs if name in ("src", "href")]
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        """It closes the last one."""
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        """Keep it."""
        self.text.append(data)


def test_page_is_whole_and_alone(home: Home) -> None:
    """Tags close in order, nothing is fetched, nothing of the template is left."""
    text = page(home)
    reader = Reader(text)
    assert reader.open == []
    assert reader.fetched == []
    assert not re.search(r"url\(|@import|<script|\$[a-z]", text)


def test_page_says_what_the_messages_say(home: Home) -> None:
    """Every room with its load, the building's sum, the heat pump, the assumptions and what it is not."""
    text = " ".join("".join(Reader(page(home)).text).replace("\u202f", " ").split())
    for room in home.rooms:
        assert room.camera in text
        assert f"{two_digits(room.total_w.p50)}".replace("\u202f", " ") in text
        assert all(assumption in text for assumption in room.assumptions)
    total = sum(room.building.total_w.p95 for room in home.rooms)
    assert f"{np.ceil(total / 500) / 2:g} kW" in text
    assert two_digits(sum(room.building.total_w.p50 for room in home.rooms)).replace("\u202f", " ") in text
    assert "not a certified calculation, not MCS/EN 12831 evidence" in text
    assert "35/30 °C" in text
    assert "Prepared by" in text


def test_names_are_no_markup() -> None:
    """What a file calls a home is text on the page."""
    rooms = home_of_file(EXAMPLE).rooms
    text = page(Home("<i>x</i>", rooms))
    assert "<i>x</i>" not in text
    assert "&lt;i&gt;x&lt;/i&gt;" in text


def test_numbers_have_two_digits() -> None:
    """No number pretends to be surer than it is."""
    assert [two_digits(v) for v in (0.2, 7.4, 74.4, 744.0, 1549.0, 12_345.0, -86.0)] == [
        *("0", "7", "74", "740", "1\u202f500", "12\u202f000", "-86")
    ]


def test_plan_is_to_scale(home: Home) -> None:
    """A metre in the room is 1000 mm / scale on paper, of the bar as of the walls."""
    for room in home.rooms:
        svg, scale = plan_svg(room)
        tree = ElementTree.fromstring(svg)
        width_mm = float(tree.attrib["width"].removesuffix("mm"))
        assert float(tree.attrib["viewBox"].split()[2]) == pytest.approx(width_mm)
        polygon = np.asarray(room.polygon_m)
        shape = next(e for e in tree.iter() if e.tag.endswith("polygon"))
        drawn = np.array([[float(v) for v in p.split(",")] for p in shape.attrib["points"].split()])
        sizes = np.linalg.norm(np.roll(polygon, -1, axis=0) - polygon, axis=1)
        on_paper = np.linalg.norm(np.roll(drawn, -1, axis=0) - drawn, axis=1)
        assert on_paper == pytest.approx(sizes * 1000 / scale, abs=0.02)
    assert [scale_of(3.0, 3.0), scale_of(4.4, 3.7), scale_of(8.0, 3.0), scale_of(400.0, 3.0)] == [50, 50, 100, 1000]


# Where rooms come from ------------------------------------------------------------------------------------------------


def test_command_writes_the_page(tmp_path: Path) -> None:
    """From the shipped example to a file; a folder that is not there is told."""
    out = tmp_path / "page.html"
    result = CliRunner().invoke(app, ["report", "--rooms", str(EXAMPLE), "--out", str(out)])
    assert result.exit_code == 0
    assert "Terraced house" in out.read_text(encoding="utf-8")
    result = CliRunner().invoke(app, ["report", "--rooms", str(EXAMPLE), "--out", str(tmp_path / "no" / "page.html")])
    assert result.exit_code == 1
    assert "--out" in result.output


def test_mistakes_in_a_file_have_their_line(tmp_path: Path) -> None:
    """A wrong room is told as a wrong configuration is: line, key, remedy."""
    path = tmp_path / "rooms.yaml"
    path.write_text(EXAMPLE.read_text(encoding="utf-8").replace("room: kitchen", "room: kitchn"), encoding="utf-8")
    with pytest.raises(ConfigErrors, match=r"line \d+: rooms\[1\].heat_loss.room"):
        home_of_file(path)
    crossed = "rooms:\n  - {name: a, polygon_m: [[0, 0], [1, 1], [1, 0], [0, 1]], ceiling_height_m: 2.4,\n"
    crossed += "     heat_loss: {design: {outside_c: -3}, walls: [{bearing_deg: [0, 90], to: outside}]}}\n"
    path.write_text(crossed, encoding="utf-8")
    with pytest.raises(ConfigErrors, match="Give the corners in order"):
        home_of_file(path)


def test_a_recording_is_read(home: Home, tmp_path: Path) -> None:
    """What `edge watch --json` printed: the last message of each room counts, all else is passed over."""
    first, second = home.rooms[0], home.rooms[1]
    older = second.model_copy(update={"ceiling_height_m": 9.9})
    lines = [
        json.dumps({"topic": "edge/dev/a/heat_loss", "payload": json.loads(first.encoded())}),
        json.dumps({"topic": "edge/dev/b/heat_loss", "payload": json.loads(older.encoded())}),
        json.dumps({"topic": "edge/dev/b/depth/image", "bytes": 12}),
        json.dumps({"topic": "edge/dev/b/heat_loss", "payload": json.loads(second.encoded())}),
        '{"topic": "cut o',
    ]
    path = tmp_path / "seen.jsonl"
    path.write_text("\n".join(lines), encoding="utf-8")
    assert home_of_file(path).rooms == (first, second)
    path.write_text(lines[2], encoding="utf-8")
    with pytest.raises(EdgeError, match="record longer"):
        home_of_file(path)


def test_rooms_without_a_heat_loss_are_named_with_the_reason(
    home: Home, frame: Frame, layout: RoomLayout, source: Source, tmp_path: Path
) -> None:
    """Not in metres, a part of a room, nothing configured: on the page, or, if there is no other, in the error."""
    rooms = {
        "attic": replace(layout, scale="relative"),
        "bath": replace(layout, extent="visible"),
        "cellar": layout,
        "hall": layout,
    }
    lines = []
    for name, room in rooms.items():
        said = layout_message(replace(frame, camera=name), room, source, 0.1)
        lines.append(json.dumps({"topic": f"edge/dev/{name}/layout", "payload": json.loads(said.encoded())}))
    path = tmp_path / "seen.jsonl"
    path.write_text("\n".join(lines), encoding="utf-8")
    with pytest.raises(EdgeError, match=r"attic: sizes are not in metres; set camera_height_m .*; bath: only a part"):
        home_of_file(path)
    lines.append(json.dumps({"topic": "edge/dev/hall/heat_loss", "payload": json.loads(home.rooms[0].encoded())}))
    path.write_text("\n".join(lines), encoding="utf-8")
    found = home_of_file(path)
    assert [camera for camera, _ in found.without] == ["attic", "bath", "cellar"]
    assert "no section heat_loss" in dict(found.without)["cellar"]
    text = "".join(Reader(page(found)).text)
    assert "Rooms that are not in these sums." in text
    assert all(f"{camera}: {why}" in text for camera, why in found.without)
    assert "not in these sums" not in page(home)


def test_rooms_of_a_broker(home: Home, embedded: EmbeddedBroker) -> None:
    """What devices left on a broker is the home; without any, the key to add is named."""
    with pytest.raises(EdgeError, match="add the section heat_loss"):
        home_of_broker(embedded.endpoint, base="edge", device=None, wait_s=0.5)
    link = Link(embedded.endpoint, "device")
    link.open()
    for name, room in zip(("b", "a"), home.rooms, strict=False):
        link.send(
            f"edge/dev/{name}/heat_loss",
            room.encoded(),
            qos=1,
            retain=True,
            metadata=Metadata("application/json"),
        )
    found = home_of_broker(embedded.endpoint, base="edge", device="dev", wait_s=10.0)
    assert found.rooms == (home.rooms[1], home.rooms[0])
    assert found.placed is None
    assert "Plan</h2>" not in page(found)
    first = home.rooms[0]
    ours, others = (
        home_message(name, [PlacedRoom(a_room(camera, 4, 3))])
        for name, camera in (("flat 3", first.camera), ("flat 4", "nowhere"))
    )
    ours = ours.model_copy(update={"rooms": (ours.rooms[0].model_copy(update={"device": first.device}),)})
    for said in (ours, others):
        link.send(home_topic(said.name), said.encoded(), qos=1, retain=True, metadata=Metadata("application/json"))
    found = home_of_broker(embedded.endpoint, base="edge", device="dev", wait_s=10.0)
    link.close()
    assert found.name == "flat 3"
    assert found.placed == ours
    assert 'alt="Plan of flat 3" src="data:image/svg+xml;base64,' in page(found)


@pytest.mark.slow
@pytest.mark.skipif(EXECUTABLE is None, reason="needs Chromium")
def test_page_prints(home: Home, tmp_path: Path) -> None:
    """Chromium prints it: one page for the home and one for each room, on A4."""
    path, pdf = tmp_path / "page.html", tmp_path / "page.pdf"
    path.write_text(page(home), encoding="utf-8")
    command = [str(EXECUTABLE), "--headless", "--no-sandbox", "--disable-gpu", f"--print-to-pdf={pdf}"]
    subprocess.run([*command, "--no-pdf-header-footer", path.as_uri()], check=True, capture_output=True, timeout=120)
    data = pdf.read_bytes()
    assert len(re.findall(rb"/Type\s*/Page\b", data)) == 1 + len(home.rooms)
    assert re.search(rb"/MediaBox \[0 0 59[45][\d.]* 84[12][\d.]*\]", data)
