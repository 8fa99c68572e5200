"""The terms that make depth sharp: each is 0 for the truth, and grows with what it is for."""

from __future__ import annotations

import math

import pytest
import torch

from training.config.losses import DepthLossConfig
from training.losses.depth import (
    DepthLoss,
    edge_difference,
    normal_difference,
    spread_likelihood,
    surface_normals,
)

FOCAL_PX = 50.0


def _step(near_m: float = 1.0, far_m: float = 2.0) -> torch.Tensor:
    """A wall at `far_m` with a box in front of it."""
    depth = torch.full((1, 1, 32, 48), far_m)
    depth[..., 8:24, 12:30] = near_m
    return depth


def test_a_blurred_edge_costs_and_a_shift_of_scale_does_not() -> None:
    """Edges are steps of the logarithm: a map that is too far everywhere has them all, a blurred one has not."""
    truth = torch.log(_step())
    valid = torch.ones_like(truth, dtype=torch.bool)
    blurred = torch.nn.functional.avg_pool2d(truth, 5, 1, 2, count_include_pad=False)
    assert float(edge_difference(truth + 0.3, truth, valid)) == pytest.approx(0, abs=1e-6)
    assert float(edge_difference(blurred, truth, valid)) > 0.3
    assert float(edge_difference(torch.zeros_like(truth), truth, valid)) == pytest.approx(math.log(2), rel=1e-5)
    assert float(edge_difference(truth, torch.zeros_like(truth), valid)) == 0  # no edge in the truth


def test_normals_of_a_slanted_plane() -> None:
    """Of z = 1 + x / 2 they are (1, 0, -2) / sqrt(5) everywhere, by the lens of the picture."""
    x = (torch.arange(48) + 0.5 - 24) / FOCAL_PX
    depth = (1 / (1 - 0.5 * x)).expand(1, 1, 32, 48)  # z = 1 + X / 2 with X = x z
    normals = surface_normals(depth, FOCAL_PX)
    expected = torch.tensor([0.5, 0.0, -1.0]) / math.sqrt(1.25)
    assert float((normals * expected[:, None, None]).sum(dim=1).abs().min()) > 1 - 1e-4


def test_normals_count_on_surfaces_alone() -> None:
    """Scale changes none; a slope where the truth is level costs 1 - cosine; edges and unknown pixels do not count."""
    truth = torch.log(_step())
    valid = torch.ones_like(truth, dtype=torch.bool)
    assert float(normal_difference(truth + 0.5, truth, valid, FOCAL_PX)) == pytest.approx(0, abs=1e-5)
    flat = torch.zeros_like(truth)
    x = (torch.arange(48) + 0.5 - 24) / FOCAL_PX
    slanted = torch.log((1 / (1 - 0.5 * x)).expand_as(flat))
    wanted = 1 - 1 / math.sqrt(1.25)
    assert float(normal_difference(slanted, flat, valid, FOCAL_PX)) == pytest.approx(wanted, rel=1e-3)
    none = torch.zeros_like(valid)
    assert float(normal_difference(slanted, flat, none, FOCAL_PX)) == 0


def test_spread_becomes_the_mean_error() -> None:
    """Its likelihood is greatest where the spread is the errors' mean size, and errors learn nothing from it."""
    size = torch.tensor([0.05, 0.1, 0.3], requires_grad=True)
    log_spread = torch.zeros(3, requires_grad=True)
    optimizer = torch.optim.Adam([log_spread], lr=0.05)
    for _ in range(400):
        optimizer.zero_grad()
        spread_likelihood(log_spread.mean().expand(3), size).backward()
        optimizer.step()
    assert float(log_spread.detach().mean().exp()) == pytest.approx(0.15, rel=0.02)
    assert size.grad is None


def test_near_pixels_count_for_more() -> None:
    """The same relative error costs more at half a metre than at three, where it is asked for."""
    near, far = torch.full((1, 1, 8, 8), 3.0), torch.full((1, 1, 8, 8), 3.0)
    near[..., :4], far[..., :4] = 0.5, 0.5
    raw_near, raw_far = torch.log(near), torch.log(far)
    raw_near[..., :4] += 0.2
    raw_far[..., 4:] += 0.2
    for weight, same in ((0.0, True), (1.0, False)):
        loss = DepthLoss(DepthLossConfig(near=weight), 0.1, 20.0)
        costs = [float(loss(raw, target, log=True)) for raw, target in ((raw_near, near), (raw_far, far))]
        assert (costs[0] == pytest.approx(costs[1])) == same
        assert costs[0] >= costs[1] - 1e-6
