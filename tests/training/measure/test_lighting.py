"""Baselines of lighting: each is the best of its kind, so that beating it means something."""

from __future__ import annotations

import numpy as np
import pytest

from edge.geometry.harmonics import dominant_direction, project_panorama, rotate_yaw
from edge.geometry.panorama import rays
from edge.scene import CameraModel
from training.data.evaluation import LightingCase
from training.measure.lighting import constant_light, projected_coefficients
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
