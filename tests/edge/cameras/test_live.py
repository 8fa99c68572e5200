"""Cameras that are live: network, USB and CSI."""

import os
import time
from pathlib import Path

import cv2
import numpy as np
import pytest

from edge.cameras import csi
from edge.cameras.base import CsiSpec, RtspSpec, V4l2Spec
from edge.cameras.rtsp import RtspSource
from edge.cameras.sources import open_source, source_from_spec
from edge.errors import CameraError
from tests.edge.cameras.conftest import LEVELS, plain, write_video
from tests.edge.cameras.streams import Rtsp, Silent, mjpeg, serving

JPEGS = [cv2.imencode(".jpg", plain(level))[1].tobytes() for level in LEVELS]


def test_a_silent_camera_times_out() -> None:
    """A camera that accepts and says nothing is given up, without the password in the message."""
    with serving(Silent) as port:
        spec = RtspSpec(f"rtsp://user:secret@127.0.0.1:{port}/a", open_timeout_s=0.5)
        with pytest.raises(CameraError, match=rf"rtsp://127.0.0.1:{port}: .*0.5 s") as error:
            open_source(spec)
    assert "secret" not in str(error.value) + repr(spec)


def test_a_refused_connection_says_so() -> None:
    """No server, or an address that is none: an error with a remedy."""
    with serving(Silent) as port:
        pass
    with pytest.raises(CameraError, match="Check that the camera is on|check that the camera is on"):
        open_source(RtspSpec(f"rtsp://127.0.0.1:{port}/a", open_timeout_s=2.0))
    with pytest.raises(CameraError, match="Write it as rtsp://"):
        open_source(RtspSpec("192.168.1.20"))


def test_options_do_not_outlive_the_opening() -> None:
    """The environment that carries options to FFmpeg is as it was afterwards."""
    before = dict(os.environ)
    with pytest.raises(CameraError):
        open_source(RtspSpec("rtsp://127.0.0.1:1/a", transport="udp", open_timeout_s=1.0))
    assert dict(os.environ) == before


@pytest.mark.parametrize("then_silent", [True, False])
def test_a_stream_is_read_until_it_stops(then_silent: bool) -> None:
    """Pictures of an MJPEG stream come in order; silence or the end of the stream is then an error, in time."""
    with serving(mjpeg(JPEGS * 20, then_silent=then_silent)) as port:
        spec = RtspSpec(f"http://127.0.0.1:{port}/", open_timeout_s=5.0, read_timeout_s=0.5)
        levels = []
        with RtspSource(spec) as source, pytest.raises(CameraError, match="stopped sending"):
            while True:
                picture = source.read()
                assert picture.captured_monotonic_s <= time.monotonic()
                levels.append(round(float(picture.image.mean())))
    assert len(levels) >= 20 * len(LEVELS) - 1
    assert all(abs(level - LEVELS[i % len(LEVELS)]) <= 2 for i, level in enumerate(levels))


def test_rtsp_with_credentials(tmp_path: Path) -> None:
    """An RTSP camera plays with the right password, and with a wrong one says that it refused."""
    clip = write_video(tmp_path / "clip.ts", "mpg2", count=50, fps=25.0).read_bytes()

    class Camera(Rtsp):
        ts, credentials = clip, "user:secret"

    with serving(Camera) as port:
        with open_source(RtspSpec(f"rtsp://user:secret@127.0.0.1:{port}/a")) as source:
            images = [source.read().image for _ in range(5)]
        with pytest.raises(CameraError, match="user and password"):
            open_source(RtspSpec(f"rtsp://user:wrong@127.0.0.1:{port}/a"))
    assert all(image.shape == (48, 64, 3) for image in images)
    assert len({image.tobytes() for image in images}) == len(images)


def test_reading_what_is_not_open_is_an_error() -> None:
    """Reading before opening says so, for every live source."""
    for spec in (RtspSpec("rtsp://host/a"), V4l2Spec(0), CsiSpec()):
        source = source_from_spec(spec)
        source.close()
        with pytest.raises(CameraError, match="not open"):
            source.read()


def test_csi_needs_gstreamer(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where OpenCV has no GStreamer, a CSI camera says so, and names both ways out."""
    monkeypatch.setattr(cv2, "getBuildInformation", lambda: "  Video I/O:\n    GStreamer:                   NO\n")
    with pytest.raises(CameraError, match=r"without GStreamer.*JetPack.*v4l2"):
        open_source(CsiSpec())


def test_csi_pipeline_states_the_mode() -> None:
    """The pipeline asks for sensor, size and the exact rate, and keeps only the newest picture."""
    text = csi.pipeline(CsiSpec(sensor_id=1, width_px=1920, height_px=1080, fps=29.97, flip=2))
    assert "nvarguscamerasrc sensor-id=1 !" in text
    assert "width=1920, height=1080, format=NV12, framerate=2997/100" in text
    assert "flip-method=2" in text
    assert "max-buffers=1" in text
    assert csi.has_gstreamer("Video I/O:\n    GStreamer:                   YES (1.20.3)\n")
    assert not csi.has_gstreamer("    GStreamer:                   NO\n")


def test_v4l2_names_what_is_wrong(tmp_path: Path) -> None:
    """A device that is not there, a plain file and a wrong pixel format each have their message."""
    plain_file = tmp_path / "video0"
    plain_file.write_bytes(b"")
    for device, words in ((250, "/dev/video250: no such device"), (str(plain_file), "is not a video device")):
        with pytest.raises(CameraError, match=words):
            open_source(V4l2Spec(device))
    with pytest.raises(CameraError, match="four characters"):
        open_source(V4l2Spec("/dev/null", fourcc="MJPEG"))
    with pytest.raises(CameraError, match="cannot be opened"):
        open_source(V4l2Spec("/dev/null"))


@pytest.mark.skipif(os.geteuid() == 0, reason="root may open every device")
def test_v4l2_without_permission_names_the_group() -> None:
    """A device that this user may not open: the message names the group."""
    forbidden = [p for p in Path("/dev").iterdir() if p.is_char_device() and not os.access(p, os.R_OK | os.W_OK)]
    if not forbidden:
        pytest.skip("this user may open every device here")
    with pytest.raises(CameraError, match="group video"):
        open_source(V4l2Spec(str(forbidden[0])))


@pytest.mark.skipif(not Path("/dev/video0").exists(), reason="no camera here")
def test_v4l2_reads_a_camera() -> None:
    """Where there is a camera, it sends pictures."""
    with open_source(V4l2Spec(0)) as source:
        assert source.read().image.dtype == np.uint8
