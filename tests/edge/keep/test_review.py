"""Pictures kept for review: whole, private, within the bound, the oldest first to go."""

from __future__ import annotations

from pathlib import Path

import pytest

from edge.errors import EdgeError
from edge.keep.review import Review


def name(second: int) -> str:
    """Of an entry."""
    return f"20260131T1200{second:02d}.000Z-hall-{second}"


def test_an_entry_is_whole_and_nobody_elses(tmp_path: Path) -> None:
    """Its files are as given, in folders that only this user may enter, made as needed."""
    folder = tmp_path / "a" / "review"
    review = Review(folder, 1000)
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
    review = Review(tmp_path, 350)
    for second in range(10):
        review.keep(name(second), {"picture.jpg": b"x" * 100})
    assert review.entries() == [name(7), name(8), name(9)]
    assert {"notes.txt", "mine"} <= {p.name for p in tmp_path.iterdir()}


def test_what_cannot_be_kept_is_said_and_removes_nothing(tmp_path: Path) -> None:
    """Larger than all together may be, a name of another form, a folder that is a file."""
    review = Review(tmp_path / "review", 100)
    review.keep(name(1), {"picture.jpg": b"x" * 60})
    with pytest.raises(EdgeError, match=r"raise review\.most_mib"):
        review.keep(name(2), {"picture.jpg": b"x" * 101})
    with pytest.raises(EdgeError, match="begin with the time"):
        review.keep("../../hall", {"picture.jpg": b""})
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(EdgeError, match=r"set review\.folder"):
        Review(tmp_path / "file", 100).keep(name(3), {"picture.jpg": b""})
    assert review.entries() == [name(1)]
