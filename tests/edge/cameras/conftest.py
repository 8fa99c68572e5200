"""Pictures and clips on disk, and waiting with a deadline."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
import pytest

from edge.cameras.base import SourceSpec
from edge.cameras.process import CameraProcess
from edge.scene import CameraModel

Until = Callable[..., None]
COUNT = 6
MODEL = CameraModel("perspective")
LEVELS = tuple(20 + 35 * i for i in range(COUNT))


def plain(level: int, width_px: int = 64, height_px: int = 48) -> npt.NDArray[np.uint8]:
    """A picture of one grey level."""
    return np.full((height_px, width_px, 3), level, np.uint8)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Six pictures of one grey level each, rising with their names; written in the wrong order."""
    path = tmp_path / "pictures"
    path.mkdir()
    for i in reversed(range(COUNT)):
        assert cv2.imwrite(str(path / f"{i:03d}.png"), plain(LEVELS[i]))
    return path


def write_video(path: Path, codec: str = "MJPG", count: int = 40, fps: float = 20.0) -> Path:
    """A clip of noise, which no codec can make small, on a level that rises from picture to picture."""
    writer = cv2.VideoWriter(str(path), cv2.CAP_FFMPEG, cv2.VideoWriter.fourcc(*codec), fps, (64, 48))
    assert writer.isOpened()
    for i in range(count):
        noise = np.random.default_rng(i).integers(0, 56, (48, 64, 3), dtype=np.uint8)
        writer.write(noise + np.uint8(5 * i))
    writer.release()
    return path


@pytest.fixture
def until() -> Until:
    """Call a condition again and again until it holds; fail after `timeout_s`."""

    def wait(condition: Callable[[], object], timeout_s: float = 20.0) -> None:
        deadline = time.monotonic() + timeout_s
        while not condition():
            assert time.monotonic() < deadline, "the condition did not come true in time"
            time.sleep(0.01)

    return wait


@pytest.fixture
def camera() -> Iterator[Callable[..., CameraProcess]]:
    """Make and start cameras that are stopped when the test ends."""
    made: list[CameraProcess] = []

    def make(name: str, spec: SourceSpec, **options: Any) -> CameraProcess:
        made.append(CameraProcess(name, spec, MODEL, **{"backoff_s": (0.05, 0.2), **options}))
        made[-1].start()
        return made[-1]

    yield make
    for process in made:
        process.stop()
