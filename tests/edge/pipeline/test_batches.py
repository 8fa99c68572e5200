"""Several cameras on one network, and a network that runs while the next frame is prepared."""

from __future__ import annotations

import threading
import time
from concurrent.futures import Future
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from edge.pipeline.batches import Batch, Inputs
from edge.pipeline.pipeline import Engine
from edge.pipeline.schedule import Cadence
from edge.scene import CameraModel, Frame
from tests.edge.perception.test_depth import METRES, manifest
from tests.edge.pipelines import (
    MODEL,
    Bench,
    Camera,
    Held,
    Levels,
    Network,
    metres,
    shared_network,
)


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
    assert bench.pipeline.counters.batches.read() == {("4",): 6, ("2",): 3}
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
        def infer(self, batch: npt.NDArray[np.float32]) -> dict[str, npt.NDArray[np.float32]]:
            assert self.runs > 1 or fetched.wait(10.0)
            return super().infer(batch)

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


def test_a_picture_waits_untouched_for_the_network(bench: Bench) -> None:
    """A picture that could not be prepared in between does not let the next one be written over one that waits."""
    held = Held()
    later = Bench(held.submit)
    for one in (bench, later):
        good, bad, engine = Camera("good"), Camera("bad"), Engine(manifest(METRES), Levels())
        one.pipeline.add(good, MODEL, "depth", engine, Cadence(every_frames=1))
        one.pipeline.add(bad, CameraModel("equirectangular"), "depth", engine, Cadence(every_frames=1))
        held.holding = one is later
        for level, camera in ((50, bad), (10, good), (100, good), (50, bad), (200, good)):
            camera.level = level
            camera.shoot()
            if camera is bad and held.waiting:
                held.release()
            one.pipeline.step()
        while held.waiting:
            held.release()
        one.run_out()
        assert [e[0] for e in one.errors] == ["bad", "bad"]
    assert [metres(r) for r in later.results] == [metres(r) for r in bench.results]


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


def test_a_picture_of_another_size_is_read_by_its_own(bench: Bench, accelerated: Bench) -> None:
    """Depth by a canonical focal length depends on the picture's shape: each answer is read by that of its own frame.

    The network is still at a picture when the next one, upright instead of flat or the other way, is prepared.
    """

    class Slow(Network):
        def infer(self, batch: npt.NDArray[np.float32]) -> dict[str, npt.NDArray[np.float32]]:
            time.sleep(0.03)
            return super().infer(batch)

    class Turning(Camera):
        def latest(self, after_sequence: int) -> Frame | None:
            frame = super().latest(after_sequence)
            upright = frame is not None and frame.sequence % 2
            return replace(frame, image=frame.image.transpose(1, 0, 2).copy()) if frame and upright else frame

    said = []
    for one in (bench, accelerated):
        camera = Turning("a")
        one.add(camera, Cadence(every_frames=1), Slow())
        for _ in range(4):
            camera.shoot()
            one.pipeline.step()
        one.run_out()
        assert not one.errors
        said.append([metres(r) for r in one.results])
    assert said[0] == said[1]
    assert said[0][0] == said[0][2] != said[0][1] == said[0][3]


@pytest.mark.parametrize("in_place", [False, True])
def test_an_answer_is_read_before_the_second_run_after_it(bench: Bench, in_place: bool) -> None:
    """An accelerator that was quick while nobody looked does not overwrite what is not read yet."""
    held = Held()
    later = Bench(held.submit)
    for one in (bench, later):
        held.holding, camera = False, Camera("a")
        one.add(camera, Cadence(every_frames=1), Levels(in_place=in_place))
        held.holding = one is later
        for camera.level in (10, 60):
            camera.shoot()
            one.pipeline.step()
        while held.waiting:
            held.release()
        held.holding = False  # the third picture is inferred the moment it is handed over
        camera.level = 110
        camera.shoot()
        one.run_out()
        assert not one.errors
    assert [r.frame.sequence for r in later.results] == [1, 2, 3]
    assert [metres(r) for r in later.results] == [metres(r) for r in bench.results]


def test_a_flicker_is_a_cut_each_time(bench: Bench) -> None:
    """Light that goes on, off and on: each frame's depth is its own, though the next cuts come before it is read."""
    held = Held()
    later = Bench(held.submit)
    for one in (bench, later):
        held.holding, camera = False, Camera("a")
        one.add(camera, Cadence(every_frames=1), Levels(), smoothing_s=50.0)
        held.holding = one is later
        for camera.level in (10, 200, 10, 200):
            camera.shoot()
            if len(held.waiting) == 2:
                held.release()
            one.pipeline.step()
        while held.waiting:
            held.release()
        one.run_out()
    assert [metres(r) for r in later.results] == [metres(r) for r in bench.results]
    assert metres(bench.results[0]) == metres(bench.results[2])
    assert metres(bench.results[1]) == metres(bench.results[3])


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


def test_a_frame_that_is_too_old_is_counted_once(bench: Bench) -> None:
    """However often it is looked at before the next one comes; exactly at its deadline it is not too old."""
    camera = Camera("a")
    engine = Engine(manifest(METRES), Network())
    bench.pipeline.add(camera, MODEL, "depth", engine, Cadence(every_s=1.0), deadline_s=5.0)
    camera.sequence, bench.clock.now_s = 100, 105.25
    for _ in range(3):
        assert not bench.pipeline.step()
    assert bench.pipeline.counters.stale["a", "depth"] == 1
    camera.sequence, bench.clock.now_s = 101, 106.0
    assert bench.pipeline.step()
    assert bench.pipeline.counters.stale["a", "depth"] == 1
    assert bench.pipeline.counters.late["a", "depth"] == 0


def test_a_cut_on_a_frame_that_is_not_inferred_still_counts(bench: Bench) -> None:
    """The scene changed on a frame that was too old: what comes after owes nothing to what was before."""
    camera = Camera("a")
    engine = Engine(manifest(METRES), Levels())
    cadence = Cadence(every_frames=1)
    bench.pipeline.add(camera, MODEL, "depth", engine, cadence, deadline_s=5.0, smoothing_s=50.0)
    for camera.sequence, camera.level, bench.clock.now_s in ((99, 10, 100.0), (100, 200, 110.0), (110, 200, 110.0)):
        bench.run_out()
    alone = Bench()
    shared_network(alone, [camera], Levels())
    alone.run_out()
    assert [r.frame.sequence for r in bench.results] == [99, 110]
    assert metres(bench.results[-1]) == metres(alone.results[-1])


def test_a_batch_takes_those_that_fit_past_one_that_does_not(bench: Bench) -> None:
    """Of three that fell due one after the other, the first and the third are on one engine: they go together."""
    cameras, shared, other = [Camera(name) for name in "abc"], Levels(), Levels()
    engines = [Engine(manifest(METRES), shared), Engine(manifest(METRES), other)]
    for camera, engine in zip(cameras, (engines[0], engines[1], engines[0]), strict=True):
        bench.pipeline.add(camera, MODEL, "depth", engine, Cadence(every_s=10.0))
        camera.shoot()
        bench.clock.now_s += 1.0
    bench.run_out()
    assert (shared.sizes, other.sizes) == ([2], [1])
    assert [r.frame.camera for r in bench.results] == ["a", "c", "b"]


def test_a_batch_goes_past_a_frame_that_is_too_old(bench: Bench) -> None:
    """The most overdue camera's frame is old: those behind it are inferred together in the same step."""
    cameras, network = [Camera(name) for name in "abc"], Levels()
    engine = Engine(manifest(METRES), network)
    for camera in cameras:
        bench.pipeline.add(camera, MODEL, "depth", engine, Cadence(every_s=10.0), deadline_s=5.0)
        camera.sequence = 90 if camera.name == "a" else 100
    assert bench.pipeline.step()
    assert network.sizes == [2]


def test_a_batch_is_no_larger_than_its_input(bench: Bench) -> None:
    """A runtime that took over later and could take more does not make room in memory that was reserved before."""
    cameras, network = [Camera(name) for name in "abcd"], Levels(max_batch=2)
    shared_network(bench, cameras, network)
    network.max_batch = 4
    for camera in cameras:
        camera.shoot()
    bench.run_out()
    assert network.sizes == [2, 2]
    network.max_batch = 1  # nor is it asked for more than it can take
    for camera in cameras:
        camera.shoot()
    bench.run_out()
    assert network.sizes == [2, 2, 1, 1, 1, 1]
    assert not bench.errors


def test_inputs_are_two_by_turns() -> None:
    """The same until it was given away, then the other one; more rows make both anew, fewer change nothing."""
    made: list[int] = []

    def allocate(rows: int) -> npt.NDArray[np.float32]:
        made.append(rows)
        return np.zeros((rows, 1), np.float32)

    inputs = Inputs()
    inputs.reserve(2, allocate)
    first = inputs.next()
    assert inputs.next() is first
    inputs.used()
    second = inputs.next()
    assert second is not first
    inputs.used()
    assert inputs.next() is first
    for rows in (1, 2):
        inputs.reserve(rows, allocate)
        assert inputs.next() is first
    inputs.reserve(3, allocate)
    assert made == [2, 2, 3, 3]
    assert len(inputs.next()) == 3


def test_a_batch_is_done_when_it_was_run_or_has_failed() -> None:
    """Waiting for it ends then, or when the time is over; one that nobody was given is not done."""
    batch = Batch(Engine(manifest(METRES), Network()), np.zeros((1, 1), np.float32))
    assert not batch.done
    assert batch.rows == 0
    for end in ("set_result", "set_exception"):
        future: Future[Any] = Future()
        batch.future = future
        assert not batch.done
        begun_s = time.monotonic()
        assert not batch.wait(0.05)
        assert time.monotonic() - begun_s >= 0.04
        threading.Timer(0.05, getattr(future, end), (ValueError("x"),)).start()
        assert batch.wait(None)
        assert batch.done
        assert batch.wait(0.0)
