"""Rendered pictures given the look of real ones."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from edge.errors import DataError
from training.config.recipe import Recipe
from training.data.samples.style import Style, style_of, with_amplitudes, with_histogram


def _pictures() -> tuple[np.ndarray, np.ndarray]:
    """Two mild pictures: nothing of either is clipped when they are mixed."""
    y, x = np.mgrid[:64, :96]
    one = 120 + 20 * np.sin(x / 5)[..., None] + 10 * np.cos(y / 7)[..., None] * [1, 0.5, 0.2]
    other = 140 + 15 * np.cos((x + y) / 30)[..., None] * [0.3, 1, 0.6]
    return one.round().astype(np.uint8), other.round().astype(np.uint8)


def test_fourier_transfer_keeps_phases_and_takes_low_amplitudes() -> None:
    """Inside the window amplitudes are the other picture's, outside the picture's own; phases stay everywhere."""
    image, style = _pictures()
    out = with_amplitudes(image, style, 0.05)
    mine, theirs, mixed = (np.fft.fft2(p.astype(float), axes=(0, 1)) for p in (image, style, out))
    low = np.ix_(range(-3, 4), range(-3, 4))
    rounding = 0.5 * np.sqrt(image[..., 0].size)  # amplitude of a picture's rounding to whole values, about
    assert np.abs(np.abs(mixed[low]) - np.abs(theirs[low])).max() < 4 * rounding
    outside = np.ones(mine.shape, bool)
    outside[low] = False
    assert np.abs(np.abs(mixed) - np.abs(mine))[outside].max() < 4 * rounding
    strong = np.minimum(np.abs(mixed), np.abs(mine)) > 40 * rounding
    assert np.abs(np.angle(mixed[strong] / mine[strong])).max() < 0.1
    np.testing.assert_allclose(out.mean((0, 1)), style.mean((0, 1)), atol=0.5)


def test_a_picture_in_its_own_style_is_itself() -> None:
    """Both transfers change nothing when the other picture is the same one."""
    image, _ = _pictures()
    np.testing.assert_array_equal(with_amplitudes(image, image, 0.05), image)
    np.testing.assert_array_equal(with_histogram(image, image), image)


def test_histogram_transfer_gives_the_others_values() -> None:
    """Brightness is ordered as before and distributed as the other picture's."""
    image, style = _pictures()
    out = with_histogram(image, style)
    quantiles = np.linspace(0.05, 0.95, 10)
    np.testing.assert_allclose(np.quantile(out, quantiles, (0, 1)), np.quantile(style, quantiles, (0, 1)), atol=2)
    order = np.argsort(image[..., 0].ravel(), kind="stable")
    assert (np.diff(out[..., 0].ravel()[order].astype(int)) >= 0).all()


def test_a_share_of_pictures_is_changed(small_recipe: Callable[..., Recipe]) -> None:
    """None without a folder, that share with one, and a share without a folder is refused."""
    image, style = _pictures()
    rng = np.random.default_rng(0)
    changed = [not np.array_equal(Style([style], 0.5).apply(image, rng), image) for _ in range(60)]
    assert 15 < sum(changed) < 45
    recipe = small_recipe("layout")
    np.testing.assert_array_equal(style_of(recipe).apply(image, rng), image)
    with pytest.raises(DataError, match="--style"):
        style_of(small_recipe("layout", augment={"style_share": 0.3}))
