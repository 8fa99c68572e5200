"""Baselines of lighting: each is the best of its kind, so that beating it means something."""

from __future__ import annotations

import numpy as np
import pytest

from edge.geometry.harmonics import dominant_direction, project_panorama, rotate_yaw
from edge.geometry.panorama import rays
from edge.scene import CameraModel
from training.data.evaluation import LightingCase
from training.data.mix.entries import Entry
from training.measure.lighting import (
    CONSTANT,
    baselines,
    constant_light,
    measure_lighting,
    projected_coefficients,
)
from training.metrics.lighting import ambient, ambient_log_error


def _sun(level: float) -> np.ndarray:
    d = rays(64, 32)
    towards = np.array([0.6, 0.0, 0.8])
    return np.asarray(project_panorama(level * np.where((d @ towards > 0.9)[..., None], 20.0, 0.1) * np.ones(3)))


def test_the_constant_light_does_not_depend_on_exposure_or_yaw() -> None:
    """Environments that differ by a factor or a turn alone have one mean light, from above, at their median level."""
    truths = [rotate_yaw(_sun(level), yaw).astype(np.float32) for level, yaw in ((1, 0), (2, 2.0), (50, 4.0))]
    constant = constant_light(truths)
    assert ambient(constant) == pytest.approx(ambient(truths[1]), rel=1e-4)
    one = constant_light(truths[:1])
    np.testing.assert_allclose(constant / ambient(constant), one / ambient(one), atol=1e-4)
    np.testing.assert_allclose(dominant_direction(constant)[0], [0, 0, 1], atol=1e-6)
    levels = [0.5 * ambient(constant), ambient(constant), 2 * ambient(constant)]
    means = [np.mean([ambient_log_error(constant * level / levels[1], t) for t in truths]) for level in levels]
    assert means[1] == min(means)


def test_projection_of_an_unclipped_panorama_is_the_truth() -> None:
    """The projection baseline loses nothing but what clipping and the frame hide."""
    rng = np.random.default_rng(0)
    picture = np.kron(rng.integers(20, 220, (8, 16, 3)), np.ones((16, 16, 1), int)).astype(np.uint8)
    truth = project_panorama((picture / 255.0) ** 2.2)
    case = LightingCase(picture, CameraModel("equirectangular"), truth.astype(np.float32))
    np.testing.assert_allclose(projected_coefficients(case), truth, atol=1e-3)


def _entry(name: str, truth: np.ndarray) -> Entry[LightingCase]:
    picture = np.full((16, 32, 3), 128, np.uint8)
    case = LightingCase(picture, CameraModel("equirectangular"), truth.astype(np.float32))
    return Entry(name, name, lambda: case)


def test_every_number_stands_beside_every_baseline() -> None:
    """A right model, a constant and a published network that is half as bright: rows and details have all three."""
    truths = {"a": _sun(1.0), "b": rotate_yaw(_sun(2.0), 1.0)}
    entries = [_entry(name, truth) for name, truth in truths.items()]
    beside = baselines(constant_light(list(truths.values())), ("net", lambda case: case.coefficients / 2))
    measured = measure_lighting(lambda case: case.coefficients, entries, "two", beside)
    assert "2 pictures" in measured.data
    error = {r.baseline_name: r for r in measured.rows if r.name == "scale-invariant irradiance RMSE"}
    assert set(error) == {"projection of the picture", CONSTANT, "published network (net)"}
    assert all(r.value == pytest.approx(0, abs=1e-6) for r in error.values())
    assert error["published network (net)"].baseline == pytest.approx(0, abs=1e-6)
    assert all((error[name].baseline or 0) > 0.1 for name in ("projection of the picture", CONSTANT))
    level = next(r for r in measured.rows if r.name == "ambient log error" and "net" in r.baseline_name)
    assert level.baseline == pytest.approx(np.log(2), rel=1e-5)
    assert measured.details["model"]["sphere_psnr_db"] == 100


def test_an_error_picture_shows_a_sphere_for_every_answer() -> None:
    """Picture, truth, model and each baseline in a row; a model that is right has the true sphere."""
    beside = baselines(None, None)
    measured = measure_lighting(lambda case: case.coefficients, [_entry("a", _sun(1.0))], "one", beside)
    drawn = measured.draw(0)
    side = drawn.shape[0] - 22
    panels = [drawn[22:, 2 * side + 4 + i * (side + 4) :][:, :side] for i in range(3)]
    np.testing.assert_array_equal(panels[0], panels[1])
    assert np.abs(panels[0].astype(int) - panels[2]).max() > 20
