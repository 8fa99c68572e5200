"""Lighting networks: a panorama (with a mask of what is seen) to order-2 pre-scaled irradiance harmonics.

Both take (B, 3 or 4, H, W) pictures in 0..1 sRGB and give (B, 9, 3). Neither wants the manifest to normalise.
"""

from __future__ import annotations

from typing import NamedTuple, cast

import numpy as np
import torch
import torchvision
from torch import Tensor, nn
from torch.nn import functional as F

from edge.geometry.harmonics import projection_weights
from edge.geometry.panorama import solid_angles
from training.config.nets import CompletionConfig, MobileShConfig
from training.nets.encoders import LeftRightWrap, MobileNetEncoder, add_mask_channel, wrap_convolutions

IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)
GAMMA = 2.2
_FINE = 4
"""The picture is projected at 1/4 of its resolution: order-2 harmonics see no difference."""
_LARGEST_LOG = 10.5
_SIGNS = 2
_GATE_BIAS = 2.0
"""Start of the gate: most of what a network without it says is let through."""


def _decoding_cubic() -> tuple[float, float, float]:
    """a, b, c of a x + b x^2 + c x^3, the least-squares cubic to x^2.2 through (0, 0) and (1, 1)."""
    x = np.linspace(0, 1, 512)
    design = np.stack([x - x**3, x**2 - x**3], axis=1)
    a, b = np.linalg.lstsq(design, x**GAMMA - x**3, rcond=None)[0]
    return float(a), float(b), float(1 - a - b)


def _blocks(weights: np.ndarray, rows: int, columns: int) -> Tensor:
    """Sum (K, H, W) weights over equal blocks -> (K, rows * columns)."""
    k, h, w = weights.shape
    summed = weights.reshape(k, rows, h // rows, columns, w // columns).sum(axis=(2, 4))
    return torch.from_numpy(summed.reshape(k, -1).astype(np.float32))


class Completed(NamedTuple):
    """What the completion network makes of a batch."""

    coefficients: Tensor
    """(B, 9, 3) pre-scaled irradiance."""
    radiance: Tensor
    """(B, 3, rows, columns) the coarse map that the coefficients are the projection of."""
    seen: Tensor
    """(B, 3, rows, columns) the part of it that the picture shows."""


class CompletionSh(nn.Module):
    """Projection of the linearised picture plus that of a coarse map of what clipping and the frame hide.

    The seen part is projected exactly, with constant weights. Small convolutions give, for each cell of a coarse map,
    how bright the clipped part really is (in units of the picture's white) and what the unseen part holds (in units of
    the mean seen luminance); their projection is added. So a yaw of the picture yaws the answer by construction.

    With `gate`, what is hidden in clipped cells is multiplied by a share 0..1 for the cell: without a sign of light
    that the picture cannot show, the answer is the projection itself.
    """

    fine_weights: Tensor
    fine_area: Tensor
    cell_weights: Tensor
    elevation: Tensor
    mean: Tensor
    std: Tensor

    def __init__(
        self, config: CompletionConfig, height_px: int, width_px: int, *, channels: tuple[int, int] | None = None
    ) -> None:
        """Build with random weights for pictures of this size, a multiple of 16 px either way.

        `channels`: of the feature maps, 1/16 and 1/32 of the picture, that another network's encoder will give; None =
        has its own encoder, which sees the picture at half its size.
        """
        super().__init__()
        self.rows, self.columns = height_px // 16, width_px // 16
        rows, columns = height_px // _FINE, width_px // _FINE
        weights = projection_weights(width_px, height_px)
        area = solid_angles(width_px, height_px)[None] / (4 * np.pi)
        self.register_buffer("fine_weights", _blocks(weights, rows, columns), persistent=False)
        self.register_buffer("fine_area", _blocks(area, rows, columns), persistent=False)
        self.register_buffer("cell_weights", _blocks(weights, self.rows, self.columns), persistent=False)
        latitude = (0.5 - (torch.arange(self.rows) + 0.5) / self.rows) * torch.pi
        grid = torch.sin(latitude)[None, None, :, None].expand(1, 1, self.rows, self.columns)
        self.register_buffer("elevation", grid.contiguous(), persistent=False)
        self.register_buffer("mean", torch.tensor(IMAGENET_MEAN).view(1, 3, 1, 1), persistent=False)
        self.register_buffer("std", torch.tensor(IMAGENET_STD).view(1, 3, 1, 1), persistent=False)
        self.cubic = _decoding_cubic()
        if channels is None:
            self.encoder = MobileNetEncoder(config.width, config.blocks)
            channels = (self.encoder.channels[2], self.encoder.channels[-1])
        n = config.hidden
        self.near = nn.Conv2d(channels[0], n, 1)
        self.far = nn.Conv2d(channels[1], n, 1)
        self.whole = nn.Sequential(nn.Linear(channels[1] + 27 + 9, n), nn.ReLU(), nn.Linear(n, n))
        self.statistics = nn.Conv2d(8, n, 1)
        self.mix = nn.Sequential(nn.ReLU(), LeftRightWrap(1), nn.Conv2d(n, n, 3, padding=(1, 0)), nn.ReLU())
        self.answer = nn.Conv2d(n, 6, 1)
        nn.init.zeros_(self.answer.weight)
        nn.init.constant_(cast(Tensor, self.answer.bias), -1.0)
        self.gate = nn.Conv2d(n + _SIGNS, 1, 1) if config.gate else None
        if self.gate is not None:
            nn.init.zeros_(self.gate.weight)
            nn.init.constant_(cast(Tensor, self.gate.bias), _GATE_BIAS)

    def finish(self) -> None:
        """Add the mask channel and wrap the encoder round the panorama; call once, after pretrained weights are in."""
        add_mask_channel(self.encoder)
        wrap_convolutions(self.encoder)

    def linear(self, picture: Tensor) -> Tensor:
        """Linear radiance of 0..1 sRGB values, by a cubic."""
        a, b, c = self.cubic
        return picture * (a + picture * (b + picture * c))

    def forward(self, x: Tensor) -> Tensor:
        """(B, 4, H, W) picture 0..1 and mask -> (B, 9, 3)."""
        return self.complete(x).coefficients

    def complete(self, x: Tensor, maps: tuple[Tensor, Tensor] | None = None) -> Completed:
        """The coefficients and what they are the projection of.

        `maps`: an encoder's at 1/16 and 1/32 of the picture, if another network has it.
        """
        picture, mask = x[:, :3], x[:, 3:4]
        seen = F.avg_pool2d(self.linear(picture), _FINE)
        fine_mask = F.avg_pool2d(mask, _FINE)
        flat = seen.flatten(2)
        covered = (fine_mask.flatten(2) * self.fine_area).sum(-1).clamp(min=1e-3)
        mean = (flat * self.fine_area).sum(-1) / covered
        white = mean.mean(dim=1, keepdim=True).clamp(min=1e-3)
        projected = flat @ self.fine_weights.T
        shares = fine_mask.flatten(2) @ self.fine_weights.T
        clipped = F.avg_pool2d(((picture - 0.9) * 10).clamp(0, 1) ** 2, 16)
        cell_seen, cell_mask = F.avg_pool2d(seen, 16 // _FINE), F.avg_pool2d(fine_mask, 16 // _FINE)
        logs = self._logs(
            maps or self._encoded(x),
            projected / white[..., None],
            shares,
            cell_seen / white[..., None, None],
            clipped,
            cell_mask,
        )
        gains = torch.exp(logs[:, :6].clamp(-8.0, _LARGEST_LOG))
        bright = (
            clipped * gains[:, :3] * torch.sigmoid(logs[:, 6:]) if self.gate is not None else clipped * gains[:, :3]
        )
        hidden = bright + (1 - cell_mask) * gains[:, 3:] * white[..., None, None]
        coefficients = projected + hidden.flatten(2) @ self.cell_weights.T
        return Completed(coefficients.transpose(1, 2), cell_seen + hidden, cell_seen)

    def _encoded(self, x: Tensor) -> tuple[Tensor, Tensor]:
        half = F.avg_pool2d(x, 2)
        normal = (half[:, :3] - self.mean * half[:, 3:4]) / self.std
        maps = self.encoder(torch.cat([normal, half[:, 3:4]], dim=1))
        return maps[2], maps[-1]

    def _logs(
        self,
        maps: tuple[Tensor, Tensor],
        projected: Tensor,
        shares: Tensor,
        seen: Tensor,
        clipped: Tensor,
        mask: Tensor,
    ) -> Tensor:
        near, far = maps
        numbers = torch.cat([far.mean(dim=(2, 3)), projected.flatten(1), shares.flatten(1)], dim=1)
        elevation = self.elevation.expand(near.shape[0], -1, -1, -1)
        cells = torch.cat([seen.clamp(max=20.0), clipped.sqrt(), mask, elevation], dim=1)
        up = F.interpolate(self.far(far), size=(self.rows, self.columns), mode="bilinear", align_corners=False)
        sum_ = self.near(near) + up + self.statistics(cells) + self.whole(numbers)[..., None, None]
        mixed = self.mix(sum_)
        answer = cast(Tensor, self.answer(mixed))
        return answer if self.gate is None else torch.cat([answer, self.gate(self._with_signs(mixed, clipped))], dim=1)

    def _with_signs(self, mixed: Tensor, clipped: Tensor) -> Tensor:
        """The cells' features with how much is clipped: in the whole picture, and round about the cell."""
        whole = clipped.mean(dim=(1, 2, 3), keepdim=True).clamp(min=1e-5).log() / 4
        about = F.avg_pool2d(clipped.mean(dim=1, keepdim=True), 3, 1, 1, count_include_pad=False)
        signs = [whole.expand(-1, 1, self.rows, self.columns), about.sqrt()]
        return torch.cat([mixed, *signs], dim=1)


class MobileSh(nn.Module):
    """MobileNetV2 with 27 outputs, as the published lighting network; normalises its input itself."""

    mean: Tensor
    std: Tensor

    def __init__(self, config: MobileShConfig) -> None:
        """Build with random weights."""
        super().__init__()
        self.net = torchvision.models.mobilenet_v2(weights=None, width_mult=config.width, num_classes=27)
        self.register_buffer("mean", torch.tensor(IMAGENET_MEAN).view(1, 3, 1, 1), persistent=False)
        self.register_buffer("std", torch.tensor(IMAGENET_STD).view(1, 3, 1, 1), persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        """(B, 3 or 4, H, W) picture 0..1 -> (B, 9, 3); a mask channel is not read."""
        return cast(Tensor, self.net((x[:, :3] - self.mean) / self.std)).view(-1, 9, 3)
