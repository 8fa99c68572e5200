"""The latest picture of a camera, in memory that the capture process and the daemon share.

One process writes, one reads, and neither ever waits for the other: there is no lock, so a writer that is killed at
any instant leaves nothing held. Pictures go in turn into three buffers. A buffer's stamp is 0 while it is being
written and the picture's sequence number when it is whole; the header then names that number as the latest. A
reader copies the latest and takes the copy only if the stamp is the same before and after: the writer must have gone
round all three buffers for it to differ, and then there is a newer picture to copy.

The memory is an anonymous file that is handed to the writer as a descriptor. It has no name, so nothing can be left
behind in /dev/shm, and it is sparse: the capacity is a limit, and only what pictures touch takes memory.
Numbers in the header are aligned 64-bit words, which these processors store and load whole.
"""

from __future__ import annotations

import mmap
import os
import tempfile
import threading
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from edge.errors import ImageError
from edge.scene import BoolArray, ImageArray

BUFFERS = 3
CAPACITY_BYTES = 8192 * 4096 * 3
_PAGE_BYTES = 4096
_ATTEMPTS = 16
# words of the header page
_LATEST, _TAKEN, _FIRST_BUFFER, _BUFFER_WORDS = 0, 1, 8, 8
# words of a buffer's description, three as float64; the last: which mask of what is seen follows the picture, 0: none
_STAMP, _WIDTH, _HEIGHT, _CAPTURED_AT, _CAPTURED_MONOTONIC, _CHANGED_MONOTONIC, _MASK = range(7)


@dataclass(frozen=True, slots=True)
class Captured:
    """A picture out of the slot. `image` is (H, W, 3) uint8 RGB and belongs to the receiver."""

    image: ImageArray
    sequence: int
    captured_at: float
    """Seconds since the Unix epoch, UTC."""
    captured_monotonic_s: float
    seen: BoolArray | None = None
    """See `Frame`."""


class _Fence:
    """Keeps what this thread did before `pass_` ahead of what it does after, as other processes see it.

    Releasing a lock is a release and taking it an acquire, and ARMv8 (whose stores are otherwise free to change places)
    keeps an acquire behind an earlier release; so everything before the pair stays before everything after it.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._lock.acquire()

    def pass_(self) -> None:
        self._lock.release()
        self._lock.acquire()


class _Memory:
    """The mapped file: header words and the three buffers."""

    def __init__(self, fd: int, capacity_bytes: int) -> None:
        self.capacity_bytes = capacity_bytes
        self.map = mmap.mmap(fd, file_size_bytes(capacity_bytes))
        self.words: npt.NDArray[np.uint64] = np.frombuffer(self.map, np.uint64, _PAGE_BYTES // 8)
        self.times: npt.NDArray[np.float64] = np.frombuffer(self.map, np.float64, _PAGE_BYTES // 8)
        self.pixels = [
            np.frombuffer(self.map, np.uint8, capacity_bytes, _PAGE_BYTES + i * _stride_bytes(capacity_bytes))
            for i in range(BUFFERS)
        ]
        self.fence = _Fence()

    def close(self) -> None:
        del self.words, self.times
        self.pixels.clear()
        self.map.close()


def _stride_bytes(capacity_bytes: int) -> int:
    return -(-capacity_bytes // _PAGE_BYTES) * _PAGE_BYTES


def file_size_bytes(capacity_bytes: int) -> int:
    """Size of the shared file for pictures of up to `capacity_bytes`."""
    return _PAGE_BYTES + BUFFERS * _stride_bytes(capacity_bytes)


def create(capacity_bytes: int = CAPACITY_BYTES) -> int:
    """A new, empty slot; gives its file descriptor, which the caller closes."""
    if hasattr(os, "memfd_create"):
        fd = os.memfd_create("edge-camera")
    else:
        with tempfile.TemporaryFile() as file:
            fd = os.dup(file.fileno())
    try:
        os.ftruncate(fd, file_size_bytes(capacity_bytes))
    except OSError:
        os.close(fd)
        raise
    return fd


class SlotWriter:
    """The capture process's end. Not thread-safe."""

    def __init__(self, fd: int, capacity_bytes: int = CAPACITY_BYTES, *, first_sequence: int = 1) -> None:
        self._memory = _Memory(fd, capacity_bytes)
        self._next = first_sequence
        self._seen: BoolArray | None = None
        self._masks = 0
        """How many masks there have been."""

    @property
    def capacity_bytes(self) -> int:
        """Size of the largest picture."""
        return self._memory.capacity_bytes

    @property
    def taken(self) -> bool:
        """Whether the reader has taken the last picture written; true before the first."""
        latest = int(self._memory.words[_LATEST])
        return int(self._memory.words[_TAKEN]) >= latest

    def write(
        self,
        image: ImageArray,
        captured_at: float,
        captured_monotonic_s: float,
        changed_monotonic_s: float | None = None,
        seen: BoolArray | None = None,
    ) -> int:
        """Make this the latest picture; gives its sequence number.

        Args:
            image: (H, W, 3) uint8.
            captured_at: seconds since the Unix epoch.
            captured_monotonic_s: the same moment on the monotonic clock.
            changed_monotonic_s: when the picture's content last changed; None = with this one.
            seen: (H, W) where it shows something, the same object until that changes; None: everywhere.

        Raises:
            ImageError: it is larger than the slot.
        """
        memory, sequence = self._memory, self._next
        size_bytes = image.nbytes + (0 if seen is None else seen.nbytes)
        if size_bytes > memory.capacity_bytes:
            raise ImageError(
                f"picture of {image.shape[1]}x{image.shape[0]} px takes {size_bytes} bytes, more than the "
                f"{memory.capacity_bytes} a camera may send; ask the camera for a smaller one"
            )
        height, width = image.shape[:2]
        buffer = sequence % BUFFERS
        word = _FIRST_BUFFER + buffer * _BUFFER_WORDS
        memory.words[word + _STAMP] = 0
        memory.fence.pass_()
        memory.words[word + _WIDTH], memory.words[word + _HEIGHT] = width, height
        memory.times[word + _CAPTURED_AT] = captured_at
        memory.times[word + _CAPTURED_MONOTONIC] = captured_monotonic_s
        memory.times[word + _CHANGED_MONOTONIC] = (
            captured_monotonic_s if changed_monotonic_s is None else changed_monotonic_s
        )
        np.copyto(memory.pixels[buffer][: image.nbytes].reshape(image.shape), image)
        self._masks += seen is not self._seen
        self._seen = seen
        memory.words[word + _MASK] = 0 if seen is None else self._masks
        if seen is not None:
            np.copyto(memory.pixels[buffer][image.nbytes : size_bytes].reshape(seen.shape), seen)
        memory.fence.pass_()
        memory.words[word + _STAMP] = sequence
        memory.fence.pass_()
        memory.words[_LATEST] = sequence
        self._next = sequence + 1
        return sequence

    def close(self) -> None:
        """Unmap the slot."""
        self._memory.close()


class SlotReader:
    """The daemon's end. Not thread-safe."""

    def __init__(self, fd: int, capacity_bytes: int = CAPACITY_BYTES) -> None:
        self._memory = _Memory(fd, capacity_bytes)
        self._mask: tuple[int, BoolArray | None] = 0, None
        """The last mask taken, and its number."""

    @property
    def sequence(self) -> int:
        """Number of the latest picture; 0 before the first. Cheap: one load."""
        return int(self._memory.words[_LATEST])

    @property
    def taken(self) -> int:
        """Number of the last picture taken; 0 before the first."""
        return int(self._memory.words[_TAKEN])

    @property
    def unchanged_s(self) -> float:
        """For how long the content had been the same when the latest picture came."""
        memory, sequence = self._memory, self.sequence
        word = _FIRST_BUFFER + sequence % BUFFERS * _BUFFER_WORDS
        memory.fence.pass_()
        unchanged = float(memory.times[word + _CAPTURED_MONOTONIC] - memory.times[word + _CHANGED_MONOTONIC])
        memory.fence.pass_()
        return unchanged if sequence and int(memory.words[word + _STAMP]) == sequence else 0.0

    def latest(self, after_sequence: int = 0) -> Captured | None:
        """A copy of the latest picture if its number is above `after_sequence`, else None."""
        for _ in range(_ATTEMPTS):
            sequence = self.sequence
            if sequence <= after_sequence:
                return None
            captured = self._copy(sequence)
            if captured is not None:
                self._memory.words[_TAKEN] = sequence
                return captured
        return None

    def _copy(self, sequence: int) -> Captured | None:
        memory, buffer = self._memory, sequence % BUFFERS
        word = _FIRST_BUFFER + buffer * _BUFFER_WORDS
        if int(memory.words[word + _STAMP]) != sequence:
            return None
        memory.fence.pass_()
        width, height = int(memory.words[word + _WIDTH]), int(memory.words[word + _HEIGHT])
        mask, seen = int(memory.words[word + _MASK]), None
        size_bytes = width * height * 3
        if not 0 < size_bytes + (width * height if mask else 0) <= memory.capacity_bytes:
            return None
        captured_at = float(memory.times[word + _CAPTURED_AT])
        captured_monotonic_s = float(memory.times[word + _CAPTURED_MONOTONIC])
        image = memory.pixels[buffer][:size_bytes].reshape(height, width, 3).copy()
        if mask:
            seen = self._mask[1]
            if mask != self._mask[0]:
                copied = memory.pixels[buffer][size_bytes : size_bytes + width * height].reshape(height, width)
                seen = copied.astype(np.bool_)
        memory.fence.pass_()
        if int(memory.words[word + _STAMP]) != sequence:
            return None
        self._mask = mask, seen
        return Captured(image, sequence, captured_at, captured_monotonic_s, seen)

    def close(self) -> None:
        """Unmap the slot."""
        self._memory.close()
