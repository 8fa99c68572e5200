"""Lighting metrics on environments with a known answer."""

from __future__ import annotations

import numpy as np
import pytest

from edge.geometry.harmonics import irradiance_over_pi, project_panorama, rotate, rotate_yaw
from edge.geometry.panorama import rays
from training.metrics.lighting import (
    ambient_log_error,
    coefficients_l1,
    direction_error_deg,
    lighting_metrics,
    sphere_exposure,
    sphere_normals,
    sphere_psnr_db,
)
from training.metrics.lighting import scale_invariant_irradiance_rmse as si_rmse


def _uniform(*levels: float) -> np.ndarray:
    """A surrounding of the same radiance everywhere: R, G, B."""
    c = np.zeros((9, 3))
    c[0] = levels
    return c


def test_lighting_metrics_of_a_turned_environment() -> None:
    """Truth costs 0; a factor is seen by the level alone; a yaw of 40 degrees of a horizontal light is 40 degrees."""
    d = rays(64, 32)
    radiance = np.where((d @ [0.0, 1.0, 0.0] > 0.9)[..., None], 20.0, 0.1) * np.ones(3)
    truth = project_panorama(radiance)
    same = lighting_metrics(truth, truth)
    assert same.pop("sphere_psnr_db") == 100
    assert max(same.values()) == pytest.approx(0, abs=2e-5)
    assert si_rmse(truth * 3, truth) == pytest.approx(0, abs=1e-6)
    assert ambient_log_error(truth * 3, truth) == pytest.approx(np.log(3))
    assert direction_error_deg(rotate_yaw(truth, np.radians(40)), truth) == pytest.approx(40, abs=0.1)


def test_irradiance_error_is_the_sphere_integral() -> None:
    """Truth 1 + z, prediction 1: the best scalar is 1 and what is left is z, with mean square 1/3 of 1 + 1/3."""
    flat, up = _uniform(1, 1, 1), _uniform(1, 1, 1)
    up[2] = 1.0
    assert si_rmse(flat, up) == pytest.approx(np.sqrt((1 / 3) / (4 / 3)), abs=2e-3)
    assert si_rmse(np.zeros((9, 3)), up) == pytest.approx(1)


def test_no_shape_metric_depends_on_the_axes() -> None:
    """Both environments turned the same way in space: shape and direction errors stay."""
    rng = np.random.default_rng(0)
    truth, guess = project_panorama(rng.uniform(0, 1, (32, 64, 3)) ** 6), _uniform(0.3, 0.2, 0.1)
    guess[1:4] = rng.normal(0, 0.05, (3, 3))
    turn, _ = np.linalg.qr(rng.normal(size=(3, 3)))
    turn *= np.linalg.det(turn)
    for metric in (si_rmse, direction_error_deg):
        assert metric(rotate(guess, turn), rotate(truth, turn)) == pytest.approx(metric(guess, truth), rel=5e-3)


def test_l1_by_hand() -> None:
    """One of the 27 coefficients off by 2.7: a mean of 0.1."""
    other = _uniform(1, 2, 3)
    other[4, 1] += 2.7
    assert coefficients_l1(other, _uniform(1, 2, 3)) == pytest.approx(0.1)


def test_sphere_psnr_by_hand() -> None:
    """Uniform light at half the level, exposed alike: 0.8 and 0.4, encoded; one difference everywhere."""
    off = 0.8 ** (1 / 2.2) - 0.4 ** (1 / 2.2)
    assert sphere_psnr_db(_uniform(1, 1, 1), _uniform(2, 2, 2)) == pytest.approx(-20 * np.log10(off))
    assert sphere_psnr_db(_uniform(10, 10, 10), _uniform(20, 20, 20)) == pytest.approx(-20 * np.log10(off))
    assert sphere_exposure(_uniform(4, 4, 4)) == pytest.approx(0.2)


def test_the_sphere_shows_the_side_that_faces_the_camera() -> None:
    """Unit normals, the middle one back to the camera (-y), the right edge's to the right, the top's up."""
    normals, inside = sphere_normals(65)
    np.testing.assert_allclose(np.linalg.norm(normals[inside], axis=-1), 1)
    np.testing.assert_allclose(normals[32, 32], [0, -1, 0], atol=1e-9)
    assert normals[32, 64, 0] > 0.95
    assert normals[0, 32, 2] > 0.95
    assert inside.mean() == pytest.approx(np.pi / 4, abs=0.01)
    behind = np.zeros((9, 3))
    behind[0], behind[1] = 1.0, -0.5  # light from behind the camera
    light = irradiance_over_pi(behind, normals)
    assert light[32, 32, 0] == pytest.approx(1.5)


def test_a_black_prediction_is_as_far_off_as_a_millionth() -> None:
    """The logarithm of nothing is none: the level is taken to be at least 1e-6."""
    assert ambient_log_error(np.zeros((9, 3)), _uniform(1, 1, 1)) == pytest.approx(np.log(1e6))
    assert ambient_log_error(_uniform(0.5, 0.5, 0.5), _uniform(1, 1, 1)) == pytest.approx(np.log(2))


def test_the_level_is_luminance() -> None:
    """A prediction that has only green has 0.7152 of white's level (Rec. 709), one of red 0.2126, of blue 0.0722."""
    for channel, luminance in enumerate((0.2126, 0.7152, 0.0722)):
        one = np.eye(3)[channel]
        assert ambient_log_error(_uniform(*one), _uniform(1, 1, 1)) == pytest.approx(-np.log(luminance))


def test_the_exposure_leaves_the_brightest_hundredth_out() -> None:
    """Light from above and behind the camera: the 99th percentile of the sphere's pixels becomes 0.8."""
    light = _uniform(1, 1, 1)
    light[1:4] = np.array([[-0.31], [0.52], [0.17]])
    normals, inside = sphere_normals(64)
    seen = np.sort(1 + normals[inside][:, [1, 2, 0]] @ light[1:4, 0])
    assert sphere_exposure(light) == pytest.approx(0.8 / seen[round(0.99 * len(seen))], rel=2e-3)
    assert np.isfinite(sphere_exposure(_uniform(0, 0, 0)))


def test_sphere_psnr_is_that_of_the_encoded_pictures() -> None:
    """Two coloured, shaded spheres: exposed by the truth, clipped, encoded, and the mean square over all of them."""
    truth, guess = _uniform(1.0, 0.8, 0.6), _uniform(0.9, 0.9, 0.5)
    truth[1:4] = [[-0.4, -0.3, -0.2], [0.3, 0.3, 0.3], [0.1, 0.0, -0.1]]
    normals, inside = sphere_normals(64)
    n = normals[inside]
    first_order = n[:, [1, 2, 0]]
    scale = 0.8 / np.percentile(truth[0] + first_order @ truth[1:4], 99)
    p, t = (np.clip(scale * (c[0] + first_order @ c[1:4]), 0, 1) ** (1 / 2.2) for c in (guess, truth))
    assert sphere_psnr_db(guess, truth) == pytest.approx(-10 * np.log10(((p - t) ** 2).mean()), rel=1e-6)
