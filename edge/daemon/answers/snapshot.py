"""`snapshot`: a camera's picture and every noun of one frame, taken now."""

from __future__ import annotations

import base64
import time
from collections.abc import Callable
from concurrent import futures
from concurrent.futures import Future
from typing import Any

from edge.cameras.process import CameraProcess
from edge.daemon.review import Said
from edge.errors import EdgeError
from edge.mqtt.messages import timestamp
from edge.mqtt.verbs import VERBS, Picture, Snapshot, SnapshotArguments
from edge.pipeline.demands import Answer
from edge.pipeline.pipeline import Result
from edge.publish.pictures import jpeg, small
from edge.scene import ImageArray

Demand = Callable[[CameraProcess], Future[Answer[Result]]]

_WAIT_S = VERBS["snapshot"].within_s - 2.0
_NARROWER = 0.7
_OVERHEAD_BYTES = 64 * 1024
"""Of an answer beside its picture: the results."""


def answer(
    arguments: SnapshotArguments,
    *,
    find: Callable[[str], CameraProcess],
    demand: Demand,
    said: Said,
    largest_bytes: Callable[[], int | None],
) -> dict[str, Any]:
    """Wait for the camera's next frame and all that comes of it.

    Args:
        arguments: which camera, how large a picture.
        find: the camera of a name.
        demand: asks the pipeline for everything about its next frame.
        said: the message of a result.
        largest_bytes: what the broker takes; None: no limit is known.

    Raises:
        EdgeError: no such camera, or no picture in time.
    """
    seen = look(find(arguments.camera), demand)
    latency_s = time.monotonic() - seen.frame.captured_monotonic_s
    picture = None
    if arguments.picture:
        limit = largest_bytes()
        most = None if limit is None else max(limit - _OVERHEAD_BYTES, 1) * 3 // 4  # base64
        picture = _picture(seen.frame.image, arguments.width_px, arguments.quality, most)
    snapshot = Snapshot(
        camera=seen.frame.camera,
        frame=seen.frame.sequence,
        captured_at=timestamp(seen.frame.captured_at),
        picture=picture,
        failed={task: str(error) for task, error in seen.errors.items()},
        **{task: said(result, latency_s) for task, result in seen.results.items()},
    )
    return snapshot.model_dump(mode="json", by_alias=True)


def look(camera: CameraProcess, demand: Demand, wait_s: float = _WAIT_S) -> Answer[Result]:
    """A frame captured from now on and all that was inferred from it.

    Raises:
        EdgeError: none came in time.
    """
    future = demand(camera)
    try:
        return future.result(wait_s)
    except futures.TimeoutError as error:
        future.cancel()
        why = f": {camera.last_error}" if camera.last_error else ""
        raise EdgeError(
            f"camera {camera.name} ({camera.state}{why}) gave no picture within {wait_s:g} s; see that it delivers"
        ) from error


def _picture(image: ImageArray, width_px: int, quality: int, most_bytes: int | None) -> Picture:
    """The picture, at most that wide, and narrower if the broker would not take it."""
    limit = Picture.model_fields["data"].metadata[0].max_length * 3 // 4
    most = limit if most_bytes is None else min(limit, most_bytes)
    wide = min(width_px, image.shape[1])
    while True:
        resized = small(image, wide)
        data = jpeg(resized, quality)
        if len(data) <= most:
            height, width = resized.shape[:2]
            return Picture(width_px=width, height_px=height, data=base64.b64encode(data).decode())
        wide = round(wide * _NARROWER)
        if wide < 16:
            raise EdgeError(f"no picture fits the broker's limit of {most_bytes} bytes; raise it, or ask for none")
