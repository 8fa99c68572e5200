"""Scheduling: cadence, freshness, drops and errors, with real readers and a clock that the test turns."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import numpy as np
import numpy.typing as npt
import pytest

from edge.errors import EdgeError, EngineError
from edge.inference.accelerator import Accelerator, at_once
from edge.inference.manifest import InputSpec, Manifest, Precision, SceneOutputs
from edge.pipeline import Engine, Pipeline, Result, Submit
from edge.scene import CameraModel, DepthMap, Frame, Task
from edge.schedule import Cadence
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
    precision: Precision = "fp32"
    degraded: str | None = None
    shape: tuple[int, ...] = (3, 192, 256)

    def __init__(self, answer: float = 2.0, error: Exception | None = None, max_batch: int = 1) -> None:
        self.answer, self.error, self.max_batch, self.runs = answer, error, max_batch, 0

    def allocate(self, rows: int) -> npt.NDArray[np.float32]:
        """Plain memory."""
        return np.zeros((rows, *self.shape), np.float32)

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


class Levels(Network):
    """A network that says of every picture how bright it is, and notes how many it was given together."""

    def __init__(self, max_batch: int = 8) -> None:
        super().__init__(max_batch=max_batch)
        self.sizes: list[int] = []

    def run(self, batch: npt.NDArray[np.float32]) -> dict[str, npt.NDArray[np.float32]]:
        """1 + the mean of each row."""
        self.sizes.append(len(batch))
        mean = 1 + batch.mean(axis=(1, 2, 3), keepdims=True)
        return {"depth": np.broadcast_to(mean, (len(batch), 1, 12, 16)).copy()}


class Bench:
    """A pipeline with what it said; on its own thread's networks, or on those of an accelerator."""

    def __init__(self, submit: Submit = at_once) -> None:
        self.clock = Clock()
        self.results: list[Result] = []
        self.errors: list[tuple[str, Task, EdgeError]] = []
        self.pipeline = Pipeline(
            on_result=self.results.append,
            on_error=lambda camera, task, e: self.errors.append((camera, task, e)),
            submit=submit,
            clock=self.clock,
        )

    def run_out(self) -> None:
        """Until nothing is due or running."""
        while self.pipeline.step():
            pass

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


@pytest.fixture
def accelerated() -> Iterator[Bench]:
    """A fresh pipeline whose networks run on a thread of their own."""
    accelerator = Accelerator()
    yield Bench(accelerator.submit)
    assert accelerator.stop(5.0)


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

    shape = (4, 32, 64)

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


def shared_network(bench: Bench, cameras: list[Camera], network: Network) -> None:
    """Depth of every picture of all these cameras, on one engine."""
    engine = Engine(manifest(METRES), network)
    for camera in cameras:
        bench.pipeline.add(camera, MODEL, "depth", engine, Cadence(every_frames=1))


def metres(result: Result) -> float:
    """The depth, the same everywhere in these tests."""
    assert isinstance(result.value, DepthMap)
    return float(result.value.depth[0, 0])


@pytest.mark.parametrize("on_thread", [False, True])
def test_cameras_share_a_batch_and_each_gets_its_own_answer(bench: Bench, accelerated: Bench, on_thread: bool) -> None:
    """Ten cameras on one engine of batch 4 are three inferences a round, and nobody reads another's row."""
    bench = accelerated if on_thread else bench
    cameras, network = [Camera(f"c{n}", level=20 * n) for n in range(10)], Levels(max_batch=4)
    shared_network(bench, cameras, network)
    for _ in range(3):
        for camera in cameras:
            camera.shoot()
        bench.run_out()
    assert not bench.errors
    assert network.sizes == [4, 4, 2] * 3
    assert bench.pipeline.counters.batches == {4: 6, 2: 3}
    near = [metres(r) for r in sorted(bench.results, key=lambda r: (r.frame.camera, r.frame.sequence))]
    assert near == sorted(near)
    assert len({round(m, 4) for m in near}) == 10


def test_engines_are_not_mixed(bench: Bench) -> None:
    """Networks of the same shape that are not the same network never share a batch."""
    camera, networks = Camera("a"), [Levels(), Levels()]
    for network in networks:
        shared_network(bench, [camera], network)
    camera.shoot()
    bench.run_out()
    assert [n.sizes for n in networks] == [[1], [1]]


def test_a_camera_that_cannot_be_read_leaves_its_batch_to_the_others(bench: Bench) -> None:
    """A panorama that is not 2:1 is refused; the two beside it in the batch are answered."""
    cameras, network = [Camera("a", 50), Camera("bad", 100), Camera("c", 200)], Levels()
    engine = Engine(manifest(METRES), network)
    for camera in cameras:
        model = CameraModel("equirectangular") if camera.name == "bad" else MODEL
        bench.pipeline.add(camera, model, "depth", engine, Cadence(every_frames=1))
        camera.shoot()
    bench.run_out()
    assert [e[0] for e in bench.errors] == ["bad"]
    assert [r.frame.camera for r in bench.results] == ["a", "c"]
    assert metres(bench.results[0]) < metres(bench.results[1])


def test_the_next_frame_is_prepared_while_the_network_runs(accelerated: Bench) -> None:
    """A network that answers only when the next frame has been fetched would hang a pipeline that waits for it."""
    fetched = threading.Event()

    class Patient(Network):
        def run(self, batch: npt.NDArray[np.float32]) -> dict[str, npt.NDArray[np.float32]]:
            self.runs += 1
            assert self.runs > 1 or fetched.wait(10.0)
            return super().run(batch)

    class Told(Camera):
        def latest(self, after_sequence: int) -> Frame | None:
            if self.sequence == 2:
                fetched.set()
            return super().latest(after_sequence)

    camera = Told("a")
    accelerated.add(camera, Cadence(every_frames=1), Patient())
    camera.shoot()
    assert accelerated.pipeline.step()
    camera.shoot()
    accelerated.run_out()
    assert [r.frame.sequence for r in accelerated.results] == [1, 2]


def test_an_accelerated_pipeline_says_the_same(bench: Bench, accelerated: Bench) -> None:
    """Smoothing, a scene cut and a change of the picture's size, one frame ahead: values are those of one at a time."""

    class Changing(Camera):
        def latest(self, after_sequence: int) -> Frame | None:
            if self.sequence <= after_sequence:
                return None
            side = 32 if self.sequence % 7 < 3 else 64
            picture = np.full((side, 2 * side, 3), 20 * (self.sequence // 5) % 250, np.uint8)
            model = CameraModel("equirectangular")
            return Frame(self.name, self.sequence, 0.0, float(self.sequence), picture, model)

    said = []
    for one in (bench, accelerated):
        camera = Changing("a")
        engine = Engine(manifest(METRES), Levels())
        model = CameraModel("equirectangular")
        one.pipeline.add(camera, model, "depth", engine, Cadence(every_frames=1), smoothing_s=3.0)
        for _ in range(40):
            camera.shoot()
            one.pipeline.step()
        one.run_out()
        assert not one.errors
        said.append([(r.frame.sequence, metres(r)) for r in one.results])
    assert len(said[0]) == 40
    assert said[0] == said[1]


def test_a_frame_past_its_deadline_is_dropped_and_counted(bench: Bench) -> None:
    """Nobody wants to know how a room looked five seconds ago; the next fresh frame is served at once."""
    camera = Camera("a")
    engine = Engine(manifest(METRES), Network())
    bench.pipeline.add(camera, MODEL, "depth", engine, Cadence(every_s=1.0), deadline_s=5.0)
    bench.clock.now_s = 110.0
    camera.sequence = 104  # taken at 104 s
    assert not bench.pipeline.step()
    camera.sequence = 106
    assert bench.pipeline.step()
    assert [r.frame.sequence for r in bench.results] == [106]
    assert bench.pipeline.counters.stale["a", "depth"] == 1
    assert bench.pipeline.counters.late["a", "depth"] == 0


def test_a_result_after_its_deadline_is_published_and_counted(bench: Bench) -> None:
    """A frame that was fresh when taken and whose answer took too long."""

    class Slow(Network):
        def run(self, batch: npt.NDArray[np.float32]) -> dict[str, npt.NDArray[np.float32]]:
            bench.clock.now_s += 7.0
            return super().run(batch)

    camera = Camera("a")
    engine = Engine(manifest(METRES), Slow())
    bench.pipeline.add(camera, MODEL, "depth", engine, Cadence(every_s=1.0), deadline_s=5.0)
    camera.sequence = 99
    bench.run_out()
    assert len(bench.results) == 1
    assert bench.pipeline.counters.late["a", "depth"] == 1


def test_one_noun_that_is_not_finite_leaves_the_others(bench: Bench) -> None:
    """Of a network for three nouns, light that is no number takes neither depth nor layout with it, and runs once."""

    class Dark(SceneNetwork):
        def run(self, batch: npt.NDArray[np.float32]) -> dict[str, npt.NDArray[np.float32]]:
            return super().run(batch) | {"coefficients": np.full((1, 27), np.nan, np.float32)}

    camera, network = Camera("a"), Dark()
    engine = Engine(SCENE, network)
    for task in NOUNS:
        bench.pipeline.add(camera, MODEL, task, engine, Cadence(every_frames=1))
    camera.shoot()
    bench.run_out()
    assert [e[1] for e in bench.errors] == ["lighting"]
    assert {r.task for r in bench.results} == {"depth", "layout"}
    assert network.runs == 1


def test_a_network_for_several_nouns_that_fails_is_run_once_a_frame(bench: Bench) -> None:
    """Each noun reports the failure; the frame is not tried again for each."""
    camera, network = Camera("a"), SceneNetwork()
    network.run = Network(error=EngineError("broken; rebuild it")).run  # type: ignore[method-assign]
    engine = Engine(SCENE, network)
    for task in NOUNS:
        bench.pipeline.add(camera, MODEL, task, engine, Cadence(every_frames=1))
    camera.shoot()
    bench.run_out()
    assert sorted(e[1] for e in bench.errors) == sorted(NOUNS)
    assert sum(bench.pipeline.counters.batches.values()) == 1
