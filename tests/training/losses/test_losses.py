"""Losses against independent formulas."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from edge.geometry.harmonics import irradiance_over_pi
from edge.geometry.panorama import rays, solid_angles
from training.config.losses import BoundaryLossConfig, DepthLossConfig, LightingLossConfig
from training.losses.depth import DepthLoss, berhu, gradient_difference
from training.losses.layout import LayoutLoss
from training.losses.lighting import LightingLoss


def test_berhu_is_the_papers_formula() -> None:
    """|e| up to c = 0.2 max |e|, (e^2 + c^2) / 2c beyond; computed here value by value."""
    errors = np.array([-3.0, 0.1, 0.55, 0.7, -0.2, 2.0])
    c = 0.2 * 3.0
    expected = np.mean([abs(e) if abs(e) <= c else (e * e + c * c) / (2 * c) for e in errors])
    assert float(berhu(torch.tensor(errors))) == pytest.approx(expected)
    assert float(berhu(torch.zeros(0))) == 0.0


def test_berhu_is_continuous_with_continuous_slope_at_its_threshold() -> None:
    """Both branches meet in value and derivative, so the loss has no kink but at 0."""
    c = 0.2
    e = torch.tensor([c - 1e-4, c + 1e-4, 1.0], dtype=torch.float64, requires_grad=True)
    values = torch.where(e.abs() <= c, e.abs(), (e * e + c * c) / (2 * c))
    torch.testing.assert_close(berhu(e), values.mean())
    berhu(e).backward()
    assert e.grad is not None
    assert float(e.grad[0]) == pytest.approx(float(e.grad[1]), rel=1e-3)


def test_unknown_depth_counts_nowhere() -> None:
    """Changing the prediction where the truth is 0 changes neither loss nor gradient."""
    loss = DepthLoss(DepthLossConfig(gradient=0.5), 0.1, 20)
    target = torch.rand(1, 1, 8, 8) + 1
    target[..., 2:5, 3:6] = 0
    raw = torch.randn(1, 1, 8, 8, requires_grad=True)
    value = loss(raw, target, log=True)
    value.backward()
    assert raw.grad is not None
    assert not raw.grad[target == 0].any()
    other = torch.where(target == 0, raw.detach() + 5, raw.detach())
    torch.testing.assert_close(loss(other, target, log=True), value.detach())


@pytest.mark.parametrize("berhu_on", ["log", "metres"])
def test_a_perfect_depth_costs_nothing(berhu_on: str) -> None:
    """Both forms and the gradient term are 0 at the truth."""
    loss = DepthLoss(DepthLossConfig(berhu_on=berhu_on, gradient=1.0), 0.1, 20)  # type: ignore[arg-type]
    target = torch.rand(2, 1, 8, 8) * 5 + 0.5
    assert float(loss(torch.log(target), target, log=True)) == pytest.approx(0, abs=1e-5)
    assert float(loss(target, target, log=False)) == pytest.approx(0, abs=1e-5)


def test_gradient_term_ignores_a_common_factor() -> None:
    """A prediction off by one factor everywhere has the right log steps."""
    target = torch.rand(1, 1, 16, 16) + 1
    valid = torch.ones_like(target, dtype=torch.bool)
    assert float(gradient_difference(torch.log(target * 3), torch.log(target), valid)) == pytest.approx(0, abs=1e-6)


def test_layout_loss_counts_seen_columns_only() -> None:
    """L1 + BCE by hand over the seen columns, an edge out of view counting as said; unseen ones change nothing."""
    torch.manual_seed(1)
    boundary, corners = torch.randn(1, 2, 6), torch.rand(1, 1, 6)
    predicted, logits = torch.randn(1, 2, 6), torch.randn(1, 1, 6)
    seen = torch.tensor([[[1, 1, 0, 1, 0, 0], [1, 0.5, 0, 0, 0, 0]]])
    at = seen[0, 0].numpy() > 0
    e = (predicted - boundary).abs().numpy()[0]
    edges = (e[0, 0] + e[0, 1] + e[0, 3] + e[1, 0] + 0.5 * e[1, 1]) / 4.5
    p = 1 / (1 + np.exp(-logits.numpy()[0, 0][at]))
    t = corners.numpy()[0, 0][at]
    entropy = -(t * np.log(p) + (1 - t) * np.log(1 - p)).mean()
    loss = LayoutLoss(BoundaryLossConfig(boundary=2.0, corners=0.5))
    assert float(loss((predicted, logits), boundary, corners, seen)) == pytest.approx(
        2 * edges + 0.5 * entropy, rel=1e-5
    )


def test_lighting_loss_is_scale_invariant_where_it_says_so() -> None:
    """The irradiance term agrees with the sphere integral in numpy, and does not see a common factor."""
    rng = np.random.default_rng(0)
    truth, predicted = rng.normal(0, 0.2, (2, 9, 3))
    truth[0], predicted[0] = 1.0, 0.9
    loss = LightingLoss(LightingLossConfig())
    ours = float(loss.si_irradiance(torch.tensor(predicted[None]).float(), torch.tensor(truth[None]).float())[0])
    normals, area = rays(64, 32), solid_angles(64, 32)[..., None]
    p, t = irradiance_over_pi(predicted, normals), irradiance_over_pi(truth, normals)
    scale = (p * t * area).sum() / (p * p * area).sum()
    assert ours == pytest.approx(np.sqrt((area * (scale * p - t) ** 2).sum() / (area * t * t).sum()), rel=0.02)
    scaled = loss.si_irradiance(torch.tensor(3 * predicted[None]).float(), torch.tensor(truth[None]).float())
    assert float(scaled[0]) == pytest.approx(ours, rel=1e-4)


def test_corners_may_count_by_themselves() -> None:
    """With a third row, a corner counts as that says, whatever is seen of its edges; the edges as before."""
    torch.manual_seed(2)
    boundary, corners = torch.randn(1, 2, 4), torch.rand(1, 1, 4)
    predicted, logits = torch.randn(1, 2, 4), torch.randn(1, 1, 4)
    seen = torch.tensor([[[1.0, 1, 0, 0], [1, 0, 0, 1], [0, 1, 1, 0.5]]])
    e = (predicted - boundary).abs()[0]
    edges = float(e[0, 0] + e[0, 1] + e[1, 0] + e[1, 3]) / 4
    p, t = torch.sigmoid(logits)[0, 0], corners[0, 0]
    entropy = -(t * p.log() + (1 - t) * (1 - p).log())
    expected = float(entropy[1] + entropy[2] + 0.5 * entropy[3]) / 2.5
    loss = LayoutLoss(BoundaryLossConfig(boundary=2.0, corners=0.5))
    found = float(loss((predicted, logits), boundary, corners, seen))
    assert found == pytest.approx(2 * edges + 0.5 * expected, rel=1e-5)


def test_a_layout_out_of_view_costs_nothing() -> None:
    """Where no column is seen there is nothing to learn, and no division by 0."""
    zeros = torch.zeros(1, 2, 4)
    loss = LayoutLoss(BoundaryLossConfig(boundary=1.0, corners=1.0))
    assert float(loss((zeros + 1, zeros[:, :1]), zeros, zeros[:, :1] + 0.5, zeros)) == 0


@pytest.mark.parametrize(("seen", "share"), [(1.0, 1.0), (0.5, 0.5), (0.25, 0.25)])
def test_a_single_column_counts_as_much_as_it_is_seen(seen: float, share: float) -> None:
    """One column in full view is the mean, one in part is not blown up to a whole: edges off by 0.3, a corner ln 2."""
    boundary, corners = torch.zeros(1, 2, 6), torch.zeros(1, 1, 6)
    view = torch.zeros(1, 2, 6)
    view[0, 0, 2] = seen
    for weights, expected in (({"boundary": 1.0, "corners": 0.0}, 0.3), ({"boundary": 0.0, "corners": 1.0}, np.log(2))):
        loss = LayoutLoss(BoundaryLossConfig(**weights))
        found = float(loss((boundary + 0.3, corners), boundary, corners, view))
        assert found == pytest.approx(share * expected, rel=1e-5)
