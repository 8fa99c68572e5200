"""RTSP cameras: why one does not give a stream, in words; streams that begin in the middle; coming back for ever."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt
import psutil
import pytest

from edge.cameras.base import RtspSpec
from edge.cameras.process import CameraProcess
from edge.cameras.rtsp import RtspSource
from edge.cameras.sources import open_source
from tests.edge.cameras.conftest import Until, plain
from tests.edge.cameras.streams import TS_PACKET_BYTES, Rtsp, mjpeg, serving

Make = Callable[..., CameraProcess]


@pytest.mark.parametrize(
    ("login", "printed", "words"),
    [
        ("u:p@", "[rtsp @ 0x5] method DESCRIBE failed: 401 Unauthorized", "refused user and password (401)"),
        ("", "[rtsp @ 0x5] method DESCRIBE failed: 401 Unauthorized", "Write them into the address: rtsp://USER:"),
        ("u:p@", "[http @ 0x5] Server returned 403 Forbidden (access denied)", "may not see that stream"),
        ("u:p@", "[rtsp @ 0x5] method DESCRIBE failed: 404 Stream Not Found", "no stream at that path (404)"),
        ("u:p@", "[rtsp @ 0x5] method SETUP failed: 453 Not Enough Bandwidth", "did not give a stream (453)"),
        ("u:p@", "[tcp @ 0x5] Failed to resolve hostname c: Name or service not known", "cannot be reached (Name or"),
        ("u:p@", "[tcp @ 0x5] Connection to tcp://c:554 failed: Connection refused", "(Connection refused)"),
    ],
)
def test_a_refusal_is_named(login: str, printed: str, words: str) -> None:
    """As FFmpeg prints it, in words that say what to correct; and nothing secret of the address."""
    said = RtspSource(RtspSpec(f"rtsp://{login}c/secret")).why_not(printed)
    assert said is not None
    assert words in said
    assert "secret" not in said


def test_other_output_names_nothing() -> None:
    """What is printed of other things is no reason."""
    assert RtspSource(RtspSpec("rtsp://c/a")).why_not("[h264 @ 0x5] decode_slice_header error 401") is None


def test_wrong_credentials_are_named_by_the_camera_process(camera: Make, until: Until) -> None:
    """A real refusal goes all the way: the state's error says what is wrong, and holds neither user nor password."""

    class Camera(Rtsp):
        ts, credentials = b"", "user:secret"

    with serving(Camera) as port:
        front = camera("front", RtspSpec(f"rtsp://user:wrong@127.0.0.1:{port}/a"))
        until(lambda: front.poll() or front.last_error, 60.0)
        expected = f"rtsp://127.0.0.1:{port}: refused user and password (401). Correct them in the address"
        assert front.last_error == expected
        front.stop()


def moving(path: Path, count: int = 75) -> list[npt.NDArray[np.uint8]]:
    """Write an MPEG-2 clip of a moving pattern, with a key frame in twelve; its pictures in RGB as they decode."""
    writer = cv2.VideoWriter(str(path), cv2.CAP_FFMPEG, cv2.VideoWriter.fourcc(*"mpg2"), 25, (160, 128))
    x, y = np.meshgrid(np.arange(160), np.arange(128))
    for n in range(count):
        level = (128 + 100 * np.sin((x + 4 * n) / 17) * np.cos(y / 13)).astype(np.uint8)
        writer.write(cv2.merge([level] * 3))
    writer.release()
    capture, pictures = cv2.VideoCapture(str(path), cv2.CAP_FFMPEG), []
    while (read := capture.read())[0]:
        pictures.append(read[1][..., ::-1].astype(np.uint8))
    capture.release()
    return pictures


def test_a_stream_that_begins_between_key_frames(tmp_path: Path) -> None:
    """What builds on pictures that never came is not shown: each picture is one of the whole clip."""
    whole = moving(tmp_path / "clip.ts")
    packets = (tmp_path / "clip.ts").read_bytes()
    cut = round(len(packets) / TS_PACKET_BYTES * 0.3) * TS_PACKET_BYTES

    class Camera(Rtsp):
        ts, credentials = packets[: 3 * TS_PACKET_BYTES] + packets[cut:], "user:secret"  # tables, then the middle

    with serving(Camera) as port, open_source(RtspSpec(f"rtsp://user:secret@127.0.0.1:{port}/a")) as source:
        for _ in range(20):
            image = source.read().image.astype(np.int16)
            assert min(float(np.abs(image - known).mean()) for known in whole) < 0.5


def resources() -> tuple[int, int, int]:
    """Descriptors, threads and children of this process."""
    me = psutil.Process()
    return me.num_fds(), threading.active_count(), len(me.children(recursive=True))


@pytest.mark.slow
@pytest.mark.timeout(700)
def test_a_hundred_reconnects_leave_nothing(camera: Make, until: Until) -> None:
    """A camera that hangs up after each few pictures: it comes back a hundred times, and nothing grows meanwhile."""
    pictures = [bytes(cv2.imencode(".jpg", plain(40 + n))[1]) for n in range(3)]
    others = set(psutil.Process().children(recursive=True))
    with serving(mjpeg(pictures, then_silent=False)) as port:
        spec = RtspSpec(f"http://127.0.0.1:{port}/a")
        fronts = [camera(f"c{n}", spec, backoff_s=(0.01, 0.02)) for n in range(4)]

        def came_back(times: int) -> bool:
            for front in fronts:
                front.poll()
                front.latest()
                front.take_events()
            return sum(front.restarts for front in fronts) >= times

        until(lambda: came_back(8), 240.0)
        before, memory_bytes = resources(), psutil.Process().memory_info().rss
        until(lambda: came_back(108), 400.0)
        after = resources()
        assert psutil.Process().memory_info().rss - memory_bytes < 8 << 20
        for front in fronts:
            front.stop()
        assert all(now <= then + len(fronts) for now, then in zip(after, before, strict=True))
        assert set(psutil.Process().children(recursive=True)) <= others
