"""Trials of newly installed models: real networks on a real accelerator, a clock of the test."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edge.daemon.trial import ModelTrials
from edge.errors import EngineError
from edge.inference.accelerator import Accelerator
from edge.inference.installed import InstalledModels
from edge.inference.manifest import Manifest, sha256_of, write_manifest
from edge.inference.options import InferenceOptions
from edge.inference.serving import ServingBackend, load
from edge.inference.store import ModelStore, StoredModel
from edge.mqtt.trial_message import ModelTrial
from edge.perception.readers import Reader, reader_of
from edge.pipeline.batches import Engine
from edge.pipeline.pipeline import Result
from edge.scene import CameraModel, Frame, Task
from tests.brokers import wait_until
from tests.edge.inference.conftest import SIZE, write_model

CAMERA = CameraModel("perspective", hfov_rad=1.2, camera_height_m=1.5)
OPTIONS = InferenceOptions(backend="ort-cpu", threads=1)


def model_of(root: Path, gain: float) -> Path:
    """A depth model that says `gain` x the mean over the channels, proved by its own golden pair."""
    folder = root / "depth"
    folder.mkdir(parents=True)
    write_model(folder / "model.onnx", gain=gain)
    picture = np.random.default_rng(0).random((1, 3, SIZE[1], SIZE[0]), dtype=np.float32)
    np.savez(folder / "golden.npz", **{"input:image": picture, "output:depth": picture.mean(1, keepdims=True) * gain})
    files = {f: {"file": f, "sha256": sha256_of(folder / f)} for f in ("model.onnx", "golden.npz")}
    manifest = {
        "name": "depth", "version": f"{gain:g}", "task": "depth", "onnx": files["model.onnx"],
        "input": {"name": "image", "width_px": SIZE[0], "height_px": SIZE[1], "projection": "perspective"},
        "output": {"kind": "depth_metres", "depth": "depth"},
        "golden": files["golden.npz"] | {"tolerance": {"depth": 1e-5}},
        "provenance": {"recipe": "none", "created": "2026-01-01", "licence": "Apache-2.0"},
    }  # fmt: skip
    write_manifest(folder, Manifest.model_validate(manifest))
    return folder


@dataclass
class Device:
    """A daemon's engines, a camera, and what would be published."""

    folder: Path
    accelerator: Accelerator
    shadow_s: float = 600.0
    now_s: float = 0.0
    events: list[tuple[str, str, dict[str, Any]]] = field(default_factory=list)
    switches: int = 0
    failing: dict[tuple[str, Task], object] = field(default_factory=dict)
    frames: int = 0

    def __post_init__(self) -> None:
        self.installed = InstalledModels(self.folder / "models")
        model_of(self.folder / "engines", 2.0)
        self.store = ModelStore(self.folder / "engines", self.installed)
        self.serves: tuple[StoredModel, ServingBackend] = self.loaded(self.store)
        self.trials = ModelTrials(
            self, self.installed, self.accelerator, limits={"depth": 0.15}, shadow_s=self.shadow_s,
            reader_for=self.reader_for, on_switch=self.switched,
            tell=lambda *event: self.events.append(event), clock=lambda: self.now_s,
        )  # fmt: skip

    def loaded(self, store: ModelStore) -> tuple[StoredModel, ServingBackend]:
        model = store.find("depth")
        return model, self.accelerator.submit(lambda: load(model, OPTIONS)).result()

    def names(self) -> dict[str, tuple[Task, ...]]:
        return {"depth": ("depth",)}

    def load_other(self, root: Path, name: str, tasks: tuple[Task, ...]) -> tuple[StoredModel, ServingBackend]:
        assert (name, tasks) == ("depth", ("depth",))
        return self.loaded(ModelStore(root))

    def replace(self, name: str, model: StoredModel, serving: ServingBackend) -> tuple[StoredModel, ServingBackend]:
        before, self.serves = self.serves, (model, serving)
        return before

    def reader_for(self, camera: str, task: Task, manifest: Manifest) -> Reader:
        assert (camera, task) == ("hall", "depth")
        return reader_of(task, manifest, CAMERA, canvas=None, smoothing_s=0.0)

    def switched(self) -> None:
        self.switches += 1

    def install(self, gain: float, *, broken: bool = False) -> None:
        digest = f"{round(gain * 1000):064d}"[::-1]
        with self.installed.staging() as work:
            folder = model_of(work, gain)
            if broken:
                (folder / "model.onnx").write_bytes(b"")
            self.installed.add(folder, "depth", digest)

    def see(self, seconds: int) -> None:
        """So much time passes, with a picture now and then that the serving model answers for."""
        step_s = 1 if seconds < 20 else 20
        for _ in range(seconds // step_s):
            self.now_s += step_s
            self.frames += 1
            image = np.random.default_rng(self.frames).integers(90, 110, (SIZE[1], SIZE[0], 3), dtype=np.uint8)
            frame = Frame("hall", self.frames, 0.0, self.now_s, image, CAMERA)
            model, serving = self.serves
            reader = self.reader_for("hall", "depth", model.manifest)
            tensor = reader.prepare(image)
            outputs = self.accelerator.submit(
                lambda tensor=tensor, serving=serving: {n: a.copy() for n, a in serving.run(tensor).items()}
            ).result()
            result = Result(frame, "depth", reader.read(outputs, self.now_s), Engine(model.manifest, serving), {})
            self.trials.take(result)
            assert wait_until(lambda: not self.trials._busy.is_set())
            self.trials.look(self.failing)

    @property
    def version(self) -> str:
        """Of what serves."""
        return self.serves[0].manifest.version

    def kinds(self) -> list[str]:
        """What happened."""
        return [event[0] for event in self.events]

    def status(self) -> ModelTrial:
        """The trial that goes on."""
        found = self.trials.status()
        assert found is not None
        return found


@pytest.fixture
def device(tmp_path: Path) -> Iterator[Device]:
    """One that serves what came with the program."""
    accelerator = Accelerator()
    found = Device(tmp_path, accelerator)
    yield found
    found.trials.stop()
    assert accelerator.stop(5)


def test_a_model_like_the_old_one_serves_after_its_shadow_and_is_kept(device: Device) -> None:
    """It runs beside it, its differences are told, it is put in its place, and watched by the old one."""
    device.see(3)
    assert device.kinds() == []
    device.install(2.1)
    device.see(80)
    assert device.version == "2"
    assert device.status().stage == "shadow"
    assert device.status().differences["hall/depth"] == pytest.approx(np.log(2.1 / 2.0), abs=1e-3)
    device.see(600)
    assert (device.version, device.switches, device.status().stage) == ("2.1", 1, "watch")
    assert device.store.find("depth").manifest.version == "2.1"
    device.see(640)
    assert device.kinds() == ["model_trial_started", "model_switched", "model_kept"]
    assert device.events[1][2]["differences"]["hall/depth"] == pytest.approx(0.0488, abs=1e-3)
    assert device.trials.status() is None


def test_a_model_unlike_the_old_one_never_serves(device: Device) -> None:
    """Nor one that cannot be loaded, or that was withdrawn."""
    device.install(3.0)
    device.see(640)
    assert device.kinds() == ["model_trial_started", "model_rejected"]
    assert "hall/depth by 0.405, 0.15 is taken" in device.events[1][1]
    device.install(2.2, broken=True)
    device.see(2)
    assert device.kinds()[2:] == ["model_rejected"]
    device.install(2.3)
    device.see(5)
    device.installed.reject("depth", "by hand")
    device.see(2)
    assert device.kinds()[3:] == ["model_trial_started", "model_rejected"]
    assert (device.version, device.switches, device.installed.serving("depth")) == ("2", 0, None)


def test_without_pictures_nothing_is_decided(device: Device) -> None:
    """Cameras that are down tell nothing of a model: the shadow goes on."""
    device.install(2.1)
    for _ in range(200):
        device.now_s += 10.0
        device.trials.look({})
    assert device.status().stage == "shadow"
    device.see(18)
    assert device.version == "2.1"


@pytest.mark.parametrize("how", ["fails", "differs", "drifts"])
def test_what_goes_wrong_while_it_is_watched_brings_the_old_one_back(device: Device, how: str) -> None:
    """At once, and over a restart: a task that fails for ten seconds, other answers than before, drift."""
    device.install(2.1)
    device.see(640)
    assert device.version == "2.1"
    if how == "fails":
        device.failing = {("hall", "depth"): EngineError("no numbers")}
        device.see(5)
        assert device.version == "2.1", "single pictures fail at any time"
    elif how == "differs":
        worse = ModelStore(model_of(device.folder / "worse", 3.0).parent)
        device.serves = (device.serves[0], device.loaded(worse)[1])
    else:
        device.trials.note_drift("hall", "what the camera sees has changed")
    device.see(15)
    assert device.kinds()[-1] == "model_rolled_back"
    assert (device.version, device.switches) == ("2", 2)
    assert device.store.find("depth").manifest.version == "2"
    assert len(device.installed.record("depth").rejected) == 1


def test_a_task_that_failed_before_is_not_the_new_models_doing(device: Device) -> None:
    """What goes on failing as it did is no reason to go back."""
    device.failing = {("hall", "depth"): EngineError("no lens")}
    device.install(2.1)
    device.see(640)
    device.see(640)
    assert device.kinds()[-1] == "model_kept"


def test_without_a_shadow_it_serves_as_soon_as_it_is_proved(tmp_path: Path) -> None:
    """`models.shadow_s: 0`."""
    accelerator = Accelerator()
    device = Device(tmp_path, accelerator, shadow_s=0.0)
    device.install(5.0)
    device.trials.look({})
    device.trials.look({})
    assert device.version == "5"
    device.trials.stop()
    assert accelerator.stop(5)
