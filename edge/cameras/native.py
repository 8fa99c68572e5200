"""What C libraries print: libjpeg and FFmpeg tell of damage on standard error, and in no other way."""

from __future__ import annotations

import contextlib
import os
import re
import tempfile
import threading
from collections.abc import Iterator

_MOST_BYTES = 1 << 20
_JPEG_DAMAGE = re.compile(r"(?m)^(?:Corrupt JPEG data: .*|Premature end of JPEG file.*)$")
_HEADER_EXTRA = re.compile(r"extraneous bytes before marker 0x(?:e[0-9a-f]|fe|db|c0|c1|c2)$")
_TIFF_DAMAGE = re.compile(r"TIFF_Error .*")
_VIDEO_DAMAGE = re.compile(
    r"(?i)concealing \d+ DC|error while decoding MB|bytestream -?\d|damaged at|mb incr damaged|end mismatch|"
    r"corrupt(?:ed)? (?:macroblock|input|decoded)|Could not find ref with POC|error decoding|invalid (?:mb|cbp|code) "
    r"|reference picture missing|left block unavailable|top block unavailable|overread \d|error dc|error y=\d"
)
_NEW_FORMAT = re.compile(r"chosen by get_format\(\)|Reinit context to \d+x\d+")
_REFUSED = re.compile(r"method [A-Z_]+ failed: ([45]\d\d)\b|Server returned ([45]\d\d)\b")
_UNREACHABLE = re.compile(
    r"Connection refused|No route to host|Network is unreachable|Name or service not known|"
    r"Temporary failure in name resolution|No address associated with hostname|Connection timed out"
)
_lock = threading.Lock()


def _renew_lock() -> None:
    global _lock
    _lock = threading.Lock()


os.register_at_fork(after_in_child=_renew_lock)


class NativeOutput:
    """Keeps what the process prints on some descriptors, by whatever thread, instead of showing it.

    Args:
        descriptors: 1 is standard output, 2 standard error. What Python prints there meanwhile is kept too.
    """

    def __init__(self, descriptors: tuple[int, ...] = (1, 2)) -> None:
        self._before: dict[int, int] = {}
        self._fd = _nameless_file()
        try:
            for fd in descriptors:
                with contextlib.suppress(OSError):  # not open in this process
                    self._before[fd] = os.dup(fd)
                    os.dup2(self._fd, fd)
        except BaseException:
            self.close()
            raise

    def take(self) -> str:
        """What was printed since the last call."""
        data = os.pread(self._fd, _MOST_BYTES, 0)
        os.ftruncate(self._fd, 0)
        os.lseek(self._fd, 0, os.SEEK_SET)
        return data.decode(errors="replace")

    def close(self) -> None:
        """Let printing go where it went; harmless when it does."""
        for fd, before in self._before.items():
            os.dup2(before, fd)
            os.close(before)
        self._before.clear()
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1


def _nameless_file() -> int:
    if hasattr(os, "memfd_create"):
        return os.memfd_create("edge-native-output")
    with tempfile.TemporaryFile() as file:
        return os.dup(file.fileno())


@contextlib.contextmanager
def standard_error() -> Iterator[NativeOutput]:
    """Keep what is printed on standard error while the block lasts, for one thread at a time."""
    with _lock, contextlib.closing(NativeOutput((2,))) as output:
        yield output


def picture_damage(printed: str) -> str | None:
    """What the decoder of a picture said of damage, if anything."""
    for found in _JPEG_DAMAGE.finditer(printed):
        if not _HEADER_EXTRA.search(found[0]):
            return found[0].strip()
    tiff = _TIFF_DAMAGE.search(printed)
    return None if tiff is None else tiff[0].strip()


def video_damage(printed: str) -> str | None:
    """What FFmpeg, or OpenCV's decoder of a camera's pictures, said of damage, if anything; of the text no address."""
    damage = picture_damage(printed)
    if damage is None and (found := _VIDEO_DAMAGE.search(printed)):
        damage = found[0].strip()
    return damage


def refusal(printed: str) -> int | None:
    """The status with which a camera refused a stream, as FFmpeg prints it: 401, 403, 404 and so on."""
    found = _REFUSED.search(printed)
    return None if found is None else int(found[1] or found[2])


def unreachable(printed: str) -> str | None:
    """Why no connection to a camera came about, in the system's words."""
    found = _UNREACHABLE.search(printed)
    return None if found is None else found[0]


def format_changed(printed: str) -> bool:
    """Whether FFmpeg's decoder was set up anew, as it is for another size."""
    return _NEW_FORMAT.search(printed) is not None
