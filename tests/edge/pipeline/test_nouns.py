"""A network that answers for several nouns."""

from __future__ import annotations

import time

import numpy as np
import numpy.typing as npt
import pytest

from edge.errors import EngineError
from edge.pipeline.pipeline import Engine, Result
from edge.pipeline.schedule import Cadence
from edge.scene import CameraModel, DepthMap, Frame, Lighting
from tests.edge.pipelines import (
    MODEL,
    NOUNS,
    SCENE,
    Bench,
    Camera,
    JointNetwork,
    Network,
    metres,
)

MOUNTED = CameraModel("perspective", hfov_rad=1.2, camera_height_m=1.6)


def test_a_network_for_several_nouns_runs_once_a_frame(bench: Bench) -> None:
    """Ten frames are ten inferences and thirty results, three of each frame; layout first, for depth to agree with."""
    camera, network = Camera("a"), JointNetwork()
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
    camera, network = Camera("a"), JointNetwork()
    engine = Engine(SCENE, network)
    bench.pipeline.add(camera, MODEL, "depth", engine, Cadence(every_frames=1))
    bench.pipeline.add(camera, MODEL, "lighting", engine, Cadence(every_frames=3))
    for _ in range(9):
        camera.shoot()
        while bench.pipeline.step():
            pass
    assert network.runs == 9
    assert [r.frame.sequence for r in bench.results if r.task == "lighting"] == [1, 4, 7]


def test_a_frame_that_comes_meanwhile_waits_for_its_turn(bench: Bench) -> None:
    """A camera that sends its next picture while one is prepared has not made its other nouns due again."""

    class Busy(Camera):
        def latest(self, after_sequence: int) -> Frame | None:
            self.shoot()
            return super().latest(after_sequence)

    camera, network = Busy("a"), JointNetwork(max_batch=4)
    engine = Engine(SCENE, network)
    for task in NOUNS:
        bench.pipeline.add(camera, MODEL, task, engine, Cadence(every_s=1.0))
    camera.shoot()
    bench.run_out()
    assert not bench.errors
    assert len(bench.results) == len(NOUNS)


def test_a_noun_that_is_due_later_reads_the_answer_to_the_same_frame(bench: Bench) -> None:
    """No frame is inferred twice, also when its nouns fall due at different times."""
    camera, network = Camera("a"), JointNetwork()
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
    camera, shared = Camera("a"), Engine(SCENE, JointNetwork())
    for task in NOUNS:
        bench.pipeline.add(camera, model, task, shared, Cadence(every_frames=1))
    for task in ("layout", "depth", "lighting"):
        bench.pipeline.add(camera, model, task, Engine(SCENE.part(task), JointNetwork()), Cadence(every_frames=1))
    camera.shoot()
    while bench.pipeline.step():
        pass
    assert not bench.errors
    for task in NOUNS:
        first, second = (r.value for r in bench.results if r.task == task)
        for name in type(first).__dataclass_fields__:
            np.testing.assert_array_equal(getattr(first, name), getattr(second, name))


def test_one_noun_that_is_not_finite_leaves_the_others(bench: Bench) -> None:
    """Of a network for three nouns, light that is no number takes neither depth nor layout with it, and runs once."""

    class Dark(JointNetwork):
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
    camera, network = Camera("a"), JointNetwork()
    network.run = Network(error=EngineError("broken; rebuild it")).run  # type: ignore[method-assign]
    engine = Engine(SCENE, network)
    for task in NOUNS:
        bench.pipeline.add(camera, MODEL, task, engine, Cadence(every_frames=1))
    camera.shoot()
    bench.run_out()
    assert sorted(e[1] for e in bench.errors) == sorted(NOUNS)
    assert sum(bench.pipeline.counters.batches.read().values()) == 1


@pytest.mark.parametrize("how", ["torn", "not finite"])
def test_a_layout_that_is_refused_scales_depth_no_more(bench: Bench, how: str) -> None:
    """Depth agrees with the last layout only until the network gives one that cannot be read, or is no number."""
    refused = np.zeros((1, 1, 63), np.float32) if how == "torn" else np.full((1, 1, 64), np.nan, np.float32)

    class Torn(JointNetwork):
        def infer(self, batch: npt.NDArray[np.float32]) -> dict[str, npt.NDArray[np.float32]]:
            answer = super().infer(batch)
            return answer if self.runs == 1 else answer | {"corners": refused}

    camera = Camera("a")
    engine = Engine(SCENE, Torn())
    for task in ("layout", "depth"):
        bench.pipeline.add(camera, MOUNTED, task, engine, Cadence(every_frames=1))
    for _ in range(2):
        camera.shoot()
        bench.run_out()
    assert [e[1] for e in bench.errors] == ["layout"]
    first, second = (r.value for r in bench.results if isinstance(r.value, DepthMap))
    assert first.aligned_to_layout is not None
    assert second.aligned_to_layout is None


@pytest.mark.parametrize("in_place", [False, True])
def test_an_answer_is_kept_for_a_noun_that_is_due_later(bench: Bench, in_place: bool) -> None:
    """Whatever the network answers to another camera meanwhile, light is that of its own frame, and costs no run."""
    camera, other, network = Camera("a"), Camera("b", level=200), JointNetwork(in_place=in_place)
    engine = Engine(SCENE, network)
    bench.pipeline.add(camera, MODEL, "depth", engine, Cadence(every_s=0.5))
    bench.pipeline.add(camera, MODEL, "lighting", engine, Cadence(every_s=0.7))
    bench.pipeline.add(other, MODEL, "depth", engine, Cadence(every_frames=1))
    for now_s, shooting in ((100.0, camera), (100.5, camera), (100.55, other), (100.6, other), (100.7, None)):
        bench.clock.now_s = now_s
        if shooting is not None:
            shooting.shoot()
        bench.run_out()
    assert not bench.errors
    light = [r for r in bench.results if r.task == "lighting"]
    assert [r.frame.sequence for r in light] == [1, 2]
    np.testing.assert_array_equal(coefficients(light[0]), coefficients(light[1]))  # of two pictures that are the same
    assert network.runs == 4


def test_a_noun_that_falls_due_while_its_frame_is_inferred_waits_for_the_answer(accelerated: Bench) -> None:
    """The frame that the network is at for depth is not given to it again for light."""

    class Slow(JointNetwork):
        def infer(self, batch: npt.NDArray[np.float32]) -> dict[str, npt.NDArray[np.float32]]:
            time.sleep(0.03)
            return super().infer(batch)

    camera, network = Camera("a"), Slow()
    engine = Engine(SCENE, network)
    accelerated.pipeline.add(camera, MODEL, "depth", engine, Cadence(every_s=0.5))
    accelerated.pipeline.add(camera, MODEL, "lighting", engine, Cadence(every_s=0.7))
    camera.shoot()
    accelerated.run_out()
    camera.shoot()
    for now_s in (100.5, 100.7):
        accelerated.clock.now_s = now_s
        accelerated.pipeline.step()
    accelerated.run_out()
    assert not accelerated.errors
    assert sorted((r.task, r.frame.sequence) for r in accelerated.results) == [
        ("depth", 1), ("depth", 2), ("lighting", 1), ("lighting", 2)
    ]  # fmt: skip
    assert network.runs == 2


def coefficients(result: Result) -> npt.NDArray[np.float32]:
    """The light's."""
    assert isinstance(result.value, Lighting)
    return result.value.coefficients


def test_an_answer_that_is_kept_does_not_keep_the_network_waiting(bench: Bench) -> None:
    """The step that reads light from what was answered before hands the network another camera's frame as well."""
    camera, other, network = Camera("a"), Camera("b"), JointNetwork()
    engine = Engine(SCENE, network)
    bench.pipeline.add(camera, MODEL, "depth", engine, Cadence(every_s=0.5))
    bench.pipeline.add(camera, MODEL, "lighting", engine, Cadence(every_s=0.7))
    bench.pipeline.add(other, MODEL, "depth", engine, Cadence(every_frames=1))
    for now_s, shooting in ((100.0, camera), (100.5, camera), (100.6, other)):
        bench.clock.now_s = now_s
        shooting.shoot()
        bench.run_out()
    bench.clock.now_s = 100.7
    other.shoot()
    before = len(bench.results)
    assert bench.pipeline.step()
    assert [(r.frame.camera, r.task) for r in bench.results[before:]] == [("a", "lighting"), ("b", "depth")]
    assert network.runs == 4


def test_answers_are_read_by_the_camera_they_are_of(bench: Bench) -> None:
    """Two cameras on one network for several nouns: one's scene is cut, the other's layout and smoothing stay."""
    cameras, network = [Camera("a", 10), Camera("b", 10)], JointNetwork()
    engine = Engine(SCENE, network)
    for camera in cameras:
        for task in ("layout", "depth"):
            bench.pipeline.add(camera, MOUNTED, task, engine, Cadence(every_frames=1), smoothing_s=50.0)
    for cameras[0].level, cameras[1].level in ((10, 10), (200, 40)):
        for camera in cameras:
            camera.shoot()
        bench.run_out()
    assert not bench.errors
    alone = Bench()
    fresh = Camera("c", 200)
    for task in ("layout", "depth"):
        alone.pipeline.add(fresh, MOUNTED, task, Engine(SCENE, JointNetwork()), Cadence(every_frames=1))
    fresh.shoot()
    alone.run_out()
    depth = {
        (r.frame.camera, r.frame.sequence): metres(r) for r in (*bench.results, *alone.results) if r.task == "depth"
    }
    assert depth["a", 2] == pytest.approx(depth["c", 1])
    assert depth["b", 2] == pytest.approx(depth["b", 1], rel=0.05)
    assert depth["b", 2] != depth["b", 1]
