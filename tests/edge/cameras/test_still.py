"""Cameras that give one picture each time they are asked."""

import logging
import time
from collections.abc import Iterator

import cv2
import numpy as np
import pytest

from edge.cameras.base import HttpSpec, PictureError, RtspSpec
from edge.cameras.sources import open_source
from edge.cameras.still import StillSource
from edge.errors import CameraError
from tests.edge.cameras.conftest import plain
from tests.edge.cameras.streams import Silent, mjpeg, serving
from tests.edge.cameras.web import Web, basic, digest, web

JPEG = bytes(cv2.imencode(".jpg", plain(90))[1])
PNG = bytes(cv2.imencode(".png", plain(90))[1])


@pytest.fixture
def camera() -> Iterator[Web]:
    """A camera's web server."""
    with web() as served:
        yield served


def first(url: str, **options: float) -> np.ndarray:
    """The first picture of an address."""
    with StillSource(HttpSpec(url, **options)) as source:
        return source.read().image


@pytest.mark.parametrize("content", [JPEG, PNG])
def test_pictures_come_every_so_often(camera: Web, content: bytes) -> None:
    """JPEG and PNG, each picture by a request of its own, no two closer than `every_s`."""
    camera.gives("/snap", content)
    with open_source(HttpSpec(camera.url("/snap?channel=1"), every_s=0.1)) as source:
        pictures = [source.read() for _ in range(3)]
    assert all((p.image == 90).mean() > 0.99 for p in pictures)
    times = [p.captured_monotonic_s for p in pictures]
    assert times[2] - times[0] >= 0.1
    assert [path for path, _ in camera.asked] == ["/snap?channel=1"] * 3


@pytest.mark.parametrize(
    "login",
    [
        basic("us er", "pa:ss/#", JPEG),
        digest("us er", "pa:ss/#", JPEG),
        digest("us er", "pa:ss/#", JPEG, qop=""),
        digest("us er", "pa:ss/#", JPEG, "SHA-256"),
    ],
)
def test_basic_and_digest_login(camera: Web, login: object) -> None:
    """The user and password of the address are what the camera is given; wrong ones are a refusal."""
    camera.replies["/a"] = login  # type: ignore[assignment]
    assert first(camera.url("/a?b=c", "us%20er:pa%3Ass%2F%23@")).shape == (48, 64, 3)
    assert camera.asked[0][1] == ""  # nothing is given to a camera that did not ask
    for wrong in ("", "us%20er:wrong@"):
        with pytest.raises(CameraError, match=r"refused \(HTTP 401\)\. Check user and password"):
            first(camera.url("/a", wrong))


def test_redirects_stay_with_the_host(camera: Web) -> None:
    """Another path of the camera is followed; another host is not, and is not told the password; nor is a circle."""
    camera.gives("/b", JPEG)
    camera.gives("/a", b"", status=302, Location="/b")
    camera.gives("/away", b"", status=302, Location=f"http://localhost:{camera.port}/b?secret")
    camera.gives("/round", b"", status=307, Location="/round")
    assert first(camera.url("/a")).shape == (48, 64, 3)
    with pytest.raises(CameraError, match=rf"another host \(http://localhost:{camera.port}\)"):
        first(camera.url("/away", "user:secret@"))
    with pytest.raises(CameraError, match="without end"):
        first(camera.url("/round"))


def test_what_is_no_picture_is_named(camera: Web) -> None:
    """A page to log in, nothing at all, a stream, too many bytes, another protocol, and nobody: each its own words."""
    camera.gives("/page", b"<html>", "text/html")
    camera.gives("/big", b"", **{"Content-Length": str(65 << 20)})
    camera.gives("/half", JPEG[: len(JPEG) // 2])
    for path, words in (
        ("/page", "text/html, not a picture"),
        ("/none", "HTTP 404"),
        ("/big", "more than 64 MiB"),
        ("/half", "not a whole picture"),
    ):
        with pytest.raises(CameraError, match=words):
            first(camera.url(path))
    with serving(mjpeg([JPEG], then_silent=True)) as port, pytest.raises(CameraError, match="Use `type: rtsp`"):
        first(f"http://127.0.0.1:{port}/")
    with serving(Silent) as port:
        began = time.monotonic()
        with pytest.raises(CameraError, match="did not answer in time"):
            first(f"http://127.0.0.1:{port}/", timeout_s=0.3)
        assert time.monotonic() - began < 5
    with pytest.raises(CameraError, match="cannot be reached"):
        first(f"http://127.0.0.1:{port}/")


def test_one_bad_request_is_not_a_bad_camera(camera: Web) -> None:
    """Two failures in a row are passed over, the third is the camera's; a good picture in between starts anew."""
    camera.gives("/a", JPEG)
    with StillSource(HttpSpec(camera.url("/a"), every_s=0.01)) as source:
        for _ in range(2):
            source.read()
            camera.gives("/a", b"busy", "text/plain", 503)
            for _ in range(2):
                with pytest.raises(PictureError, match="HTTP 503"):
                    source.read()
            camera.gives("/a", JPEG)
        source.read()
        camera.gives("/a", JPEG[:-90])
        for _ in range(2):
            with pytest.raises(PictureError):
                source.read()
        with pytest.raises(CameraError) as error:
            source.read()
        assert not isinstance(error.value, PictureError)


def test_a_stream_that_is_a_still_says_so(camera: Web) -> None:
    """An rtsp source at an address of single pictures fails once, with the kind of source to use instead."""
    camera.gives("/snap.jpg", JPEG)
    with pytest.raises(CameraError, match=r"gives a single picture.*Use `type: http`.*every_s"):
        open_source(RtspSpec(camera.url("/snap.jpg")))


def test_no_library_logs_an_address(camera: Web, caplog: pytest.LogCaptureFixture) -> None:
    """Even where everything is logged, user, password, path and query of a camera are not."""
    camera.replies["/zqPath"] = digest("zqUser", "zqPassword", JPEG)
    with caplog.at_level(logging.DEBUG):
        first(camera.url("/zqPath?zqQuery", "zqUser:zqPassword@"))
    assert "zq" not in caplog.text
