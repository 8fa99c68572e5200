"""Layout network: Sun et al., "HorizonNet: Learning Room Layout with 1D Representation" (CVPR 2019).

Feature maps of four resolutions are squeezed in height, laid side by side as one sequence of columns, and read by a
bidirectional LSTM. Every convolution wraps round the panorama. Another head gives, of each column, how far the wall is
on the floor, as Jiang et al., "LGT-Net: Indoor Panoramic Room Layout Estimation" (CVPR 2022).
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from training.config.nets import HorizonNetConfig
from training.nets.encoders import build_encoder, wrap_convolutions

_SHARE = 8
_MASK_ROWS = 16
"""Rows to which the mask is averaged for the columns that the LSTM reads."""
_BIAS = (-1.0, -0.478, 0.425)
"""HorizonNet's start: corner logit, ceiling latitude, floor latitude (positive down, rad)."""
_OPENING_BIAS, _LOG_SPREAD_BIAS = -2.0, -3.5
"""Start of what else is said of a column: few openings, edges about 2 degrees off."""
SPREAD_RAD = (0.002, 0.3)
"""Limits of how far off an edge is said to be."""
_DISTANCE_BIAS, _RATIO_BIAS = 1.25, 0.014
"""Start of the other head, before a softplus: walls 1.5 camera heights away, the ceiling 0.7 above the camera."""


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
            x = F.interpolate(x, scale_factor=(1.0, float(factor)), mode="bilinear", align_corners=False)
            x = x[..., factor:-factor]
        return x.flatten(1, 2)


def boundary_from_distance(distance: Tensor, ratio: Tensor) -> Tensor:
    """(B, 2, W) latitudes, positive down, of distances (B, 1, W) and a ceiling (B, 1), both in camera heights."""
    one = torch.ones_like(distance)
    return torch.cat([-torch.atan2(ratio[:, :, None] * one, distance), torch.atan2(one, distance)], dim=1)


class HorizonNet(nn.Module):
    """(B, 3 or 4, H, W) normalised panorama -> boundary (B, 2, W') rad positive down, and corner logits (B, 1, W').

    With `openings`, further: logits of door, window and opening (B, 3, W'), the boundary as seen through them, and the
    error that is expected of the boundary, rad (B, 2, W' each).
    With the `horizon_depth` head: distances to the walls (B, 1, W') and the ceiling's height above the camera (B, 1),
    both in camera heights.
    """

    def __init__(
        self,
        config: HorizonNetConfig,
        height_px: int,
        width_px: int,
        *,
        mask_channel: bool = False,
        channels: tuple[int, ...] | None = None,
    ) -> None:
        """Build with random weights for panoramas of this size, multiples of 32 px.

        `channels`: of the feature maps that another network's encoder will give; None = has its own encoder.
        """
        super().__init__()
        self.config, self.columns, self._mask = config, width_px // 4, mask_channel
        if channels is None:
            self.encoder = build_encoder(config.encoder, config.width)
            channels = self.encoder.channels
        light = config.squeeze == "light"
        squeezes, size = [], 0
        for i, inputs in enumerate(channels[1:]):
            rows = -(-height_px // (16 * (4 << i)))  # each of four convolutions halves the height, rounded up
            outputs = max(16, inputs // 4) if light else inputs // _SHARE
            squeezes.append(HeightCompression(inputs, outputs, light))
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
        self.answer, start = self._head()
        with torch.no_grad():
            self.answer.bias.copy_(start)
        if config.openings:
            further = torch.tensor((*(_OPENING_BIAS,) * 3, *_BIAS[1:], *(_LOG_SPREAD_BIAS,) * 2))
            self.further = nn.Linear(2 * config.hidden, len(further) * config.step_columns)
            with torch.no_grad():
                self.further.bias.copy_(further.repeat_interleave(config.step_columns))

    def _head(self) -> tuple[nn.Linear, Tensor]:
        """The last layer and what its bias starts at."""
        n = self.config.step_columns
        start = torch.tensor(_BIAS).repeat_interleave(n)
        if self.config.head == "horizon_depth":
            start = torch.tensor([*(_DISTANCE_BIAS,) * n, _RATIO_BIAS])
        return nn.Linear(2 * self.config.hidden, len(start)), start

    def finish(self) -> None:
        """Wrap every convolution; call once, after pretrained weights are in."""
        wrap_convolutions(self)

    def forward(self, x: Tensor, maps: list[Tensor] | None = None) -> tuple[Tensor, ...]:
        """What the head gives, `step_columns * W / 4` columns wide; `maps` as in `read_columns`."""
        read = self.dropout(self.lstm(self.read_columns(x, maps))[0])
        out = self.answer(read)
        b = out.shape[0]
        if self.config.head == "horizon_depth":
            distance = F.softplus(out[..., :-1]).reshape(b, 1, self.columns * self.config.step_columns)
            return distance, F.softplus(out[..., -1].mean(dim=1, keepdim=True))
        edges = self._rows(out, 3)
        if not self.config.openings:
            return edges[:, 1:], edges[:, :1]
        more = self._rows(self.further(read), 7)
        spread = torch.exp(more[:, 5:].clamp(*(math.log(limit) for limit in SPREAD_RAD)))
        return edges[:, 1:], edges[:, :1], more[:, :3], more[:, 3:5], spread

    def _rows(self, out: Tensor, rows: int) -> Tensor:
        """(B, W / 4, rows * step_columns) -> (B, rows, W')."""
        out = out.view(out.shape[0], self.columns, rows, self.config.step_columns).permute(0, 2, 1, 3)
        return out.reshape(out.shape[0], rows, self.columns * self.config.step_columns)

    def read_columns(self, x: Tensor, maps: list[Tensor] | None = None) -> Tensor:
        """(B, W / 4, features) what the LSTM reads of each column; `maps`: an encoder's, if another network has it."""
        found = (self.encoder(x[:, :3]) if maps is None else maps)[1:]
        rows = [squeeze(m, self.columns) for squeeze, m in zip(self.squeezes, found, strict=True)]
        if self._mask:  # pretrained filters see a picture as ever; what is out of view is told to the columns
            rows.append(F.avg_pool2d(1 - x[:, 3:], (x.shape[2] // _MASK_ROWS, 4)).flatten(1, 2))
        return torch.cat(rows, dim=1).transpose(1, 2)
