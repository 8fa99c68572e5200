"""The shared latest-frame slot."""

import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import FrozenInstanceError
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edge.cameras import slot
from edge.errors import ImageError
from tests.edge.cameras.conftest import Until, plain

CAPACITY_BYTES = 1280 * 720 * 3
ROOT = Path(__file__).parents[3]
WRITER = """
import sys, time, numpy as np
from edge.cameras.slot import SlotWriter
writer = SlotWriter(int(sys.argv[1]), int(sys.argv[2]), first_sequence=int(sys.argv[3]))
sizes = [(720, 1280), (360, 640), (719, 1279)]
n = 0
while True:
    n += 1
    height, width = sizes[n // 50 % 3]
    writer.write(np.full((height, width, 3), n % 251, np.uint8), time.time(), time.monotonic())
"""


@pytest.fixture
def fd() -> Iterator[int]:
    """A fresh slot."""
    descriptor = slot.create(CAPACITY_BYTES)
    yield descriptor
    os.close(descriptor)


def start_writer(fd: int, first_sequence: int) -> subprocess.Popen[bytes]:
    """A process that writes pictures of one value each as fast as it can."""
    args = [sys.executable, "-c", WRITER, str(fd), str(CAPACITY_BYTES), str(first_sequence)]
    return subprocess.Popen(args, pass_fds=(fd,), env={**os.environ, "PYTHONPATH": str(ROOT)})


def test_a_mask_of_what_is_seen_travels_with_its_picture(fd: int) -> None:
    """And is the same object for as long as it does not change, so that nobody has to compare it."""
    writer, reader = slot.SlotWriter(fd, CAPACITY_BYTES), slot.SlotReader(fd, CAPACITY_BYTES)
    image, rng = np.zeros((48, 64, 3), np.uint8), np.random.default_rng(0)
    one, other = (rng.random((48, 64)) > 0.5 for _ in range(2))
    got = []
    for seen in (None, one, one, other, None, one):
        writer.write(image, 0.0, 0.0, seen=seen)
        taken = reader.latest()
        assert taken is not None
        got.append(taken.seen)
    assert got[0] is None
    assert got[4] is None
    for mask, expected in ((got[1], one), (got[3], other), (got[5], one)):
        assert mask is not None
        assert np.array_equal(mask, expected)
    assert got[1] is got[2]
    large = np.zeros((720, 1280, 3), np.uint8)
    with pytest.raises(ImageError, match="larger|more than"):
        writer.write(large, 0.0, 0.0, seen=np.ones((720, 1280), np.bool_))


def test_what_is_written_is_read(fd: int) -> None:
    """Picture, number and times arrive; nothing newer gives None; the copy is the reader's own."""
    writer, reader = slot.SlotWriter(fd, CAPACITY_BYTES), slot.SlotReader(fd, CAPACITY_BYTES)
    assert reader.latest() is None
    assert writer.taken
    image = np.random.default_rng(0).integers(0, 256, (48, 64, 3), dtype=np.uint8)
    assert writer.write(image, 1e9, 12.5) == 1
    assert not writer.taken
    got = reader.latest()
    assert got is not None
    assert (got.sequence, got.captured_at, got.captured_monotonic_s) == (1, 1e9, 12.5)
    assert writer.taken
    assert reader.latest(after_sequence=1) is None
    for i in range(5):
        writer.write(plain(i), 0.0, 0.0)
    assert np.array_equal(got.image, image)
    latest = reader.latest(1)
    assert latest is not None
    assert latest.sequence == reader.sequence == 6
    writer.close()
    reader.close()


def test_sizes_change_up_to_the_capacity(fd: int) -> None:
    """Every size that fits is carried exactly; a larger one is refused and the last picture stays."""
    writer, reader = slot.SlotWriter(fd, CAPACITY_BYTES), slot.SlotReader(fd, CAPACITY_BYTES)
    for width, height in ((1280, 720), (17, 16), (720, 1280)):
        writer.write(plain(width % 256, width, height), 0.0, 0.0)
        got = reader.latest()
        assert got is not None
        assert np.array_equal(got.image, plain(width % 256, width, height))
    with pytest.raises(ImageError, match="1281x720.*ask the camera for a smaller"):
        writer.write(plain(0, 1281, 720), 0.0, 0.0)
    kept = reader.latest()
    assert kept is not None
    assert kept.image.shape == (1280, 720, 3)
    writer.close()
    reader.close()


def test_unchanged_time_is_what_the_writer_says(fd: int) -> None:
    """The time for which the content stood still is the picture's time less that of the last change."""
    writer, reader = slot.SlotWriter(fd, CAPACITY_BYTES), slot.SlotReader(fd, CAPACITY_BYTES)
    assert reader.unchanged_s == 0.0
    writer.write(plain(1), 0.0, 107.5, changed_monotonic_s=100.0)
    assert reader.unchanged_s == 7.5
    writer.close()
    reader.close()


class _KilledError(BaseException):
    """Where the writer stops."""


def test_half_a_picture_over_an_old_one_is_never_read(fd: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """A writer that dies half way through a buffer leaves it to no reader that still goes by its old number."""
    writer, reader = slot.SlotWriter(fd, CAPACITY_BYTES), slot.SlotReader(fd, CAPACITY_BYTES)
    for level in range(1, slot.BUFFERS + 1):
        writer.write(plain(level), 0.0, 0.0)
    oldest = 1
    before = reader._copy(oldest)
    assert before is not None
    assert (before.image == 1).all()

    def half(to: Any, image: Any) -> None:
        to[: len(to) // 2] = image[: len(image) // 2]
        raise _KilledError

    monkeypatch.setattr(np, "copyto", half)
    with pytest.raises(_KilledError):
        writer.write(plain(99), 0.0, 0.0)
    assert reader._copy(oldest) is None
    latest = reader.latest()
    assert latest is not None
    assert (latest.image == slot.BUFFERS).all()
    writer.close()
    reader.close()


def test_a_picture_that_changes_while_it_is_copied_is_not_given(fd: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """The writer laps the reader within its copy: the reader drops that copy and takes the newest picture."""
    writer, reader = slot.SlotWriter(fd, CAPACITY_BYTES), slot.SlotReader(fd, CAPACITY_BYTES)
    writer.write(plain(1), 0.0, 0.0)
    passed = reader._memory.fence.pass_

    def lapped() -> None:
        monkeypatch.setattr(reader._memory.fence, "pass_", passed)
        for level in range(2, slot.BUFFERS + 2):
            writer.write(plain(level), 0.0, 0.0)

    monkeypatch.setattr(reader._memory.fence, "pass_", lapped)
    got = reader.latest()
    assert got is not None
    assert got.sequence == slot.BUFFERS + 1
    assert (got.image == slot.BUFFERS + 1).all()
    writer.close()
    reader.close()


def test_a_fast_writer_never_tears_a_picture(fd: int) -> None:
    """Read against a writer at full speed: every picture is of one value, and numbers only rise."""
    reader = slot.SlotReader(fd, CAPACITY_BYTES)
    process = start_writer(fd, 1)
    try:
        last, count, deadline = 0, 0, time.monotonic() + 20.0
        while count < 300 and time.monotonic() < deadline:
            got = reader.latest(last)
            if got is None:
                continue
            assert got.sequence > last
            assert got.image.min() == got.image.max() == got.sequence % 251
            last, count = got.sequence, count + 1
        assert count == 300
    finally:
        process.kill()
        process.wait()
        reader.close()


@pytest.mark.parametrize("number", [signal.SIGSTOP, signal.SIGKILL])
def test_a_writer_that_stops_anywhere_leaves_a_whole_picture(fd: int, until: Until, number: signal.Signals) -> None:
    """Stopped or killed at any instant, the writer leaves its last whole picture readable, and a new one goes on."""
    reader, rng, first = slot.SlotReader(fd, CAPACITY_BYTES), random.Random(0), 1
    for _ in range(8):
        process = start_writer(fd, first)
        until(lambda at=first: reader.sequence >= at + 3)
        time.sleep(rng.uniform(0.0, 0.01))
        process.send_signal(number)
        os.waitid(os.P_PID, process.pid, os.WSTOPPED | os.WEXITED | os.WNOWAIT)
        got = reader.latest(first)
        process.kill()
        process.wait()
        assert got is not None
        assert got.sequence == reader.sequence
        assert got.image.min() == got.image.max() == (got.sequence - first + 1) % 251
        first = got.sequence + 1
    reader.close()


def test_a_slot_has_no_name(fd: int) -> None:
    """The slot's memory has no link in any folder, so however its users end nothing stays behind."""
    assert os.fstat(fd).st_nlink == 0


def test_without_memfd_a_nameless_file_serves(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the system has no memfd, the slot is a temporary file without a name, and works the same."""
    monkeypatch.delattr(os, "memfd_create")
    fd = slot.create(CAPACITY_BYTES)
    writer, reader = slot.SlotWriter(fd, CAPACITY_BYTES), slot.SlotReader(fd, CAPACITY_BYTES)
    assert os.fstat(fd).st_nlink == 0
    os.close(fd)
    writer.write(plain(5), 0.0, 0.0)
    got = reader.latest()
    assert got is not None
    assert (got.image == 5).all()
    writer.close()
    reader.close()


def test_only_touched_memory_is_taken() -> None:
    """The default capacity is a limit: an empty slot and a small picture take pages, not hundreds of megabytes."""
    fd = slot.create()
    writer = slot.SlotWriter(fd)
    writer.write(plain(1), 0.0, 0.0)
    assert os.fstat(fd).st_blocks * 512 < 1_000_000 < os.fstat(fd).st_size
    writer.close()
    os.close(fd)


def test_the_largest_panoramas_fit() -> None:
    """Pictures of 8192x4096 px, as 360-degree cameras give them; what does not fit is refused with what to do."""
    fd = slot.create()
    writer, reader = slot.SlotWriter(fd), slot.SlotReader(fd)
    writer.write(np.zeros((4096, 8192, 3), np.uint8), 0.0, 0.0)
    got = reader.latest()
    assert got is not None
    assert got.image.shape == (4096, 8192, 3)
    too_large = np.broadcast_to(np.zeros((1, 1, 3), np.uint8), (20_000, 20_000, 3))
    with pytest.raises(ImageError, match="20000x20000 px .* ask the camera for a smaller one"):
        writer.write(too_large, 0.0, 0.0)
    writer.close()
    reader.close()
    os.close(fd)


def test_the_newest_picture_has_its_own_times(fd: int) -> None:
    """After a round of all buffers each picture still has its number, size, times, and time without a change."""
    writer, reader = slot.SlotWriter(fd, CAPACITY_BYTES, first_sequence=7), slot.SlotReader(fd, CAPACITY_BYTES)
    for n in range(7, 14):
        assert writer.write(plain(n, 16 + n, 20 + n), 1000.0 + n, 10.0 * n, 10.0 * n - n / 4) == n
        assert reader.unchanged_s == n / 4
        got = reader.latest(n - 1)
        assert got is not None
        assert (got.sequence, got.captured_at, got.captured_monotonic_s) == (n, 1000.0 + n, 10.0 * n)
        assert got.image.shape == (20 + n, 16 + n, 3)
        assert (reader.taken, reader.sequence) == (n, n)
    writer.write(plain(0), 0.0, 50.0)
    assert reader.unchanged_s == 0.0
    assert reader.taken == 13
    assert not writer.taken
    writer.close()
    reader.close()


def test_memory_that_says_nonsense_is_not_read(fd: int) -> None:
    """A size of nothing, or beyond the capacity, is no picture; the reader gives up and does not hang."""
    writer, reader = slot.SlotWriter(fd, CAPACITY_BYTES), slot.SlotReader(fd, CAPACITY_BYTES)
    sequence = writer.write(plain(1), 0.0, 0.0)
    at = slot._FIRST_BUFFER + sequence % slot.BUFFERS * slot._BUFFER_WORDS
    for width, height in ((0, 48), (64, 0), (1281, 720), (2**31, 2**31)):
        reader._memory.words[at + slot._WIDTH], reader._memory.words[at + slot._HEIGHT] = width, height
        assert reader.latest() is None
    writer.close()
    reader.close()


def test_a_slots_buffers_do_not_overlap() -> None:
    """For a capacity that is no multiple of a page: three pictures of that size stay whole beside each other."""
    capacity = 17 * 19 * 3
    fd = slot.create(capacity)
    writer, reader = slot.SlotWriter(fd, capacity), slot.SlotReader(fd, capacity)
    assert os.fstat(fd).st_size == 4 * 4096
    for n in range(1, 4):
        writer.write(plain(n, 17, 19), 0.0, 0.0)
    seen = [(int(pixels.min()), int(pixels.max())) for pixels in reader._memory.pixels]
    assert seen == [(3, 3), (1, 1), (2, 2)]
    assert slot.file_size_bytes(4097) == 4096 * 7
    writer.close()
    reader.close()
    os.close(fd)


def test_nothing_is_said_of_a_picture_that_is_being_written(fd: int) -> None:
    """While a buffer has no stamp, neither its picture nor how long it stood still is given."""
    writer, reader = slot.SlotWriter(fd, CAPACITY_BYTES), slot.SlotReader(fd, CAPACITY_BYTES)
    sequence = writer.write(plain(1), 0.0, 9.0, 2.0)
    assert reader.unchanged_s == 7.0
    stamp = slot._FIRST_BUFFER + sequence % slot.BUFFERS * slot._BUFFER_WORDS + slot._STAMP
    for wrong in (0, sequence + slot.BUFFERS):
        reader._memory.words[stamp] = wrong
        assert reader.latest() is None
        assert reader.unchanged_s == 0.0
    writer.close()
    reader.close()


def test_a_writer_fences_each_step_off_from_the_next(fd: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Processors may reorder stores: no stamp, then the picture, then its stamp, then its name as the latest."""
    writer = slot.SlotWriter(fd, CAPACITY_BYTES)
    for level in range(1, slot.BUFFERS + 1):
        writer.write(plain(level), float(level), 0.0)
    memory, seen = writer._memory, list[tuple[int, int, float, int]]()
    sequence = slot.BUFFERS + 1  # into the buffer of picture 1
    word = slot._FIRST_BUFFER + sequence % slot.BUFFERS * slot._BUFFER_WORDS

    def state() -> tuple[int, int, float, int]:
        level, at_s = memory.pixels[sequence % slot.BUFFERS][0], memory.times[word + slot._CAPTURED_AT]
        stamp, latest = memory.words[word + slot._STAMP], memory.words[slot._LATEST]
        return int(stamp), int(level), float(at_s), int(latest)

    monkeypatch.setattr(memory.fence, "pass_", lambda: seen.append(state()))
    writer.write(plain(sequence), float(sequence), 0.0)
    assert seen == [(0, 1, 1.0, 3), (0, 4, 4.0, 3), (4, 4, 4.0, 3)]
    assert state() == (4, 4, 4.0, 4)
    writer.close()


@pytest.mark.parametrize("stamped", [True, False])
@pytest.mark.parametrize("asked", ["latest", "unchanged_s"])
def test_a_reader_fences_its_copy_off_from_both_looks_at_the_stamp(
    fd: int, monkeypatch: pytest.MonkeyPatch, asked: str, stamped: bool
) -> None:
    """What is stored before the first fence is read, what is stored at the second is not; that stamp is looked at."""
    writer, reader = slot.SlotWriter(fd, CAPACITY_BYTES), slot.SlotReader(fd, CAPACITY_BYTES)
    memory, passed = reader._memory, list[int]()
    sequence = writer.write(plain(1), 0.0, 10.0, 9.0)
    word = slot._FIRST_BUFFER + sequence % slot.BUFFERS * slot._BUFFER_WORDS

    def store() -> None:
        passed.append(1)
        memory.pixels[sequence % slot.BUFFERS][:] = 10 * len(passed)
        memory.times[word + slot._CHANGED_MONOTONIC] = len(passed)
        if len(passed) == 2 and not stamped:
            memory.words[word + slot._STAMP] = 0

    monkeypatch.setattr(memory.fence, "pass_", store)
    if asked == "latest":
        got = reader._copy(sequence)
        assert (None if got is None else int(got.image.max())) == (10 if stamped else None)
    else:
        assert reader.unchanged_s == (9.0 if stamped else 0.0)
    assert len(passed) == 2
    writer.close()
    reader.close()


def test_a_picture_that_was_taken_cannot_be_changed(fd: int) -> None:
    """Number and times are those it came with."""
    writer, reader = slot.SlotWriter(fd, CAPACITY_BYTES), slot.SlotReader(fd, CAPACITY_BYTES)
    writer.write(plain(1), 0.0, 0.0)
    got = reader.latest()
    with pytest.raises(FrozenInstanceError):
        got.sequence = 2  # type: ignore[misc,union-attr]
    writer.close()
    reader.close()
