"""Depth losses against the papers' formulas, computed value by value."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from training.config.losses import DepthLossConfig
from training.losses.depth import DepthLoss, berhu, gradient_difference, silog


def _batch() -> tuple[torch.Tensor, torch.Tensor]:
    """Two pictures of different error; where the truth is unknown the prediction is furthest off."""
    generator = torch.Generator().manual_seed(5)
    target = torch.rand(2, 1, 4, 6, generator=generator) * 4 + 1
    raw = target + torch.randn(2, 1, 4, 6, generator=generator) * torch.tensor([0.05, 0.8]).reshape(2, 1, 1, 1)
    target[0, 0, 1:3, 2:5] = 0
    raw[0, 0, 1:3, 2:5] = 90.0
    return raw, target


def _valid(raw: torch.Tensor, target: torch.Tensor) -> list[tuple[float, float]]:
    pairs = zip(raw.double().flatten().tolist(), target.double().flatten().tolist(), strict=True)
    return [(p, t) for p, t in pairs if t > 0]


def test_berhu_has_one_threshold_for_the_batch_from_its_valid_pixels() -> None:
    """Laina's c is 0.2 of the largest |error| of all pictures together, of valid pixels alone."""
    raw, target = _batch()
    errors = [abs(p - t) for p, t in _valid(raw, target)]
    c = 0.2 * max(errors)
    expected = sum(e if e <= c else (e * e + c * c) / (2 * c) for e in errors) / len(errors)
    loss = DepthLoss(DepthLossConfig(berhu_on="metres"), 0.1, 100)
    assert float(loss(raw, target, log=False)) == pytest.approx(expected, rel=1e-5)
    assert c < 0.2 * 85  # not that of the unknown pixels


def test_berhus_threshold_is_no_way_for_the_gradient() -> None:
    """The gradient of each pixel is sign(e) below c and e / c above it, over the number of pixels."""
    raw, target = _batch()
    raw.requires_grad_()
    DepthLoss(DepthLossConfig(berhu_on="metres"), 0.1, 100)(raw, target, log=False).backward()
    error = (raw.detach() - target)[target > 0]
    c = 0.2 * error.abs().max()
    expected = torch.where(error.abs() <= c, error.sign(), error / c) / len(error)
    assert raw.grad is not None
    torch.testing.assert_close(raw.grad[target > 0], expected)
    assert not raw.grad[target == 0].any()


@pytest.mark.parametrize("log", [True, False])
def test_silog_is_eigens_formula(log: bool) -> None:
    """10 sqrt(mean d^2 - 0.85 (mean d)^2) over the batch's valid pixels, for networks that give metres or ln metres."""
    raw, target = _batch()
    raw = raw.clamp(min=0.2)
    d = [math.log(p) - math.log(t) for p, t in _valid(raw, target)]
    expected = 10 * math.sqrt(sum(x * x for x in d) / len(d) - 0.85 * (sum(d) / len(d)) ** 2)
    loss = DepthLoss(DepthLossConfig(kind="silog"), 0.1, 100)
    found = loss(torch.log(raw) if log else raw, target, log=log)
    assert float(found) == pytest.approx(expected, rel=1e-4)


def test_silog_forgives_most_of_a_common_factor() -> None:
    """Of an error that is one factor k everywhere sqrt(0.15) ln k is left; of the same spread about it, all."""
    factor = torch.full((50,), math.log(3.0))
    assert float(silog(factor)) == pytest.approx(10 * math.sqrt(0.15) * math.log(3.0), rel=1e-5)
    spread = torch.tensor([math.log(3.0), -math.log(3.0)])
    assert float(silog(spread)) == pytest.approx(10 * math.log(3.0), rel=1e-5)


def test_silog_can_be_trained_from_the_truth_and_from_nothing() -> None:
    """At the truth and without a valid pixel it is 0 and its gradient finite."""
    for d in (torch.zeros(8, requires_grad=True), torch.zeros(0, requires_grad=True)):
        value = silog(d)
        value.backward()
        assert float(value.detach()) == pytest.approx(0, abs=1e-4)
        assert d.grad is not None
        assert np.isfinite(d.grad.numpy()).all()


def _by_hand(predicted: np.ndarray, target: np.ndarray, valid: np.ndarray) -> float:
    """Mean L1 of the steps of a difference between valid neighbours, rows and columns, over halved scales."""
    total, scales = 0.0, 3
    for scale in range(scales):
        d, ok = ((predicted - target)[:: 2**scale, :: 2**scale], valid[:: 2**scale, :: 2**scale])
        for axis in (0, 1):
            both = ok[1:] & ok[:-1] if axis == 0 else ok[:, 1:] & ok[:, :-1]
            total += np.abs(np.diff(d, axis=axis))[both].sum() / max(both.sum(), 1)
    return total / scales


def test_the_gradient_term_is_the_mean_step_over_three_scales() -> None:
    """Li and Snavely's: rows and columns apart, every second pixel at each scale, steps to unknown pixels left out."""
    rng = np.random.default_rng(0)
    predicted, target, valid = rng.normal(size=(12, 20)), rng.normal(size=(12, 20)), rng.random((12, 20)) > 0.2
    tensors = (torch.from_numpy(a)[None, None] for a in (predicted, target, valid))
    assert float(gradient_difference(*tensors)) == pytest.approx(_by_hand(predicted, target, valid))


def test_the_gradient_term_of_nothing_known_is_nothing() -> None:
    """Without two valid neighbours there is no step; the loss is 0 and no division by 0."""
    zero = torch.zeros(1, 1, 4, 4)
    assert float(gradient_difference(zero + 3, zero, torch.zeros(1, 1, 4, 4, dtype=torch.bool))) == 0


@pytest.mark.parametrize("log", [True, False])
@pytest.mark.parametrize("berhu_on", ["log", "metres"])
def test_the_whole_loss_is_the_sum_of_its_weighted_terms(log: bool, berhu_on: str) -> None:
    """The berHu of metres or ln metres, as configured, whatever the network gives; plus 0.5 times the gradient term."""
    raw, target = _batch()
    raw = raw.clamp(min=0.2)
    valid = target > 0
    errors = raw - target if berhu_on == "metres" else torch.log(raw) - torch.log(target.clamp(min=0.1))
    steps = gradient_difference(torch.log(raw), torch.log(target.clamp(min=0.1)), valid)
    config = DepthLossConfig(berhu_on=berhu_on, gradient=0.5)  # type: ignore[arg-type]
    found = DepthLoss(config, 0.1, 100)(torch.log(raw) if log else raw, target, log=log)
    assert float(found) == pytest.approx(float(berhu(errors[valid]) + 0.5 * steps), rel=1e-5)


def test_targets_are_limited() -> None:
    """Truth below the least and above the greatest depth is taken to be at the limit."""
    target = torch.tensor([0.1, 5.0, 50.0, 3.0]).reshape(1, 1, 2, 2)
    limited = torch.tensor([1.0, 5.0, 10.0, 3.0]).reshape(1, 1, 2, 2)
    loss = DepthLoss(DepthLossConfig(berhu_on="metres"), 1.0, 10.0)
    assert float(loss(limited, target, log=False)) == pytest.approx(0)
    assert float(loss(target, target, log=False)) > 1


def test_a_network_of_less_resolution_is_compared_at_its_own() -> None:
    """A truth of 4 x 6 on an answer of 2 x 2: each answer against one true pixel of its part, none made of several."""
    target = torch.arange(1.0, 25.0).reshape(1, 1, 4, 6)
    raw = target[..., ::2, ::3].clone()
    loss = DepthLoss(DepthLossConfig(berhu_on="metres"), 0.1, 100)
    assert float(loss(raw, target, log=False)) == pytest.approx(0)
    target[0, 0, 0, 0] = 0
    raw[0, 0, 0, 0] = 99
    assert float(loss(raw, target, log=False)) == pytest.approx(0)


def test_metres_below_the_least_depth_have_a_logarithm() -> None:
    """A network of metres that says less than nothing is compared as if it said the least depth."""
    target = torch.full((1, 1, 2, 2), 2.0)
    loss = DepthLoss(DepthLossConfig(berhu_on="log"), 0.5, 100)
    low, least = (float(loss(torch.full((1, 1, 2, 2), m), target, log=False)) for m in (-3.0, 0.5))
    assert low == pytest.approx(least) == pytest.approx(float(berhu(torch.full((4,), math.log(4)))))


def test_berhu_of_errors_too_small_to_divide_by() -> None:
    """Perfect predictions have c = 0; the loss and its gradient are finite."""
    e = torch.zeros(3, requires_grad=True)
    berhu(e).backward()
    assert e.grad is not None
    assert torch.isfinite(e.grad).all()
