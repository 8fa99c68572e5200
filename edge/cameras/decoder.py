"""A hardware video decoder, in a GStreamer process of its own: encoded packets in, whole pictures out.

A Jetson's decoder (NVDEC) is reached through NVIDIA's GStreamer elements, and the OpenCV of the package index has no
GStreamer. So `gst-launch-1.0` runs beside the capture process. It is given packets and never the camera's address,
which everybody on this machine could read on its command line. Pictures come back in GStreamer's data protocol
(gdppay), which says their form before the first and whenever it changes, and of each how many bytes it has.
"""

from __future__ import annotations

import contextlib
import os
import re
import select
import shutil
import struct
import subprocess
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import cv2
import numpy as np
import numpy.typing as npt

from edge.cameras import largest
from edge.errors import CameraError
from edge.scene import ImageArray

JETSON = "nvv4l2decoder ! nvvidconv"
"""Elements from an encoded stream to pictures in memory."""
PARSERS = {"h264": "h264parse", "hevc": "h265parse"}
"""By codec, as FFmpeg names it."""
_DEVICES = ("dev/v4l2-nvdec", "dev/nvhost-nvdec")
"""Of JetPack 6 and 5: there is a decoder."""
_NEEDED = ("fdsrc", "gdppay", "fdsink")
_PACKAGES = (
    "sudo apt-get install gstreamer1.0-tools gstreamer1.0-plugins-good gstreamer1.0-plugins-bad nvidia-l4t-gstreamer"
)
_INSPECT_S = 20.0
"""The first call after an installation reads all plug-ins."""
_PACKET = struct.Struct(">BBBBHI52x")
"""Version (two bytes), flags, padding, kind, bytes that follow; then times, offsets and checksums."""
_BUFFER, _CAPS = 1, 2
_LARGEST_TOLD_BYTES = 1 << 20
_SIDE = re.compile(r"\b(width|height)=\(int\)(\d+)")
_FILL_PX = 8
"""Lines of pictures whose width is a multiple of it are not filled up."""
_PIPE_BYTES = 1 << 20
_SET_PIPE_SIZE = 1031  # F_SETPIPE_SZ of fcntl(2), which Python knows from 3.10 on
_CLOSE_S = 0.3
_LAST_WORDS_BYTES = 2000


class DecoderError(CameraError):
    """The decoder failed; the camera may be well."""


def _environment() -> dict[str, str]:
    """Where the service has a folder for it, GStreamer keeps there what it knows of its plug-ins."""
    folder = os.environ.get("CACHE_DIRECTORY", "").split(":")[0]
    return {**({"GST_REGISTRY": f"{folder}/gstreamer.bin"} if folder else {}), **os.environ}


def decoder_is_there(root: Path = Path("/")) -> bool:
    """Whether this machine has a hardware decoder; `root`: of its file system."""
    return any((root / device).exists() for device in _DEVICES)


def why_unusable(elements: str = JETSON) -> str | None:
    """Why GStreamer cannot decode with these elements, and what to do; None: it can."""
    inspect = shutil.which("gst-inspect-1.0")
    if inspect is None or shutil.which("gst-launch-1.0") is None:
        return f"gst-launch-1.0 is not installed: {_PACKAGES}"
    wanted = [*_NEEDED, *PARSERS.values(), *(part.split()[0] for part in elements.split("!"))]
    for element in wanted:
        command = [inspect, "--exists", element]
        try:
            done = subprocess.run(
                command,
                env=_environment(),
                stdin=subprocess.DEVNULL,
                capture_output=True,
                timeout=_INSPECT_S,
                check=False,
            )
        except (OSError, subprocess.TimeoutExpired) as error:
            return f"gst-inspect-1.0 does not answer ({type(error).__name__}): {_PACKAGES}"
        if done.returncode != 0:
            return f"GStreamer lacks {element}: {_PACKAGES}"
    return None


@dataclass(slots=True)
class _Size:
    width_px: int
    height_px: int

    @property
    def bytes(self) -> int:
        return self.width_px * self.height_px * 3 // 2


class Decoder:
    """One GStreamer process. `feed` and `read` are for one thread each; both end when the process does.

    Args:
        codec: a key of `PARSERS`.
        elements: what decodes, as gst-launch-1.0 takes it.
    """

    def __init__(self, codec: str, elements: str = JETSON) -> None:
        """Start it.

        Raises:
            DecoderError: it cannot be started.
        """
        raw = "video/x-raw,format=I420"
        line = f"fdsrc fd=0 ! {PARSERS[codec]} ! {elements} ! {raw} ! gdppay ! fdsink fd=1 sync=false"
        self._words: IO[bytes] = tempfile.TemporaryFile()  # noqa: SIM115 - closed with the process
        try:
            self._process = subprocess.Popen(
                ["gst-launch-1.0", "-q", *line.split()],
                bufsize=0,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=self._words,
                cwd="/",
                env=_environment(),
            )
        except OSError as error:
            self._words.close()
            raise DecoderError(f"gst-launch-1.0 cannot be started ({error.strerror}). Install GStreamer") from error
        assert self._process.stdin is not None and self._process.stdout is not None
        self._in, self._out = self._process.stdin.fileno(), self._process.stdout.fileno()
        self._size: _Size | None = None
        with contextlib.suppress(OSError):
            _widen(self._out)

    def feed(self, data: bytes) -> None:
        """Give it a packet; waits while it is busy.

        Raises:
            DecoderError: it has ended.
        """
        view = memoryview(data)
        try:
            while view:
                view = view[os.write(self._in, view) :]
        except OSError as error:
            raise DecoderError(f"the decoder ended ({self._last_words()})") from error

    def end(self) -> None:
        """No more packets come: what is inside is decoded, then `read` says that it is over."""
        assert self._process.stdin is not None
        with contextlib.suppress(OSError):
            self._process.stdin.close()

    def read(self, deadline_s: float) -> ImageArray:
        """The next picture, (H, W, 3) uint8 RGB.

        Args:
            deadline_s: when to give up, on the monotonic clock.

        Raises:
            DecoderError: none came until then, or it has ended.
        """
        while True:
            kind, size_bytes = self._head(deadline_s)
            if kind == _BUFFER and self._size is not None and size_bytes == self._size.bytes:
                planes = self._take(size_bytes, deadline_s)
                stacked = planes.reshape(self._size.height_px * 3 // 2, self._size.width_px)
                return np.asarray(cv2.cvtColor(stacked, cv2.COLOR_YUV2RGB_I420), np.uint8)
            if kind == _BUFFER or size_bytes > _LARGEST_TOLD_BYTES:
                raise DecoderError("the decoder sent what is no picture. Set `decoder: cpu` for this camera")
            told = self._take(size_bytes, deadline_s)
            if kind == _CAPS:
                self._size = _size(told.tobytes().decode(errors="replace"))

    def kill(self) -> None:
        """End it at once; who feeds it or reads from it learns of that."""
        self._process.kill()

    def close(self) -> None:
        """Give back what it held, once nobody feeds it or reads from it any more."""
        self._process.kill()
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(_CLOSE_S)
        for pipe in (self._process.stdin, self._process.stdout):
            assert pipe is not None
            with contextlib.suppress(OSError):
                pipe.close()
        self._words.close()

    def _head(self, deadline_s: float) -> tuple[int, int]:
        """Kind of the next packet, and how many bytes follow."""
        major, _, _, _, kind, size_bytes = _PACKET.unpack(self._take(_PACKET.size, deadline_s).tobytes())
        if major != 1:
            raise DecoderError("the decoder sent what is no picture. Set `decoder: cpu` for this camera")
        return kind, size_bytes

    def _take(self, count: int, deadline_s: float) -> npt.NDArray[np.uint8]:
        """So many bytes."""
        taken = np.empty(count, np.uint8)
        at = 0
        while at < count:
            self._wait(deadline_s)
            got = os.readv(self._out, [taken[at:].data])
            if got == 0:
                raise DecoderError(f"the decoder ended ({self._last_words()})")
            at += got
        return taken

    def _wait(self, deadline_s: float) -> None:
        left_s = deadline_s - time.monotonic()
        if left_s <= 0 or not select.select([self._out], [], [], left_s)[0]:
            raise DecoderError(f"the decoder gave no picture in time ({self._last_words()})")

    def _last_words(self) -> str:
        """What it complained of last."""
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(0.2)
        status = os.fstat(self._words.fileno())
        data = os.pread(self._words.fileno(), _LAST_WORDS_BYTES, max(0, status.st_size - _LAST_WORDS_BYTES))
        lines = [line.strip() for line in data.decode(errors="replace").splitlines() if "ERROR" in line]
        return lines[0] if lines else f"status {self._process.returncode}"


def _widen(descriptor: int) -> None:
    import fcntl

    fcntl.fcntl(descriptor, _SET_PIPE_SIZE, _PIPE_BYTES)


def _size(caps: str) -> _Size:
    """Of `video/x-raw, format=(string)I420, width=(int)1280, height=(int)720, ...`."""
    sides = {name: int(px) for name, px in _SIDE.findall(caps)}
    size = _Size(sides.get("width", 0), sides.get("height", 0))
    if not caps.startswith("video/x-raw") or "I420" not in caps or not size.bytes:
        raise DecoderError("the decoder sent pictures of an unknown form. Set `decoder: cpu` for this camera")
    if size.width_px * size.height_px > largest.most_pixels():
        raise DecoderError(f"the stream {largest.refusal((size.width_px, size.height_px))}")
    if size.width_px % _FILL_PX or size.height_px % 2:
        wanted = f"a width of a multiple of {_FILL_PX} and an even height"
        got = f"{size.width_px}x{size.height_px} px"
        raise DecoderError(f"the stream is of {got}. Ask the camera for {wanted}, or set `decoder: cpu`")
    return size
