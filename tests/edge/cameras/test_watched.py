"""Folders that cameras upload to."""

import os
import time
from pathlib import Path

import cv2
import pytest

from edge.cameras.base import PictureError, ReplaySpec
from edge.cameras.process import CameraProcess
from edge.cameras.replay import PICTURE_SUFFIXES, ReplaySource
from edge.cameras.watched import WatchedFolder
from edge.errors import CameraError
from tests.edge.cameras.conftest import LEVELS, MODEL, Until, plain


def jpeg(level: int) -> bytes:
    """One grey picture."""
    return bytes(cv2.imencode(".jpg", plain(level))[1])


def put(path: Path, at_s: int, content: bytes = b"0123456789") -> Path:
    """Write a file with a date."""
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(content)
    os.utime(path, (at_s, at_s))
    return path


def test_the_newest_first_then_what_comes(tmp_path: Path) -> None:
    """Of what is there the newest alone; then each file once, in order of arrival, in folders of any name."""
    for n in range(3):
        put(tmp_path / f"{n}.jpg", 1000 - n)
    watched = WatchedFolder(tmp_path, PICTURE_SUFFIXES)
    assert [watched.next(t) for t in (0.0, 1.0, 2.0)] == [None, tmp_path / "0.jpg", None]
    late, early = put(tmp_path / "a.jpg", 2002), put(tmp_path / "2026-11-28" / "b.JPG", 2001)
    put(tmp_path / "note.txt", 2003)
    put(tmp_path / ".c.jpg", 2004)
    assert [watched.next(t) for t in (3.0, 4.0, 5.0, 6.0)] == [None, early, late, None]
    assert watched.next(60.0) is None


def test_only_complete_files(tmp_path: Path) -> None:
    """A file that grows, or is empty, waits until it has stayed the same for a second."""
    watched = WatchedFolder(tmp_path, PICTURE_SUFFIXES)
    assert watched.next(0.0) is None
    path = put(tmp_path / "a.jpg", 1000, b"")
    assert [watched.next(t) for t in (1.0, 5.0)] == [None, None]
    for n in range(1, 5):
        put(path, 1000 + n, b"x" * n)
        assert watched.next(5.0 + 0.9 * n) is None
    assert watched.next(9.0) is None
    assert watched.next(9.7) == path


def test_a_file_written_anew_is_another_picture(tmp_path: Path) -> None:
    """A camera that always uploads under one name is followed, in a folder and as a single file, with any date."""
    path = put(tmp_path / "latest.jpg", 1000)
    for watched in (WatchedFolder(tmp_path, PICTURE_SUFFIXES), WatchedFolder(path, PICTURE_SUFFIXES)):
        put(path, 1000)
        assert [watched.next(t) for t in (0.0, 1.0, 2.0)] == [None, path, None]
        put(path, 10)  # the clock of the camera was set back
        assert [watched.next(t) for t in (3.0, 4.0, 5.0)] == [None, path, None]


def test_what_is_gone_is_forgotten(tmp_path: Path) -> None:
    """A thousand files that came and went leave no names behind."""
    watched = WatchedFolder(tmp_path, PICTURE_SUFFIXES)
    watched.next(0.0)
    for n in range(0, 1000, 100):
        files = [put(tmp_path / f"{n + i}.jpg", 1000) for i in range(100)]
        watched.next(2.0 * n + 1)
        assert [watched.next(2.0 * n + 3) for _ in files] == sorted(files)
        for path in files:
            path.unlink()
    watched.next(5000.0)
    assert not watched._known
    assert not watched._growing


def test_a_folder_that_is_gone_is_an_error(tmp_path: Path) -> None:
    """It is named."""
    folder = tmp_path / "up"
    folder.mkdir()
    watched = WatchedFolder(folder, PICTURE_SUFFIXES)
    watched.next(0.0)
    folder.rmdir()
    with pytest.raises(CameraError, match="up: cannot be read"):
        watched.next(1.0)


def test_a_damaged_upload_is_passed_over(tmp_path: Path) -> None:
    """Half a picture is an error of its own, and comes again when its rest has."""
    with ReplaySource(ReplaySpec(tmp_path, pace="fast", watch=True)) as source:
        whole = jpeg(200)
        (tmp_path / "a.jpg").write_bytes(whole[: len(whole) // 2])
        with pytest.raises(PictureError, match=r"a\.jpg"):
            source.read()
        (tmp_path / "a.jpg").write_bytes(whole)
        assert abs(float(source.read().image.mean()) - 200) < 2


def test_new_files_are_played(folder: Path, until: Until) -> None:
    """A camera that watches plays what is uploaded while it runs, and does not count as stalled in between."""
    front = CameraProcess("front", ReplaySpec(folder, watch=True), MODEL, stall_timeout_s=0.5)
    front.start()
    try:
        until(lambda: front.poll() or front.sequence == 1)
        time.sleep(1.0)
        front.poll()
        assert (front.state, front.restarts) == ("online", 0)
        cv2.imwrite(str(folder / "000a.png"), plain(7))
        until(lambda: front.poll() or front.sequence == 2)
        got = front.latest()
        assert got is not None
        assert got.image[0, 0, 0] == 7
        assert got.image[0, 0, 0] not in LEVELS
    finally:
        front.stop()
