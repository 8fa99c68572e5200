"""Recordings on disk as cameras."""

import contextlib
import re
import struct
import time
from pathlib import Path

import cv2
import numpy as np
import pytest

from edge.cameras.base import EndOfStream, PictureError, ReplaySpec, Source
from edge.cameras.replay import ReplaySource, read_picture
from edge.cameras.sources import open_source
from edge.errors import CameraError
from tests.edge.cameras.conftest import COUNT, LEVELS, plain, write_video


def levels_of(spec: ReplaySpec, count: int) -> list[int]:
    """Mean level of the first pictures."""
    with ReplaySource(spec) as source:
        return [round(float(source.read().image.mean())) for _ in range(count)]


def play_out(source: Source) -> tuple[int, str]:
    """Read to the end: how many pictures can be used, and the last words."""
    count = 0
    with pytest.raises(EndOfStream) as end:
        while True:
            with contextlib.suppress(PictureError):
                source.read()
                count += 1
    return count, str(end.value)


def test_pictures_come_by_name_and_again(folder: Path) -> None:
    """A folder is played in order of names and from the start again."""
    assert levels_of(ReplaySpec(folder, pace="fast"), 2 * COUNT + 1) == [*LEVELS, *LEVELS, LEVELS[0]]


def test_without_loop_the_end_is_said(folder: Path) -> None:
    """Without loop a recording ends after its last picture."""
    with ReplaySource(ReplaySpec(folder, loop=False, pace="fast")) as source:
        assert play_out(source)[0] == COUNT


def test_one_picture_is_a_recording(folder: Path) -> None:
    """The path of a picture plays that picture."""
    assert levels_of(ReplaySpec(folder / "003.png", pace="fast"), 2) == [LEVELS[3]] * 2


def test_real_time_is_never_ahead(folder: Path) -> None:
    """At 50 pictures a second the n-th comes no earlier than n / 50 s after the start, dated as it comes."""
    with ReplaySource(ReplaySpec(folder, fps=50)) as source:
        began = time.monotonic()
        stamps = [source.read().captured_monotonic_s for _ in range(COUNT)]
    assert all(later - began >= i / 50 for i, later in enumerate(stamps))
    assert stamps[-1] <= time.monotonic()


def test_sizes_may_change(tmp_path: Path) -> None:
    """Each picture has its own size."""
    sizes = [(64, 48), (32, 100), (640, 320)]
    for i, (w, h) in enumerate(sizes):
        cv2.imwrite(str(tmp_path / f"{i}.png"), plain(90, w, h))
    with ReplaySource(ReplaySpec(tmp_path, pace="fast")) as source:
        assert [source.read().image.shape for _ in sizes] == [(h, w, 3) for w, h in sizes]


def test_grey_sixteen_bit_and_alpha_files(tmp_path: Path) -> None:
    """A grey, a 16-bit and a transparent file of the same colour read the same."""
    grey = np.full((32, 40), 100, np.uint8)
    cv2.imwrite(str(tmp_path / "a.png"), grey)
    cv2.imwrite(str(tmp_path / "b.png"), grey.astype(np.uint16) * 257)
    cv2.imwrite(str(tmp_path / "c.tif"), np.repeat(grey[..., None], 3, 2).astype(np.uint16) * 257)
    cv2.imwrite(str(tmp_path / "d.png"), np.dstack([grey, grey, grey, np.full_like(grey, 3)]))
    for path in sorted(tmp_path.iterdir()):
        image = read_picture(path)
        assert image.dtype == np.uint8
        assert image.shape == (32, 40, 3)
        assert (image == 100).all(), path


def test_file_colours_are_rgb(tmp_path: Path) -> None:
    """A red file has its level in the first channel."""
    cv2.imwrite(str(tmp_path / "red.png"), np.full((20, 20, 3), (0, 0, 200), np.uint8))
    assert (read_picture(tmp_path / "red.png") == (200, 0, 0)).all()


def test_exif_orientation_is_honoured(tmp_path: Path) -> None:
    """A JPEG whose EXIF says that it was shot on its side (orientation 6) reads upright."""
    data = cv2.imencode(".jpg", plain(80, 64, 32))[1].tobytes()
    tiff = b"MM\0*\0\0\0\x08\0\x01" + struct.pack(">HHIHH", 0x0112, 3, 1, 6, 0) + b"\0\0\0\0"
    block = b"Exif\0\0" + tiff
    path = tmp_path / "turned.jpg"
    path.write_bytes(data[:2] + b"\xff\xe1" + struct.pack(">H", len(block) + 2) + block + data[2:])
    assert read_picture(path).shape == (64, 32, 3)


@pytest.mark.parametrize("kind", ["jpg", "png", "webp", "bmp"])
def test_a_cut_picture_is_named(tmp_path: Path, kind: str) -> None:
    """A file cut at two thirds is refused by name and never served half."""
    path = tmp_path / f"cut.{kind}"
    noise = np.random.default_rng(0).integers(0, 256, (200, 200, 3), dtype=np.uint8)
    data = cv2.imencode(f".{kind}", noise)[1].tobytes()
    path.write_bytes(data[: len(data) * 2 // 3])
    with pytest.raises(PictureError, match=rf"cut\.{kind}.*Replace it"):
        read_picture(path)


@pytest.mark.parametrize(
    "content", [b"", b"no picture", cv2.imencode(".png", np.zeros((1, 1, 3), np.uint8))[1].tobytes()]
)
def test_a_bad_picture_is_skipped_by_the_next_read(folder: Path, content: bytes) -> None:
    """An empty, foreign or 1 x 1 file is an error of its own; reading on gives the next picture."""
    (folder / "001.png").write_bytes(content)
    with ReplaySource(ReplaySpec(folder, pace="fast")) as source:
        assert source.read().image[0, 0, 0] == LEVELS[0]
        with pytest.raises(PictureError, match=r"001\.png"):
            source.read()
        assert source.read().image[0, 0, 0] == LEVELS[2]


def test_a_folder_of_bad_pictures_fails(tmp_path: Path) -> None:
    """If no picture of a round can be used the source fails, rather than trying for ever."""
    for i in range(3):
        (tmp_path / f"{i}.jpg").write_bytes(b"bad")
    with ReplaySource(ReplaySpec(tmp_path, pace="fast")) as source:
        for _ in range(3):
            with pytest.raises(PictureError):
                source.read()
        with pytest.raises(CameraError, match="not one picture"):
            source.read()


def test_missing_empty_and_foreign_paths(tmp_path: Path) -> None:
    """A path that does not exist, an empty folder and a file that is no video each say so."""
    (tmp_path / "empty").mkdir()
    (tmp_path / "notes.mp4").write_text("not a video")
    for name, words in (
        ("gone", "does not exist"),
        ("empty", "holds no pictures"),
        ("notes.mp4", "not a readable video"),
    ):
        with pytest.raises(CameraError, match=f"{name}.*{words}"):
            open_source(ReplaySpec(tmp_path / name))


def test_every_picture_of_a_video(tmp_path: Path) -> None:
    """A video gives all its pictures, in order, at the rate that the file states, and again."""
    path = write_video(tmp_path / "clip.avi", count=20)
    levels = levels_of(ReplaySpec(path, pace="fast"), 21)
    assert levels[:20] == sorted(levels[:20])
    assert levels[20] == levels[0]
    with ReplaySource(ReplaySpec(path, loop=False, pace="fast")) as source:
        assert play_out(source) == (20, f"{path}: played to its end. Set `loop: true` to repeat it")
    with ReplaySource(ReplaySpec(path)) as source:
        began = time.monotonic()
        stamps = [source.read().captured_monotonic_s for _ in range(3)]
    assert all(later - began >= i / 20 for i, later in enumerate(stamps))


def test_a_cut_video_serves_what_decodes(tmp_path: Path) -> None:
    """A video cut at two thirds serves its whole pictures, not the one at the cut; then it says how many it had."""
    path = write_video(tmp_path / "cut.avi")
    path.write_bytes(path.read_bytes()[: path.stat().st_size * 2 // 3])
    with ReplaySource(ReplaySpec(path, loop=False, pace="fast")) as source:
        count, words = play_out(source)
    assert 20 <= count < 40
    assert re.search(rf"ends after ({count}|{count + 1}) of 40", words)
    with ReplaySource(ReplaySpec(path, pace="fast")) as source:
        for _ in range(count + 2):
            with contextlib.suppress(PictureError):
                source.read()
        assert [w for w in source.take_warnings() if "cut short" in w]


def test_a_cut_mp4_without_index_is_refused(tmp_path: Path) -> None:
    """An MP4 that lost its index, which stands at the end, cannot be played and says so."""
    path = write_video(tmp_path / "cut.mp4", "mp4v")
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with pytest.raises(CameraError, match=r"cut\.mp4.*cut short"):
        open_source(ReplaySpec(path))
