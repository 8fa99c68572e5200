"""Privacy masks: what lies in them leaves the capture process in no form."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
import pytest

from edge.cameras.base import ReplaySpec
from edge.cameras.privacy import GREY
from edge.cameras.process import CameraProcess, stop_together
from edge.geometry.mask import covered
from edge.scene import CameraModel, Frame
from tests.edge.cameras.conftest import Until

W, H = 96, 48
MASKS = (((0.5, 0.25), (0.9, 0.3), (0.8, 0.9), (0.55, 0.7)), ((0.0, 0.0), (0.1, 0.0), (0.1, 1.0), (0.0, 1.0)))
SECRET = ((0.55, 0.35), (0.8, 0.35), (0.75, 0.7), (0.6, 0.65))
"""Well inside the first mask."""


def write(folder: Path, seeds: list[int]) -> Path:
    """Pictures that are the same but for the noise, of each seed, where nobody may look."""
    folder.mkdir()
    rng = np.random.default_rng(0)
    scene = rng.integers(0, 256, (H, W, 3), dtype=np.uint8)
    inside = covered([SECRET], W, H)
    for i, seed in enumerate(seeds):
        picture = scene.copy()
        picture[inside] = np.random.default_rng(seed).integers(0, 256, (int(inside.sum()), 3), dtype=np.uint8)
        assert cv2.imwrite(str(folder / f"{i:03d}.png"), cv2.cvtColor(picture, cv2.COLOR_RGB2BGR))
    return folder


@pytest.fixture
def running() -> Iterator[list[CameraProcess]]:
    """Cameras that are stopped when the test ends."""
    made: list[CameraProcess] = []
    yield made
    stop_together(made)


def first(camera: CameraProcess, running: list[CameraProcess], until: Until) -> Frame:
    """The first frame of a camera, which is started for it."""
    running.append(camera)
    camera.start()

    def arrived() -> bool:
        camera.poll()
        return camera.sequence > 0

    until(arrived)
    frame = camera.latest()
    assert frame is not None
    return frame


def test_nothing_inside_a_mask_leaves_the_capture_process(
    tmp_path: Path, running: list[CameraProcess], until: Until
) -> None:
    """Two scenes that differ only inside a mask give the same frame, bit by bit; all else is as it was."""
    model = CameraModel("equirectangular", masks=MASKS)
    one, other = (
        first(CameraProcess("front", ReplaySpec(write(tmp_path / str(seed), [seed])), model), running, until)
        for seed in (1, 2)
    )
    assert np.array_equal(one.image, other.image)
    hidden = covered(MASKS, W, H)
    assert (one.image[hidden] == GREY).all()
    unpainted = CameraProcess("front", ReplaySpec(tmp_path / "1"), CameraModel("equirectangular"))
    whole = first(unpainted, running, until).image
    assert np.array_equal(one.image[~hidden], whole[~hidden])
    assert not np.array_equal(one.image, whole)
    assert one.model.masks == MASKS, "who reads the picture knows what is hidden"


def test_nothing_bleeds_where_a_picture_is_shrunk(tmp_path: Path, running: list[CameraProcess], until: Until) -> None:
    """A picture that is too large for the capture is painted before it is shrunk, which mixes neighbours."""
    model = CameraModel("perspective", masks=MASKS)
    pictures = []
    for seed in (1, 2):
        source = ReplaySpec(write(tmp_path / str(seed), [seed]))
        frame = first(CameraProcess("front", source, model, capacity_bytes=3000), running, until)
        assert frame.image.nbytes <= 3000
        pictures.append(frame.image)
    assert np.array_equal(pictures[0], pictures[1])


def test_what_moves_in_a_mask_does_not_move_the_state(
    tmp_path: Path, running: list[CameraProcess], until: Until
) -> None:
    """A scene where only hidden things move is frozen: not even that they move is published."""
    folder = write(tmp_path / "moving", [1, 2, 3, 4])
    model = CameraModel("perspective", masks=MASKS)
    camera = CameraProcess("front", ReplaySpec(folder, fps=50), model, frozen_after_s=0.3)
    first(camera, running, until)

    def frozen() -> bool:
        camera.poll()
        return camera.state == "frozen"

    until(frozen)
    time.sleep(0.3)
    assert frozen()
