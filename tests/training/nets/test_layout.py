"""The layout network against what is published of it, and as a function on the panorama's circle."""

from __future__ import annotations

import math

import pytest
import torch
from torch import nn

from training.config.nets import Encoder, HorizonNetConfig
from training.nets.encoders import wrap_convolutions
from training.nets.layout import HorizonNet, boundary_from_distance


@pytest.mark.parametrize(("encoder", "parameters"), [("resnet50", 81_570_348), ("resnet18", 23_486_020)])
def test_parameter_counts_are_the_published_ones(encoder: Encoder, parameters: int) -> None:
    """HorizonNet has as many parameters as the authors' implementation."""
    with torch.device("meta"):
        net = HorizonNet(HorizonNetConfig(net="horizonnet", encoder=encoder), 512, 1024)
    assert sum(p.numel() for p in net.parameters()) == parameters


def test_outputs_start_at_horizonnets_biases() -> None:
    """With zero weights before it, the answer is the published start: -0.478, 0.425 rad and a logit of -1."""
    config = HorizonNetConfig(net="horizonnet", encoder="mobilenet_v2", squeeze="light", hidden=8, layers=1)
    net = HorizonNet(config, 64, 128, mask_channel=True)
    net.finish()
    nn.init.zeros_(net.answer.weight)
    boundary, corners = net.eval()(torch.rand(2, 4, 64, 128))
    assert boundary.shape == (2, 2, 128)
    assert corners.shape == (2, 1, 128)
    torch.testing.assert_close(boundary[:, 0], torch.full((2, 128), -0.478))
    torch.testing.assert_close(boundary[:, 1], torch.full((2, 128), 0.425))
    torch.testing.assert_close(corners, torch.full((2, 1, 128), -1.0))


@pytest.mark.parametrize("height_px", [32, 96, 192, 256])
def test_any_height_in_steps_of_32_px_is_read(height_px: int) -> None:
    """The LSTM is built for the rows that the squeezed maps have, whether the height is a power of 2 or not."""
    config = HorizonNetConfig(net="horizonnet", encoder="mobilenet_v2", squeeze="light", hidden=8, layers=1)
    net = HorizonNet(config, height_px, 2 * height_px, mask_channel=True)
    net.finish()
    with torch.no_grad():
        assert net.eval()(torch.rand(1, 4, height_px, 2 * height_px))[0].shape == (1, 2, 2 * height_px)


def test_the_distance_head_starts_at_a_plausible_room() -> None:
    """With zero weights before it: walls 1.5 camera heights away, the ceiling 0.7 above the camera, all positive."""
    config = HorizonNetConfig(
        net="horizonnet", encoder="mobilenet_v2", squeeze="light", hidden=8, layers=1, head="horizon_depth"
    )
    net = HorizonNet(config, 64, 128, mask_channel=True)
    net.finish()
    x = torch.rand(2, 4, 64, 128)
    nn.init.normal_(net.answer.weight, std=5.0)
    assert all(bool((answer > 0).all()) for answer in net.eval()(x))
    nn.init.zeros_(net.answer.weight)
    distance, ratio = net(x)
    torch.testing.assert_close(distance, torch.full((2, 1, 128), 1.5), rtol=0, atol=0.01)
    torch.testing.assert_close(ratio, torch.full((2, 1), 0.7), rtol=0, atol=0.01)


def test_boundaries_of_distances_are_those_of_the_room() -> None:
    """A wall 2 camera heights away under a ceiling 1 above the camera: floor at atan(1/2), ceiling at -atan(1/2)."""
    found = boundary_from_distance(torch.full((1, 1, 3), 2.0), torch.tensor([[1.0]]))
    assert found.shape == (1, 2, 3)
    torch.testing.assert_close(found[0, 1], torch.full((3,), math.atan(0.5)))
    torch.testing.assert_close(found[0, 0], torch.full((3,), -math.atan(0.5)))


def test_wrapped_convolutions_commute_with_turning_the_panorama() -> None:
    """After wrapping, rolling the input by a whole stride rolls the output: a panorama has no edge."""
    net = nn.Sequential(nn.Conv2d(3, 4, 3, padding=1), nn.ReLU(), nn.Conv2d(4, 4, 5, stride=(2, 2), padding=2))
    wrap_convolutions(net)
    x = torch.randn(1, 3, 8, 16)
    torch.testing.assert_close(net(x.roll(6, dims=3)), net(x).roll(3, dims=3))


def test_feature_squeezing_commutes_with_turning_the_panorama() -> None:
    """What the layout network's LSTM reads, out-of-view columns included, has no seam either."""
    config = HorizonNetConfig(net="horizonnet", encoder="mobilenet_v2", squeeze="light", hidden=8, layers=1)
    net = HorizonNet(config, 64, 128, mask_channel=True)
    net.finish()
    net.eval()
    x = torch.rand(1, 4, 64, 128)

    with torch.no_grad():
        turned, still = net.read_columns(x.roll(32, dims=3)), net.read_columns(x)
    torch.testing.assert_close(turned, still.roll(8, dims=1), rtol=1e-3, atol=1e-4)
    assert not torch.equal(still, net.read_columns(torch.cat([x[:, :3], torch.zeros(1, 1, 64, 128)], dim=1)))
