"""Encoders against the torchvision networks that they are parts of."""

from __future__ import annotations

from typing import Any

import pytest
import torch
import torchvision
from torch import Tensor, nn

from edge.errors import DataError
from training.nets.encoders import ResNetEncoder, build_encoder, load_torchvision_weights

_NAMES = ("resnet18", "resnet50", "mobilenet_v2")
_TAPS = (1, 3, 6, 13, 17)
"""MobileNetV2's last blocks at 1/2, 1/4, 1/8, 1/16 and 1/32."""


def _shaken(name: str) -> nn.Module:
    """A network of torchvision with random weights, its normalisations far from the identity."""
    net: nn.Module = torchvision.models.get_model(name, weights=None)
    for module in net.modules():
        if isinstance(module, nn.BatchNorm2d):
            nn.init.uniform_(module.weight, 0.5, 1.5)
            nn.init.normal_(module.bias, std=0.1)
            module.running_mean = torch.randn(module.num_features) * 0.1
            module.running_var = torch.rand(module.num_features) + 0.5
    return net.eval()


def _features(net: Any, x: Tensor) -> list[Tensor]:
    """Feature maps of torchvision's network, by its own forward pass."""
    kept: dict[int, Tensor] = {}
    if isinstance(net, torchvision.models.MobileNetV2):
        watched = [net.features[i] for i in _TAPS]
    else:
        watched = [net.relu, net.layer1, net.layer2, net.layer3, net.layer4]
    for i, module in enumerate(watched):
        module.register_forward_hook(lambda _, __, out, i=i: kept.update({i: out.clone()}))
    net(x)
    return [kept[i] for i in range(5)]


@pytest.mark.parametrize("name", _NAMES)
def test_torchvisions_weights_give_torchvisions_features(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """After loading, every feature map equals that of torchvision's own network on the same picture."""
    net, encoder = _shaken(name), build_encoder(name).eval()
    monkeypatch.setattr(torchvision.models, "get_model", lambda *_, **__: net)
    assert load_torchvision_weights(encoder, name) == len(encoder.state_dict())
    x = torch.rand(1, 3, 64, 96)
    with torch.no_grad():
        for mine, theirs in zip(encoder(x), _features(net, x), strict=True):
            torch.testing.assert_close(mine, theirs, rtol=1e-4, atol=1e-4)


def test_weights_of_another_width_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """Torchvision has MobileNetV2 at width 1 alone; the message says what to set."""
    net = _shaken("mobilenet_v2")
    monkeypatch.setattr(torchvision.models, "get_model", lambda *_, **__: net)
    with pytest.raises(DataError, match=r"set net\.width: 1\.0"):
        load_torchvision_weights(build_encoder("mobilenet_v2", 0.5), "mobilenet_v2")


def test_an_early_stride_changes_no_shape_and_no_weight() -> None:
    """Strides in the 1x1 convolutions and pooling padded at the far end: same tensors, same sizes of maps."""
    usual, early = ResNetEncoder("resnet50"), ResNetEncoder("resnet50", early_stride=True)
    shapes = [{k: v.shape for k, v in e.state_dict().items()} for e in (usual, early)]
    assert shapes[0] == shapes[1]
    x = torch.rand(1, 3, 76, 100)
    with torch.no_grad():
        for mine, theirs in zip(early.eval()(x), usual.eval()(x), strict=True):
            assert mine.shape == theirs.shape
