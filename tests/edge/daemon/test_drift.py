"""Drift of the daemon's cameras: from results to events and messages, over restarts and of damaged files."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import cv2
import numpy as np
import pytest

from edge.daemon.answers.baseline import answer
from edge.daemon.drift import DriftWatch, training_of
from edge.errors import EdgeError
from edge.inference.manifest import read_manifest
from edge.inference.reference import FeatureReference, JointReference, Reference
from edge.monitor.novelty import novelty
from edge.mqtt.messages import timestamp
from edge.mqtt.verbs import CameraArguments
from edge.perception.picture_features import picture_features
from edge.pipeline.pipeline import Result
from edge.scene import DepthMap, Frame, Lighting, RoomLayout, Task

ENGINES = Path(__file__).resolve().parents[3] / "engines"
START_S = 20_000 * 86_400.0
TASKS: tuple[Task, ...] = ("depth", "layout", "lighting")
Told = list[tuple[str, str]]
RANDOM = np.random.default_rng(0)


class Hall:
    """A camera whose room, picture and light are told to a watch every ten minutes."""

    def __init__(self, frame: Frame, layout: RoomLayout, light: Lighting, folder: Path | None = None) -> None:
        self.told: Told = []
        self.frame, self.layout, self.light = replace(frame, camera="hall"), layout, light
        shipped = {task: read_manifest(ENGINES / task) for task in TASKS}
        self.manifests = {task: m.model_copy(update={"reference": None}) for task, m in shipped.items()}
        self.folder = folder
        self.watch = self.made()
        self.image = cv2.GaussianBlur(RANDOM.integers(0, 256, (60, 120, 3)).astype(np.uint8), (0, 0), 1.5)

    def made(self) -> DriftWatch:
        """A watch as a daemon makes it at its start."""

        def tell(kind: str, message: str, camera: str, data: dict[str, Any]) -> None:
            assert camera == "hall"
            self.told.append((kind, message))

        return DriftWatch("dev", {"hall": TASKS}, tell, self.folder)

    def run(self, first: int, last: int, image: np.ndarray | None = None, moved_m: float = 0.0) -> list[str]:
        """Samples by number; the states that were published."""
        states = []
        for k in range(first, last):
            at_s = START_S + 600.0 * k
            noisy = (self.image if image is None else image) + RANDOM.normal(0, 3, self.image.shape)
            picture = np.clip(noisy + RANDOM.normal(0, 4), 0, 255).astype(np.uint8)
            frame = replace(self.frame, image=picture, captured_at=at_s)
            layout = replace(self.layout, polygon_m=self.layout.polygon_m + moved_m + RANDOM.normal(0, 0.002, 2))
            depth = DepthMap(np.full((8, 8), 2.0 + RANDOM.normal(0, 0.02), np.float32), "range", "metric")
            values: dict[Task, Any] = {"depth": depth, "layout": layout, "lighting": self.light}
            for task, value in values.items():
                engine = SimpleNamespace(manifest=self.manifests[task])
                self.watch.take(Result(frame, task, value, cast(Any, engine), {}))
            if k % 6 == 0:
                states += [message.state for message in self.watch.look(at_s).values()]
        return states


@pytest.mark.slow
def test_a_lens_that_goes_soft_is_told(frame: Frame, layout: RoomLayout, lighting: Lighting, tmp_path: Path) -> None:
    """Learnt for three days, watched for one, remembered over a restart; then blurred: drift is told, once."""
    folder = tmp_path / "drift"
    hall = Hall(frame, layout, lighting, folder)
    assert set(hall.run(0, 432)) == {"learning"}
    assert set(hall.run(432, 588)) == {"ok"}
    hall.watch = hall.made()
    soft = cv2.GaussianBlur(hall.image, (0, 0), 2.0)
    states = hall.run(588, 640, soft)
    assert states[-1] == "drifting"
    assert [kind for kind, _ in hall.told] == ["drift_started"]
    assert "sharpness" in hall.told[0][1]
    assert [path.name for path in folder.iterdir()] == ["hall.npz"]
    assert (folder / "hall.npz").stat().st_mode & 0o077 == 0
    assert (folder / "hall.npz").stat().st_size < 170_000
    (folder / "hall.npz").write_bytes(b"damaged")
    hall.watch = hall.made()
    assert set(hall.run(640, 650)) == {"learning"}


def test_a_moved_camera_is_told_and_learnt_anew(frame: Frame, layout: RoomLayout, lighting: Lighting) -> None:
    """20 cm aside for a while: an event, and its days begin again; nothing is kept where no folder is given."""
    hall = Hall(frame, layout, lighting)
    hall.run(0, 12)
    hall.run(12, 18, moved_m=0.2)
    assert [kind for kind, _ in hall.told] == ["camera_moved"]
    assert hall.watch.look(START_S + 1e6)["hall"].samples == 0


@pytest.mark.parametrize("asked", [True, False], ids=["by request", "moved"])
def test_what_begins_anew_stays_new_over_a_restart(
    asked: bool, frame: Frame, layout: RoomLayout, lighting: Lighting, tmp_path: Path
) -> None:
    """A daemon that ends minutes after its camera was moved, or after `baseline`, has not kept what was before."""
    hall = Hall(frame, layout, lighting, tmp_path / "drift")
    hall.run(0, 13)
    if asked:
        answer(CameraArguments(camera="hall"), drift=lambda: hall.watch)
    else:
        hall.run(13, 17, moved_m=0.2)
        assert [kind for kind, _ in hall.told] == ["camera_moved"]
    at_s = START_S + 600.0 * 17
    hall.watch.look(at_s)
    hall.watch = hall.made()
    hall.run(18, 20)
    assert hall.watch.look(at_s + 1e5)["hall"].baseline_since >= timestamp(START_S + 600.0 * 13)


def test_a_camera_that_is_not_followed_has_no_baseline() -> None:
    """Asked for, it is said what is missing."""
    watch = DriftWatch("dev", {"hall": TASKS}, lambda *_: None)
    for drift, said in ((None, "set drift.enabled"), (watch, "there is none yet")):
        with pytest.raises(EdgeError, match=said):
            answer(CameraArguments(camera="hall"), drift=lambda drift=drift: drift)


def test_a_folder_that_cannot_be_made_is_said_by_its_own_key(
    frame: Frame, layout: RoomLayout, lighting: Lighting, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Drift is followed all the same."""
    (tmp_path / "file").write_bytes(b"")
    hall = Hall(frame, layout, lighting, tmp_path / "file" / "drift")
    assert set(hall.run(0, 12)) == {"learning"}
    assert "set drift.folder" in caplog.text


def known_by(hall: Hall, between_room_std: float | None, half: float = 1.0) -> Reference:
    """A reference of sharp pictures of 50 rooms, in all of the hall's manifests."""
    quantiles = tuple(np.linspace(3.0 - half, 3.0 + half, 101).tolist())
    sharp = FeatureReference(quantiles=quantiles, mean=3.0, std=0.58 * half, between_room_std=between_room_std)
    light = FeatureReference(
        quantiles=tuple(np.linspace(0, 1, 101).tolist()), mean=0.5, std=0.3, between_room_std=between_room_std and 0.3
    )
    joint = JointReference(features=("sharpness", "luminance"), mean=(3.0, 0.5), precision=((4.0, 0.0), (0.0, 11.0)))
    reference = Reference(
        pictures=100,
        scenes=50,
        data="made up",
        features={"sharpness": sharp, "luminance": light},
        joint=None if between_room_std is None else joint,
    )
    for task, manifest in hall.manifests.items():
        hall.manifests[task] = manifest.model_copy(update={"reference": reference})
    return reference


def test_pictures_that_the_network_does_not_know(frame: Frame, layout: RoomLayout, lighting: Lighting) -> None:
    """Where a manifest says what its pictures were like, others are told after a day, with what to do."""
    hall = Hall(frame, layout, lighting)
    known_by(hall, 0.5)
    hall.run(0, 144 + 6)
    assert hall.told == []
    hall.run(150, 144 + 20)
    assert [kind for kind, _ in hall.told] == ["out_of_training"]
    assert "lens dirty or out of focus" in hall.told[0][1]
    assert "sharpness" in hall.told[0][1].rsplit("; ", 1)[1]  # together with the light, too
    message = hall.watch.look(START_S + 1e6)["hall"]
    assert message.out_of_training
    assert message.outside["sharpness"].side == "below"
    assert message.together[0] == "sharpness"
    assert message.known is not None
    assert (message.known.rooms, message.known.between_rooms) == (50, True)
    assert message.known.p is not None and message.known.p < 1e-3


def test_a_reference_that_does_not_say_how_rooms_differ(frame: Frame, layout: RoomLayout, lighting: Lighting) -> None:
    """The spread of its pictures stands for it, and the message says so; a wide one tells of nothing near it."""
    for half, told in ((1.0, ["out_of_training"]), (11.0, [])):
        hall = Hall(frame, layout, lighting)
        known_by(hall, None, half)
        hall.run(0, 144 + 20)
        assert [kind for kind, _ in hall.told] == told
        message = hall.watch.look(START_S + 1e6)["hall"]
        assert message.known is not None
        assert (message.known.between_rooms, message.known.p, message.together) == (False, None, ())


def test_no_reference_is_said(frame: Frame, layout: RoomLayout, lighting: Lighting) -> None:
    """Who reads the message sees that nobody would tell of unknown pictures."""
    hall = Hall(frame, layout, lighting)
    hall.run(0, 2)
    assert hall.watch.look(START_S + 1e6)["hall"].known is None


@pytest.mark.parametrize("task", ["depth", "layout"])
def test_references_of_shipped_models_are_taken(task: Task) -> None:
    """They say of how many rooms they are; written before rooms were compared, not how these differ."""
    reference = read_manifest(ENGINES / task).reference
    assert reference is not None
    training = training_of(reference)
    assert training is not None
    assert (training.rooms, training.together) == (21, None)


@pytest.mark.parametrize("kind", ["panorama", "perspective"])
def test_the_shipped_depth_model_knows_its_demo_and_no_ruined_picture(kind: str) -> None:
    """As it is, nothing is told; without colour or light, covered, out of focus: by what is missing."""
    training = training_of(cast(Reference, read_manifest(ENGINES / "depth").reference))
    assert training is not None
    path = ENGINES.parent / "edge" / "demo" / kind / "frame-000.jpg"
    picture = cv2.cvtColor(cv2.imread(str(path)), cv2.COLOR_BGR2RGB)
    small = cv2.resize(picture, (256, 256 * picture.shape[0] // picture.shape[1]), interpolation=cv2.INTER_AREA)
    grey = np.repeat(cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY)[..., None], 3, axis=2)
    for ruined, lacks in (
        (picture, set()),
        (grey, {"saturation"}),
        ((picture * 0.05).astype(np.uint8), {"luminance"}),
        (np.full_like(picture, 3), {"luminance", "sharpness"}),
        (cv2.GaussianBlur(small, (0, 0), 4.0), {"sharpness"}),
    ):
        day = {name: np.full(144, value) for name, value in picture_features(ruined).items()}
        below = {o.name for o in novelty(day, training).outside if o.side == "below"}
        assert below >= lacks
        assert bool(below) is bool(lacks)


def test_a_scene_cut_is_sampled_once(frame: Frame, layout: RoomLayout, lighting: Lighting) -> None:
    """The light goes on: one sample of the new scene at once, when all have answered; the next cuts wait their turn."""
    hall = Hall(frame, layout, lighting)
    hall.run(0, 2)
    judge = hall.watch._cameras["hall"].judge
    taken = []
    values: dict[Task, Any] = {"depth": None, "layout": layout, "lighting": lighting}
    values["depth"] = DepthMap(np.full((8, 8), 2.0, np.float32), "range", "metric")
    for after_s in (60.0, 120.0, 720.0, 780.0):
        for task, value in values.items():
            here = replace(hall.frame, image=hall.image, captured_at=START_S + 600.0 + after_s)
            engine = cast(Any, SimpleNamespace(manifest=hall.manifests[task]))
            hall.watch.take(Result(here, task, value, engine, {}, scene_cut=task == "depth"))
            taken.append(len(judge._baseline))
    assert taken == [1, 1, 2, 2, 2, 2, 2, 2, 3, 3, 3, 4]


def test_a_camera_without_new_samples_is_not_judged(frame: Frame, layout: RoomLayout, lighting: Lighting) -> None:
    """Hours in which a camera is off are no hours in which anything held."""
    hall = Hall(frame, layout, lighting)
    hall.run(0, 12)
    assert set(hall.watch.look(START_S + 1e5)) == {"hall"}
    assert hall.watch.look(START_S + 2e5) == {}


def test_another_network_begins_anew(frame: Frame, layout: RoomLayout, lighting: Lighting) -> None:
    """What another network says is no drift of the camera."""
    hall = Hall(frame, layout, lighting)
    known_by(hall, 0.5)
    hall.run(0, 20)
    other = hall.manifests["depth"].onnx.model_copy(update={"sha256": "f" * 64})
    hall.manifests["depth"] = hall.manifests["depth"].model_copy(update={"onnx": other, "reference": None})
    hall.run(20, 22)
    message = hall.watch.look(START_S + 1e6)["hall"]
    assert message.baseline_since >= timestamp(START_S + 600.0 * 20)
    assert message.known is not None  # what the other tasks' networks know stays known
    assert hall.told == []
