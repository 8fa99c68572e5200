"""Depth networks: Laina et al., "Deeper Depth Prediction with Fully Convolutional Residual Networks" (3DV 2016).

An encoder, a 1x1 convolution, four stages that each double the size, and a 3x3 convolution to one channel. The stages:
transposed convolutions (deconv2, deconv3), zero-unpooling and a 5x5 convolution (upconv), the paper's up-projection
(upproj), and the same computed as four small convolutions whose results are interleaved (fast_upproj). And FastDepth's:
a 5x5 depthwise and a 1x1 convolution before every pixel is doubled (separable).
"""

from __future__ import annotations

import math
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from training.config.nets import FcrnConfig
from training.nets.encoders import build_encoder
from training.nets.fast_depth import separable

FIRST_LOG_SPREAD = math.log(0.2)
SPREAD = (0.01, 2.0)
"""Limits of how far off ln(depth) is said to be."""


def spread_of(log_spread: Tensor) -> Tensor:
    """The error expected of ln(depth), from its logarithm."""
    return torch.exp(log_spread.clamp(*(math.log(limit) for limit in SPREAD)))


def unpool(x: Tensor) -> Tensor:
    """(B, C, H, W) -> (B, C, 2H, 2W) with each value at the top left of its 2x2 block and zeros elsewhere."""
    b, c, h, w = x.shape
    zero = torch.zeros_like(x)
    rows = torch.stack([x, zero], dim=-1).reshape(b, c, h, 2 * w)
    return torch.stack([rows, torch.zeros_like(rows)], dim=3).reshape(b, c, 2 * h, 2 * w)


class Deconvolution(nn.Sequential):
    """A transposed convolution with a 2x2 or 3x3 kernel."""

    def __init__(self, inputs: int, outputs: int, kernel: int) -> None:
        """`kernel`: 2 or 3."""
        pad = (kernel - 1) // 2
        super().__init__(
            nn.ConvTranspose2d(inputs, outputs, kernel, stride=2, padding=pad, output_padding=pad, bias=False),
            nn.BatchNorm2d(outputs),
            nn.ReLU(inplace=True),
        )


class UpConvolution(nn.Module):
    """`unpool` and a 5x5 convolution: twice as high and wide (Laina et al. 2016, figure 2 (b))."""

    def __init__(self, inputs: int, outputs: int) -> None:
        """Build with random weights."""
        super().__init__()
        self.convolution = nn.Conv2d(inputs, outputs, 5, padding=2, bias=False)
        self.norm = nn.BatchNorm2d(outputs)

    def forward(self, x: Tensor) -> Tensor:
        """(B, inputs, H, W) -> (B, outputs, 2H, 2W)."""
        return F.relu(self.norm(self.convolution(unpool(x))))


class UpProjection(nn.Module):
    """Unpooling, and a residual block of 5x5 and 3x3 convolutions with a projected shortcut."""

    def __init__(self, inputs: int, outputs: int) -> None:
        """Build with random weights."""
        super().__init__()
        self.upper = nn.Sequential(
            nn.Conv2d(inputs, outputs, 5, padding=2, bias=False),
            nn.BatchNorm2d(outputs),
            nn.ReLU(inplace=True),
            nn.Conv2d(outputs, outputs, 3, padding=1, bias=False),
            nn.BatchNorm2d(outputs),
        )
        self.shortcut = nn.Sequential(nn.Conv2d(inputs, outputs, 5, padding=2, bias=False), nn.BatchNorm2d(outputs))

    def forward(self, x: Tensor) -> Tensor:
        """(B, inputs, H, W) -> (B, outputs, 2H, 2W)."""
        x = unpool(x)
        return F.relu(self.upper(x) + self.shortcut(x))


class InterleavedConvolution(nn.Module):
    """A 5x5 convolution of the unpooled input without the products by zero: four small kernels, interleaved."""

    _KERNELS = ((3, 3), (2, 3), (3, 2), (2, 2))

    def __init__(self, inputs: int, outputs: int, *, backwards: bool = False) -> None:
        """`backwards`: even kernels reach up and left, as in the authors' TensorFlow port, not down and right."""
        super().__init__()
        self.backwards = backwards
        self.parts = nn.ModuleList(
            nn.Sequential(nn.Conv2d(inputs, outputs, kernel), nn.BatchNorm2d(outputs)) for kernel in self._KERNELS
        )

    def forward(self, x: Tensor) -> Tensor:
        """(B, inputs, H, W) -> (B, outputs, 2H, 2W)."""
        # An odd kernel is centred; an even one starts at the pixel itself, as the zeros before it count for nothing.
        far, near = (0, 1) if self.backwards else (1, 0)
        pads = [(1, 1, 1, 1), (1, 1, near, far), (near, far, 1, 1), (near, far, near, far)]
        a, b, c, d = (part(F.pad(x, pad)) for part, pad in zip(self.parts, pads, strict=True))
        stacked = torch.stack([a, c, b, d], dim=2)
        return F.pixel_shuffle(stacked.flatten(1, 2), 2)


class FastUpProjection(nn.Module):
    """The up-projection with interleaved convolutions."""

    def __init__(self, inputs: int, outputs: int, *, backwards: bool = False) -> None:
        """`backwards`: see `InterleavedConvolution`."""
        super().__init__()
        self.first = InterleavedConvolution(inputs, outputs, backwards=backwards)
        self.second = nn.Sequential(nn.Conv2d(outputs, outputs, 3, padding=1, bias=False), nn.BatchNorm2d(outputs))
        self.shortcut = InterleavedConvolution(inputs, outputs, backwards=backwards)

    def forward(self, x: Tensor) -> Tensor:
        """(B, inputs, H, W) -> (B, outputs, 2H, 2W)."""
        return F.relu(self.second(F.relu(self.first(x))) + self.shortcut(x))


class SeparableStage(nn.Module):
    """FastDepth's: a separable 5x5 convolution, then every pixel twice in width and height."""

    def __init__(self, inputs: int, outputs: int) -> None:
        """Build with random weights."""
        super().__init__()
        self.convolution = separable(inputs, outputs, 5, 1, nn.ReLU)

    def forward(self, x: Tensor) -> Tensor:
        """(B, inputs, H, W) -> (B, outputs, 2H, 2W)."""
        return F.interpolate(self.convolution(x), scale_factor=2.0, mode="nearest")


def _stage(config: FcrnConfig, inputs: int, outputs: int) -> nn.Module:
    if config.decoder.startswith("deconv"):
        return Deconvolution(inputs, outputs, int(config.decoder[-1]))
    if config.decoder == "separable":
        return SeparableStage(inputs, outputs)
    if config.decoder == "fast_upproj":
        return FastUpProjection(inputs, outputs, backwards=config.port == "tensorflow")
    return UpConvolution(inputs, outputs) if config.decoder == "upconv" else UpProjection(inputs, outputs)


class Fcrn(nn.Module):
    """(B, 3, H, W) normalised picture -> (B, 1, H / 2, W / 2) metres (for the canonical lens, if one is set).

    Where a side is no multiple of 32 px, the answer has half of the next one, stretched over the same picture. With
    `answer: full` it has the picture's size; with `spread` there is as large a map of the error expected of ln(metres).
    """

    def __init__(self, config: FcrnConfig) -> None:
        """Build with random weights; with skips, H and W must be multiples of 32 px."""
        super().__init__()
        self.config = config
        tensorflow = config.port == "tensorflow"
        self.encoder = build_encoder(config.encoder, config.width, early_stride=tensorflow)
        deepest = self.encoder.channels[-1]
        widths = config.channels or tuple(deepest // 2 ** (i + 1) for i in range(5))
        self.bridge = nn.Sequential(nn.Conv2d(deepest, widths[0], 1, bias=False), nn.BatchNorm2d(widths[0]))
        pairs = list(zip(widths[:-1], widths[1:], strict=True))
        self.stages = nn.ModuleList(_stage(config, i, o) for i, o in pairs)
        finer = self.encoder.channels[-2::-1]
        self.skips = nn.ModuleList(nn.Conv2d(e, o, 1) for e, (_, o) in zip(finer, pairs, strict=True) if config.skips)
        each = 4 if config.answer == "full" else 1
        biased = tensorflow or config.activation == "log"
        self.answer = nn.Conv2d(widths[-1], (2 if config.spread else 1) * each, 3, padding=1, bias=biased)
        if config.activation == "log":
            start = torch.tensor([math.log(2.0), FIRST_LOG_SPREAD]).repeat_interleave(each)
            with torch.no_grad():
                cast(Tensor, self.answer.bias).copy_(start[: self.answer.out_channels])
                self.answer.weight.mul_(0.1)  # near its first guess everywhere, whatever the decoder starts as

    def forward(self, x: Tensor) -> Tensor | tuple[Tensor, Tensor]:
        """(B, 3, H, W) -> metres: (B, 1, H / 2, W / 2), or (B, 1, H, W) with `enlarge`; and the spread, if any."""
        raw = self.raw(x)
        if self.config.enlarge:
            raw = F.interpolate(raw, size=x.shape[2:], mode="bilinear", align_corners=True)
        if self.config.activation == "log":
            metres = torch.exp(raw[:, :1].clamp(math.log(self.config.min_m), math.log(self.config.max_m)))
            return (metres, spread_of(raw[:, 1:])) if self.config.spread else metres
        return raw

    def raw(self, x: Tensor) -> Tensor:
        """The last layer: ln(metres), or metres, as `activation` says; unlimited, so every error has a gradient.

        With `spread` there is a second channel, its logarithm.
        """
        maps = self.encoder(x)
        x = self.bridge(maps[-1])
        for i, stage in enumerate(self.stages):
            x = stage(x)
            if self.config.skips:
                x = x + self.skips[i](maps[-2 - i])
        answer = cast(Tensor, self.answer(x))
        if self.config.answer == "full":
            answer = F.pixel_shuffle(answer, 2)
        if self.config.port == "tensorflow":
            answer = F.relu(answer)
        return answer
