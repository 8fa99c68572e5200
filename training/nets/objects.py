"""Networks for things: a segmented picture to a field of occupancy and colour, and that as a grid.

The field is in the cube of side 1 about the origin, y up, front +z. Inside, grids are (B, 4, z, y, x), as
`grid_sample` wants them, channels occupancy (or density), red, green, blue before their last function; what a network
answers is (B, C, x, y, z). After "Pre-train, Self-train, Distill" (CVPR 2022), whose decoder is `SirenField`; the
default one is a 2-D network whose channels are layers of the grid: as good, and an edge device's runtime has all of it.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from training.config.nets import ObjectsConfig
from training.nets.encoders import add_mask_channel, build_encoder

EMPTY = -3.0
"""Where occupancy's logit starts: a volume that starts opaque passes no gradient to what is behind its first cells."""
CELLS = 32.0
"""Density of a cell that is filled with probability p: -ln(1 - p) by the side of a cell, 1 / `CELLS`."""
_FIRST_DENSITY = 0.5
Field = Callable[[Tensor], tuple[Tensor, Tensor]]
"""Points (B, P, 3) -> density (B, P) and colour (B, P, 3)."""


def grid_points(side: int, device: torch.device | None = None) -> Tensor:
    """(side^3, 3) middles of the cells in the order of a (z, y, x) grid, coordinates x, y, z in -.5 .. .5."""
    axis = (torch.arange(side, device=device) + 0.5) / side - 0.5
    z, y, x = torch.meshgrid(axis, axis, axis, indexing="ij")
    return torch.stack([x, y, z], dim=-1).reshape(-1, 3)


def looked_up(grid: Tensor, points: Tensor) -> Tensor:
    """A (B, C, z, y, x) grid at points (B, P, 3), trilinear, as (B, P, C); outside the cube it is its border."""
    where = (2 * points)[:, :, None, None]
    found = F.grid_sample(grid, where, mode="bilinear", padding_mode="border", align_corners=False)
    return found[..., 0, 0].transpose(1, 2)


def density_of(probability: Tensor, cells: float = CELLS) -> Tensor:
    """How fast light is lost, in sides of the cube, where a cell is filled with that probability (at most .9999)."""
    return -torch.log1p(-probability.clamp(0, 0.9999)) * cells


def field_of(occupancy: Tensor, colour: Tensor) -> Field:
    """The field of what a network answers, (B, 1, x, y, z) and (B, 3, x, y, z), 0..1."""
    grid = torch.cat([occupancy, colour], dim=1).permute(0, 1, 4, 3, 2)

    def there(points: Tensor) -> tuple[Tensor, Tensor]:
        values = looked_up(grid, points)
        return density_of(values[..., 0]), values[..., 1:]

    return there


class _Upwards(nn.Module):
    """A latent to a map: 4x4, then doubled by nearest neighbours and convolved until all channels are used."""

    def __init__(self, latent: int, channels: tuple[int, ...]) -> None:
        super().__init__()
        self.first = channels[0]
        self.start = nn.Linear(latent, channels[0] * 16)
        self.stages = nn.ModuleList(
            nn.Sequential(nn.Conv2d(i, o, 3, padding=1, bias=False), nn.BatchNorm2d(o), nn.ReLU())
            for i, o in zip(channels[:-1], channels[1:], strict=True)
        )

    def forward(self, latent: Tensor) -> Tensor:
        """(B, latent) -> (B, channels[-1], side, side)."""
        x = F.relu(self.start(latent)).view(-1, self.first, 4, 4)
        for stage in self.stages:
            x = stage(F.interpolate(x, scale_factor=2.0, mode="nearest"))
        return x


class SliceField(nn.Module):
    """Layers of the grid along z as channels of a map whose rows are y and columns x."""

    def __init__(self, config: ObjectsConfig) -> None:
        """Build with random weights."""
        super().__init__()
        self.side = config.grid
        self.up = _Upwards(config.latent, config.channels)
        self.answer = nn.Conv2d(config.channels[-1], 4 * self.side, 1)

    def empty(self, start: float) -> None:
        """Make every place empty at first."""
        with torch.no_grad():
            cast(Tensor, self.answer.bias)[: self.side] = start

    def grid(self, latent: Tensor) -> Tensor:
        """(B, latent) -> (B, 4, z, y, x)."""
        return cast(Tensor, self.answer(self.up(latent))).view(-1, 4, self.side, self.side, self.side)

    def at(self, latent: Tensor, points: Tensor) -> Tensor:
        """(B, P, 3) points -> (B, P, 4)."""
        return looked_up(self.grid(latent), points)


class TriplaneField(nn.Module):
    """Features on the planes xy, zy and xz, joined, and a small network for each point."""

    def __init__(self, config: ObjectsConfig) -> None:
        """Build with random weights."""
        super().__init__()
        self.side, self.channels = config.grid, config.plane_channels
        self.up = _Upwards(config.latent, config.channels)
        self.planes = nn.Conv2d(config.channels[-1], 3 * config.plane_channels, 1)
        widths = (3 * config.plane_channels, config.hidden, config.hidden)
        self.layers = nn.ModuleList(nn.Linear(i, o) for i, o in zip(widths[:-1], widths[1:], strict=True))
        self.answer = nn.Linear(config.hidden, 4)

    def empty(self, start: float) -> None:
        """Make every place empty at first."""
        with torch.no_grad():
            cast(Tensor, self.answer.bias)[0] = start

    def _points(self, features: Tensor) -> Tensor:
        for layer in self.layers:
            features = F.relu(layer(features))
        return cast(Tensor, self.answer(features))

    def grid(self, latent: Tensor) -> Tensor:
        """(B, latent) -> (B, 4, z, y, x): the planes broadcast along their normals, without looking points up."""
        planes = self.planes(self.up(latent))
        if planes.shape[-1] > self.side:  # a cell's middle lies between four pixels: their mean is the bilinear value
            planes = F.avg_pool2d(planes, 2)
        xy, zy, xz = planes.split(self.channels, dim=1)
        n = self.side
        size = (-1, -1, n, n, n)
        # rows and columns of the planes: xy (y, x), zy (y, z), xz (z, x)
        parts = [
            xy[:, :, None].expand(size),
            zy.transpose(2, 3)[..., None].expand(size),
            xz[:, :, :, None].expand(size),
        ]
        return self._points(torch.cat(parts, dim=1).permute(0, 2, 3, 4, 1)).permute(0, 4, 1, 2, 3)

    def at(self, latent: Tensor, points: Tensor) -> Tensor:
        """(B, P, 3) points -> (B, P, 4)."""
        planes = self.planes(self.up(latent)).split(self.channels, dim=1)
        x, y, z = (2 * points).unbind(-1)
        found = [
            F.grid_sample(plane, torch.stack(pair, -1)[:, :, None], padding_mode="border", align_corners=False)[..., 0]
            for plane, pair in zip(planes, ((x, y), (z, y), (x, z)), strict=True)
        ]
        return self._points(torch.cat(found, dim=1).transpose(1, 2))


class SirenField(nn.Module):
    """Sines of the place, whose frequencies and phases the picture sets; width 256 and 5 layers are the paper's."""

    points: Tensor

    def __init__(self, config: ObjectsConfig) -> None:
        """Build with random weights, spread as sines want them."""
        super().__init__()
        self.side, self.layers, self.hidden = config.grid, config.layers, config.hidden
        self.modulation = nn.Linear(config.latent, 2 * config.layers * config.hidden)
        self.first = nn.Linear(3, config.hidden)
        self.middle = nn.ModuleList(nn.Linear(config.hidden, config.hidden) for _ in range(config.layers))
        self.answer = nn.Linear(config.hidden, 4)
        bound = math.sqrt(6 / config.hidden)
        with torch.no_grad():
            self.first.weight.uniform_(-1 / 3, 1 / 3)
            for layer in (*self.middle, self.answer):
                layer.weight.uniform_(-bound, bound)
            self.modulation.weight.mul_(0.1)
            self.modulation.bias.zero_()
        self.register_buffer("points", grid_points(config.grid), persistent=False)

    def empty(self, start: float) -> None:
        """Make every place empty at first."""
        with torch.no_grad():
            self.answer.weight[0].mul_(0.1)
            cast(Tensor, self.answer.bias)[0] = start

    def at(self, latent: Tensor, points: Tensor) -> Tensor:
        """(B, P, 3) points -> (B, P, 4)."""
        numbers = self.modulation(latent).view(-1, self.layers, 2, 1, self.hidden)
        x = torch.sin(30.0 * self.first(points))
        for k, layer in enumerate(self.middle):
            x = torch.sin((numbers[:, k, 0] + 1) * layer(x) + numbers[:, k, 1])
        return cast(Tensor, self.answer(x))

    def grid(self, latent: Tensor) -> Tensor:
        """(B, latent) -> (B, 4, z, y, x)."""
        values = self.at(latent, self.points.expand(latent.shape[0], -1, -1))
        return values.transpose(1, 2).reshape(-1, 4, self.side, self.side, self.side)


_FIELDS = {"slice": SliceField, "triplane": TriplaneField, "siren": SirenField}


class ObjectNet(nn.Module):
    """(B, 4, H, W) normalised picture and mask -> occupancy (B, 1, x, y, z) and colours (B, 3, x, y, z), 0..1."""

    def __init__(self, config: ObjectsConfig, height_px: int, width_px: int) -> None:
        """Build with random weights for pictures of that size, multiples of 32 px."""
        super().__init__()
        self.density_field = config.field == "density"
        self.encoder = build_encoder(config.encoder, config.width)
        self.pooled = config.pooled
        places = 1 if config.pooled else (height_px // 32) * (width_px // 32)
        self.squeeze = nn.Linear(self.encoder.channels[-1] * places, config.latent)
        self.norm = nn.LayerNorm(config.latent)
        self.field = cast("SliceField | TriplaneField | SirenField", _FIELDS[config.decoder](config))
        self.field.empty(_FIRST_DENSITY if self.density_field else EMPTY)

    def finish(self) -> None:
        """Add the mask channel; call once, after pretrained weights are in."""
        add_mask_channel(self.encoder)

    def latent(self, x: Tensor) -> Tensor:
        """(B, 4, H, W) -> (B, latent)."""
        last = self.encoder(x)[-1]
        flat = last.mean(dim=(2, 3)) if self.pooled else last.flatten(1)
        return F.leaky_relu(self.norm(self.squeeze(flat)), 0.01)

    def probability(self, raw: Tensor) -> Tensor:
        """How likely a place is filled, of the field's first channel."""
        return 1 - torch.exp(-F.relu(raw) / CELLS) if self.density_field else torch.sigmoid(raw)

    def density(self, raw: Tensor) -> Tensor:
        """How fast light is lost there, in sides of the cube: of a probability p, -ln(1 - p) a cell."""
        return F.relu(raw) if self.density_field else CELLS * F.softplus(raw)

    def looks(self, values: Tensor) -> tuple[Tensor, Tensor]:
        """Of the field's values (B, P, 4) at points: density (B, P) and colours (B, P, 3), sRGB."""
        return self.density(values[..., 0]), torch.sigmoid(values[..., 1:])

    def field_in(self, raw: Tensor) -> Field:
        """The field of grids (B, 4, z, y, x) before the last functions."""
        return lambda points: self.looks(looked_up(raw, points))

    def grid(self, x: Tensor) -> Tensor:
        """(B, 4, H, W) -> (B, 4, z, y, x), before the last functions."""
        return self.field.grid(self.latent(x))

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """(B, 4, H, W) -> occupancy (B, 1, x, y, z), colours (B, 3, x, y, z), sRGB."""
        raw = self.grid(x).permute(0, 1, 4, 3, 2)
        return self.probability(raw[:, :1]), torch.sigmoid(raw[:, 1:])
