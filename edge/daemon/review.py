"""Pictures put aside for review: by request, because answers contradict each other, because drift began."""

from __future__ import annotations

import json
import logging
import threading
import time
from collections.abc import Callable, Mapping
from concurrent import futures
from concurrent.futures import Future
from copy import deepcopy
from dataclasses import dataclass, field, replace
from typing import Literal

import numpy as np
import numpy.typing as npt

from edge.errors import EdgeError, GeometryError
from edge.inference.base import Arrays
from edge.keep.review import ABOUT, CANVAS_WH, PICTURE, Review, entry_name
from edge.mqtt.messages import Message, timestamp
from edge.perception.blurred import blurred
from edge.perception.canvas import CanvasMap
from edge.perception.consistency import Contradiction, Seen, contradictions, mirror_camera
from edge.perception.picture_features import picture_features
from edge.perception.readers import reader_of
from edge.perception.result_features import result_features
from edge.perception.still import EVERY_S, StillPicture
from edge.pipeline.batches import Engine
from edge.pipeline.pipeline import Result
from edge.publish.pictures import jpeg, small
from edge.scene import Frame, ImageArray, RoomLayout, Task

_log = logging.getLogger(__name__)

People = Literal["removed", "blurred", "kept", "no_picture"]
Infer = Callable[[Engine, npt.NDArray[np.float32]], Future[Arrays]]
"""One inference beside those that are due."""
Said = Callable[[Result, float], Message]
"""The message of a result, so many seconds after the capture of its frame."""

_QUALITY = 90
_LOOK_EVERY_S = 600.0
_FLAG_EVERY_S = 3600.0
_OF_A_DRIFT = 8
_DRIFT_EVERY_S = 3 * 3600.0
"""So that a drift's entries span the day after it began."""
_MIRROR_S = 2.0
"""To wait for the layout of a mirrored picture: a daemon that is told to end must not wait for longer."""


@dataclass(slots=True)
class _Camera:
    """What is known of one camera."""

    still: StillPicture = field(default_factory=StillPicture)
    canvas: CanvasMap | None = None
    canvas_of: object = None
    latest: dict[Task, Result] = field(default_factory=dict)
    before: Seen | None = None
    looked_s: float = -np.inf
    flagged_s: float = -np.inf
    drift_left: int = 0
    drift_s: float = -np.inf


class ReviewWatch:
    """Takes every result, on any thread; `look` checks and writes, on the caller's."""

    def __init__(self, review: Review, *, people: People, automatic: bool, said: Said, infer: Infer) -> None:
        """Nothing is kept before something is flagged.

        Args:
            review: where it is kept.
            people: removed by the median of an hour, which is kept in memory; blurred with all that stands in the
                room; kept; or no picture at all.
            automatic: also flag what contradicts itself, and what drifts.
            said: the message of a result.
            infer: for the mirrored picture.
        """
        self.review, self.people = review, people
        self._automatic, self._said, self._infer = automatic, said, infer
        self._cameras: dict[str, _Camera] = {}
        self._lock = threading.Lock()
        self._expired_s = -np.inf

    def take(self, result: Result) -> None:
        """Remember what was said last; now and then a picture for the median."""
        frame = result.frame
        with self._lock:
            camera = self._cameras.setdefault(frame.camera, _Camera())
            if self.people == "removed" and camera.still.due(frame.captured_monotonic_s):
                camera.still.offer(frame.captured_monotonic_s, self._level(camera, frame))
            if self._automatic:
                camera.latest[result.task] = result

    def drifted(self, name: str) -> None:
        """A drift of this camera began: put pictures aside over the next day."""
        with self._lock:
            if self._automatic:
                self._cameras.setdefault(name, _Camera()).drift_left = _OF_A_DRIFT

    def flag(self, frame: Frame, results: Mapping[Task, Result], errors: Mapping[Task, str], note: str) -> str:
        """Put a frame aside; the entry's name.

        Raises:
            EdgeError: there is no picture without people yet, or no room.
        """
        return self._keep(frame, results, errors, note, [])

    def look(self, now_s: float) -> None:
        """Judge each camera once in ten minutes, keep what is to be flagged, remove what has waited too long."""
        with self._lock:
            due = [(n, c) for n, c in self._cameras.items() if c.latest and now_s - c.looked_s >= _LOOK_EVERY_S]
        for name, camera in due:
            camera.looked_s = now_s
            try:
                self._judge(name, camera, now_s)
            except EdgeError as error:
                _log.warning("nothing of camera %s is put aside for review: %s", name, error)
        if now_s - self._expired_s >= _FLAG_EVERY_S:
            self._expired_s = now_s
            try:
                self.review.expire()
            except EdgeError as error:
                _log.warning("%s", error)

    def _judge(self, name: str, camera: _Camera, now_s: float) -> None:
        with self._lock:
            newest = max(camera.latest.values(), key=_captured_s)
            latest = {t: r for t, r in camera.latest.items() if _captured_s(newest) - _captured_s(r) < _LOOK_EVERY_S}
            seen = Seen(newest.frame, {task: r.value for task, r in latest.items()})
            before, camera.before = camera.before, seen
        found = contradictions(seen, before, self._mirrored(latest.get("layout")))
        drifts = camera.drift_left > 0 and now_s - camera.drift_s >= _DRIFT_EVERY_S
        if not drifts and (not found or now_s - camera.flagged_s < _FLAG_EVERY_S):
            return
        reasons = [*found, *([Contradiction("drift", 0.0, 0.0, "what the camera sees has changed")] if drifts else [])]
        entry = self._keep(newest.frame, latest, {}, "", reasons)
        camera.flagged_s = now_s
        if drifts:
            camera.drift_left, camera.drift_s = camera.drift_left - 1, now_s
        _log.info("camera %s: %s; put aside for review as %s", name, "; ".join(r.text for r in reasons), entry)

    def _mirrored(self, result: Result | None) -> RoomLayout | None:
        """The layout of the mirrored picture, by one inference more; None where that says nothing."""
        if result is None or result.frame.model.projection != "equirectangular":
            return None
        if result.frame.model.masks or result.frame.seen is not None:
            return None
        with self._lock:
            level = self._level(self._cameras[result.frame.camera], result.frame)
        reader = reader_of(
            "layout", result.engine.manifest.part("layout"), mirror_camera(result.frame.model), canvas=None
        )
        tensor = reader.prepare(np.ascontiguousarray(level[:, ::-1]))
        try:
            value = reader.read(self._infer(result.engine, tensor).result(_MIRROR_S), 0.0)
        except (EdgeError, futures.TimeoutError) as error:
            _log.debug("the mirrored picture was not looked at: %s", error)
            return None
        return value if isinstance(value, RoomLayout) else None

    # Entries ----------------------------------------------------------------------------------------------------------

    def _keep(
        self,
        frame: Frame,
        results: Mapping[Task, Result],
        errors: Mapping[Task, str],
        note: str,
        reasons: list[Contradiction],
    ) -> str:
        seen = Seen(frame, {task: result.value for task, result in results.items()})
        picture, missing = self._picture(seen)
        age_s = time.monotonic() - frame.captured_monotonic_s
        features = picture_features(frame.image) | result_features(frame, seen.values)
        about = {
            "schema": "edge.review/1",
            "camera": frame.camera,
            "frame": frame.sequence,
            "captured_at": timestamp(frame.captured_at),
            "note": note,
            "reasons": [
                {"rule": r.rule, "value": round(r.value, 4), "limit": r.limit, "text": r.text} for r in reasons
            ],
            "picture": {
                "projection": frame.model.projection,
                "people": self.people,
                "missing": missing,
                "camera_height_m": frame.model.camera_height_m,
                "levelled_by_deg": {
                    "yaw": round(float(np.degrees(frame.model.yaw_rad)), 4),
                    "pitch": round(float(np.degrees(frame.model.pitch_rad)), 4),
                    "roll": round(float(np.degrees(frame.model.roll_rad)), 4),
                },
            },
            "features": {name: round(value, 6) for name, value in features.items()},
            "results": {
                task: self._said(result, age_s).model_dump(mode="json", by_alias=True)
                for task, result in results.items()
            },
            "failed": dict(errors),
        }
        files = {ABOUT: json.dumps(about, indent=2, ensure_ascii=False).encode()}
        if picture is not None:
            files[PICTURE] = jpeg(picture, _QUALITY)
        name = entry_name(frame.captured_at, frame.camera, frame.sequence)
        self.review.keep(name, files)
        return name

    def _picture(self, seen: Seen) -> tuple[ImageArray | None, str | None]:
        """What is kept of a picture, or why nothing is."""
        frame = seen.frame
        if self.people == "no_picture":
            return None, "no pictures are kept on this device, by its configuration"
        if self.people == "blurred":
            try:
                frame = replace(frame, image=blurred(seen))
            except GeometryError as error:
                return None, str(error)
        with self._lock:
            camera = self._cameras.setdefault(frame.camera, _Camera())
            if self.people != "removed":
                return self._level(camera, frame), None
            still = deepcopy(camera.still)  # its median takes a second, for which no result is to wait
        picture = still.median()
        if picture is None:
            minutes = round(still.missing * EVERY_S / 60)
            raise EdgeError(
                f"camera {frame.camera}: people are taken out of pictures by the median of an hour, and there is none "
                f"for {minutes} minutes yet; ask again then, or set review.people to blurred or kept"
            )
        return picture, None

    def _level(self, camera: _Camera, frame: Frame) -> ImageArray:
        """A panorama as the level canvas, another picture as it is, at most as wide."""
        if frame.model.projection != "equirectangular":
            return small(frame.image, CANVAS_WH[0])
        key = (frame.image.shape, frame.model)
        if camera.canvas is None or camera.canvas_of != key:
            camera.canvas = CanvasMap(frame.model, (frame.image.shape[1], frame.image.shape[0]), *CANVAS_WH)
            camera.canvas_of = key
            camera.still.forget()
        return camera.canvas.apply(frame.image)[0]


def _captured_s(result: Result) -> float:
    return result.frame.captured_monotonic_s
