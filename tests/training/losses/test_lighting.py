"""The lighting loss term by term, on light whose error is known."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor

from training.config.losses import LightingLossConfig
from training.losses.lighting import LightingLoss, sphere

NO_CELLS = torch.zeros(1, 3, 1, 1)


def uniform(*levels: float) -> Tensor:
    """Surroundings of one grey each."""
    light = torch.zeros(len(levels), 9, 3)
    light[:, 0] = torch.tensor(levels)[:, None]
    return light


def loss(**weights: float) -> LightingLoss:
    """Only the terms that are named."""
    return LightingLoss(LightingLossConfig(**({"coefficients": 0.0, "irradiance": 0.0, "radiance": 0.0} | weights)))  # type: ignore[arg-type]


def test_the_sphere_is_covered_evenly() -> None:
    """Shares sum to 1, and over the sphere x, y, z and all of order 2 average to 0, x^2 to a third."""
    basis, share = sphere(32)
    assert float(share.sum()) == pytest.approx(1, abs=1e-5)
    mean = (basis * share[:, None]).sum(0)
    np.testing.assert_allclose(mean, [1, *[0] * 8], atol=2e-3)
    assert float((basis[:, 3] ** 2 * share).sum()) == pytest.approx(1 / 3, abs=2e-3)
    assert sphere()[0].shape == (128, 9)


def test_an_error_counts_by_the_light_there_is() -> None:
    """One coefficient of 27 off by 0.27: 0.01 over the ambient level, so twice the light halves it."""
    wrong = torch.zeros(1, 9, 3)
    wrong[0, 4, 1] = -0.27
    for ambient in (0.5, 1.0, 2.0):
        truth = uniform(ambient)
        assert float(loss().relative_l1(truth + wrong, truth)) == pytest.approx(0.01 / ambient)


def test_the_ambient_level_is_luminance() -> None:
    """Rec. 709: green light of level 1 has luminance 0.7152, red 0.2126, blue 0.0722."""
    for channel, luminance in enumerate((0.2126, 0.7152, 0.0722)):
        truth = torch.zeros(1, 9, 3)
        truth[0, 0, channel] = 1.0
        assert float(loss().relative_l1(2 * truth, truth)) == pytest.approx(1 / 27 / luminance)


def test_pictures_count_the_same() -> None:
    """The relative error of a dark and of a bright picture is averaged, each by its own light."""
    truth = uniform(0.1, 10.0)
    assert float(loss().relative_l1(1.5 * truth, truth)) == pytest.approx(0.5 / 9)


def test_darkness_is_not_divided_by() -> None:
    """Truth without light gives a finite loss, whichever term."""
    value = loss(coefficients=1.0, irradiance=1.0)(uniform(1.0), uniform(0.0), None, NO_CELLS)
    assert torch.isfinite(value)
    assert torch.isfinite(loss(irradiance=1.0)(uniform(0.0), uniform(1.0), None, NO_CELLS))


def test_irradiance_left_unexplained() -> None:
    """Truth 1 + z, prediction 1: a factor explains all but z, of mean square 1/3 in 1 + 1/3; each picture alone."""
    truth = uniform(1.0, 1.0)
    truth[0, 2] = 1.0
    found = loss().si_irradiance(uniform(1.0, 7.0), truth)
    assert found[0] == pytest.approx(0.5, abs=5e-3)
    assert found[1] == pytest.approx(0, abs=2e-3)


def test_a_perfect_prediction_can_be_trained_from() -> None:
    """At the truth the irradiance term is near 0 and its gradient finite, though a root of 0 has none."""
    predicted = uniform(1.0).requires_grad_()
    value = loss(irradiance=1.0)(predicted, uniform(1.0), None, NO_CELLS)
    value.backward()
    assert float(value.detach()) == pytest.approx(0.001, abs=5e-4)
    assert predicted.grad is not None
    assert torch.isfinite(predicted.grad).all()


def test_radiance_is_compared_by_logarithm_where_it_is_known() -> None:
    """Three cells off by ln 2, ln 4 and 0 after 0.02 was added, one unknown: a mean of ln 2."""
    cells = torch.tensor([0.5, 1.0, 0.3, float("nan")]).reshape(1, 1, 2, 2).expand(1, 3, 2, 2)
    factor = torch.tensor([2.0, 0.25, 1.0, 9.0]).reshape(1, 1, 2, 2)
    radiance = (torch.nan_to_num(cells, nan=5.0) + 0.02) * factor - 0.02
    value = loss(radiance=3.0)(uniform(1.0), uniform(1.0), radiance, cells)
    assert float(value) == pytest.approx(3 * np.log(2), rel=1e-5)
    unknown = torch.full((1, 3, 2, 2), float("nan"))
    assert float(loss(radiance=3.0)(uniform(1.0), uniform(1.0), radiance, unknown)) == 0
    assert float(loss(radiance=3.0)(uniform(1.0), uniform(1.0), None, cells)) == 0


def test_the_terms_are_summed_by_their_weights() -> None:
    """Together they are what each is alone, and a term of weight 0 is not asked for."""
    rng = torch.Generator().manual_seed(0)
    truth, predicted = (uniform(1.0, 2.0) + 0.1 * torch.rand(2, 9, 3, generator=rng) for _ in range(2))
    radiance, cells = (torch.rand(2, 3, 4, 8, generator=rng) for _ in range(2))
    names = {"coefficients": 0.7, "irradiance": 1.3, "radiance": 0.4}
    alone = [float(loss(**{name: weight})(predicted, truth, radiance, cells)) for name, weight in names.items()]
    assert min(alone) > 0.01
    assert float(loss(**names)(predicted, truth, radiance, cells)) == pytest.approx(sum(alone), rel=1e-5)
    assert float(loss(coefficients=1.4)(predicted, truth, radiance, cells)) == pytest.approx(2 * alone[0], rel=1e-5)


def test_constants_are_not_saved_with_the_weights() -> None:
    """A checkpoint holds what is learnt; the sphere is made anew."""
    assert not loss().state_dict()
