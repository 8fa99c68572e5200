"""FastDepth against what is published of it."""

from __future__ import annotations

import pytest
import torch

from edge.errors import DataError
from training.config.file import recipe_from_mapping
from training.config.nets import FastDepthConfig
from training.nets.fast_depth import FastDepth


def test_parameter_count_is_the_published_one() -> None:
    """The unpruned network has as many parameters as the authors' MobileNetSkipAdd, and answers at full size."""
    with torch.device("meta"):
        net = FastDepth(FastDepthConfig(net="fast_depth"))
        assert net(torch.zeros(1, 3, 224, 224)).shape == (1, 1, 224, 224)
    assert sum(p.numel() for p in net.parameters()) == 3_960_930


def test_depth_is_never_negative() -> None:
    """Its last layer is a ReLU, whatever the weights."""
    net = FastDepth(FastDepthConfig(net="fast_depth", encoder_channels=(8,) * 14, decoder_channels=(8,) * 5)).eval()
    with torch.no_grad():
        assert float(net(torch.randn(2, 3, 64, 96)).min()) >= 0


def test_widths_that_cannot_be_added_are_refused() -> None:
    """Decoder stages take encoder maps of their own width; the message says which."""
    net = {"net": "fast_depth", "decoder_channels": [512, 200, 128, 64, 32]}
    spec = {"name": "image", "width_px": 64, "height_px": 64, "projection": "perspective"}
    recipe = {"name": "d", "version": "1", "task": "depth", "net": net, "input": spec, "optim": {"steps": 1}}
    with pytest.raises(DataError, match=r"make them equal, here \(200, 128, 64\) and \(256, 128, 64\)"):
        recipe_from_mapping(recipe, "test")
