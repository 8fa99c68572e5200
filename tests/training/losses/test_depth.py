"""Depth losses against the papers' formulas, computed value by value."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from training.config.losses import DepthLossConfig
from training.losses.depth import DepthLoss, silog


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
