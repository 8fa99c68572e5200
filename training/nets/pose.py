"""A network that says how a camera moved between two pictures, for training alone: no device needs it."""

from __future__ import annotations

from typing import cast

import torch
from torch import Tensor, nn

from training.nets.encoders import MobileNetEncoder

SMALL = 0.01
"""What its answers are multiplied by, so that it begins with next to no motion (Zhou et al. 2017)."""


class PoseNet(nn.Module):
    """(B, 3, H, W) twice, in 0..1 -> (B, 6): rotation vector in rad and translation, from the first to the second."""

    def __init__(self, width: float = 0.5) -> None:
        """Build with random weights; begins with nearly no motion."""
        super().__init__()
        self.encoder = MobileNetEncoder(width)
        stem = cast(nn.Sequential, self.encoder.features[0])
        first = cast(nn.Conv2d, stem[0])
        wider = nn.Conv2d(6, first.out_channels, first.kernel_size, first.stride, first.padding, bias=False)  # type: ignore[arg-type]
        with torch.no_grad():
            wider.weight.copy_(torch.cat([first.weight, first.weight], dim=1) / 2)
        stem[0] = wider
        deepest = self.encoder.channels[-1]
        self.head = nn.Sequential(
            nn.Conv2d(deepest, 128, 1), nn.ReLU(inplace=True), nn.Conv2d(128, 128, 3, padding=1), nn.ReLU(inplace=True)
        )
        self.answer = nn.Conv2d(128, 6, 1)

    def forward(self, first: Tensor, second: Tensor) -> Tensor:
        """See the class."""
        features = self.head(self.encoder(2 * torch.cat([first, second], dim=1) - 1)[-1])
        motion: Tensor = SMALL * self.answer(features).mean(dim=(2, 3))
        return motion
