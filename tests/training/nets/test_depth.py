"""Depth networks against what is published of them."""

from __future__ import annotations

import pytest
import torch
from torch.nn import functional as F

from training.config.nets import Decoder, FcrnConfig
from training.nets.depth import Fcrn, InterleavedConvolution, unpool


@pytest.mark.parametrize(
    ("decoder", "parameters"),
    [
        ("upproj", 63_563_008),
        ("upconv", 43_017_728),
        ("deconv3", 31_876_608),
        ("deconv2", 28_395_008),
        ("fast_upproj", 63_582_208),
    ],
)
def test_parameter_counts_are_the_published_ones(decoder: Decoder, parameters: int) -> None:
    """FCRN on ResNet-50 has as many parameters as the public implementation of each decoder."""
    with torch.device("meta"):
        net = Fcrn(FcrnConfig(net="fcrn", decoder=decoder))
    assert sum(p.numel() for p in net.parameters()) == parameters


def test_fast_upproj_computes_upproj_with_as_many_weights() -> None:
    """Four small kernels instead of one 5x5 hold as many weights; only biases and normalisation add to them."""
    config = FcrnConfig(net="fcrn", encoder="resnet18", decoder="upproj", channels=(16, 12, 8, 8, 8))
    nets = [Fcrn(config.model_copy(update={"decoder": d})) for d in ("upproj", "fast_upproj")]
    kernels = [sum(p.numel() for p in net.parameters() if p.ndim == 4) for net in nets]
    assert kernels[0] == kernels[1]


def test_interleaved_convolution_is_the_5x5_of_the_unpooled_input() -> None:
    """The four small kernels are the even and odd taps of one 5x5 kernel over the unpooled input."""
    net = InterleavedConvolution(3, 4).eval()
    kernel, x = torch.randn(4, 3, 5, 5), torch.randn(2, 3, 6, 7)
    taps = {(3, 3): (0, 0), (2, 3): (1, 0), (3, 2): (0, 1), (2, 2): (1, 1)}
    for part in net.parts:
        convolution = part[0]
        oy, ox = taps[tuple(convolution.kernel_size)]
        convolution.weight.data = kernel[:, :, oy::2, ox::2].clone()
        convolution.bias.data.zero_()
    with torch.no_grad():
        scale = 1 / (1 + net.parts[0][1].eps) ** 0.5  # an untrained normalisation divides by sqrt(1 + eps)
        expected = F.conv2d(unpool(x), kernel, padding=2) * scale
        torch.testing.assert_close(net(x), expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("decoder", ["deconv2", "deconv3", "upconv", "upproj", "fast_upproj"])
@pytest.mark.parametrize("skips", [False, True])
def test_output_is_half_the_input_size(decoder: Decoder, skips: bool) -> None:
    """Every decoder doubles four times, with or without skips."""
    config = FcrnConfig(net="fcrn", encoder="resnet18", decoder=decoder, channels=(16, 12, 8, 8, 8), skips=skips)
    net = Fcrn(config).eval()
    with torch.no_grad():
        assert net(torch.rand(2, 3, 64, 96)).shape == (2, 1, 32, 48)


def test_log_activation_keeps_metres_in_range() -> None:
    """Whatever the weights, depth lies within the configured range."""
    config = FcrnConfig(net="fcrn", encoder="mobilenet_v2", decoder="fast_upproj", channels=(8,) * 5, activation="log")
    net = Fcrn(config).eval()
    with torch.no_grad():
        net.answer.weight.mul_(1e4)
        depth = net(torch.randn(1, 3, 64, 64))
    assert float(depth.min()) >= 0.1 - 1e-6
    assert float(depth.max()) <= 20 + 1e-4
