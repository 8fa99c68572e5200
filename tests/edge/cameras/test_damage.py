"""Whole pictures are used whatever follows them; pictures that are cut short or damaged are not."""

import os
import struct

import cv2
import numpy as np
import numpy.typing as npt
import pytest

from edge.cameras.base import PictureError, RtspSpec
from edge.cameras.doubt import DECODED_AHEAD, Doubt
from edge.cameras.picture import Depth, decoded, shrunk
from edge.cameras.sources import open_source
from edge.errors import ImageError
from tests.edge.cameras.conftest import plain
from tests.edge.cameras.streams import mjpeg, serving

WAYS = {
    "baseline": [],
    "progressive": [cv2.IMWRITE_JPEG_PROGRESSIVE, 1],
    "restarts": [cv2.IMWRITE_JPEG_RST_INTERVAL, 4],
}
END = b"\xff\xd9"


def scene(width_px: int = 320, height_px: int = 240) -> npt.NDArray[np.uint8]:
    """A picture with content everywhere."""
    noise = np.random.default_rng(0).integers(0, 256, (height_px // 8, width_px // 8, 3), dtype=np.uint8)
    return np.asarray(cv2.resize(noise, (width_px, height_px), interpolation=cv2.INTER_CUBIC), np.uint8)


def jpeg(way: str = "baseline") -> bytes:
    """The scene as a JPEG."""
    return bytes(cv2.imencode(".jpg", scene(), WAYS[way])[1])


@pytest.mark.parametrize("way", WAYS)
def test_what_follows_the_end_does_not_matter(way: str) -> None:
    """Another picture, a clip, zeros, or bytes that look like the start of a scan: the picture is the same."""
    whole = jpeg(way)
    want = decoded(whole)
    for more in (whole, b"\0" * 9000, b"\xff\xda" * 50, b"\xff\xd8\xff\xe1", os.urandom(5000), b"\n"):
        assert np.array_equal(decoded(whole + more), want)
    assert np.array_equal(decoded(whole.removesuffix(END) + b"\0" * 40 + END), want)  # filling before the end


@pytest.mark.parametrize("way", WAYS)
def test_a_missing_end_marker_does_not_matter(way: str) -> None:
    """All of the data without the marker after it is the whole picture."""
    whole = jpeg(way)
    assert np.array_equal(decoded(whole.removesuffix(END)), decoded(whole))


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("part", [0.02, 0.3, 0.5, 0.9, 0.99])
@pytest.mark.parametrize("end", [b"", END, b"\0" * 500, b"\0" * 500 + END, END + b"more"])
def test_a_jpeg_that_is_cut_is_refused(way: str, part: float, end: bytes) -> None:
    """Wherever it is cut, and whatever stands where it goes on."""
    whole = jpeg(way)
    with pytest.raises(ImageError, match="Replace it"):
        decoded(whole[: int(len(whole) * part)] + end)


def test_a_progressive_jpeg_without_its_last_scan_is_refused() -> None:
    """It decodes to a picture that is less sharp, and its decoder says nothing."""
    whole = jpeg("progressive")
    with pytest.raises(ImageError):
        decoded(whole[: whole.rfind(b"\xff\xda")])


def test_a_thumbnail_is_not_the_picture() -> None:
    """A JPEG within the header of another, as cameras write it, neither ends nor completes it."""
    whole, small = jpeg(), bytes(cv2.imencode(".jpg", plain(3))[1])
    with_small = whole[:2] + b"\xff\xe2" + struct.pack(">H", len(small) + 2) + small + whole[2:]
    assert np.array_equal(decoded(with_small), decoded(whole))
    with pytest.raises(ImageError):
        decoded(with_small[: len(with_small) // 2])


@pytest.mark.parametrize("way", WAYS)
def test_a_spoilt_jpeg_is_refused(way: str) -> None:
    """Data that was overwritten in the middle, with noise."""
    spoilt, middle = bytearray(jpeg(way)), len(jpeg(way)) // 2
    spoilt[middle : middle + 800] = np.random.default_rng(1).integers(0, 255, 800, dtype=np.uint8).tobytes()
    with pytest.raises(ImageError, match="damaged"):
        decoded(bytes(spoilt))


def test_nothing_is_printed_and_no_descriptor_stays(capfd: pytest.CaptureFixture[str]) -> None:
    """The library's complaint is in the error, not in the log; a thousand of them leave nothing open."""
    descriptors = len(os.listdir("/proc/self/fd"))
    for _ in range(20):
        with pytest.raises(ImageError):
            decoded(jpeg()[:3000] + END)
    os.write(2, b"after\n")
    assert capfd.readouterr().err == "after\n"
    assert len(os.listdir("/proc/self/fd")) == descriptors


def test_damaged_pictures_of_a_stream_are_not_used() -> None:
    """Of pictures whole, cut and spoilt by turns in a stream, the whole ones come; each other is an error."""
    whole, spoilt = jpeg(), bytearray(jpeg())
    spoilt[700:1500] = np.random.default_rng(2).integers(0, 255, 800, dtype=np.uint8).tobytes()
    sent = [whole, whole[: len(whole) // 3], bytes(spoilt)] * 5
    with serving(mjpeg(sent, then_silent=True)) as port:
        source = open_source(RtspSpec(f"http://127.0.0.1:{port}/", read_timeout_s=2.0))
        for n in range(len(sent)):
            if n % 3 == 0:
                assert np.array_equal(source.read().image, decoded(whole))
            else:
                with pytest.raises(PictureError):
                    source.read()
        source.close()


def test_what_builds_on_a_damaged_picture_is_refused() -> None:
    """From damage on until one comes that builds on no other, after what was decoded ahead; or 150 have come."""
    doubt = Doubt()
    assert not doubt.refuses(None, builds_on_no_other=False)
    assert doubt.refuses("concealing 4 DC", builds_on_no_other=True)
    assert all(doubt.refuses(None, builds_on_no_other=True) for _ in range(DECODED_AHEAD - 1))
    assert all(doubt.refuses(None, builds_on_no_other=False) for _ in range(20))
    assert not doubt.refuses(None, builds_on_no_other=True)
    assert doubt.refuses("concealing 4 DC", builds_on_no_other=False)
    assert sum(doubt.refuses(None, builds_on_no_other=False) for _ in range(1000)) < 150


@pytest.mark.parametrize("bits", [10, 12, 14, 16])
def test_all_bits_that_a_source_uses_are_seen(bits: int) -> None:
    """A ramp over the range of 10, 12 or 14 bits, not scaled to 16, is a ramp over 0..255."""
    ramp = np.linspace(0, (1 << bits) - 1, 64 * 64).round().astype(np.uint16).reshape(64, 64)
    image = decoded(bytes(cv2.imencode(".png", ramp)[1]), Depth())
    want = np.linspace(0, 255, 64 * 64).reshape(64, 64)
    assert np.abs(image[..., 1].astype(float) - want).max() <= 1


def test_a_dark_picture_is_not_stretched() -> None:
    """8 bits written twice, or a source that has shown more before: dark stays dark."""
    dark = np.tile(np.arange(8, dtype=np.uint16), (64, 8))
    assert decoded(bytes(cv2.imencode(".png", dark * 257)[1]))[..., 0].max() == 7
    depth = Depth()
    depth.eight_bits(np.full((64, 64), 40_000, np.uint16))
    assert depth.eight_bits(np.full((64, 64), 900, np.uint16)).max() == 900 >> 8
    depth = Depth()
    assert depth.eight_bits(np.full((64, 64), 3000, np.uint16)).max() == 3000 >> 4
    assert depth.eight_bits(np.full((64, 64), 900, np.uint16)).max() == 900 >> 4


def test_a_panorama_beyond_the_limit_keeps_its_proportions() -> None:
    """It is twice as wide as high afterwards too, and as large as may be."""
    small = shrunk(np.zeros((744, 1488, 3), np.uint8), 1024 * 512 * 3)
    assert small.shape == (512, 1024, 3)
    assert shrunk(small, 1024 * 512 * 3) is small
    assert shrunk(np.zeros((900, 16, 3), np.uint8), 5000).nbytes <= 5000


def test_grey_and_cmyk_free_formats_still_read() -> None:
    """What was whole before is whole now: grey JPEG, 16-bit TIFF, BMP, WebP."""
    for kind in (".jpg", ".tiff", ".bmp", ".webp"):
        assert decoded(bytes(cv2.imencode(kind, scene()[..., 0])[1])).shape == (240, 320, 3)
