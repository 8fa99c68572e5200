"""Decoding in a process of its own: by the real GStreamer with its software decoder, and by a Jetson's, faked."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import psutil
import pytest

from edge.cameras.base import ComposedSpec, Member, RtspSpec, View
from edge.cameras.decoder import Decoder, DecoderError, decoder_is_there, why_unusable
from edge.cameras.hardware import HardwareSource
from edge.cameras.process import CameraProcess
from edge.cameras.sources import open_source, source_from_spec
from edge.daemon.reports import degraded
from edge.errors import CameraError
from edge.scene import CameraModel
from tests.edge.cameras import fake_gst
from tests.edge.cameras.conftest import Until
from tests.edge.cameras.streams import Rtsp, serving

Make = Callable[..., CameraProcess]
FOLDER = Path(__file__).parent
BALL = (FOLDER / "ball.ts").read_bytes()
"""H.264, 160 x 128 px, 40 pictures of a ball that moves, made by GStreamer's videotestsrc."""
SOFTWARE = "avdec_h264 ! videoconvert"


class Camera(Rtsp):
    """Plays the ball."""

    ts, credentials = BALL, "user:zqPassword"


@pytest.fixture
def spec() -> Iterator[RtspSpec]:
    """A network camera that sends H.264."""
    with serving(Camera) as port:
        yield RtspSpec(f"rtsp://user:zqPassword@127.0.0.1:{port}/a", decoder="hardware")


@pytest.fixture
def jetson(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A Jetson's GStreamer is the first on the path; the file with what it was told."""
    for name in ("gst-launch-1.0", "gst-inspect-1.0"):
        script = tmp_path / name
        script.write_text(f"#!{sys.executable}\n" + (FOLDER / "fake_gst.py").read_text(encoding="utf-8"))
        script.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    return tmp_path / "calls"


def needs_gstreamer() -> None:
    """Skip where Debian's GStreamer is not installed."""
    if (why := why_unusable(SOFTWARE)) is not None:
        pytest.skip(why)


def test_real_gstreamer_gives_the_pictures_that_opencv_gives(spec: RtspSpec) -> None:
    """The same ball, in the same order, by GStreamer's software decoder: only rounding differs."""
    needs_gstreamer()
    before = set(psutil.Process().children())
    cpu = RtspSpec(spec.url, decoder="cpu")
    with open_source(cpu) as source:
        expected = [source.read().image.astype(np.int16) for _ in range(40)]
    with HardwareSource(spec, SOFTWARE) as source:
        assert source.degraded == ()
        for _ in range(30):
            picture = source.read()
            assert min(float(np.abs(picture.image - known).mean()) for known in expected) < 1.5
            assert 0 <= time.monotonic() - picture.captured_monotonic_s < 5
    assert set(psutil.Process().children()) <= before, "the decoder is gone with the source"


@pytest.mark.slow
def test_a_stream_of_an_odd_size_is_decoded_by_the_cpu(spec: RtspSpec) -> None:
    """Lines that may be filled up are not guessed at: the CPU decodes, and says what to ask the camera for."""
    needs_gstreamer()
    with HardwareSource(spec, "avdec_h264 ! videoscale ! video/x-raw,width=100 ! videoconvert") as source:
        assert source.read().image.shape == (128, 160, 3)
        assert "multiple of 8" in source.degraded[0]


def test_the_jetsons_decoder_is_used_and_never_told_the_address(
    spec: RtspSpec, jetson: Path, camera: Make, until: Until
) -> None:
    """Pictures are its own; its command line, which everybody may read, has neither host nor password."""
    front = camera("front", spec)
    until(lambda: front.poll() or front.captured > 3, 60.0)
    frame = front.latest()
    assert frame is not None
    assert frame.image.shape == (fake_gst.HEIGHT_PX, fake_gst.WIDTH_PX, 3)
    assert np.ptp(frame.image) == 0
    assert front.degraded == ()
    decoders = [c for c in psutil.Process(front.pid).children() if "gst-launch" in " ".join(c.cmdline())]
    assert len(decoders) == 1
    front.stop()
    psutil.wait_procs(decoders, 5)
    assert not any(d.is_running() for d in decoders)
    line = jetson.read_text().splitlines()[-1]
    assert "h264parse ! nvv4l2decoder ! nvvidconv" in line
    assert not [word for word in ("zqPassword", "127.0.0.1", "user") if word in line]


def test_a_decoder_that_fails_is_said_in_degraded(
    spec: RtspSpec, jetson: Path, camera: Make, until: Until, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The CPU decodes all the same; why, as the decoder itself says, is in `degraded` and told once."""
    monkeypatch.setenv("FAKE_GST_FAILS", "1")
    front = camera("front", spec)
    until(lambda: front.poll() or front.captured > 3, 60.0)
    frame = front.latest()
    assert frame is not None
    assert frame.image.shape == (128, 160, 3)
    (said,) = degraded([front], (), {})
    assert said.startswith("camera front: the CPU decodes: the decoder ended (ERROR: from element")
    assert "no NVDEC device" in said


@pytest.mark.parametrize("lacks", ["nvv4l2decoder", "gdppay"])
def test_what_is_not_installed_is_named(
    spec: RtspSpec, jetson: Path, monkeypatch: pytest.MonkeyPatch, lacks: str
) -> None:
    """A decoder that is there and cannot be reached: which element is missing and which packages have it."""
    assert why_unusable() is None
    monkeypatch.setenv("FAKE_GST_LACKS", lacks)
    source = source_from_spec(spec)
    assert f"GStreamer lacks {lacks}: sudo apt-get install" in source.degraded[0]
    monkeypatch.setenv("PATH", "/nowhere")
    assert "gst-launch-1.0 is not installed" in str(why_unusable())


def test_a_decoder_that_gives_nothing_is_given_up(jetson: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It takes packets and sends no picture: an error in time, and its process is gone."""
    monkeypatch.setenv("FAKE_GST_SILENT", "1")
    before = set(psutil.Process().children())
    decoder = Decoder("h264")
    decoder.feed(b"\0\0\1")
    with pytest.raises(DecoderError, match="gave no picture in time"):
        decoder.read(time.monotonic() + 0.5)
    decoder.end()
    with pytest.raises(DecoderError, match="ended"):
        decoder.read(time.monotonic() + 10)
    decoder.close()
    assert set(psutil.Process().children()) <= before


def test_it_is_chosen_where_there_is_one(tmp_path: Path) -> None:
    """By the devices of JetPack 5 and 6; nothing is looked for where the configuration says `cpu`."""
    assert not decoder_is_there(tmp_path)
    for device in ("v4l2-nvdec", "nvhost-nvdec"):
        root = tmp_path / device
        (root / "dev").mkdir(parents=True)
        (root / "dev" / device).touch()
        assert decoder_is_there(root)
    assert source_from_spec(RtspSpec("rtsp://c/a", decoder="cpu")).degraded == ()


def test_a_camera_that_hangs_up_is_the_cameras_fault(jetson: Path) -> None:
    """The error names the camera, not the decoder, and opening it again works."""

    class Short(Camera):
        def _play(self) -> None:
            self.server.socket.settimeout(1)
            super()._answer("0", "")
            self.connection.close()

    with serving(Short) as port, pytest.raises(CameraError, match=f"rtsp://127.0.0.1:{port}: ") as raised:
        source = HardwareSource(RtspSpec(f"rtsp://user:zqPassword@127.0.0.1:{port}/a", open_timeout_s=2))
        source.open()
    assert "decoder" not in str(raised.value)
    source.close()


@pytest.mark.parametrize("members", [1, 2])
def test_a_rigs_camera_that_the_cpu_decodes_is_said_in_degraded(
    spec: RtspSpec, camera: Make, until: Until, monkeypatch: pytest.MonkeyPatch, members: int
) -> None:
    """As of a camera by itself, with which of the rig's it is; read in step (one) or each by itself (several)."""
    monkeypatch.setenv("PATH", "/nowhere")  # no GStreamer, though the configuration asks for it
    view = View(CameraModel("perspective", hfov_rad=1.6))
    names = ["left", "right"][:members]
    rig = camera("rig", ComposedSpec(tuple(Member(n, spec, (view,)) for n in names), 256, spread_s=60.0))
    until(lambda: rig.poll() or (rig.captured > 0 and len(rig.degraded) == members), 60.0)
    told = degraded([rig], (), {})
    assert [text.split(" gst-launch")[0] for text in told] == [f"camera rig: {n}: the CPU decodes:" for n in names]
    assert all("sudo apt-get install" in text for text in told)
