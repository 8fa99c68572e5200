"""Lighting samples: what is done to the picture is done to the light, and what is not seen tells nothing."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from edge.geometry.harmonics import radiance_from_prescaled, rotate_yaw
from edge.geometry.panorama import rays
from edge.inference.manifest import InputSpec
from tests.training.data.sets.test_hdr_files import write_exr
from training.config.data import AugmentConfig
from training.data.samples.hdri import (
    as_tensors,
    coefficients_of,
    environments,
    protocol_picture,
    random_sample,
    varied,
)

W, H = 128, 64
PLAIN = AugmentConfig(photometric=0.0, perspective_share=0.0)
ODD_IN_X = np.array([3, 4, 7])
"""x, xy and zx change sign in a mirror; the other polynomials do not."""


def _environment(seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    out = rng.uniform(0.05, 0.5, (H, W, 3)).astype(np.float32)
    out[9:14, 20:26] = (40.0, 30.0, 20.0)
    return out


def test_folders_of_either_format_come_at_one_size(tmp_path: Path) -> None:
    """Area averaging keeps the mean radiance of .exr and .hdr alike; names are the files' own."""
    write_exr(tmp_path / "indoor__a.exr", {"RGB": _environment(1)})
    cv2.imwrite(str(tmp_path / "outdoor__b.hdr"), _environment(2)[..., ::-1])
    maps = environments(tmp_path, 32, 16)
    assert {name: m.shape for name, m in maps.items()} == {"indoor__a": (16, 32, 3), "outdoor__b": (16, 32, 3)}
    np.testing.assert_allclose(maps["indoor__a"].mean(axis=(0, 1)), _environment(1).mean(axis=(0, 1)), rtol=1e-5)
    np.testing.assert_allclose(maps["outdoor__b"].mean(axis=(0, 1)), _environment(2).mean(axis=(0, 1)), rtol=0.01)


@pytest.mark.parametrize("columns", [1, 37, 100])
def test_light_turns_with_the_picture(columns: int) -> None:
    """Columns rolled to the right are light turned to the right about the vertical."""
    radiance = _environment()
    turned = coefficients_of(np.roll(radiance, columns, axis=1))
    np.testing.assert_allclose(turned, rotate_yaw(coefficients_of(radiance), 2 * np.pi * columns / W), atol=1e-4)


def test_light_is_mirrored_with_the_picture() -> None:
    """The harmonics of the mirrored environment are the mirrored harmonics."""
    radiance = _environment()
    expected = coefficients_of(radiance)
    expected[ODD_IN_X] *= -1
    np.testing.assert_allclose(coefficients_of(np.ascontiguousarray(radiance[:, ::-1])), expected, atol=1e-4)


def test_variation_without_strength_is_a_turn_or_its_mirror() -> None:
    """Bands keep their power, rows their values, and no two draws are alike; switched off, nothing moves."""

    def power(radiance: np.ndarray) -> list[float]:
        own = radiance_from_prescaled(coefficients_of(radiance))
        return [float((own[band] ** 2).sum()) for band in (slice(0, 1), slice(1, 4), slice(4, 9))]

    radiance, rng = _environment(), np.random.default_rng(1)
    draws = [varied(radiance, None, rng, PLAIN) for _ in range(8)]
    for out in draws:
        assert power(out) == pytest.approx(power(radiance), rel=1e-3)
        np.testing.assert_allclose(np.sort(out, axis=1), np.sort(radiance, axis=1), rtol=1e-5)
    assert len({out[0].tobytes() for out in draws}) == len(draws)
    still = varied(radiance, None, rng, AugmentConfig(photometric=0.0, roll=False, flip=False))
    np.testing.assert_allclose(still, radiance, rtol=1e-5)


def test_tint_changes_picture_and_light_alike() -> None:
    """Light of an even grey has the colour that its tint gave it, no direction, and the level that exposure gave it."""
    grey = np.full((H, W, 3), 0.4, np.float32)
    for seed in range(6):
        rng = np.random.default_rng(seed)
        tinted = varied(grey, None, rng, AugmentConfig())
        light = random_sample(tinted, rng, PLAIN).coefficients
        np.testing.assert_allclose(light[0] / light[0].max(), tinted[0, 0] / tinted.max(), rtol=1e-3)
        np.testing.assert_allclose(light[1:], 0, atol=1e-4)
        assert 0.5 < light[0].max() < 2.0


def test_blending_keeps_the_share_of_either() -> None:
    """A mix of two lies between them: with itself unturned it would be itself, and its mean stays."""
    a, b = _environment(1), _environment(2) * 50
    mixed = varied(a, b, np.random.default_rng(3), PLAIN)
    assert mixed.mean() == pytest.approx(a.mean(), rel=1e-3)


def test_what_is_brighter_than_white_is_not_seen_but_counts() -> None:
    """A lamp ten times as bright gives the very same picture and ten times its light."""
    dim, bright = _environment(), _environment()
    dim[9:14, 20:26], bright[9:14, 20:26] = 0.2, 0.2
    dim[11, 23], bright[11, 23] = 60.0, 600.0  # between the pixels that exposure is measured on
    for seed in range(6):
        one, other = (random_sample(m, np.random.default_rng(seed), PLAIN) for m in (dim, bright))
        np.testing.assert_array_equal(one.image, other.image)
        lamp = np.zeros_like(dim)
        lamp[11, 23] = 540.0
        ratio = one.coefficients[0, 0] / coefficients_of(dim)[0, 0]
        np.testing.assert_allclose(other.coefficients - one.coefficients, coefficients_of(lamp) * ratio, atol=2e-3)


def test_what_the_camera_does_not_see_never_reaches_the_network() -> None:
    """Two places alike in view and different elsewhere: the same exposure and tensor, another truth."""
    spec = InputSpec(name="image", width_px=W, height_px=H, projection="equirectangular", mask_channel=True)
    augment = AugmentConfig(photometric=0.0, perspective_share=1.0)
    for seed in range(6):
        here = _environment(seed)
        first = random_sample(here, np.random.default_rng(seed), augment)
        assert first.mask is not None
        elsewhere = np.where(first.mask[..., None], here, 3.0 * _environment(seed + 100))
        second = random_sample(elsewhere, np.random.default_rng(seed), augment)
        tensors = [as_tensors(sample, spec) for sample in (first, second)]
        np.testing.assert_array_equal(tensors[0]["image"], tensors[1]["image"])
        assert not tensors[0]["image"][:3, ~first.mask].any()
        assert np.abs(first.coefficients - second.coefficients).max() > 0.01


def test_coarse_map_holds_the_same_light() -> None:
    """The cells that the loss compares give the harmonics of the whole, up to their size."""
    lat = np.arcsin(rays(W, H)[..., 2])
    radiance = np.repeat(np.where(lat > 0, 2.0, 0.5)[..., None], 3, axis=2).astype(np.float32)
    sample = random_sample(radiance, np.random.default_rng(0), PLAIN)
    cells = np.moveaxis(sample.cells, 0, -1)
    np.testing.assert_allclose(cells.mean(axis=(0, 1)), coefficients_of(cells)[0], rtol=0.02)
    assert cells[0, 0, 0] / cells[-1, 0, 0] == pytest.approx(4.0, rel=1e-3)


def test_the_protocols_truth_is_in_units_of_its_white() -> None:
    """Brightening a map leaves the picture as it is; the white level follows."""
    picture, level = protocol_picture(_environment())
    brighter, level_of_brighter = protocol_picture(_environment() * 4)
    np.testing.assert_array_equal(picture, brighter)
    assert level_of_brighter == pytest.approx(4 * level, rel=1e-5)
