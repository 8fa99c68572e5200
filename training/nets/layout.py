"""Layout network: Sun et al., "HorizonNet: Learning Room Layout with 1D Representation" (CVPR 2019).

Feature maps of four resolutions are squeezed in height, laid side by side as one sequence of columns, and read by a
bidirectional LSTM. Every convolution wraps round the panorama.
"""

from __future__ import annotations

from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from training.config import HorizonNetConfig
from training.nets.encoders import build_encoder, wrap_convolutions

_SHARE = 8
_MASK_ROWS = 16
"""Rows to which the mask is averaged for the columns that the LSTM reads."""
_BIAS = (-1.0, -0.478, 0.425)
"""HorizonNet's start: corner logit, ceiling latitude, floor latitude (positive down, rad)."""


def _squeeze(inputs: int, outputs: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(inputs, outputs, 3, stride=(2, 1), padding=1), nn.BatchNorm2d(outputs), nn.ReLU(inplace=True)
    )


def _light_squeeze(inputs: int, outputs: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(inputs, inputs, 3, stride=(2, 1), padding=1, groups=inputs, bias=False),
        nn.BatchNorm2d(inputs),
        nn.Conv2d(inputs, outputs, 1, bias=False),
        nn.BatchNorm2d(outputs),
        nn.ReLU(inplace=True),
    )


class HeightCompression(nn.Module):
    """Squeeze one feature map by 16 in height and bring it to the common number of columns."""

    def __init__(self, inputs: int, outputs: int, light: bool) -> None:
        """`light`: depthwise convolutions."""
        super().__init__()
        make = _light_squeeze if light else _squeeze
        widths = [inputs, inputs // 2, inputs // 2, inputs // 4, outputs]
        if light:
            widths = [inputs, outputs * 2, outputs * 2, outputs, outputs]
        self.layers = nn.Sequential(*[make(a, b) for a, b in zip(widths[:-1], widths[1:], strict=True)])

    def forward(self, x: Tensor, columns: int) -> Tensor:
        """(B, C, H, W) -> (B, outputs * rows, columns)."""
        x = self.layers(x)
        if x.shape[3] != columns:
            factor = columns // x.shape[3]
            # Interpolate across the seam too: wrap a column at each side, enlarge, cut.
            x = torch.cat([x[..., -1:], x, x[..., :1]], dim=3)
            x = F.interpolate(x, size=(x.shape[2], columns + 2 * factor), mode="bilinear", align_corners=False)
            x = x[..., factor:-factor]
        return x.flatten(1, 2)


class HorizonNet(nn.Module):
    """(B, 3 or 4, H, W) normalised panorama -> boundary (B, 2, W') rad positive down, and corner logits (B, 1, W')."""

    def __init__(self, config: HorizonNetConfig, height_px: int, width_px: int, *, mask_channel: bool = False) -> None:
        """Build with random weights for panoramas of this size, multiples of 32 px."""
        super().__init__()
        self.config, self.columns, self._mask = config, width_px // 4, mask_channel
        self.encoder = build_encoder(config.encoder, config.width)
        light = config.squeeze == "light"
        squeezes, size = [], 0
        for i, channels in enumerate(self.encoder.channels[1:]):
            rows = max(1, height_px // (4 << i) // 16)
            outputs = max(16, channels // 4) if light else channels // _SHARE
            squeezes.append(HeightCompression(channels, outputs, light))
            size += outputs * rows
        size += _MASK_ROWS if mask_channel else 0
        self.squeezes = nn.ModuleList(squeezes)
        self.lstm = nn.LSTM(
            size,
            config.hidden,
            config.layers,
            dropout=config.dropout if config.layers > 1 else 0.0,
            bidirectional=True,
            batch_first=True,
        )
        self.dropout = nn.Dropout(config.dropout)
        self.answer = nn.Linear(2 * config.hidden, 3 * config.step_columns)
        with torch.no_grad():
            self.answer.bias.copy_(torch.tensor(_BIAS).repeat_interleave(config.step_columns))

    def finish(self) -> None:
        """Wrap every convolution; call once, after pretrained weights are in."""
        wrap_convolutions(self)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Boundary and corner logits, each `step_columns * W / 4` columns wide."""
        read = self.lstm(self.read_columns(x))[0]
        out = self.answer(self.dropout(read))
        b = out.shape[0]
        out = out.view(b, self.columns, 3, self.config.step_columns).permute(0, 2, 1, 3)
        out = cast(Tensor, out.reshape(b, 3, self.columns * self.config.step_columns))
        return out[:, 1:], out[:, :1]

    def read_columns(self, x: Tensor) -> Tensor:
        """(B, W / 4, features) what the LSTM reads of each column."""
        maps = self.encoder(x[:, :3])[1:]
        rows = [squeeze(m, self.columns) for squeeze, m in zip(self.squeezes, maps, strict=True)]
        if self._mask:  # pretrained filters see a picture as ever; what is out of view is told to the columns
            rows.append(F.avg_pool2d(1 - x[:, 3:], (x.shape[2] // _MASK_ROWS, 4)).flatten(1, 2))
        return torch.cat(rows, dim=1).transpose(1, 2)
