"""Pictures straight from a configured camera, by a capture process of their own."""

from __future__ import annotations

import time

from edge.cameras.process import CameraProcess
from edge.config.cameras import CameraConfig
from edge.errors import EdgeError
from edge.scene import ImageArray

_FIRST_PICTURE_S = 20.0


def pictures_of(camera: CameraConfig, count: int = 1, every_s: float = 0.0) -> list[ImageArray]:
    """The camera's next pictures, so far apart.

    Raises:
        EdgeError: the camera cannot be opened or sends none.
    """
    process = CameraProcess(camera.name, camera.spec, camera.model, backoff_s=(_FIRST_PICTURE_S, _FIRST_PICTURE_S))
    pictures: list[ImageArray] = []
    process.start()
    try:
        while len(pictures) < count:
            pictures.append(_next(process))
            if len(pictures) < count:
                time.sleep(every_s)
    finally:
        process.stop()
    return pictures


def _next(process: CameraProcess) -> ImageArray:
    begun_s = time.monotonic()
    while (got := process.latest()) is None:
        process.poll()
        failure = next((e.message for e in process.take_events() if e.kind == "error"), None) or (
            process.last_error if process.state == "offline" and process.last_error else None
        )
        if failure:
            raise EdgeError(failure)
        if time.monotonic() - begun_s > _FIRST_PICTURE_S:
            raise EdgeError(f"no picture within {_FIRST_PICTURE_S:.0f} s; check the source's address and cabling")
        time.sleep(0.02)
    return got.image.copy()
