"""Scheduling: cadence, freshness, drops and errors, with real readers and a clock that the test turns."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest

from edge.errors import EdgeError, EngineError
from edge.inference.manifest import InputSpec, Manifest, SceneOutputs
from edge.pipeline import Cadence, Engine, Pipeline, Result
from edge.scene import CameraModel, DepthMap, Frame, Task
from tests.edge.perception.test_depth import METRES, manifest

MODEL = CameraModel("perspective", hfov_rad=1.2)


class Clock:
    """Time that only the test moves."""

    now_s = 100.0

    def __call__(self) -> float:
        """Now."""
        return self.now_s


class Camera:
    """A camera whose frames the test takes."""

    def __init__(self, name: str, level: int = 10) -> None:
        self.name, self.sequence, self.level = name, 0, level

    def shoot(self, count: int = 1) -> None:
        """Take pictures."""
        self.sequence += count

    def latest(self, after_sequence: int) -> Frame | None:
        """The newest picture if it is newer."""
        if self.sequence <= after_sequence:
            return None
        picture = np.full((48, 64, 3), self.level, np.uint8)
        return Frame(self.name, self.sequence, 0.0, float(self.sequence), picture, MODEL)


class Network:
    """A backend that answers with a constant, or fails."""

    provider = "test"

    def __init__(self, answer: float = 2.0, error: Exception | None = None) -> None:
        self.answer, self.error, self.runs = answer, error, 0

    def run(self, batch: npt.NDArray[np.float32]) -> dict[str, npt.NDArray[np.float32]]:
        """A constant depth map."""
        self.runs += 1
        if self.error:
            raise self.error
        return {"depth": np.full((len(batch), 1, 12, 16), self.answer, np.float32)}

    def close(self) -> None:
        """Nothing to free."""

    def __enter__(self) -> Network:
        return self

    def __exit__(self, *_: object) -> None:
        return None


class Bench:
    """A pipeline with what it said."""

    def __init__(self) -> None:
        self.clock = Clock()
        self.results: list[Result] = []
        self.errors: list[tuple[str, Task, EdgeError]] = []
        self.pipeline = Pipeline(
            on_result=self.results.append,
            on_error=lambda camera, task, e: self.errors.append((camera, task, e)),
            clock=self.clock,
        )

    def add(
        self, camera: Camera, cadence: Cadence, network: Network | None = None, smoothing_s: float = 0.0
    ) -> Network:
        """Run depth on the camera."""
        net = network or Network()
        spec: Manifest = manifest(METRES)
        self.pipeline.add(camera, MODEL, "depth", Engine(spec, net), cadence, smoothing_s=smoothing_s)
        return net


@pytest.fixture
def bench() -> Bench:
    """A fresh pipeline."""
    return Bench()


def test_nothing_is_inferred_twice_from_one_frame(bench: Bench) -> None:
    """A due job waits for a frame it has not seen."""
    camera = Camera("a")
    bench.add(camera, Cadence(every_s=0.1))
    assert not bench.pipeline.step()
    camera.shoot()
    assert bench.pipeline.step()
    bench.clock.now_s += 10
    assert not bench.pipeline.step()
    assert len(bench.results) == 1


def test_cadence_in_seconds(bench: Bench) -> None:
    """With a frame every 10 ms and a cadence of 1 s, 10 s give 10 results, give or take the first."""
    camera = Camera("a")
    bench.add(camera, Cadence(every_s=1.0))
    for _ in range(1000):
        camera.shoot()
        bench.pipeline.step()
        bench.clock.now_s += 0.01
    assert len(bench.results) == 10


def test_cadence_in_frames(bench: Bench) -> None:
    """Every fifth frame, starting with the first."""
    camera = Camera("a")
    bench.add(camera, Cadence(every_frames=5))
    for _ in range(21):
        camera.shoot()
        bench.pipeline.step()
    assert [r.frame.sequence for r in bench.results] == [1, 6, 11, 16, 21]


def test_frames_that_nobody_saw_are_counted(bench: Bench) -> None:
    """Frames that every_frames asked for, overwritten before they were looked at, are counted and not queued."""
    camera = Camera("a")
    bench.add(camera, Cadence(every_frames=1))
    for count in (1, 7):
        camera.shoot(count)
        bench.pipeline.step()
    assert [r.frame.sequence for r in bench.results] == [1, 8]
    assert bench.pipeline.counters.missed["a", "depth"] == 6


def test_a_cadence_that_is_kept_misses_nothing(bench: Bench) -> None:
    """Frames between two due times are not wanted, so they are not counted as missed; late periods with frames are."""
    camera = Camera("a")
    bench.add(camera, Cadence(every_s=1.0))
    for _ in range(500):
        camera.shoot()
        bench.pipeline.step()
        bench.clock.now_s += 0.02
    assert bench.pipeline.counters.missed["a", "depth"] == 0
    bench.clock.now_s += 5.0
    camera.shoot(100)
    bench.pipeline.step()
    assert bench.pipeline.counters.missed["a", "depth"] in (4, 5)


def test_a_slow_accelerator_serves_all_cameras_alike(bench: Bench) -> None:
    """When inference cannot keep up, every camera gets its share."""
    cameras = [Camera(n) for n in "abcd"]
    for camera in cameras:
        bench.add(camera, Cadence(every_s=0.1))
    for _ in range(400):
        for camera in cameras:
            camera.shoot()
        bench.pipeline.step()
        bench.clock.now_s += 0.2
    counts = [bench.pipeline.counters.done[c.name, "depth"] for c in cameras]
    assert min(counts) >= 95


def test_an_engine_that_fails_does_not_stop_the_others(bench: Bench) -> None:
    """Its errors are reported and counted; the next camera is served."""
    bad, good = Camera("bad"), Camera("good")
    bench.add(bad, Cadence(every_frames=1), Network(error=EngineError("broken; rebuild it")))
    bench.add(good, Cadence(every_frames=1))
    for _ in range(5):
        bad.shoot()
        good.shoot()
        while bench.pipeline.step():
            pass
    assert len(bench.errors) == 5
    assert bench.pipeline.counters.errors["bad", "depth"] == 5
    assert [r.frame.camera for r in bench.results] == ["good"] * 5


def test_an_unforeseen_error_does_not_stop_the_others(bench: Bench, caplog: pytest.LogCaptureFixture) -> None:
    """An exception that is none of ours is reported as an internal error, with its trace in the log."""
    bad, good = Camera("bad"), Camera("good")
    bench.add(bad, Cadence(every_frames=1), Network(error=ValueError("surprise")))
    bench.add(good, Cadence(every_frames=1))
    bad.shoot()
    good.shoot()
    while bench.pipeline.step():
        pass
    assert [r.frame.camera for r in bench.results] == ["good"]
    assert "internal error (ValueError: surprise)" in str(bench.errors[0][2])
    assert "Traceback" in caplog.text


def test_nan_from_a_network_is_an_error_and_not_a_result(bench: Bench) -> None:
    """Numbers that are none are never published."""
    camera = Camera("a")
    bench.add(camera, Cadence(every_frames=1), Network(answer=float("nan")))
    camera.shoot()
    bench.pipeline.step()
    assert not bench.results
    assert "not finite" in str(bench.errors[0][2])


def test_smoothing_restarts_when_the_scene_is_cut(bench: Bench) -> None:
    """Within a scene a jump is damped; after a cut the new value passes at once."""
    camera = Camera("a", level=10)
    network = bench.add(camera, Cadence(every_frames=1), Network(1.0), smoothing_s=100.0)

    def depth_of_next() -> float:
        camera.shoot()
        bench.pipeline.step()
        value = bench.results[-1].value
        assert isinstance(value, DepthMap)
        return float(value.depth[0, 0])

    first = depth_of_next()
    network.answer = 2.0
    assert depth_of_next() < 1.1 * first
    camera.level = 200
    assert depth_of_next() == pytest.approx(2 * first)


def test_a_camera_that_died_does_not_starve_the_others(bench: Bench) -> None:
    """A due job whose frame is gone (its camera restarts) is passed over for the next one."""
    dead, good = Camera("dead"), Camera("good")
    bench.add(dead, Cadence(every_s=1.0))
    bench.add(good, Cadence(every_s=0.1))
    dead.latest = lambda after_sequence: None  # type: ignore[method-assign]
    dead.shoot()
    for _ in range(100):
        good.shoot()
        bench.pipeline.step()
        bench.clock.now_s += 0.1
    assert bench.pipeline.counters.done["good", "depth"] >= 99


SCENE = manifest(METRES).model_copy(
    update={
        "task": "scene",
        "input": InputSpec(name="image", width_px=64, height_px=32, projection="equirectangular", mask_channel=True),
        "output": SceneOutputs.model_validate({
            "kind": "scene",
            "depth": {"kind": "depth_metres", "depth": "depth"},
            "layout": {"kind": "boundary_corners", "boundary": "boundary", "corners": "corners"},
            "lighting": {"kind": "sh2_prescaled_irradiance", "coefficients": "coefficients"},
        }),
    }
)  # fmt: skip
NOUNS: tuple[Task, ...] = ("depth", "layout", "lighting")


class SceneNetwork(Network):
    """A backend that answers for all nouns, by how bright the picture is."""

    def run(self, batch: npt.NDArray[np.float32]) -> dict[str, npt.NDArray[np.float32]]:
        """A round room, its depth and its light."""
        self.runs += 1
        level = batch[:, :3].mean()
        edges = np.array([-0.4 - level, 0.4 + level], np.float32)
        return {
            "depth": np.full((1, 1, 16, 32), 1 + level, np.float32),
            "boundary": np.tile(edges[None, :, None], (1, 1, 64)),
            "corners": np.full((1, 1, 64), -4.0, np.float32),
            "coefficients": np.full((1, 27), level, np.float32),
        }


def test_a_network_for_several_nouns_runs_once_a_frame(bench: Bench) -> None:
    """Ten frames are ten inferences and thirty results, three of each frame; layout first, for depth to agree with."""
    camera, network = Camera("a"), SceneNetwork()
    engine = Engine(SCENE, network)
    for task in NOUNS:
        bench.pipeline.add(camera, MODEL, task, engine, Cadence(every_frames=1))
    for _ in range(10):
        camera.shoot()
        while bench.pipeline.step():
            pass
    assert not bench.errors
    assert network.runs == 10
    assert [r.frame.sequence for r in bench.results] == [n for n in range(1, 11) for _ in NOUNS]
    assert [r.task for r in bench.results[:3]] == ["layout", "depth", "lighting"]
    assert sum("inference" in r.stage_s for r in bench.results) == 10


def test_nouns_of_one_network_keep_their_own_cadence(bench: Bench) -> None:
    """Light in every third frame costs no inference beyond depth's in every frame."""
    camera, network = Camera("a"), SceneNetwork()
    engine = Engine(SCENE, network)
    bench.pipeline.add(camera, MODEL, "depth", engine, Cadence(every_frames=1))
    bench.pipeline.add(camera, MODEL, "lighting", engine, Cadence(every_frames=3))
    for _ in range(9):
        camera.shoot()
        while bench.pipeline.step():
            pass
    assert network.runs == 9
    assert [r.frame.sequence for r in bench.results if r.task == "lighting"] == [1, 4, 7]


def test_a_noun_that_is_due_later_reads_the_answer_to_the_same_frame(bench: Bench) -> None:
    """No frame is inferred twice, also when its nouns fall due at different times."""
    camera, network = Camera("a"), SceneNetwork()
    engine = Engine(SCENE, network)
    bench.pipeline.add(camera, MODEL, "depth", engine, Cadence(every_s=0.5))
    bench.pipeline.add(camera, MODEL, "lighting", engine, Cadence(every_s=0.7))
    for _ in range(14):
        camera.shoot()
        for _ in range(5):
            bench.pipeline.step()
            bench.clock.now_s += 0.1
    assert network.runs == len({r.frame.sequence for r in bench.results})
    assert sum(r.task == "lighting" for r in bench.results) == 10


@pytest.mark.parametrize("model", [MODEL, CameraModel("perspective", hfov_rad=1.0, pitch_rad=-0.2)])
def test_a_noun_means_the_same_alone_and_with_others(bench: Bench, model: CameraModel) -> None:
    """Values read from one shared inference equal those of three engines that each give one noun."""
    camera, shared = Camera("a"), Engine(SCENE, SceneNetwork())
    for task in NOUNS:
        bench.pipeline.add(camera, model, task, shared, Cadence(every_frames=1))
    for task in ("layout", "depth", "lighting"):
        bench.pipeline.add(camera, model, task, Engine(SCENE.part(task), SceneNetwork()), Cadence(every_frames=1))
    camera.shoot()
    while bench.pipeline.step():
        pass
    assert not bench.errors
    for task in NOUNS:
        first, second = (r.value for r in bench.results if r.task == task)
        for name in type(first).__dataclass_fields__:
            np.testing.assert_array_equal(getattr(first, name), getattr(second, name))
