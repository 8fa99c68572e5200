"""One picture of a camera, through a capture process as the daemon has it."""

from __future__ import annotations

import time
from dataclasses import dataclass

from edge.cameras.base import SourceSpec
from edge.cameras.process import CameraProcess
from edge.errors import EdgeError
from edge.scene import CameraModel, Frame

_WITHIN_S = 20.0


@dataclass(frozen=True, slots=True)
class FirstPicture:
    """It, and how long it took."""

    frame: Frame
    after_s: float
    degraded: tuple[str, ...]
    """Why it shows less, or came more slowly, than it should."""


def first_picture(name: str, spec: SourceSpec, model: CameraModel) -> FirstPicture:
    """The first one.

    Raises:
        EdgeError: none came, and why.
    """
    process = CameraProcess(name, spec, model, backoff_s=(_WITHIN_S, _WITHIN_S))
    begun_s = time.monotonic()
    process.start()
    try:
        while (got := process.latest()) is None:
            process.poll()
            failure = next((e.message for e in process.take_events() if e.kind == "error"), None) or (
                process.last_error if process.state == "offline" and process.last_error else None
            )
            if failure:
                raise EdgeError(failure)
            if time.monotonic() - begun_s > _WITHIN_S:
                raise EdgeError(f"no picture within {_WITHIN_S:.0f} s; check the source's address and cabling")
            time.sleep(0.02)
        after_s = time.monotonic() - begun_s
        process.poll()
        return FirstPicture(got, after_s, process.degraded)
    finally:
        process.stop()
