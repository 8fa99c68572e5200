"""Pictures straight from a camera, through a capture process as the daemon has it."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from edge.cameras.base import SourceSpec
from edge.cameras.process import CameraProcess
from edge.config.cameras import CameraConfig
from edge.errors import EdgeError
from edge.scene import CameraModel, Frame, ImageArray

_WITHIN_S = 20.0


@dataclass(frozen=True, slots=True)
class FirstPicture:
    """It, and how long it took."""

    frame: Frame
    after_s: float
    degraded: tuple[str, ...]
    """Why it shows less, or came more slowly, than it should."""


def first_picture(
    name: str, spec: SourceSpec, model: CameraModel, most_megapixels: float | None = None
) -> FirstPicture:
    """The first one; `most_megapixels` as for `CameraProcess`.

    Raises:
        EdgeError: none came, and why.
    """
    begun_s = time.monotonic()
    with _capturing(name, spec, model, most_megapixels) as process:
        frame = _next(process)
        after_s = time.monotonic() - begun_s
        process.poll()
        return FirstPicture(frame, after_s, process.degraded)


def pictures_of(camera: CameraConfig, count: int = 1, every_s: float = 0.0) -> list[ImageArray]:
    """A configured camera's next pictures, so far apart.

    Raises:
        EdgeError: the camera cannot be opened or sends none.
    """
    pictures: list[ImageArray] = []
    with _capturing(camera.name, camera.spec, camera.model, camera.most_megapixels) as process:
        while len(pictures) < count:
            pictures.append(_next(process).image.copy())
            if len(pictures) < count:
                time.sleep(every_s)
    return pictures


@contextmanager
def frames_of(camera: CameraConfig) -> Iterator[Iterator[Frame | None]]:
    """A configured camera's frames as they come, until its recording ends; None now and then while none comes.

    Raises:
        EdgeError: the camera cannot be opened, or has sent none for long; from the iterator.
    """
    with _capturing(camera.name, camera.spec, camera.model, camera.most_megapixels) as process:
        yield _following(process)


def _following(process: CameraProcess) -> Iterator[Frame | None]:
    last_s, sequence = time.monotonic(), 0
    while True:
        ended = process.ended
        frame = process.latest(sequence)
        if frame is not None:
            yield frame
            last_s, sequence = time.monotonic(), frame.sequence
            continue
        if ended:
            return
        _look_after(process, last_s)
        yield None


@contextmanager
def _capturing(
    name: str, spec: SourceSpec, model: CameraModel, most_megapixels: float | None
) -> Iterator[CameraProcess]:
    process = CameraProcess(name, spec, model, backoff_s=(_WITHIN_S, _WITHIN_S), most_megapixels=most_megapixels)
    process.start()
    try:
        yield process
    finally:
        process.stop()


def _next(process: CameraProcess) -> Frame:
    begun_s = time.monotonic()
    while (got := process.latest()) is None:
        _look_after(process, begun_s)
    return got


def _look_after(process: CameraProcess, since_s: float) -> None:
    """While none comes.

    Raises:
        EdgeError: the camera says why, or it has lasted too long.
    """
    process.poll()
    failure = next((e.message for e in process.take_events() if e.kind == "error"), None) or (
        process.last_error if process.state == "offline" and process.last_error and not process.ended else None
    )
    if failure:
        raise EdgeError(failure)
    if time.monotonic() - since_s > _WITHIN_S:
        raise EdgeError(f"no picture within {_WITHIN_S:.0f} s; check the source's address and cabling")
    time.sleep(0.02)
