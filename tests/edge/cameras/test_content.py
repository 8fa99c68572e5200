"""Frozen pictures: a driver that repeats itself is found, a still room at night is not."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
import pytest

from edge.cameras.content import Content
from edge.cameras.picture import decoded
from edge.config.cameras import CameraConfig

SIZE = (240, 320, 3)
Picture = npt.NDArray[np.uint8]


def night(number: int, level: float, noise: float, scene: Picture | None = None) -> Picture:
    """A still room as a sensor of 8 bits gives it: so bright on average, with so much noise, in levels."""
    generator = np.random.default_rng(number)
    room = np.full(SIZE, level) if scene is None else scene * (level / scene.mean())
    return np.clip(np.rint(room + generator.normal(0, noise, SIZE)), 0, 255).astype(np.uint8)


@pytest.fixture(scope="module")
def scene() -> Picture:
    """Something to see."""
    x, y = np.meshgrid(np.linspace(0, 9, SIZE[1]), np.linspace(0, 7, SIZE[0]))
    return np.repeat((120 + 60 * np.sin(x) * np.cos(y))[..., None], 3, axis=2).astype(np.uint8)


def longest_still(pictures: list[Picture]) -> float:
    """For how many pictures in a row the content had not changed, at most."""
    content = Content()
    return max(n - content.changed_s(picture, float(n)) for n, picture in enumerate(pictures))


@pytest.mark.parametrize("noise", [0.14, 0.5])
def test_noise_of_a_fraction_of_a_level_is_a_change(scene: Picture, noise: float) -> None:
    """At a seventh of a level few pixels in a million flip: the last picture still is another than the one before."""
    assert longest_still([night(n, 20.0, noise, scene) for n in range(8)]) <= 1


def test_a_still_room_through_an_encoder_changes(scene: Picture) -> None:
    """As motion JPEG of poor quality, which smooths noise away, some coefficient always rounds the other way."""
    coded = [cv2.imencode(".jpg", night(n, 18.0, 0.8, scene), [cv2.IMWRITE_JPEG_QUALITY, 40])[1] for n in range(12)]
    assert longest_still([decoded(bytes(c)) for c in coded]) <= 1


def test_a_room_without_light_is_not_frozen() -> None:
    """Below the sensor's black level all is 0, or 1 everywhere: nothing can be told, so nothing is said."""
    assert longest_still([night(n, 0.0, 0.05) for n in range(12)]) == 0
    assert longest_still([np.ones(SIZE, np.uint8)] * 12) == 0


def test_a_driver_that_repeats_itself_is_found(scene: Picture) -> None:
    """The very same picture, by day and at dusk, and also a blue one without a signal."""
    for picture in (scene, night(0, 12.0, 0.5, scene), np.full(SIZE, (0, 0, 255), np.uint8)):
        assert longest_still([night(n, 90.0, 2.0, scene) for n in range(3)] + [picture] * 20) >= 19


def test_one_level_in_one_pixel_is_a_change(scene: Picture) -> None:
    """Wherever it is, also between the pixels of the sample."""
    content, other = Content(), scene.copy()
    for n in range(3):
        content.changed_s(scene, float(n))
    other[121, 167, 1] ^= 1
    assert content.changed_s(other, 3.0) == 3.0
    assert content.changed_s(other.copy(), 4.0) == 3.0


@pytest.mark.parametrize(
    ("source", "configured", "expected"),
    [
        ({"type": "rtsp", "url": "rtsp://10.0.0.9/a"}, "auto", 300.0),
        ({"type": "v4l2"}, "auto", 300.0),
        ({"type": "http", "url": "http://10.0.0.9/a", "every_s": 60.0}, "auto", 600.0),
        ({"type": "v4l2"}, 20.0, 20.0),
        ({"type": "v4l2"}, None, None),
        ("replay", "auto", None),
    ],
)
def test_live_cameras_are_watched_unless_told_otherwise(
    tmp_path: Path, source: Any, configured: float | str | None, expected: float | None
) -> None:
    """On by default for what is live; a recording may show anything; rare pictures have more time."""
    described = {"type": "replay", "path": str(tmp_path)} if source == "replay" else source
    values = {"name": "c", "source": described, "hfov_deg": 70.0, "frozen_after_s": configured}
    assert CameraConfig.model_validate(values).frozen_s == expected
