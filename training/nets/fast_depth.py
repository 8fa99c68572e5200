"""Depth network: Wofk et al., "FastDepth: Fast Monocular Depth Estimation on Embedded Systems" (ICRA 2019).

MobileNet without its classifier, and five blocks of a 5x5 depthwise and a 1x1 convolution, each followed by doubling
every pixel; three encoder maps are added on the way. Its last layer is a ReLU of metres.
"""

from __future__ import annotations

from typing import cast

from torch import Tensor, nn
from torch.nn import functional as F

from training.config.nets import FastDepthConfig

_STRIDES = (2, 1, 2, 1, 2, 1, 2, 1, 1, 1, 1, 1, 2, 1)
_TAPS = (5, 3, 1)
"""Encoder blocks that are added after the second, third and fourth doubling."""


def separable(inputs: int, outputs: int, kernel: int, stride: int, activation: type[nn.Module]) -> nn.Sequential:
    """A depthwise and a 1x1 convolution, each normalised and activated."""
    return nn.Sequential(
        nn.Conv2d(inputs, inputs, kernel, stride, kernel // 2, groups=inputs, bias=False),
        nn.BatchNorm2d(inputs),
        activation(inplace=True),
        nn.Conv2d(inputs, outputs, 1, bias=False),
        nn.BatchNorm2d(outputs),
        activation(inplace=True),
    )


class MobileNetBlocks(nn.Sequential):
    """MobileNet (Howard et al. 2017) up to its 14th block."""

    def __init__(self, channels: tuple[int, ...]) -> None:
        """`channels`: outputs of the 14 blocks."""
        first = nn.Sequential(
            nn.Conv2d(3, channels[0], 3, 2, 1, bias=False), nn.BatchNorm2d(channels[0]), nn.ReLU6(inplace=True)
        )
        pairs = zip(channels[:-1], channels[1:], _STRIDES[1:], strict=True)
        super().__init__(first, *[separable(i, o, 3, stride, nn.ReLU6) for i, o, stride in pairs])

    def first(self, blocks: int) -> list[nn.Module]:
        """The first `blocks` blocks, for freezing."""
        return list(self)[:blocks]


class FastDepth(nn.Module):
    """(B, 3, H, W) picture 0..1 -> (B, 1, H, W) metres."""

    def __init__(self, config: FastDepthConfig) -> None:
        """Build with random weights; H and W must be multiples of 32 px."""
        super().__init__()
        self.config = config
        self.encoder = MobileNetBlocks(config.encoder_channels)
        widths = (config.encoder_channels[-1], *config.decoder_channels)
        pairs = zip(widths[:-1], widths[1:], strict=True)
        self.decoder = nn.ModuleList(separable(i, o, 5, 1, nn.ReLU) for i, o in pairs)
        self.answer = nn.Sequential(nn.Conv2d(widths[-1], 1, 1, bias=False), nn.BatchNorm2d(1), nn.ReLU(inplace=True))

    def forward(self, x: Tensor) -> Tensor:
        """(B, 3, H, W) -> (B, 1, H, W) metres."""
        return self.raw(x)

    def raw(self, x: Tensor) -> Tensor:
        """Metres: the last layer is not a logarithm."""
        kept = {}
        for i, block in enumerate(self.encoder):
            x = block(x)
            if i in _TAPS:
                kept[i] = x
        for i, block in enumerate(self.decoder):
            x = F.interpolate(block(x), scale_factor=2.0, mode="nearest")
            if 0 < i < 4:
                x = x + kept[_TAPS[i - 1]]
        return cast(Tensor, self.answer(x))
