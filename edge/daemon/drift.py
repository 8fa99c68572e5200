"""Drift of every camera: features of what was inferred, judged once an hour, told and remembered."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from edge.errors import EdgeError
from edge.inference.manifest import Manifest
from edge.keep.files import make_private_folder, read_private, write_private
from edge.monitor.drift import HOUR_S, DriftEvent, DriftJudge, DriftLimits, Feature
from edge.monitor.moved import MovedJudge
from edge.monitor.novelty import NoveltyJudge, Outside, Training, novelty
from edge.mqtt.drift_message import DriftFeature, DriftMessage, OutsideFeature
from edge.mqtt.messages import timestamp
from edge.perception.picture_features import FLOORS, REMEDIES, picture_features
from edge.pipeline.pipeline import Result
from edge.scene import DepthMap, Lighting, RoomLayout, Task

_log = logging.getLogger(__name__)

Tell = Callable[[str, str, str, dict[str, Any]], None]
"""An event: its type, its message, its camera and its data."""

OF_TASKS: dict[Task, dict[str, float]] = {
    "layout": {"layout_area": 0.01, "layout_height": 0.005, "layout_corners": 0.5, "layout_confidence": 0.02},
    "depth": {"depth_median": 0.02, "depth_spread": 0.02, "depth_valid": 0.01},
    "lighting": {"light_level": 0.02, "light_strength": 0.02},
}
"""Features of what a task says, with the least standard deviation each is taken to have; sizes as logarithms."""
_SMALLEST = 1e-6
_REMEDY = "make room, or set drift.folder to a folder that the user who runs edge may write"
_SAMPLE_S = DriftLimits().sample_s


def features_of(value: object) -> dict[str, float]:
    """What is followed of an inferred value."""
    if isinstance(value, RoomLayout):
        return {
            "layout_area": float(np.log(max(value.area_m2, _SMALLEST))),
            "layout_height": float(np.log(max(value.ceiling_height_m, _SMALLEST))),
            "layout_corners": float(len(value.polygon_m)),
            "layout_confidence": value.confidence,
        }
    if isinstance(value, DepthMap):
        seen = value.depth[:: max(1, value.depth.shape[0] // 64), :: max(1, value.depth.shape[1] // 64)]
        valid = seen[np.isfinite(seen) & (seen > 0)]
        p05, median, p95 = np.quantile(valid, (0.05, 0.5, 0.95)) if valid.size else (1.0, 1.0, 1.0)
        share = float(valid.size / max(seen.size, 1))
        return {"depth_median": float(np.log(median)), "depth_spread": float(np.log(p95 / p05)), "depth_valid": share}
    if isinstance(value, Lighting):
        level = float(np.mean(value.ambient))
        return {"light_level": float(np.log(max(level, 0.0) + 0.01)), "light_strength": value.dominant_strength}
    return {}


@dataclass(slots=True)
class _Camera:
    """What is followed of one camera."""

    tasks: tuple[Task, ...]
    judge: DriftJudge
    moved: MovedJudge = field(default_factory=MovedJudge)
    novelty: NoveltyJudge = field(default_factory=NoveltyJudge)
    training: Training | None = None
    engines: dict[Task, str] = field(default_factory=dict)
    latest: dict[Task, object] = field(default_factory=dict)
    """Of each task, what was inferred last."""
    sampled_s: float = -np.inf
    looked_s: float = -np.inf
    outside: tuple[Outside, ...] = ()


class DriftWatch:
    """Takes every result, on any thread; `look` says what is to be published, and saves it."""

    def __init__(self, device: str, tasks: dict[str, tuple[Task, ...]], tell: Tell, folder: Path | None = None) -> None:
        """Nothing is followed before its first result.

        Args:
            device: in every message.
            tasks: of each camera.
            tell: how to tell of an event.
            folder: where the first days are remembered; None: nowhere.
        """
        self._device, self._tasks, self._tell, self._folder = device, tasks, tell, folder
        self._cameras: dict[str, _Camera] = {}
        self._lock = threading.Lock()

    def take(self, result: Result) -> None:
        """Follow one result; costs nothing but for one result in ten minutes."""
        frame = result.frame
        with self._lock:
            camera = self._camera(frame.camera, result.task, result.engine.manifest)
            if camera is None:
                return
            self._follow_place(camera, result)
            camera.latest[result.task] = result.value
            if 0 <= frame.captured_at - camera.sampled_s < _SAMPLE_S or len(camera.latest) < len(camera.tasks):
                return
            features = picture_features(frame.image)
            for value in camera.latest.values():
                features |= features_of(value)
            if camera.judge.offer(frame.captured_at, features):
                camera.sampled_s = frame.captured_at

    def _camera(self, name: str, task: Task, manifest: Manifest) -> _Camera | None:
        """The camera, begun anew where another network serves it; None: its networks have not all answered yet."""
        tasks = self._tasks.get(name, ())
        if task not in tasks:
            return None
        camera = self._cameras.get(name)
        engines = dict(camera.engines) if camera else {}
        if camera is None or engines.get(task, manifest.onnx.sha256) != manifest.onnx.sha256:
            camera = self._cameras[name] = _Camera(tasks, DriftJudge((), ""))
            camera.engines = engines
        if camera.engines.get(task) != manifest.onnx.sha256:
            camera.engines[task] = manifest.onnx.sha256
            camera.training = camera.training or _training(manifest)
            if set(camera.engines) == set(tasks):
                self._begin(name, camera)
        return camera if set(camera.engines) == set(tasks) else None

    def _begin(self, name: str, camera: _Camera) -> None:
        followed = FLOORS | {f: floor for task in camera.tasks for f, floor in OF_TASKS[task].items()}
        key = " ".join(camera.engines[task][:16] for task in camera.tasks)
        camera.judge = DriftJudge([Feature(f, floor) for f, floor in followed.items()], key)
        if self._folder is None:
            return
        path = self._folder / f"{name}.npz"
        try:
            data = read_private(path) if path.exists() else None
        except EdgeError as error:
            _log.warning("%s; its first days are learnt anew", error)
            return
        if data is not None and not camera.judge.restore(data):
            _log.warning("%s is damaged, or of other networks: the camera's first days are learnt anew", path)

    def _follow_place(self, camera: _Camera, result: Result) -> None:
        layout = result.value
        if not isinstance(layout, RoomLayout) or layout.scale != "metric" or layout.extent != "room":
            return
        jump_m = camera.moved.offer(result.frame.captured_at, layout.polygon_m)
        if jump_m is not None:
            camera.judge.new_baseline()
            text = f"the room jumped by {jump_m:.2f} m and stays: was the camera moved? Its days are learnt anew"
            self._tell("camera_moved", text, result.frame.camera, {"jump_m": round(jump_m, 3)})

    def look(self, at_s: float) -> dict[str, DriftMessage]:
        """Judge every camera whose hour is over: what is to be published, by camera; saves what was learnt."""
        messages, learnt = {}, {}
        with self._lock:
            for name, camera in self._cameras.items():
                if camera.judge.baseline_since_s is None or 0 <= at_s - camera.looked_s < HOUR_S:
                    continue
                camera.looked_s = at_s
                events = camera.judge.evaluate(at_s)
                self._tell_drift(name, events)
                self._tell_novelty(name, camera)
                messages[name] = self._message(name, camera, at_s)
                learnt[name] = camera.judge.saved()
        for name, data in learnt.items():  # no result waits for the disk
            self._save(name, data)
        return messages

    def _tell_drift(self, name: str, events: list[DriftEvent]) -> None:
        for event in events:
            shifts = {s.name: round(s.shift_sigma, 2) for s in event.shifts}
            if event.type == "drift_started":
                most = ", ".join(f"{f} by {v:+.1f} standard deviations" for f, v in list(shifts.items())[:3])
                text = f"what the camera sees has changed: {most}; look at its picture"
            else:
                text = "what the camera sees is as it was"
            self._tell(event.type, text, name, {"shift_sigma": shifts})

    def _tell_novelty(self, name: str, camera: _Camera) -> None:
        if camera.training is None or camera.judge.state == "learning":
            return
        camera.outside = novelty(camera.judge.window, camera.training)
        kind = camera.novelty.take(camera.outside)
        if kind is None:
            return
        reasons = [_remedy(o.name, o.side) or f"{o.name} is {o.side} what is known" for o in camera.outside]
        text = "; ".join(reasons) if kind == "out_of_training" else "pictures are such as the networks know"
        self._tell(kind, text, name, {})

    def _message(self, name: str, camera: _Camera, at_s: float) -> DriftMessage:
        judge = camera.judge
        return DriftMessage(
            device=self._device,
            camera=name,
            at=timestamp(at_s),
            state=judge.state,
            since=timestamp(judge.since_s),
            samples=judge.samples,
            baseline_since=timestamp(judge.baseline_since_s or at_s),
            features={
                s.name: DriftFeature(
                    shift_sigma=round(s.shift_sigma, 3),
                    slow_sigma=round(s.slow_sigma, 3),
                    psi=round(max(s.psi, 0.0), 4),
                    p=float(f"{s.p:.3g}"),
                    changed=s.changed,
                )
                for s in judge.shifts
            },
            out_of_training=camera.novelty.out,
            outside={
                o.name: OutsideFeature(
                    side=o.side, rank=round(o.rank, 4), share=round(o.share, 4), remedy=_remedy(o.name, o.side)
                )
                for o in camera.outside
            },
        )

    def _save(self, name: str, data: bytes) -> None:
        if self._folder is None:
            return
        try:
            make_private_folder(self._folder, remedy=_REMEDY)
            write_private(self._folder / f"{name}.npz", data, remedy=_REMEDY)
        except EdgeError as error:
            _log.warning("what was learnt of camera %s is lost at a restart: %s", name, error)


def _training(manifest: Manifest) -> Training | None:
    known = manifest.reference
    if known is None:
        return None
    return Training({name: np.array(feature.quantiles) for name, feature in known.features.items()})


def _remedy(name: str, side: str) -> str | None:
    return REMEDIES.get((name, side))
