"""A network that says how a camera moved between two pictures, for training alone: no device needs it."""

from __future__ import annotations

from typing import Literal, cast

import torch
from torch import Tensor, nn

from training.nets.encoders import MobileNetEncoder, build_encoder

SMALL = 0.01
"""What its answers are multiplied by, so that it begins with next to no motion (Zhou et al. 2017)."""


class PoseNet(nn.Module):
    """(B, 3, H, W) twice, in 0..1 -> (B, 6): rotation vector in rad and translation, from the first to the second.

    With resnet18 it is Monodepth2's: features to 256 channels, two 3x3 convolutions, six numbers.
    """

    def __init__(self, encoder: Literal["mobilenet_v2", "resnet18"] = "mobilenet_v2") -> None:
        """Build with random weights; begins with nearly no motion."""
        super().__init__()
        small = encoder == "mobilenet_v2"
        self.encoder = build_encoder(encoder, 0.5 if small else 1.0)
        stem = self.encoder.features[0] if isinstance(self.encoder, MobileNetEncoder) else self.encoder.stem
        assert isinstance(stem, nn.Sequential)
        first = cast(nn.Conv2d, stem[0])
        wider = nn.Conv2d(6, first.out_channels, first.kernel_size, first.stride, first.padding, bias=False)  # type: ignore[arg-type]
        with torch.no_grad():
            wider.weight.copy_(torch.cat([first.weight, first.weight], dim=1) / 2)
        stem[0] = wider
        deepest, inner = self.encoder.channels[-1], 128 if small else 256
        layers: list[nn.Module] = [nn.Conv2d(deepest, inner, 1), nn.ReLU(inplace=True)]
        for _ in range(1 if small else 2):
            layers += [nn.Conv2d(inner, inner, 3, padding=1), nn.ReLU(inplace=True)]
        self.head = nn.Sequential(*layers)
        self.answer = nn.Conv2d(inner, 6, 1)

    def forward(self, first: Tensor, second: Tensor) -> Tensor:
        """See the class."""
        features = self.head(self.encoder(2 * torch.cat([first, second], dim=1) - 1)[-1])
        motion: Tensor = SMALL * self.answer(features).mean(dim=(2, 3))
        return motion
