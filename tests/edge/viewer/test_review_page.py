"""The review page: what it takes and refuses, and a room that is dragged to where it is, in a real browser."""

from __future__ import annotations

import json
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from websockets.sync.client import connect

from edge.derive.formats.horizonnet import corner_lines
from edge.keep.review import Bounds, Review
from edge.viewer.review import ReviewPage
from edge.viewer.server import PageServer
from tests.edge.viewer.chromium import EXECUTABLE, Browser, browser
from tests.edge.viewer.dragging import corners_of, drag_corner
from tests.painted import painted_room

TRUE_M = np.array([[-2.0, -1.5], [2.5, -1.5], [2.5, 3.0], [-2.0, 3.0]])
CAMERA_M, CEILING_M = 1.5, 2.5
FOUND_M = np.array([[-2.0, -1.5], [2.5, -1.5], [1.6, 2.0], [-2.0, 3.0]])
NAMES = ["20260131T120000.000Z-hall-1", "20260131T130000.000Z-hall-2"]


def about(projection: str = "equirectangular", polygon_m: np.ndarray = FOUND_M, ceiling_m: float = 3.0) -> bytes:
    """What a daemon says of a picture, as much as the page reads."""
    metric = {"polygon_m": polygon_m.tolist(), "camera_height_m": CAMERA_M, "ceiling_height_m": ceiling_m}
    return json.dumps({
        "camera": "hall",
        "captured_at": "2026-01-31T12:00:00.000000Z",
        "note": "the wall is wrong",
        "reasons": [{"rule": "ceiling_height", "value": 4.8, "limit": 4.5, "text": "the ceiling would be 4.80 m high"}],
        "picture": {"projection": projection, "camera_height_m": CAMERA_M},
        "results": {"layout": {"metric": metric}},
    }).encode()  # fmt: skip


@cache
def picture() -> bytes:
    """The room, as JPEG."""
    return cv2.imencode(".jpg", painted_room(TRUE_M, CAMERA_M, CEILING_M)[..., ::-1])[1].tobytes()


@pytest.fixture
def review(tmp_path: Path) -> Review:
    """Two pictures of one room that wait."""
    kept = Review(tmp_path / "review", Bounds(most_age_s=1e12, least_free_bytes=0))
    for name in NAMES:
        kept.keep(name, {"picture.jpg": picture(), "about.json": about()})
    return kept


@pytest.fixture
def server(review: Review) -> Iterator[PageServer]:
    """The page of them."""
    serving = PageServer(ReviewPage(review), port=0)
    serving.start()
    yield serving
    serving.stop()


def room(polygon_m: np.ndarray = TRUE_M, ceiling_m: float = CEILING_M) -> dict[str, Any]:
    """As the page says it."""
    return {"polygon_m": polygon_m.tolist(), "camera_height_m": CAMERA_M, "ceiling_height_m": ceiling_m}


def asked(page: ReviewPage, **question: Any) -> Any:
    """The answer."""
    answer = page.answer(json.dumps({"id": 7} | question))
    return answer if isinstance(answer, bytes) else json.loads(answer)


def test_a_label_is_horizonnets_and_its_picture_leaves_the_queue(review: Review, server: PageServer) -> None:
    """Over a real WebSocket: the list, a label, and the list without it; corners to a thousandth of a pixel."""
    with connect(f"ws://127.0.0.1:{server.port}/ws") as socket:

        def ask(**question: Any) -> Any:
            socket.send(json.dumps({"id": 1} | question))
            return json.loads(socket.recv(timeout=10))

        entries = ask(list=True)["entries"]
        assert [(e["name"], e["status"], e["editable"]) for e in entries] == [(n, "waiting", True) for n in NAMES]
        assert entries[0]["reasons"] == ["the ceiling would be 4.80 m high"]
        assert ask(save=NAMES[0], room=room(), hidden=[["floor", 3, 9]], status="corrected") == {"id": 1}
        states = {e["name"]: e["status"] for e in ask(list=True)["entries"]}
        assert states == {NAMES[0]: "corrected", NAMES[1]: "waiting"}
        assert ask(reject=NAMES[1]) == {"id": 1}
    assert (review.entries(), review.labelled()) == ([], [NAMES[0]])
    label = review.folder / "labelled" / "train" / "label_cor" / f"{NAMES[0]}.txt"
    assert label.read_text() == corner_lines(TRUE_M, CAMERA_M, CEILING_M, 1024, 512)
    corners = np.loadtxt(label)
    for x, y in TRUE_M:
        column = (np.arctan2(x, y) / (2 * np.pi) + 0.5) * 1024 - 0.5
        row = (0.5 + np.arctan2(CAMERA_M, np.hypot(x, y)) / np.pi) * 512 - 0.5
        assert np.abs(corners[1::2] - (column, row)).max(axis=1).min() < 1e-3


def test_an_entry_without_a_picture_is_shown_and_cannot_be_labelled(review: Review) -> None:
    """What is known of it, why there is none, and a refusal that keeps it waiting."""
    name = "20260131T140000.000Z-hall-3"
    said = json.loads(about())
    said["picture"]["missing"] = "numbers alone"
    review.keep(name, {"about.json": json.dumps(said).encode()})
    page = ReviewPage(review)
    (entry,) = [e for e in asked(page, list=True)["entries"] if e["name"] == name]
    assert (entry["picture"], entry["editable"], entry["missing"]) == (False, False, "numbers alone")
    assert page.get(f"/entry/{name}/picture.jpg") is None
    assert "no picture" in asked(page, save=name, room=room())["error"]
    assert review.labelled() == []


@pytest.mark.parametrize(
    ("drawn", "why"),
    [
        (room(TRUE_M[[0, 2, 1, 3]]), "cross"),
        (room(TRUE_M + 10), "outside"),
        (room(TRUE_M, 1.2), "below the camera"),
        (room(TRUE_M * 10), "30 m wide"),
        (room(TRUE_M) | {"camera_height_m": 0}, "camera_height_m"),
        (room(TRUE_M[:2]), "polygon_m"),
        (None, "missing"),
    ],
)
def test_what_is_no_room_is_refused_and_nothing_is_written(review: Review, drawn: Any, why: str) -> None:
    """Each with what to do; the picture waits on."""
    page = ReviewPage(review)
    assert why in asked(page, save=NAMES[0], room=drawn)["error"]
    assert why in asked(page, model=NAMES[0], room=drawn)["error"]
    assert (review.entries(), review.labelled()) == (NAMES, [])


@pytest.mark.parametrize(
    "message", ["", "[]", "{}", '{"id": -1}', '{"id": 1, "other": 2}', "[" * 5000, '{"id":1,"reject":"../x"}']
)
def test_nonsense_is_answered(review: Review, message: str) -> None:
    """With an error, and nothing else happens."""
    assert json.loads(ReviewPage(review).answer(message))["error"]
    assert review.entries() == NAMES


def test_only_files_of_entries_are_served(review: Review, tmp_path: Path) -> None:
    """A picture and what is known about it; nothing else of the disk."""
    page = ReviewPage(review)
    found = page.get(f"/entry/{NAMES[0]}/picture.jpg")
    assert found is not None
    assert found[1] == "image/jpeg"
    (tmp_path / "picture.jpg").write_bytes(b"secret")
    for path in (
        "/entry/../picture.jpg",
        f"/entry/{NAMES[0]}/../../picture.jpg",
        f"/entry/{NAMES[0]}/x",
        "/entry/",
        "/",
    ):
        assert page.get(path) is None


def test_a_part_of_a_room_cannot_be_labelled(review: Review) -> None:
    """A perspective camera's picture is shown, and its corners are not asked for."""
    name = "20260131T140000.000Z-door-1"
    review.keep(
        name,
        {"picture.jpg": cv2.imencode(".jpg", np.zeros((60, 80, 3)))[1].tobytes(), "about.json": about("perspective")},
    )
    page = ReviewPage(review)
    assert {e["name"]: e["editable"] for e in asked(page, list=True)["entries"]}[name] is False
    assert "whole panoramas" in asked(page, save=name, room=room())["error"]


# In a browser ---------------------------------------------------------------------------------------------------------


@pytest.fixture
def shown(server: PageServer, tmp_path: Path) -> Iterator[Browser]:
    """A browser that shows the first picture."""
    with browser(tmp_path / "profile") as opened:
        opened.open(server.address)
        opened.until("window.state?.glb === 1", 90)
        yield opened


@pytest.mark.slow
@pytest.mark.skipif(EXECUTABLE is None, reason="needs Chromium (apt install chromium)")
def test_two_drags_and_a_press_make_the_label(review: Review, shown: Browser, tmp_path: Path) -> None:
    """A corner to where it stands and the ceiling to where it is: within half a pixel, read back as trainers read it.

    Undo and redo, right angles, a corner more and less, by keys; the model in three dimensions follows.
    """
    corner = int(np.argmax(np.abs(corners_of(shown) - TRUE_M).sum(axis=1)))
    drag_corner(shown, corner, "floor", TRUE_M[corner], CAMERA_M, CEILING_M)
    drag_corner(shown, corner, "ceiling", TRUE_M[corner], CAMERA_M, CEILING_M)
    assert np.abs(corners_of(shown) - TRUE_M).max() < 0.03
    shown.until("state.glb >= 2")
    for key, corners in (("n", 5), ("Delete", 4)):
        shown.key(key)
        assert len(corners_of(shown)) == corners
    for label, count in (("Undo", 5), ("Undo", 4), ("Redo", 5), ("Undo", 4)):
        shown.press(label)
        assert len(corners_of(shown)) == count
    before = corners_of(shown)
    shown.key("m")
    assert np.abs(corners_of(shown) - before).max() < 0.05
    shown.press("Undo")
    shown.key("ArrowLeft")
    shown.press("Undo")
    assert shown.value("document.getElementById('accept').textContent") == "Save correction"
    shown.press("Save correction")
    shown.until(f"state.entry === {json.dumps(NAMES[1])}")
    assert shown.value("[state.changed, state.problem, state.error]") == [False, None, None]
    got = np.loadtxt(review.folder / "labelled" / "train" / "label_cor" / f"{NAMES[0]}.txt")
    want = np.array([line.split() for line in corner_lines(TRUE_M, CAMERA_M, CEILING_M, 1024, 512).splitlines()], float)
    assert np.abs(got - want).max() <= 0.5
    shown.press("Reject")
    assert review.entries() == [NAMES[1]], "one press does nothing yet"
    shown.press("Really delete the picture?")
    shown.until("state.entry === null")
    assert review.entries() == []
    assert shown.problems == []


@pytest.mark.slow
@pytest.mark.skipif(EXECUTABLE is None, reason="needs Chromium (apt install chromium)")
def test_it_goes_by_a_finger_on_a_phone(server: PageServer, tmp_path: Path) -> None:
    """390 by 844: nothing is wider, every button is 44 px high, a finger drags a corner and pans the picture."""
    with browser(tmp_path / "profile") as shown:
        shown.open(server.address, 390, 844, phone=True)
        shown.until("window.state?.glb === 1", 90)
        assert shown.value("document.documentElement.scrollWidth") <= 390
        heights = shown.value(
            "[...document.querySelectorAll('#tools button, #decide button')].map(b => b.offsetHeight)"
        )
        assert min(heights) >= 44
        for name in ("undo", "accept"):
            middle = f"(b => [b.left + b.width / 2, b.top + b.height / 2])({name}.getBoundingClientRect())"
            assert shown.value(f"document.elementFromPoint(...{middle}).id") == name, "nothing lies over it"
        box = shown.value(
            "(b => [b.left, b.top, b.right, b.bottom])(document.getElementById('picture').getBoundingClientRect())"
        )
        inside = [
            i
            for i, h in enumerate(shown.value("state.handles"))
            if box[0] + 20 < h["floor"][0] < box[2] - 20 and box[1] < h["floor"][1] < box[3]
        ]
        x, y = shown.value(f"state.handles[{inside[0]}].floor")
        before = corners_of(shown)
        shown.drag((x, y), (x + 12, y + 5), touch=True)
        moved = np.abs(corners_of(shown) - before).max(axis=1) > 0.01
        assert list(np.flatnonzero(moved)) == [inside[0]]
        shown.drag(((box[0] + box[2]) / 2, box[1] + 10), ((box[0] + box[2]) / 2 + 60, box[1] + 10), touch=True)
        assert abs(shown.value(f"state.handles[{inside[0]}].floor[0]") - x - 72) < 2
        assert shown.value("state.error") is None
        assert shown.problems == []
