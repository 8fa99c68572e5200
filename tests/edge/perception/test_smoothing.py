"""Smoothing of values and of depth's scale over time, and where it begins anew."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.perception.smoothing import ExponentialSmoother, ScaleSmoother, SceneCut


@given(steps=st.lists(st.floats(0.01, 3.0), min_size=1, max_size=20))
def test_smoothing_does_not_depend_on_the_frame_rate(steps: list[float]) -> None:
    """After a step from 0 to 1 the value is 1 - exp(-t / tau), however t was divided."""
    smoother = ExponentialSmoother(2.0)
    smoother.update(0.0, 0.0)
    at = 0.0
    for step in steps:
        at += step
        value = smoother.update(1.0, at)
    assert float(value) == pytest.approx(1 - np.exp(-at / 2.0))


def test_smoothing_starts_afresh() -> None:
    """After a reset, or with another shape, the sample passes unchanged."""
    smoother = ExponentialSmoother(10.0)
    smoother.update([0.0, 0.0], 0.0)
    assert smoother.update([1.0], 0.1) == pytest.approx([1.0])
    smoother.reset()
    assert smoother.update([5.0], 0.2) == pytest.approx([5.0])


def test_scene_cut_sees_another_place_but_not_noise() -> None:
    """Sensor noise and slow dimming are one scene; another picture is a cut."""
    rng = np.random.default_rng(4)
    cut = SceneCut(0.2)
    ramp = np.linspace(0, 200, 320)[None, :, None].repeat(240, 0).repeat(3, 2)
    assert not cut.update(ramp.astype(np.uint8))
    for dim in (1.0, 0.95, 0.9):
        assert not cut.update(np.clip(ramp * dim + rng.normal(0, 8, ramp.shape), 0, 255).astype(np.uint8))
    assert cut.update(ramp[:, ::-1].astype(np.uint8))


def _room(seconds: int, passer: bool = False) -> npt.NDArray[np.float32]:
    """(T, 48, 64) ln of depth of a still room, in half of the pictures with somebody near who covers a fifth."""
    rng = np.random.default_rng(7)
    maps = np.log(rng.uniform(1, 5, (1, 48, 64))).repeat(2 * seconds, 0).astype(np.float32)
    if passer:
        for t in range(0, len(maps), 2):
            left = int(rng.integers(0, 51))
            maps[t, :, left : left + 13] = np.log(0.8)
    return maps


def test_a_scale_that_wanders_is_steadied() -> None:
    """Of a still room's scale that changes by some percent each time, a quarter of the change is left; shape stays."""
    maps = _room(120)
    scale = np.random.default_rng(3).normal(0, 0.03, len(maps)).astype(np.float32)
    smoother = ScaleSmoother(10.0)
    out = np.stack([smoother.update(m + s, t / 2) for t, (m, s) in enumerate(zip(maps, scale, strict=True))])
    left = (out - maps)[40:]
    assert left.std(axis=(1, 2)).max() < 1e-5, "the shape of a map was changed"
    assert np.abs(np.diff(left.mean(axis=(1, 2)))).mean() < 0.25 * np.abs(np.diff(scale[40:])).mean()


def test_who_passes_does_not_move_the_room() -> None:
    """Where somebody comes and goes, all else keeps its depth within a hundredth."""
    maps, room = _room(60, passer=True), _room(60)
    smoother = ScaleSmoother(10.0)
    for t, (shown, empty) in enumerate(zip(maps, room, strict=True)):
        out = smoother.update(shown, t / 2)
        assert np.abs(out - empty)[shown == empty].max() < 0.01


def test_the_scale_follows_a_change_that_lasts() -> None:
    """A step of the scale is taken over as any first-order low pass does: 1 - 1/e of it after the time constant."""
    smoother = ScaleSmoother(10.0)
    smoother.update(np.zeros((48, 64), np.float32), 0.0)
    for t in range(1, 21):
        out = smoother.update(np.full((48, 64), 0.1, np.float32), t / 2)
    assert out == pytest.approx(np.full((48, 64), 0.1 * (1 - np.exp(-1))), rel=1e-3)


def test_another_view_keeps_its_own_scale() -> None:
    """A camera that has turned to something far, without a cut in the picture, is not told that it is near."""
    smoother = ScaleSmoother(10.0)
    smoother.update(np.zeros((48, 64), np.float32), 0.0)
    far = np.full((48, 64), np.log(3.0), np.float32)
    assert smoother.update(far, 0.5) == pytest.approx(far)
    assert smoother.update(far, 1.0) == pytest.approx(far)
    smoother.reset()
    near = np.full((48, 64), -0.1, np.float32)
    assert smoother.update(near, 1.5) == pytest.approx(near)
