"""Objects of the cameras: reconstructed when they are asked for, and those of the configuration again and again.

What is asked for is done on the thread that asks; what is configured on one of its own, which lasts for one look. Only
the network runs where all others do.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent import futures
from concurrent.futures import Future
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from edge.config.objects import ObjectRegionConfig
from edge.errors import EdgeError, EngineError, ObjectError
from edge.inference.base import Arrays
from edge.perception.object_view import Box
from edge.perception.objects import ObjectReader, look_at, reconstruct
from edge.pipeline.batches import Engine
from edge.pipeline.demands import Answer
from edge.pipeline.pipeline import Result
from edge.scene import DepthMap, FoundObject, Outline

_log = logging.getLogger(__name__)

MOST = 8
"""Of one camera; beyond that the oldest are forgotten."""
_INFER_S = 10.0
_SAME_BOX = 0.5
_MOVED_M = 0.05
_CHANGED = 0.9

Look = Callable[[str], Answer[Result]]
"""A camera's next frame and all that is inferred from it; raises EdgeError."""
Tell = Callable[[str, Sequence[FoundObject], float], None]
"""Publishes a camera's objects, and when the newest picture of them was taken, s since the Unix epoch."""


@dataclass(frozen=True, slots=True)
class Asked:
    """One thing to reconstruct."""

    box: Box | None
    polygon: Outline | None
    label: str | None
    name: str | None = None
    """Of one that is configured."""


class ObjectWatch:
    """Remembers what was reconstructed of each camera."""

    def __init__(
        self,
        engine: Callable[[], Engine | None],
        infer: Callable[[Engine, npt.NDArray[np.float32]], Future[Arrays]],
        look: Look,
        tell: Tell,
        stop: threading.Event,
    ) -> None:
        """Nothing is known yet.

        Args:
            engine: what reconstructs; None: nothing is configured to.
            infer: one inference beside those that are due.
            look: see `Look`.
            tell: see `Tell`.
            stop: set when the daemon ends.
        """
        self._engine, self._infer, self._look, self._tell, self._stop = engine, infer, look, tell, stop
        self._known: dict[str, tuple[FoundObject, ...]] = {}
        self._count = 0
        self._working = threading.Lock()
        self._due_s = 0.0
        self._round: threading.Thread | None = None

    def of(self, camera: str) -> tuple[FoundObject, ...]:
        """What is known of a camera, newest last."""
        return self._known.get(camera, ())

    def ask(self, camera: str, asked: Asked) -> FoundObject:
        """Reconstruct one thing, and publish what is known of the camera then.

        Raises:
            ObjectError: nothing there can be told apart.
            EdgeError: no engine is configured, no such camera, no picture in time, or the network does not run.
        """
        engine = self._engine()
        if engine is None:
            raise EdgeError("no objects are reconstructed on this device; set tasks.objects.engine and start it again")
        seen = self._look(camera)
        with self._working:
            found = self._reconstruct(engine, seen, camera, asked)
            self._keep(camera, found, seen.frame.captured_at)
        return found

    def forget(self, camera: str) -> None:
        """All that is known of a camera."""
        with self._working:
            self._known[camera] = ()
            self._tell(camera, (), time.time())

    def keep_only(self, cameras: Sequence[str]) -> None:
        """Forget what was known of cameras that are no more."""
        with self._working:
            self._known = {name: found for name, found in self._known.items() if name in cameras}

    def look_again(self, regions: Mapping[str, Sequence[ObjectRegionConfig]], every_s: float) -> None:
        """Begin to look at what is configured, if that is due and nobody does: on a thread of its own."""
        now_s = time.monotonic()
        if self._engine() is None or not any(regions.values()) or now_s < self._due_s:
            return
        if self._round is not None and self._round.is_alive():
            return
        self._due_s = now_s + every_s
        work = dict(regions)
        self._round = threading.Thread(target=self._look_at_all, args=(work,), name="edge-objects", daemon=True)
        self._round.start()

    # On any thread ----------------------------------------------------------------------------------------------------

    def _look_at_all(self, regions: Mapping[str, Sequence[ObjectRegionConfig]]) -> None:
        for camera, wanted in regions.items():
            for region in wanted:
                if self._stop.is_set():
                    return
                try:
                    self.ask(camera, Asked(region.box, region.polygon, region.label, region.name))
                except ObjectError as error:
                    self._gone(camera, region.name, error)
                except EdgeError as error:
                    _log.warning("camera %s, object %s: %s", camera, region.name, error)

    def _gone(self, camera: str, name: str, error: ObjectError) -> None:
        """Nothing stands out there any more."""
        _log.info("camera %s, object %s: %s", camera, name, error)
        with self._working:
            left = tuple(o for o in self.of(camera) if o.name != name)
            if len(left) < len(self.of(camera)):
                self._known[camera] = left
                self._tell(camera, left, time.time())

    def _reconstruct(self, engine: Engine, seen: Answer[Result], camera: str, asked: Asked) -> FoundObject:
        view, mask = look_at(seen.frame, box=asked.box, polygon=asked.polygon)
        depth = seen.results["depth"].value if "depth" in seen.results else None

        def infer(tensor: npt.NDArray[np.float32]) -> Arrays:
            try:
                return self._infer(engine, tensor).result(_INFER_S)
            except futures.TimeoutError as error:
                raise EngineError(f"inference did not answer within {_INFER_S:g} s; send it again later") from error

        name = asked.name
        if name is None:
            self._count += 1
            name = f"object-{self._count}"
        return reconstruct(
            seen.frame,
            view,
            mask,
            ObjectReader(engine.manifest),
            infer,
            name=name,
            label=asked.label,
            depth=depth if isinstance(depth, DepthMap) else None,
        )

    def _keep(self, camera: str, found: FoundObject, at: float) -> None:
        """In the place of what was known there; told unless it is the same as before."""
        before = self.of(camera)
        same = [o for o in before if o.name == found.name or _overlap(o.box, found.box) > _SAME_BOX]
        if len(same) == 1 and same[0].name == found.name and _alike(same[0], found):
            return
        self._known[camera] = (*(o for o in before if o not in same), found)[-MOST:]
        self._tell(camera, self.of(camera), at)


def _overlap(one: Box, other: Box) -> float:
    """IoU of two boxes."""
    width = min(one[2], other[2]) - max(one[0], other[0])
    height = min(one[3], other[3]) - max(one[1], other[1])
    common = max(width, 0.0) * max(height, 0.0)
    areas = sum((b[2] - b[0]) * (b[3] - b[1]) for b in (one, other))
    return common / max(areas - common, 1e-12)


def _alike(one: FoundObject, other: FoundObject) -> bool:
    """Whether nothing changed that is worth telling: the same is known of it, and it has not moved."""
    known, were = ([v is None for v in (o.mesh, o.size_m, o.place)] for o in (other, one))
    if known != were:
        return False
    if one.place is not None and other.place is not None:
        moved_m = float(np.linalg.norm(np.subtract(one.place.at_m, other.place.at_m)))
        if moved_m > _MOVED_M:
            return False
    return one.label == other.label and _overlap(one.box, other.box) > _CHANGED
