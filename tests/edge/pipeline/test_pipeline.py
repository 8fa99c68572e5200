"""Scheduling: cadence, freshness, drops and errors, with real readers and a clock that the test turns."""

from __future__ import annotations

import pytest

from edge.errors import EngineError
from edge.pipeline.schedule import Cadence
from edge.scene import DepthMap
from tests.edge.pipelines import (
    Bench,
    Camera,
    Network,
)


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
    """Within a scene a jump is damped; after a cut the new value passes at once, and its result says so."""
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
    depth_of_next()
    assert [result.scene_cut for result in bench.results] == [False, False, True, False]


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
