"""How long each stage took, and what is counted, by a clock that moves only where time is said to pass."""

from __future__ import annotations

from dataclasses import FrozenInstanceError
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from edge.inference.base import Arrays
from edge.perception.depth import DepthReader
from edge.perception.readers import READERS
from edge.pipeline.pipeline import Engine
from edge.pipeline.schedule import Cadence
from edge.scene import DepthMap, ImageArray, RoomLayout
from tests.edge.perception.test_depth import METRES, manifest
from tests.edge.pipelines import MODEL, SCENE, Bench, Camera, Held, JointNetwork, Levels, Network, shared_network

PREPARE_S, WAIT_S, INFER_S, READ_S = 16.0, 32.0, 64.0, 128.0


@pytest.fixture
def timed(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> Bench:
    """A bench on which preparing, inferring and reading take their time."""

    class Reader(DepthReader):
        def prepare(
            self, image: ImageArray, out: npt.NDArray[np.float32] | None = None, seen: Any = None
        ) -> npt.NDArray[np.float32]:
            bench.clock.now_s += PREPARE_S
            return super().prepare(image, out, seen)

        def read(self, outputs: Arrays, at_s: float, layout: RoomLayout | None = None) -> DepthMap:
            bench.clock.now_s += READ_S
            return super().read(outputs, at_s, layout)

    monkeypatch.setitem(READERS, "depth", Reader)
    bench.clock.now_s = 10.0
    return bench


def slow(bench: Bench, network: Network) -> Network:
    """A network that takes its time."""
    run = network.run

    def timed_run(batch: npt.NDArray[np.float32]) -> Arrays:
        bench.clock.now_s += INFER_S
        return run(batch)

    network.run = timed_run  # type: ignore[method-assign]
    return network


def test_a_result_says_what_each_stage_took(timed: Bench) -> None:
    """The frame's age when it was taken, preparing it, waiting for the accelerator, the network, and reading."""
    held = Held()
    timed.pipeline._submit = held.submit
    camera = Camera("a")
    timed.add(camera, Cadence(every_frames=1), slow(timed, Levels()))
    held.holding = True
    camera.sequence = 3  # taken at 3 s; it is 10 s now
    timed.pipeline.step()
    timed.clock.now_s += WAIT_S
    held.release()
    timed.run_out()
    (result,) = timed.results
    assert result.stage_s == pytest.approx(
        {"capture": 7.0, "preprocess": PREPARE_S, "queue": WAIT_S, "inference": INFER_S, "postprocess": READ_S}
    )


def test_frames_of_a_batch_share_the_network_by_their_rows(timed: Bench) -> None:
    """Four frames that were inferred together took a quarter of it each."""
    cameras = [Camera(name) for name in "abcd"]
    shared_network(timed, cameras, slow(timed, Levels(max_batch=4)))
    for camera in cameras:
        camera.shoot()
    timed.run_out()
    assert [r.stage_s["inference"] for r in timed.results] == pytest.approx([INFER_S / 4] * 4)
    assert [r.stage_s["preprocess"] for r in timed.results] == pytest.approx([PREPARE_S] * 4)


def test_no_stage_took_less_than_nothing(timed: Bench) -> None:
    """A frame whose time is ahead of ours is new, and not younger than that."""
    camera = Camera("a")
    timed.add(camera, Cadence(every_frames=1))
    camera.sequence = 500  # 490 s from now
    timed.run_out()
    assert timed.results[0].stage_s["capture"] == 0.0
    assert timed.results[0].stage_s["queue"] == 0.0


def test_a_noun_read_from_anothers_answer_has_its_own_age_and_no_network(bench: Bench) -> None:
    """A minute after the frame was taken; a frame from ahead of us is no younger than new."""
    camera = Camera("a")
    engine = Engine(SCENE, JointNetwork())
    for task in ("layout", "lighting"):
        bench.pipeline.add(camera, MODEL, task, engine, Cadence(every_frames=1))
    camera.sequence = 40
    bench.run_out()
    camera.sequence = 500
    bench.run_out()
    ages = [(set(r.stage_s), r.stage_s["capture"]) for r in bench.results]
    both = {"capture", "postprocess"}
    whole = both | {"preprocess", "queue", "inference"}
    assert ages == [(whole, 60.0), (both, 60.0), (whole, 0.0), (both, 0.0)]


def test_a_result_is_late_only_past_its_deadline(timed: Bench) -> None:
    """With all it took: at the deadline to the second it is not late, a moment after it is."""
    age_s = PREPARE_S + INFER_S + READ_S
    engine = Engine(manifest(METRES), slow(timed, Network()))
    for name, deadline_s in (("in time", age_s), ("late", age_s - 0.01)):
        camera = Camera(name)
        timed.pipeline.add(camera, MODEL, "depth", engine, Cadence(every_frames=1), deadline_s=deadline_s)
        camera.sequence = int(timed.clock.now_s)  # taken now
        timed.run_out()
    assert [r.frame.camera for r in timed.results] == ["in time", "late"]
    late = timed.pipeline.counters.late
    assert (late["in time", "depth"], late["late", "depth"]) == (0, 1)


def test_only_steps_without_anything_to_do_are_idle(bench: Bench) -> None:
    """Nothing due and nothing running; steps that hand over or read are not."""
    camera = Camera("a")
    bench.add(camera, Cadence(every_frames=1))
    for _ in range(3):
        assert not bench.pipeline.step()
    assert bench.pipeline.counters.idle.total == 3
    camera.shoot()
    assert bench.pipeline.step()
    assert bench.pipeline.counters.idle.total == 3


def test_a_running_network_is_not_idleness() -> None:
    """A step that only waits for it says that something was running, and returns soon to see what falls due."""
    held = Held()
    bench = Bench(held.submit)
    camera = Camera("a")
    bench.add(camera, Cadence(every_frames=1))
    held.holding = True
    camera.shoot()
    assert bench.pipeline.step()
    for _ in range(3):
        assert bench.pipeline.step()
    assert bench.results == []
    assert bench.pipeline.counters.idle.total == 0
    held.release()
    assert bench.pipeline.step()
    assert len(bench.results) == 1
    assert not bench.pipeline.step()


def test_a_result_cannot_be_changed(bench: Bench) -> None:
    """Whoever gets one shares it with others."""
    camera = Camera("a")
    bench.add(camera, Cadence(every_frames=1))
    camera.shoot()
    bench.run_out()
    values: list[Any] = [bench.results[0], bench.results[0].engine]
    for value, name in zip(values, ("task", "manifest"), strict=True):
        with pytest.raises(FrozenInstanceError):
            setattr(value, name, None)


def test_what_was_seen_of_each_camera_can_be_prepared_again(bench: Bench) -> None:
    """For every job whose camera has sent a frame: its engine, and the very tensor that the network was fed."""
    fed: list[npt.NDArray[np.float32]] = []

    class Listening(Levels):
        def infer(self, batch: npt.NDArray[np.float32]) -> Arrays:
            fed.append(batch.copy())
            return super().infer(batch)

    cameras, networks = [Camera("a", 40), Camera("b", 90), Camera("silent")], [Listening(), Levels()]
    engines = [Engine(manifest(METRES), network) for network in networks]
    for camera, engine in zip(cameras, (engines[0], engines[1], engines[0]), strict=True):
        bench.pipeline.add(camera, MODEL, "depth", engine, Cadence(every_frames=1))
    assert bench.pipeline.prepared() == {}
    for camera in cameras[:2]:
        camera.shoot()
    bench.run_out()
    prepared = bench.pipeline.prepared()
    assert {key: engine for key, (engine, _) in prepared.items()} == {
        ("a", "depth"): engines[0],
        ("b", "depth"): engines[1],
    }
    np.testing.assert_array_equal(prepared["a", "depth"][1], fed[0])
