"""Drift of every camera: features of what was inferred, judged once an hour, told and remembered."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np

from edge.errors import EdgeError
from edge.inference.manifest import Manifest
from edge.inference.reference import Reference
from edge.keep.files import make_private_folder, read_private, write_private
from edge.monitor.drift import HOUR_S, DriftEvent, DriftJudge, DriftLimits, Feature
from edge.monitor.moved import MovedJudge
from edge.monitor.novelty import Known, Novelty, NoveltyJudge, Together, Training, novelty
from edge.mqtt.drift_message import DriftFeature, DriftMessage, OutsideFeature, TrainingRooms
from edge.mqtt.messages import timestamp
from edge.perception.picture_features import FLOORS, REMEDIES, picture_features, unskewed, unskewed_floor
from edge.perception.result_features import OF_TASKS, result_features
from edge.pipeline.pipeline import Result
from edge.scene import RoomLayout, Task

_log = logging.getLogger(__name__)

Tell = Callable[[str, str, str, dict[str, Any]], None]
"""An event: its type, its message, its camera and its data."""

_REMEDY = "make room, or set drift.folder to a folder that the user who runs edge may write"
_SAMPLE_S = DriftLimits().sample_s


@dataclass(slots=True)
class _Camera:
    """What is followed of one camera."""

    tasks: tuple[Task, ...]
    judge: DriftJudge
    moved: MovedJudge = field(default_factory=MovedJudge)
    novelty: NoveltyJudge = field(default_factory=NoveltyJudge)
    trainings: dict[Task, Training] = field(default_factory=dict)
    engines: dict[Task, str] = field(default_factory=dict)
    latest: dict[Task, object] = field(default_factory=dict)
    """Of each task, what was inferred last."""
    sampled_s: float = -np.inf
    looked_s: float = -np.inf
    fresh: bool = False
    """Whether there is a sample that was not judged yet."""
    cut: Literal["none", "due", "sampled"] = "none"
    """Whether its scene was cut since the last regular sample, which one more sample is of."""
    found: Novelty = field(default_factory=Novelty)

    def forget(self) -> None:
        """Learn its first days anew, and keep over a restart that they are."""
        self.judge.new_baseline()
        self.looked_s, self.fresh = -np.inf, True

    @property
    def training(self) -> Training | None:
        """The reference that its pictures are held against: of its first task whose model has one."""
        return next((self.trainings[task] for task in self.tasks if task in self.trainings), None)


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
        """Follow one result; costs nothing but for one result in ten minutes, and one more where the scene is cut."""
        frame = result.frame
        with self._lock:
            camera = self._camera(frame.camera, result.task, result.engine.manifest)
            if camera is None:
                return
            self._follow_place(camera, result)
            if result.scene_cut:
                camera.latest.clear()  # of another scene
                camera.cut = "due" if camera.cut == "none" else camera.cut
            camera.latest[result.task] = result.value
            early = 0 <= frame.captured_at - camera.sampled_s < _SAMPLE_S
            if len(camera.latest) < len(camera.tasks) or (early and camera.cut != "due"):
                return
            features = picture_features(frame.image) | result_features(frame, camera.latest)
            if camera.judge.offer(frame.captured_at, features, extra=early):
                camera.sampled_s, camera.fresh = frame.captured_at, True
                camera.cut = "sampled" if early else "none"

    def _camera(self, name: str, task: Task, manifest: Manifest) -> _Camera | None:
        """The camera, begun anew where another network serves it; None: its networks have not all answered yet."""
        tasks = self._tasks.get(name, ())
        if task not in tasks:
            return None
        camera = self._cameras.get(name)
        if camera is None:
            camera = self._cameras[name] = _Camera(tasks, DriftJudge((), ""))
        if camera.engines.get(task, manifest.onnx.sha256) != manifest.onnx.sha256:
            others = {t: known for t, known in camera.trainings.items() if t != task}
            camera = _Camera(tasks, DriftJudge((), ""), trainings=others, engines=dict(camera.engines))
            self._cameras[name] = camera
        if camera.engines.get(task) != manifest.onnx.sha256:
            camera.engines[task] = manifest.onnx.sha256
            known = None if manifest.reference is None else training_of(manifest.reference)
            if known is not None:
                camera.trainings[task] = known
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

    def begin_anew(self, name: str) -> None:
        """Forget what was usual of a camera: its room was rebuilt, its lamps were replaced.

        Raises:
            EdgeError: there is no such camera, or nothing of it was followed yet.
        """
        with self._lock:
            if name not in self._cameras:
                known = ", ".join(self._cameras) or "none yet"
                raise EdgeError(f"nothing of a camera {name!r} is followed; there is {known}")
            self._cameras[name].forget()

    def _follow_place(self, camera: _Camera, result: Result) -> None:
        layout = result.value
        if not isinstance(layout, RoomLayout) or layout.scale != "metric" or layout.extent != "room":
            return
        jump_m = camera.moved.offer(result.frame.captured_at, layout.polygon_m)
        if jump_m is not None:
            camera.forget()
            text = f"the room jumped by {jump_m:.2f} m and stays: was the camera moved? Its days are learnt anew"
            self._tell("camera_moved", text, result.frame.camera, {"jump_m": round(jump_m, 3)})

    def look(self, at_s: float) -> dict[str, DriftMessage]:
        """Judge every camera that has new samples and whose hour is over: what is to be published; it is saved too."""
        messages, learnt = {}, {}
        with self._lock:
            for name, camera in self._cameras.items():
                if not camera.fresh or 0 <= at_s - camera.looked_s < HOUR_S:
                    continue
                camera.looked_s, camera.fresh = at_s, False
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
        day = camera.judge.last_day
        if camera.training is None or day is None:
            return
        camera.found = novelty(day, camera.training)
        kind = camera.novelty.take(camera.found.is_new)
        if kind is None:
            return
        reasons = [_remedy(o.name, o.side) or f"{o.name} is {o.side} what is known" for o in camera.found.outside]
        if camera.found.together:
            reasons.append(f"{', '.join(camera.found.together)} do not go together as in the rooms that are known")
        text = "; ".join(reasons) if kind == "out_of_training" else "pictures are such as the networks know"
        self._tell(kind, text, name, {})

    def _message(self, name: str, camera: _Camera, at_s: float) -> DriftMessage:
        judge = camera.judge
        return DriftMessage(
            device=self._device,
            camera=name,
            at=timestamp(at_s),
            state=judge.state,
            since=timestamp(judge.since_s or at_s),
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
                    side=o.side,
                    rank=round(o.rank, 4),
                    share=round(o.share, 4),
                    p=float(f"{o.p:.3g}"),
                    remedy=_remedy(o.name, o.side),
                )
                for o in camera.found.outside
            },
            together=camera.found.together,
            known=None if camera.training is None else _rooms(camera.training, camera.found),
        )

    def _save(self, name: str, data: bytes) -> None:
        if self._folder is None:
            return
        try:
            make_private_folder(self._folder, remedy=_REMEDY)
            write_private(self._folder / f"{name}.npz", data, remedy=_REMEDY)
        except EdgeError as error:
            _log.warning("what was learnt of camera %s is lost at a restart: %s", name, error)


def training_of(reference: Reference) -> Training | None:
    """A manifest's reference as cameras are judged by it; None: one room says nothing of others."""
    if reference.scenes < 2:
        return None
    joint, features = reference.joint, {}
    for name, of in reference.features.items():
        quantiles = np.array(of.quantiles)
        scaled = unskewed(name, quantiles)
        mean, spread = float(scaled.mean()), float(scaled.std())
        if joint is not None and of.between_room_std is not None:
            mean, spread = joint.mean[joint.features.index(name)], of.between_room_std
        features[name] = Known(quantiles, mean, float(np.hypot(spread, unskewed_floor(name))))
    together = None if joint is None else Together(joint.features, np.array(joint.mean), np.array(joint.precision))
    return Training(features, reference.scenes, unskewed, together)


def _rooms(training: Training, found: Novelty) -> TrainingRooms:
    return TrainingRooms(
        rooms=training.rooms,
        between_rooms=training.together is not None,
        p=None if found.p is None else float(f"{found.p:.3g}"),
    )


def _remedy(name: str, side: str) -> str | None:
    return REMEDIES.get((name, side))
