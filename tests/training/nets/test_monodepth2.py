"""Monodepth2's and SC-Depth's networks have the published sizes, and answer as the depth networks do."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from tests.training.conftest import RECIPES
from training.config.file import load_recipe
from training.config.nets import Monodepth2Config
from training.nets.monodepth2 import Monodepth2

CLASSIFIER = 513_000
"""Parameters of ResNet18's last layer (512 x 1000 and 1000), which the published files keep and nobody uses."""


def _count(net: nn.Module) -> int:
    return sum(p.numel() for p in net.parameters())


def test_it_has_as_many_parameters_as_published() -> None:
    """14,842,236 in the published files with ResNet18's classifier, 14.3 million without, as papers say."""
    with torch.device("meta"):
        net = Monodepth2(Monodepth2Config(net="monodepth2"))
        single = Monodepth2(Monodepth2Config(net="monodepth2", scales=1, enlarged_by="bilinear"))
    assert _count(net) + CLASSIFIER == 14_842_236
    three_coarser = 32 * 9 + 1 + 64 * 9 + 1 + 128 * 9 + 1
    assert _count(single) == _count(net) - three_coarser


@pytest.mark.parametrize(("name", "scales"), [("monodepth2", 4), ("sc_depth", 1)])
def test_depth_is_within_its_range_at_every_size(name: str, scales: int) -> None:
    """Of the recipe's network: so many maps, each half of the one before, the first as large as the picture and served.

    Between the least and the greatest depth, whatever the last layer says: 0.1 and 100 m (Godard et al., sec. 4).
    """
    config = load_recipe(RECIPES / f"{name}.yaml").net
    assert isinstance(config, Monodepth2Config)
    net = Monodepth2(config).eval()
    with torch.no_grad():
        x = torch.randn(1, 3, 64, 96)
        maps = net.scales(x)
        assert [tuple(m.shape[2:]) for m in maps] == [(64 >> i, 96 >> i) for i in range(scales)]
        assert torch.allclose(torch.exp(maps[0]), net(x), rtol=1e-5)
        for answer in net.answers:
            nn.init.constant_(answer.bias, 40.0)
        assert torch.allclose(net(x), torch.tensor(0.1), rtol=1e-4)
        for answer in net.answers:
            nn.init.constant_(answer.bias, -40.0)
        assert torch.allclose(net(x), torch.tensor(100.0), rtol=1e-4)
