"""The depth network of Monodepth2 (Godard et al., "Digging into Self-Supervised Monocular Depth Estimation", 2019).

A ResNet, and a decoder of five levels: a 3x3 convolution, twice the size, the encoder's map of that size beside it, and
another 3x3 convolution; ELU, borders mirrored. The four finest levels each give a disparity through a sigmoid. SC-Depth
(Bian et al. 2019 and 2021) takes the same with bilinear enlargement, one level, and disparity 10 sigmoid + 0.01.
"""

from __future__ import annotations

from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from training.config.nets import Monodepth2Config
from training.nets.encoders import ResNetEncoder

_CHANNELS = (16, 32, 64, 128, 256)
"""Of the decoder's levels, finest first."""


def _convolution(inputs: int, outputs: int) -> nn.Conv2d:
    return nn.Conv2d(inputs, outputs, 3, padding=1, padding_mode="reflect")


class Monodepth2(nn.Module):
    """(B, 3, H, W) normalised picture -> (B, 1, H, W) depth; metres where it learnt them. Sides are multiples of 32 px.

    Nothing in it knows a scale: what it is trained with gives one.
    """

    def __init__(self, config: Monodepth2Config) -> None:
        """Build with random weights."""
        super().__init__()
        self.config = config
        self.encoder = ResNetEncoder(config.encoder)
        before = (*_CHANNELS[1:], self.encoder.channels[-1])
        beside = (0, *self.encoder.channels[:-1])
        self.narrow = nn.ModuleList(_convolution(i, o) for i, o in zip(before, _CHANNELS, strict=True))
        self.joined = nn.ModuleList(_convolution(o + b, o) for o, b in zip(_CHANNELS, beside, strict=True))
        self.answers = nn.ModuleList(_convolution(c, 1) for c in _CHANNELS[: config.scales])

    def forward(self, x: Tensor) -> Tensor:
        """(B, 3, H, W) -> (B, 1, H, W) depth."""
        return torch.exp(self.raw(x))

    def raw(self, x: Tensor) -> Tensor:
        """(B, 1, H, W) ln(depth)."""
        return self._log_depths(x, finest_alone=True)[0]

    def scales(self, x: Tensor) -> list[Tensor]:
        """ln(depth) at the picture's size, half of it and so on: as many as `config.scales`."""
        return self._log_depths(x, finest_alone=False)

    def _log_depths(self, x: Tensor, *, finest_alone: bool) -> list[Tensor]:
        maps = self.encoder(x)
        x, out = maps[-1], []
        for level in reversed(range(len(_CHANNELS))):
            x = F.interpolate(F.elu(self.narrow[level](x)), scale_factor=2.0, mode=self.config.enlarged_by)
            if level:
                x = torch.cat([x, maps[level - 1]], dim=1)
            x = F.elu(self.joined[level](x))
            if level == 0 or (level < len(self.answers) and not finest_alone):
                out.append(self._log_depth(cast(Tensor, self.answers[level](x))))
        return out[::-1]

    def _log_depth(self, answer: Tensor) -> Tensor:
        """-ln(disparity), where disparity goes from that of `max_m` to that of `min_m` through a sigmoid."""
        far, near = 1 / self.config.max_m, 1 / self.config.min_m
        return -torch.log(far + (near - far) * torch.sigmoid(answer))
