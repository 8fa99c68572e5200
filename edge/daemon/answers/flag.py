"""`flag`: a camera's picture and results kept for review."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from datetime import datetime, timezone
from typing import Any

from edge.cameras.process import CameraProcess
from edge.daemon.answers.snapshot import Demand, Said, look
from edge.errors import EdgeError
from edge.keep.review import Review
from edge.mqtt.messages import timestamp
from edge.mqtt.verbs import FlagAnswer, FlagArguments
from edge.publish.pictures import jpeg

_QUALITY = 95


def answer(
    arguments: FlagArguments,
    *,
    find: Callable[[str], CameraProcess],
    demand: Demand,
    said: Said,
    review: Callable[[], Review | None],
) -> dict[str, Any]:
    """Keep the camera's next frame whole, with everything inferred from it.

    Raises:
        EdgeError: no folder is configured, no such camera, no picture in time, or no room.
    """
    folder = review()
    if folder is None:
        raise EdgeError("nothing is kept for review on this device; set review.folder in its configuration")
    seen = look(find(arguments.camera), demand)
    frame, latency_s = seen.frame, time.monotonic() - seen.frame.captured_monotonic_s
    at = datetime.fromtimestamp(frame.captured_at, timezone.utc)
    entry = f"{at:%Y%m%dT%H%M%S}.{at.microsecond // 1000:03d}Z-{frame.camera}-{frame.sequence}"
    messages = {task: said(result, latency_s) for task, result in seen.results.items()}
    about = {
        "schema": "edge.review/1",
        "camera": frame.camera,
        "frame": frame.sequence,
        "captured_at": timestamp(frame.captured_at),
        "note": arguments.note,
        "results": {task: message.model_dump(mode="json", by_alias=True) for task, message in messages.items()},
        "failed": {task: str(error) for task, error in seen.errors.items()},
    }
    text = json.dumps(about, indent=2, ensure_ascii=False).encode()
    folder.keep(entry, {"picture.jpg": jpeg(frame.image, _QUALITY), "about.json": text})
    return FlagAnswer(camera=frame.camera, frame=frame.sequence, entry=entry).model_dump(mode="json")
