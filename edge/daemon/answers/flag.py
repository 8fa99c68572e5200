"""`flag`: a camera's picture and results kept for review."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from edge.cameras.process import CameraProcess
from edge.daemon.answers.snapshot import Demand, Said, look
from edge.daemon.review import ReviewWatch
from edge.errors import EdgeError
from edge.mqtt.verbs import FlagAnswer, FlagArguments


def answer(
    arguments: FlagArguments,
    *,
    find: Callable[[str], CameraProcess],
    demand: Demand,
    said: Said,
    review: Callable[[], ReviewWatch | None],
) -> dict[str, Any]:
    """Keep what the camera shows with everything inferred from its next frame.

    Raises:
        EdgeError: no folder is configured, no such camera, no picture in time, none without people yet, or no room.
    """
    watch = review()
    if watch is None:
        raise EdgeError("nothing is kept for review on this device; set review.folder in its configuration")
    seen = look(find(arguments.camera), demand)
    frame, latency_s = seen.frame, time.monotonic() - seen.frame.captured_monotonic_s
    messages = {task: said(result, latency_s) for task, result in seen.results.items()}
    entry = watch.flag(frame, messages, {task: str(error) for task, error in seen.errors.items()}, arguments.note)
    return FlagAnswer(camera=frame.camera, frame=frame.sequence, entry=entry).model_dump(mode="json")
