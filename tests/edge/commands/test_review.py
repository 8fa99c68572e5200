"""`edge review` without its page: a panorama from elsewhere is put aside, listed and deleted."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np
from typer.testing import CliRunner

from edge.__main__ import app
from edge.keep.review import Review
from edge.viewer.review import ReviewPage
from tests.painted import painted_room

ROOM_M = np.array([[-2.0, -1.5], [2.5, -1.5], [2.5, 3.0], [-2.0, 3.0]])


def run(*arguments: object) -> tuple[int, str]:
    """Exit code and all that was printed."""
    result = CliRunner().invoke(app, ["review", *map(str, arguments)])
    return result.exit_code, " ".join(result.output.split())


def test_a_panorama_from_elsewhere_waits_for_its_corners(tmp_path: Path) -> None:
    """A phone's picture from a camera's place: it can be labelled as any other, at the height that is given."""
    folder, picture = tmp_path / "review", tmp_path / "hall.png"
    folder.mkdir(mode=0o700)
    cv2.imwrite(str(picture), painted_room(ROOM_M, 2.1, 2.5, (2048, 1024))[..., ::-1])
    code, said = run(folder, "--add", picture, "--camera-height", 2.1)
    assert code == 0, said
    kept = Review(folder)
    (name,) = kept.entries()
    assert name in said
    assert name in run(folder, "--list")[1]
    page = ReviewPage(kept)
    (entry,) = json.loads(page.answer(json.dumps({"id": 1, "list": True})))["entries"]
    assert (entry["camera"], entry["editable"], entry["reasons"]) == ("hall", True, [])
    room = {"polygon_m": ROOM_M.tolist(), "camera_height_m": 2.1, "ceiling_height_m": 2.5}
    assert json.loads(page.answer(json.dumps({"id": 2, "save": name, "room": room}))) == {"id": 2}
    assert (kept.entries(), kept.labelled()) == ([], [name])
    image = cv2.imread(str(folder / "labelled" / "train" / "img" / f"{name}.jpg"))
    assert image is not None
    assert image.shape == (512, 1024, 3)


def test_what_is_no_panorama_is_refused(tmp_path: Path) -> None:
    """With its size and what to give; a file that is not there is named."""
    picture = tmp_path / "hall.png"
    cv2.imwrite(str(picture), np.zeros((60, 80, 3), np.uint8))
    code, said = run(tmp_path, "--add", picture)
    assert code == 1
    assert "80 x 60 px are no whole panorama; give one twice as wide as high" in said
    code, said = run(tmp_path, "--add", tmp_path / "no.jpg")
    assert code == 1
    assert "give a JPEG or PNG" in said
    assert Review(tmp_path).entries() == []
