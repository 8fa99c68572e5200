"""One network for depth, layout and light of a panorama canvas: one encoder, three heads that read its maps.

Layout: HorizonNet's columns. Light: the completion network's coarse map. Depth: range, by a small FastDepth decoder
(separable 5x5 convolutions, doubling by repetition, encoder maps added on the way; Wofk et al. 2019). Every
convolution wraps round the panorama, so a picture turned by whole cells of the coarsest map has its range turned alike.
"""

from __future__ import annotations

import math
from typing import NamedTuple, cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from training.config.nets import CompletionConfig, JointConfig
from training.nets.depth import FIRST_LOG_SPREAD, spread_of
from training.nets.encoders import build_encoder, wrap_convolutions
from training.nets.fast_depth import separable
from training.nets.layout import HorizonNet
from training.nets.lighting import Completed, CompletionSh

_FIRST_GUESS_M = 2.0


class JointAnswer(NamedTuple):
    """What the heads answer to a batch."""

    log_range: Tensor
    """(B, 1, H / 2, W / 2) ln(metres), unlimited."""
    log_spread: Tensor | None
    """(B, 1, H / 2, W / 2) ln of the error expected of `log_range`, unlimited, where the network says so."""
    columns: tuple[Tensor, ...]
    """What the layout head gives: boundary (B, 2, W') rad, positive down, corner logits (B, 1, W'), and the rest."""
    light: Completed


class RangeHead(nn.Module):
    """Encoder maps -> ln(range in metres) at half the picture's size, and the ln of its expected error."""

    def __init__(self, channels: tuple[int, ...], widths: tuple[int, ...], *, spread: bool) -> None:
        """`channels` of the encoder's five maps, finest first; `widths` of the four stages, coarsest first."""
        super().__init__()
        pairs = zip((channels[-1], *widths[:-1]), widths, strict=True)
        self.stages = nn.ModuleList(separable(i, o, 5, 1, nn.ReLU) for i, o in pairs)
        self.skips = nn.ModuleList(nn.Conv2d(c, w, 1) for c, w in zip(channels[-2::-1], widths, strict=True))
        last = nn.Conv2d(widths[-1], 2 if spread else 1, 1)
        self.answer = nn.Sequential(separable(widths[-1], widths[-1], 5, 1, nn.ReLU), last)
        with torch.no_grad():
            cast(Tensor, last.bias).copy_(
                torch.tensor([math.log(_FIRST_GUESS_M), FIRST_LOG_SPREAD][: last.out_channels])
            )

    def forward(self, maps: list[Tensor]) -> Tensor:
        """Maps at 1/2 to 1/32 of the picture, finest first -> (B, 1 or 2, H / 2, W / 2)."""
        x = maps[-1]
        for stage, skip, finer in zip(self.stages, self.skips, maps[-2::-1], strict=True):
            x = F.interpolate(stage(x), scale_factor=2.0, mode="nearest") + skip(finer)
        return cast(Tensor, self.answer(x))


class JointNet(nn.Module):
    """(B, 4, H, W) canvas 0..1 and mask -> depth, layout and light, in the order of its manifest.

    Depth is (B, 1, H / 2, W / 2) range in metres, and where asked for the error expected of its logarithm; the others
    are those of HorizonNet and the completion network.
    """

    mean: Tensor
    std: Tensor

    def __init__(self, config: JointConfig, height_px: int, width_px: int) -> None:
        """Build with random weights for canvases of this size, multiples of 32 px."""
        super().__init__()
        self.config = config
        self.register_buffer("mean", torch.tensor(config.mean).view(1, 3, 1, 1), persistent=False)
        self.register_buffer("std", torch.tensor(config.std).view(1, 3, 1, 1), persistent=False)
        self.encoder = build_encoder(config.layout.encoder, config.layout.width)
        channels = self.encoder.channels
        self.layout = HorizonNet(config.layout, height_px, width_px, mask_channel=True, channels=channels)
        completion = CompletionConfig(net="completion", hidden=config.light_hidden, gate=config.light_gate)
        self.light = CompletionSh(completion, height_px, width_px, channels=(channels[-2], channels[-1]))
        self.depth = RangeHead(channels, config.depth_channels, spread=config.depth_spread)

    def finish(self) -> None:
        """Wrap every convolution; call once, after pretrained weights are in."""
        wrap_convolutions(self)

    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        """Depth with its spread, what is said of columns, coefficients."""
        answer = self.answer(x)
        limits = math.log(self.config.min_m), math.log(self.config.max_m)
        depth = [torch.exp(answer.log_range.clamp(*limits))]
        if answer.log_spread is not None:
            depth.append(spread_of(answer.log_spread))
        return *depth, *answer.columns, answer.light.coefficients

    def answer(self, x: Tensor) -> JointAnswer:
        """(B, 4, H, W) -> what the losses compare, the range not yet limited."""
        normal = (x[:, :3] - self.mean * x[:, 3:]) / self.std
        maps = self.encoder(normal)
        columns = self.layout(x, maps)
        light = self.light.complete(x, (maps[-2], maps[-1]))
        depth = self.depth(maps)
        log_spread = depth[:, 1:] if self.config.depth_spread else None
        return JointAnswer(depth[:, :1], log_spread, columns, light)
