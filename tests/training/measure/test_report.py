"""Error pictures are files that sort from worst to best, and a page that shows them."""

from __future__ import annotations

import re
from pathlib import Path

import cv2
import numpy as np
import pytest

from edge.errors import DataError
from edge.scene import ImageArray
from training.measure.report import Measured, Scored, side_by_side, write_errors


def _draw(index: int) -> ImageArray:
    return np.full((40, 60, 3), (50 * index, 0, 200), np.uint8)


def _measured(*errors: float) -> Measured:
    pictures = tuple(Scored(f"room <{i}>/a", e, {"delta1": 0.5}) for i, e in enumerate(errors))
    return Measured("eval: a set (4 pictures)", (), {}, pictures, "absrel", _draw)


def test_file_names_sort_by_rank_and_hold_the_picture(tmp_path: Path) -> None:
    """Refused first, then by falling error; the limit keeps the worst; each file is the picture of its entry."""
    write_errors([_measured(0.1, 0.7, float("inf"), 0.3)], tmp_path, 3)
    files = sorted((tmp_path / "eval-a-set-4-pictures").iterdir())
    assert [re.sub(r"[^0-9]", "", p.stem[4:]) for p in files] == ["2", "1", "3"]
    for path, index in zip(files, (2, 1, 3), strict=True):
        blue, _, red = cv2.imread(str(path))[20, 30]
        assert abs(int(red) - 50 * index) < 6
        assert abs(int(blue) - 200) < 6


def test_the_page_shows_every_file_in_order_with_its_numbers(tmp_path: Path) -> None:
    """Every picture written is on the page, worst first, and names are text, never markup."""
    page = write_errors([_measured(0.1, 0.7, float("inf"))], tmp_path, 10).read_text(encoding="utf-8")
    shown = re.findall(r'src="([^"]+)"', page)
    assert shown == sorted(shown)
    assert {tmp_path / s for s in shown} == set((tmp_path / "eval-a-set-4-pictures").iterdir())
    said = re.findall(r"<figcaption>(.*?)</figcaption>", page)
    assert ["refused" in s for s in said] == [True, False, False]
    assert "absrel 0.700 (delta1 0.500)" in said[1]
    assert "room <" not in page


def test_an_earlier_runs_pictures_do_not_stay(tmp_path: Path) -> None:
    """A second run with fewer pictures leaves its own alone, and other files of the folder as they are."""
    write_errors([_measured(0.1, 0.7, 0.2)], tmp_path, 10)
    other = tmp_path / "eval-a-set-4-pictures" / "notes.txt"
    other.write_text("mine")
    write_errors([_measured(0.5)], tmp_path, 10)
    assert len(list(other.parent.glob("*.jpg"))) == 1
    assert other.read_text() == "mine"


def test_a_folder_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    """A file where the folder should be: the message says which and what to do."""
    (tmp_path / "taken").write_text("")
    with pytest.raises(DataError, match=r"taken.*give another folder"):
        write_errors([_measured(0.1)], tmp_path / "taken", 10)


def test_panels_keep_their_shape_and_order() -> None:
    """Side by side at one height below their captions, each as wide as its own proportions make it."""
    wide, square = np.full((10, 40, 3), 255, np.uint8), np.zeros((50, 50, 3), np.uint8)
    row = side_by_side([("a", wide), ("b", square)], 100)
    assert row.shape == (122, 400 + 4 + 100, 3)
    assert row[22:, :404].min() == 255
    assert row[22:, 404:].max() == 0
    assert row[:22].min() < 100  # the captions


def test_sets_of_one_name_keep_their_own_pictures(tmp_path: Path) -> None:
    """Two folders called alike: every picture of both is on the page and on disk."""
    page = write_errors([_measured(0.1, 0.7), _measured(0.3)], tmp_path, 10).read_text(encoding="utf-8")
    shown = {tmp_path / s for s in re.findall(r'src="([^"]+)"', page)}
    assert len(shown) == 3 and all(path.is_file() for path in shown)
