"""Pictures for people: when they are due, how large they are, and what colours mean."""

from __future__ import annotations

from dataclasses import replace

import cv2
import numpy as np
import pytest

from edge.mqtt.topics import Topics
from edge.publish.compose import Source
from edge.publish.pictures import CameraPictures, PictureOptions, camera_picture, depth_view
from edge.publish.results import ResultMessages
from edge.scene import DepthMap, Frame, ImageArray


def decoded(data: bytes) -> ImageArray:
    """A JPEG as RGB."""
    picture = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)
    assert picture is not None
    return np.asarray(cv2.cvtColor(picture, cv2.COLOR_BGR2RGB), np.uint8)


@pytest.mark.parametrize(("width", "expected"), [(1920, (640, 360)), (320, (320, 180))])
def test_a_picture_is_small_and_in_the_right_colours(frame: Frame, width: int, expected: tuple[int, int]) -> None:
    """It is shrunk to the width, never enlarged, in its shape; red stays red; who it is of is said beside it."""
    image = np.zeros((width * 9 // 16, width, 3), np.uint8)
    image[..., 0] = 200
    made = camera_picture(replace(frame, image=image), "dev", PictureOptions())()
    got = decoded(made.data)
    assert got.shape[1::-1] == expected
    assert np.abs(got.astype(int).mean((0, 1)) - (200, 0, 0)).max() < 4
    assert made.properties == {
        "schema": "edge.picture/1",
        "device": "dev",
        "camera": "living",
        "frame": "42",
        "captured_at": "2026-01-01T00:00:00.250000Z",
    }


def test_better_quality_is_larger(frame: Frame) -> None:
    """The quality is JPEG's."""
    noise = replace(frame, image=np.random.default_rng(0).integers(0, 256, (90, 160, 3), dtype=np.uint8))
    sizes = [len(camera_picture(noise, "dev", PictureOptions(quality=q))().data) for q in (20, 75, 95)]
    assert sizes == sorted(sizes)
    assert sizes[2] > 2 * sizes[0]


class _Camera:
    def __init__(self, frame: Frame) -> None:
        self.name, self.frame = frame.camera, frame

    def latest(self, after_sequence: int) -> Frame | None:
        return self.frame if self.frame.sequence > after_sequence else None


def test_a_picture_is_due_by_its_cadence_and_only_a_new_one(frame: Frame) -> None:
    """The first at once, then one each `every_s` if the camera has sent something since; of asked-for cameras alone."""
    now_s = [100.0]
    due = CameraPictures("dev", {"living": PictureOptions(every_s=10)}, clock=lambda: now_s[0])
    camera = _Camera(frame)
    assert due.due(camera) is not None
    assert due.due(camera) is None
    camera.frame = replace(frame, sequence=43)
    now_s[0] += 9.9
    assert due.due(camera) is None
    now_s[0] += 0.2
    assert due.due(camera) is not None
    now_s[0] += 60
    assert due.due(camera) is None, "nothing new"
    due.ask("living")
    assert due.due(camera) is None, "nothing new, even if asked for"
    camera.frame = replace(frame, sequence=44)
    assert due.due(camera) is not None
    camera.frame = replace(frame, sequence=45)
    assert due.due(camera) is None
    due.ask("living")
    assert due.due(camera) is not None
    assert CameraPictures("dev", {}).due(camera) is None


def test_colours_mean_distances(frame: Frame, source: Source) -> None:
    """Near is red, far is blue, unknown is black; a metre has one colour whatever else is seen."""
    d = np.full((64, 96), 0.5, np.float32)
    d[:, 32:64], d[:, 64:] = 9.5, 0.0
    made = depth_view(frame, DepthMap(d, "z", "metric"), source)
    got = decoded(made.data).astype(int)
    near, far, unknown = got[8:-8, 8:24].mean((0, 1)), got[8:-8, 40:56].mean((0, 1)), got[8:-8, 76:].mean((0, 1))
    assert near[0] > 90 > near[2] + 40
    assert far[2] > far[0] + 15
    assert unknown.max() < 12
    other = np.full_like(d, 3.0)
    other[:, :32] = 0.5
    again = decoded(depth_view(frame, DepthMap(other, "z", "metric"), source).data).astype(int)
    assert np.abs(again[8:-8, 8:24].mean((0, 1)) - near).max() < 6
    assert made.properties["kind"] == "z"
    assert depth_view(frame, DepthMap(np.zeros_like(d), "z", "relative"), source).data


def test_a_view_of_depth_goes_out_by_its_own_cadence(frame: Frame, depth: DepthMap, source: Source) -> None:
    """Not with every result, and of each camera apart; none where it is not asked for."""
    messages = ResultMessages(Topics("dev"), depth_view_every_s=10.0)

    def viewed(at_s: float, camera: str = "living") -> bool:
        made = messages.of(depth, replace(frame, captured_monotonic_s=at_s, camera=camera), source, 0.1)
        return "depth_view" in [kind for kind, _ in made]

    assert [viewed(at) for at in (1000.0, 1000.5, 1009.9, 1010.1, 1011.0)] == [True, False, False, True, False]
    assert viewed(1011.0, "hall")
    messages.ask_for_view("living")
    assert [viewed(at) for at in (1011.5, 1012.0)] == [True, False]
    assert "depth_view" not in [kind for kind, _ in ResultMessages(Topics("dev")).of(depth, frame, source, 0.1)]
