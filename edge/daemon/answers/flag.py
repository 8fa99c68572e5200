"""`flag`: a camera's picture and results kept for review."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from edge.cameras.process import CameraProcess
from edge.daemon.answers.snapshot import Demand, look
from edge.daemon.review import ReviewWatch
from edge.errors import EdgeError
from edge.mqtt.verbs import FlagAnswer, FlagArguments


def answer(
    arguments: FlagArguments,
    *,
    find: Callable[[str], CameraProcess],
    demand: Demand,
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
    errors = {task: str(error) for task, error in seen.errors.items()}
    entry = watch.flag(seen.frame, seen.results, errors, arguments.note)
    return FlagAnswer(camera=seen.frame.camera, frame=seen.frame.sequence, entry=entry).model_dump(mode="json")
