"""Computed daylight: physics of sun and sky, no seam, files."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from edge.geometry.panorama import rays, solid_angles
from training.data.samples.hdri import environments
from training.data.synthetic.skies import clear_sky, daylight, write_daylight

pytest.importorskip("mitsuba")


def test_the_clear_sky_is_blue_and_its_sun_far_stronger() -> None:
    """At 45 degrees on a clear day the sun gives several times the sky's irradiance (some 5:1), and is the redder."""
    sun = np.array([0.0, np.sqrt(0.5), np.sqrt(0.5)])
    d = rays(64, 32)
    sky, direct = clear_sky(sun, 2.5, 0.2, d.reshape(-1, 3))
    up = np.maximum(d[..., 2:], 0) * solid_angles(64, 32)[..., None]
    diffuse = (sky.reshape(32, 64, 3) * up).sum(axis=(0, 1))
    assert 2 < direct.sum() * sun[2] / diffuse.sum() < 12
    assert diffuse[2] > diffuse[0] and direct[0] / direct[2] > diffuse[0] / diffuse[2]
    assert (sky.reshape(32, 64, 3)[17:] == 0).all()


def test_haze_moves_light_from_the_sun_to_the_sky() -> None:
    """The more turbid the air, the weaker the sun's own beam."""
    sun = np.array([0.0, np.sqrt(0.75), 0.5])
    beams = [clear_sky(sun, turbidity, 0.2, rays(8, 4).reshape(-1, 3))[1].sum() for turbidity in (2, 5, 9)]
    assert beams[0] > beams[1] > beams[2] > 0


def test_a_place_is_finite_positive_and_seamless() -> None:
    """No step at the seam is greater than the steps elsewhere; nothing negative."""
    for number in range(6):
        radiance = daylight(np.random.default_rng([7, number]))
        assert radiance.shape == (128, 256, 3) and np.isfinite(radiance).all() and radiance.min() >= 0
        picture = np.minimum(radiance / np.percentile(radiance, 95), 1)
        steps = np.abs(picture - np.roll(picture, 1, axis=1)).mean(axis=(0, 2))
        assert steps[0] <= steps[1:].max() * 1.5


def test_an_interrupted_run_goes_on_and_gives_the_same(tmp_path: Path) -> None:
    """Three at once, or two and then three: the same files, which the HDRI reader reads."""
    write_daylight(tmp_path / "a", 3, 5)
    write_daylight(tmp_path / "b", 2, 5)
    write_daylight(tmp_path / "b", 3, 5)
    a, b = (environments(tmp_path / name, 256, 128) for name in "ab")
    assert list(a) == list(b) and len(a) == 3
    for name in a:
        np.testing.assert_array_equal(a[name], b[name])
