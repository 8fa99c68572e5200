"""Network cameras as the daemon holds them: sizes that change, stills, and secrets that never leave."""

import os
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest

from edge.cameras.base import HttpSpec, RtspSpec, SourceSpec
from edge.cameras.process import CameraEvent, CameraProcess
from tests.edge.cameras.conftest import Until, plain
from tests.edge.cameras.streams import Rtsp, Silent, mjpeg, serving
from tests.edge.cameras.web import web

Make = Callable[..., CameraProcess]
SECRETS = ("zqUser", "zqPassword", "zqPath", "zqName", "zqValue", "zqFragment")


def jpeg(level: int, width_px: int = 64, height_px: int = 48) -> bytes:
    """One grey picture."""
    return bytes(cv2.imencode(".jpg", plain(level, width_px, height_px))[1])


def clip(path: Path, width_px: int, height_px: int, level: int, count: int = 60) -> bytes:
    """A transport stream of noise on a level."""
    writer = cv2.VideoWriter(str(path), cv2.CAP_FFMPEG, cv2.VideoWriter.fourcc(*"mpg2"), 25, (width_px, height_px))
    for n in range(count):
        noise = np.random.default_rng(n).integers(0, 20, (height_px, width_px, 3), dtype=np.uint8)
        writer.write(noise + np.uint8(level))
    writer.release()
    return path.read_bytes()


@pytest.mark.parametrize(
    ("scheme", "words"), [("rtsp", "cannot be opened"), ("rtsps", "cannot be opened"), ("http", "HTTP 404")]
)
@pytest.mark.parametrize("serves", [True, False])
def test_no_part_of_an_address_but_its_host_leaves(
    camera: Make, until: Until, capfd: pytest.CaptureFixture[str], scheme: str, words: str, serves: bool
) -> None:
    """Secrets in the user, password, path, query and fragment are in no event, state, representation or log."""
    with web() as served:
        port = served.port
        if not serves:
            port = 9
        address = (
            f"{scheme}://zqUser:zqPassword@127.0.0.1:{port}/zqPath/user=a_password=zqPath/x?zqName=zqValue#zqFragment"
        )
        specs: list[SourceSpec] = [RtspSpec(address, open_timeout_s=1.0)]
        if scheme == "http":
            specs.append(HttpSpec(address, timeout_s=1.0))
        for spec in specs:
            front = camera("front", spec)
            events: list[CameraEvent] = []
            until(lambda: front.poll() or events.extend(front.take_events()) or front.restarts >= 1)  # noqa: B023
            front.stop()
            text = repr((spec, events, front.state, front.last_error))
            assert f"{scheme}://127.0.0.1:{port}: " in text
            assert not serves or words in text
            printed = "".join(capfd.readouterr())
            assert not [secret for secret in SECRETS if secret in text + printed]


def test_nothing_that_libraries_print_reaches_the_log(
    camera: Make, until: Until, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Even where FFmpeg is asked to say everything, as some do to find a fault."""
    monkeypatch.setenv("OPENCV_FFMPEG_DEBUG", "1")
    monkeypatch.setenv("OPENCV_FFMPEG_LOGLEVEL", "56")
    monkeypatch.setenv("OPENCV_LOG_LEVEL", "DEBUG")
    with serving(Silent) as port:
        front = camera("front", RtspSpec(f"rtsp://zqUser:zqPassword@127.0.0.1:{port}/zqPath", open_timeout_s=0.3))
        until(lambda: front.poll() or front.restarts >= 1)
        front.stop()
    assert "".join(capfd.readouterr()) == ""


def test_a_size_that_changes_is_seen_over_http(camera: Make, until: Until) -> None:
    """Pictures of an MJPEG stream come in the size they have, and the change is said; the camera stays online."""
    with serving(mjpeg([jpeg(90)] * 20 + [jpeg(200, 48, 64)] * 2000, then_silent=True)) as port:
        front = camera("front", RtspSpec(f"http://127.0.0.1:{port}/"))
        shapes = set()

        def seen() -> bool:
            front.poll()
            got = front.latest()
            shapes.update([got.image.shape] if got is not None else [])
            return (64, 48, 3) in shapes

        until(seen)
        until(lambda: front.poll() or any("from 64x48 to 48x64 px" in e.message for e in front.take_events()))
        assert (front.state, front.restarts) == ("online", 0)


def test_a_size_that_changes_is_seen_over_rtsp(tmp_path: Path, camera: Make, until: Until) -> None:
    """OpenCV goes on giving the first size of a stream, squeezed; the source connects anew and gives the new one."""
    small, large = clip(tmp_path / "a.ts", 64, 48, 40), clip(tmp_path / "b.ts", 96, 160, 150)
    connections = []

    class Camera(Rtsp):
        credentials = "user:secret"

        def _play(self) -> None:
            connections.append(1)
            self.ts = small + large * 30 if len(connections) == 1 else large
            super()._play()

    def has_new_size() -> bool:
        front.poll()
        got = front.latest()
        return got is not None and got.image.shape == (160, 96, 3)

    with serving(Camera) as port:
        front = camera("front", RtspSpec(f"rtsp://user:secret@127.0.0.1:{port}/a"))
        until(has_new_size, 60.0)
        until(lambda: front.poll() or any("from 64x48 to 96x160 px" in e.message for e in front.take_events()))
        assert (front.state, front.restarts, len(connections)) == ("online", 0, 2)
        front.stop()


def test_damage_in_an_rtsp_stream_is_refused(tmp_path: Path, camera: Make, until: Until) -> None:
    """Where FFmpeg conceals what is missing, the picture and those that build on it are not used, and that is said."""
    sound = clip(tmp_path / "a.ts", 64, 48, 40, 200)
    spoilt = bytearray(sound)
    for at in range(len(sound) // 2, len(sound) // 2 + 6000, 400):
        spoilt[at : at + 20] = os.urandom(20)

    class Camera(Rtsp):
        ts, credentials = bytes(spoilt) + sound, "user:secret"

    with serving(Camera) as port:
        front = camera("front", RtspSpec(f"rtsp://user:secret@127.0.0.1:{port}/a"))
        until(lambda: front.poll() or any("sent a damaged picture" in e.message for e in front.take_events()), 60.0)
        after = front.captured
        until(lambda: front.poll() or front.captured > after, 60.0)
        assert (front.state, front.restarts) == ("online", 0)
        front.stop()


def test_a_still_camera_stays_online(camera: Make, until: Until) -> None:
    """An address of single pictures does not flap, also where one of them is wrong."""
    with web() as served:
        served.gives("/snap", jpeg(90))
        front = camera("front", HttpSpec(served.url("/snap"), every_s=0.05))
        until(lambda: front.poll() or front.captured >= 10)
        good, replies = served.replies["/snap"], iter([(200, {"Content-Type": "image/jpeg"}, jpeg(90)[:300])])
        served.replies["/snap"] = lambda request: next(replies, None) or good(request)
        until(lambda: front.poll() or front.captured >= 20)
        events = front.take_events()
        front.stop()
    assert [e.message for e in events if e.kind == "state"] == ["online"]
    assert [e.kind for e in events].count("warning") == 1


def test_a_still_at_an_rtsp_source_does_not_flap(camera: Make, until: Until) -> None:
    """It is never online, and says which kind of source to use."""
    with web() as served:
        served.gives("/snap", jpeg(90))
        front = camera("front", RtspSpec(served.url("/snap")))
        until(lambda: front.poll() or front.restarts >= 3)
        front.stop()
    assert not [e for e in front.take_events() if e.message == "online"]
    assert front.last_error is not None
    assert "Use `type: http`" in front.last_error
