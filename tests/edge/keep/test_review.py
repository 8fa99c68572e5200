"""Pictures kept for review: whole, private, within bounds, the oldest first to go; and what labels become of them."""

from __future__ import annotations

import json
from datetime import datetime, timezone
from pathlib import Path

import pytest

from edge.errors import EdgeError
from edge.keep.review import Bounds, Label, Review, captured_s, entry_name

LONG_S = 1e12
LABEL = Label("1.0 2.0\n1.0 9.0\n" * 3, {"camera_height_m": 1.4}, [("floor", 10, 20)], "corrected")


def name(second: int) -> str:
    """Of an entry."""
    return f"20260131T1200{second:02d}.000Z-hall-{second}"


def bounded(most_bytes: int = 1000, most_entries: int = 100, most_age_s: float = LONG_S) -> Bounds:
    """Bounds as a test needs them."""
    return Bounds(most_bytes, most_entries, most_age_s, least_free_bytes=0)


def test_an_entry_is_whole_and_nobody_elses(tmp_path: Path) -> None:
    """Its files are as given, in folders that only this user may enter, made as needed."""
    folder = tmp_path / "a" / "review"
    review = Review(folder, bounded())
    assert review.entries() == []
    review.keep(name(1), {"picture.jpg": b"jpeg", "about.json": b"{}"})
    assert {p.name: p.read_bytes() for p in (folder / name(1)).iterdir()} == {
        "picture.jpg": b"jpeg",
        "about.json": b"{}",
    }
    for path in (folder, folder / name(1), folder / name(1) / "picture.jpg"):
        assert path.stat().st_mode & 0o077 == 0
    assert [p.name for p in folder.iterdir()] == [name(1)], "nothing unfinished is left"


def test_the_oldest_go_beyond_the_bound_and_nothing_else(tmp_path: Path) -> None:
    """Ten entries of 100 bytes in 350: the last three; what is not an entry is never touched."""
    (tmp_path / "notes.txt").write_bytes(b"x" * 1000)
    (tmp_path / "mine").mkdir()
    review = Review(tmp_path, bounded(350))
    for second in range(10):
        review.keep(name(second), {"picture.jpg": b"x" * 100})
    assert review.entries() == [name(7), name(8), name(9)]
    assert {"notes.txt", "mine"} <= {p.name for p in tmp_path.iterdir()}


def test_what_cannot_be_kept_is_said_and_removes_nothing(tmp_path: Path) -> None:
    """Larger than all together may be, a name of another form, a folder that is a file."""
    review = Review(tmp_path / "review", bounded(100))
    review.keep(name(1), {"picture.jpg": b"x" * 60})
    with pytest.raises(EdgeError, match=r"raise review\.most_mib"):
        review.keep(name(2), {"picture.jpg": b"x" * 101})
    with pytest.raises(EdgeError, match="begin with the time"):
        review.keep("../../hall", {"picture.jpg": b""})
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(EdgeError, match=r"set review\.folder"):
        Review(tmp_path / "file", bounded(100)).keep(name(3), {"picture.jpg": b""})
    assert review.entries() == [name(1)]


def test_no_more_than_so_many_and_none_older_than_allowed(tmp_path: Path) -> None:
    """The oldest go beyond the number; what has waited too long goes by itself."""
    review = Review(tmp_path, bounded(most_entries=3))
    for second in range(5):
        review.keep(name(second), {"picture.jpg": b"x"})
    assert review.entries() == [name(2), name(3), name(4)]
    strict = Review(tmp_path, bounded(most_age_s=100.0))
    assert strict.expire(captured_s(name(3)) + 100.5) == 2
    assert strict.entries() == [name(4)]


def test_a_disk_that_is_nearly_full_is_left_to_others(tmp_path: Path) -> None:
    """Nothing is kept, and nothing removed, where less than so much would be left."""
    Review(tmp_path, bounded()).keep(name(1), {"picture.jpg": b"x"})
    review = Review(tmp_path, Bounds(1000, 100, LONG_S, least_free_bytes=2**60))
    with pytest.raises(EdgeError, match="MiB left; make room"):
        review.keep(name(2), {"picture.jpg": b"x"})
    assert review.entries() == [name(1)]


def test_a_name_says_when_and_sorts_by_it() -> None:
    """To the millisecond, in UTC."""
    at_s = datetime(2026, 1, 31, 12, 0, 5, 250_000, timezone.utc).timestamp()
    assert entry_name(at_s, "hall", 7) == "20260131T120005.250Z-hall-7"
    assert captured_s(entry_name(at_s, "hall", 7)) == at_s


def test_a_label_moves_its_picture_to_where_trainers_read_it(tmp_path: Path) -> None:
    """HorizonNet's folders, in the part that is learnt from, with heights and hidden edges; nothing stays behind.

    What was labelled does not count as waiting, however old; labelled again, the last label holds.
    """
    review = Review(tmp_path / "review", bounded())
    review.keep(name(1), {"picture.jpg": b"jpeg", "about.json": b'{"camera": "hall"}'})
    review.label(name(1), LABEL)
    assert (review.entries(), review.labelled()) == ([], [name(1)])
    part = tmp_path / "review" / "labelled" / "train"
    assert (part / "img" / f"{name(1)}.jpg").read_bytes() == b"jpeg"
    assert (part / "label_cor" / f"{name(1)}.txt").read_text() == LABEL.corners
    assert (part / "camera_heights.csv").read_text() == f"name,camera_height_m\n{name(1)},1.4\n"
    assert (part / "ignore_spans.csv").read_text() == f"name,boundary,x0,x1,reason\n{name(1)},floor,10,20,not visible\n"
    assert json.loads(review.file(name(1), "about.json"))["label"]["status"] == "corrected"
    for path in (tmp_path / "review").rglob("*"):
        assert path.stat().st_mode & 0o077 == 0, path
    Review(tmp_path / "review", bounded(most_age_s=0.0)).expire()
    review.label(name(1), Label("again", {"camera_height_m": 2.0}, [], "accepted"))
    assert (part / "label_cor" / f"{name(1)}.txt").read_text() == "again"


def test_deleting_leaves_nothing_of_an_entry(tmp_path: Path) -> None:
    """Whether it waits or was labelled; what is not an entry is refused and stays."""
    review = Review(tmp_path / "review", bounded())
    for second in (1, 2):
        review.keep(name(second), {"picture.jpg": b"jpeg", "about.json": b"{}"})
    review.label(name(2), LABEL)
    for second in (1, 2):
        review.delete(name(second))
    left = {path.name for path in (tmp_path / "review").rglob("*") if path.is_file()}
    assert left == {"camera_heights.csv", "ignore_spans.csv"}
    assert name(2) not in (tmp_path / "review" / "labelled" / "train" / "camera_heights.csv").read_text()
    for wrong in (name(1), "../../etc", "labelled"):
        with pytest.raises(EdgeError, match="edge review --list"):
            review.delete(wrong)
