"""What is asked of a running pipeline: tasks paused and changed, cameras removed and added, one frame now."""

from __future__ import annotations

import threading

import numpy as np
import pytest

from edge.errors import EdgeError, EngineError
from edge.inference.accelerator import Accelerator
from edge.pipeline.demands import Changes
from edge.pipeline.pipeline import Engine
from edge.pipeline.schedule import Cadence
from edge.scene import DepthMap, Frame
from tests.edge.perception.test_depth import METRES, manifest
from tests.edge.pipelines import (
    MODEL,
    NOUNS,
    SCENE,
    Bench,
    Camera,
    JointNetwork,
    Levels,
    Network,
    metres,
    shared_network,
)


def shoot_and_run(bench: Bench, camera: Camera, seconds: float, every_s: float = 0.1) -> int:
    """A picture every so often for so long; how many results came."""
    before = len(bench.results)
    for _ in range(round(seconds / every_s)):
        camera.shoot()
        bench.pipeline.step()
        bench.clock.now_s += every_s
    bench.run_out()
    return len(bench.results) - before


def test_a_paused_task_is_not_due_and_misses_nothing(bench: Bench) -> None:
    """Paused for ten seconds: nothing inferred, nothing counted as missed, and it goes on with the next frame."""
    for cadence in (Cadence(every_s=1.0), Cadence(every_frames=10)):
        camera = Camera(f"every {cadence}")
        bench.add(camera, cadence)
        assert shoot_and_run(bench, camera, 5) in (5, 6)
        bench.pipeline.change(camera.name, "depth", cadence, paused=True)
        assert shoot_and_run(bench, camera, 10) == 0
        bench.pipeline.change(camera.name, "depth", cadence, paused=False)
        assert shoot_and_run(bench, camera, 5) in (5, 6)
    assert bench.pipeline.counters.missed.total == 0


def test_another_cadence_holds_at_once(bench: Bench) -> None:
    """Slower is counted from the last result; faster does not wait for the old time; seconds replace frames."""
    camera = Camera("a")
    bench.add(camera, Cadence(every_s=1.0))
    shoot_and_run(bench, camera, 2)
    bench.pipeline.change("a", "depth", Cadence(every_s=100.0), paused=False)
    assert shoot_and_run(bench, camera, 50) == 0
    bench.pipeline.change("a", "depth", Cadence(every_s=0.5), paused=False)
    assert shoot_and_run(bench, camera, 5) == 10
    bench.pipeline.change("a", "depth", Cadence(every_frames=1), paused=False)
    assert shoot_and_run(bench, camera, 5) == 50


def test_a_removed_camera_leaves_nothing_and_may_come_again(accelerated: Bench) -> None:
    """What runs is read first; one of the same name whose numbers begin anew is served from its first frame on."""
    old, stays = Camera("a", level=10), Camera("b", level=20)
    shared_network(accelerated, [old, stays], Levels())
    for camera in (old, stays):
        camera.shoot(500)
    accelerated.pipeline.step()
    accelerated.pipeline.remove("a")
    accelerated.run_out()
    assert {r.frame.camera for r in accelerated.results} == {"a", "b"}
    new = Camera("a", level=30)
    shared_network(accelerated, [new], Levels())
    new.shoot()
    accelerated.run_out()
    last = accelerated.results[-1]
    assert (last.frame.camera, last.frame.sequence) == ("a", 1)
    assert accelerated.pipeline.prepared().keys() == {("a", "depth"), ("b", "depth")}


def test_a_demand_takes_the_next_frame_whatever_the_cadence(bench: Bench) -> None:
    """Also of a paused task; its result is published too, and the same frame is not inferred again."""
    camera = Camera("a")
    bench.add(camera, Cadence(every_s=100.0))
    camera.shoot()
    bench.run_out()
    bench.pipeline.change("a", "depth", Cadence(every_s=100.0), paused=True)
    future = bench.pipeline.demand(camera)
    bench.run_out()
    assert not future.done(), "the frame of before is not one of now"
    camera.shoot()
    bench.run_out()
    answer = future.result(0)
    assert answer.frame.sequence == 2
    assert isinstance(answer.results["depth"].value, DepthMap)
    assert [r.frame.sequence for r in bench.results] == [1, 2]
    assert bench.pipeline.counters.missed.total == 0


def test_a_demand_waits_for_a_frame_that_nobody_has_seen(bench: Bench) -> None:
    """Also where the camera counts from 0 just after its restart, and where a frame comes in the middle of a turn."""
    camera = Camera("a")
    bench.add(camera, Cadence(every_frames=1))
    camera.shoot(7)
    bench.run_out()
    camera.sequence = 0
    future = bench.pipeline.demand(camera)
    bench.run_out()
    camera.sequence = 7
    bench.run_out()
    assert not future.done()
    late = camera.latest

    def shoot_meanwhile(after_sequence: int) -> Frame | None:
        camera.latest = late  # type: ignore[method-assign]
        frame = late(after_sequence)
        camera.shoot()
        return frame

    camera.latest = shoot_meanwhile  # type: ignore[method-assign]
    bench.pipeline.step()
    bench.run_out()
    assert future.result(0).frame.sequence == 8
    assert [r.frame.sequence for r in bench.results] == [7, 8]


def test_a_demand_is_answered_with_what_failed(bench: Bench) -> None:
    """The error of a task is in the answer and reported as always."""
    camera = Camera("a")
    bench.add(camera, Cadence(every_s=1.0), Network(error=EngineError("no memory; free some")))
    future = bench.pipeline.demand(camera)
    camera.shoot()
    bench.run_out()
    assert str(future.result(0).errors["depth"]) == "no memory; free some"
    assert not future.result(0).results
    assert len(bench.errors) == 1


def test_a_demand_that_nobody_waits_for_is_dropped(bench: Bench) -> None:
    """And one for a camera that is gone is told so."""
    camera, gone = Camera("a"), Camera("b")
    network = bench.add(camera, Cadence(every_s=100.0))
    bench.add(gone, Cadence(every_s=100.0))
    cancelled, lost = bench.pipeline.demand(camera), bench.pipeline.demand(gone)
    bench.run_out()
    assert cancelled.cancel()
    bench.pipeline.remove("b")
    bench.run_out()
    with pytest.raises(EdgeError, match="no such camera any more"):
        lost.result(0)
    camera.shoot()
    bench.run_out()
    assert network.runs == 1, "by its cadence alone"


def test_changes_are_carried_out_between_turns() -> None:
    """From another thread, while a pipeline runs on its own: no result of a removed camera comes after the answer."""
    accelerator, stop = Accelerator(), threading.Event()
    bench = Bench(accelerator.submit)
    camera = Camera("a")
    bench.add(camera, Cadence(every_frames=1))

    def run() -> None:
        while not stop.is_set():
            camera.shoot()
            bench.pipeline.step()

    thread = threading.Thread(target=run)
    thread.start()
    try:
        answer = bench.pipeline.demand(camera).result(5)
        assert set(answer.results) == {"depth"}
        bench.pipeline.changes.put(lambda: bench.pipeline.remove("a")).result(5)
        count = len(bench.results)
        assert bench.pipeline.changes.put(lambda: "done").result(5) == "done"
        assert len(bench.results) == count
        with pytest.raises(ZeroDivisionError):
            bench.pipeline.changes.put(lambda: 1 // 0).result(5)
    finally:
        stop.set()
        thread.join()
        accelerator.stop(5)


def test_an_inference_beside_the_jobs_overwrites_no_answer(accelerated: Bench) -> None:
    """What runs is read before it; its own answer outlives the runs that follow; a failure is its caller's alone."""
    network, cameras = Levels(in_place=True), [Camera("a", level=10), Camera("b", level=20)]
    shared_network(accelerated, cameras, network)
    engine = Engine(manifest(METRES), network)
    cameras[0].shoot()
    accelerated.pipeline.step()
    asked = accelerated.pipeline.infer(engine, np.full((1, *network.shape), 5.0, np.float32))
    for _ in range(4):
        for camera in cameras:
            camera.shoot()
        accelerated.run_out()
    assert asked.result(5)["depth"].ravel()[0] == pytest.approx(6.0)
    seen = {(r.frame.camera, round(metres(r), 3)) for r in accelerated.results}
    assert len(seen) == 2, "each camera's own, always"
    failing = accelerated.pipeline.infer(Engine(manifest(METRES), Network(error=EngineError("no"))), np.zeros((1, 1)))
    accelerated.run_out()
    with pytest.raises(EngineError):
        failing.result(5)


def test_a_pipeline_goes_on_after_what_nobody_foresaw(bench: Bench) -> None:
    """An error out of a callback ends `step`; after `recover` the next frame is served, and who waited is told."""
    camera = Camera("a")
    bench.add(camera, Cadence(every_frames=1))

    def fail(_: object) -> None:
        raise RuntimeError("surprise")

    publish, bench.pipeline._on_result = bench.pipeline._on_result, fail
    future = bench.pipeline.demand(camera)
    camera.shoot()
    with pytest.raises(RuntimeError):
        bench.run_out()
    bench.pipeline._on_result = publish
    bench.pipeline.recover()
    with pytest.raises(EdgeError, match="ask again"):
        future.result(0)
    camera.shoot()
    bench.run_out()
    assert [r.frame.sequence for r in bench.results] == [2]


def test_one_answer_for_all_nouns_of_a_joint_network(bench: Bench) -> None:
    """One inference, and every noun's value in the answer."""
    camera, network = Camera("a"), JointNetwork()
    engine = Engine(SCENE, network)
    for task in NOUNS:
        bench.pipeline.add(camera, MODEL, task, engine, Cadence(every_s=100.0))
    future = bench.pipeline.demand(camera)
    camera.shoot()
    bench.run_out()
    assert set(future.result(0).results) == set(NOUNS)
    assert network.runs == 1


def test_changes_that_nobody_will_carry_out_are_refused() -> None:
    """Those that wait when the thread ends, and those that come later; whoever waits is told, not left waiting."""
    changes = Changes()
    done, waits = changes.put(lambda: 1), changes.put(lambda: 2)
    changes.carry_out()
    assert (done.result(0), waits.result(0)) == (1, 2)
    before = changes.put(lambda: 3)
    cancelled = changes.put(lambda: 4)
    cancelled.cancel()
    changes.end()
    for late in (before, changes.put(lambda: 5)):
        with pytest.raises(EdgeError, match="the daemon ends"):
            late.result(0)
