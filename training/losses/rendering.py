"""Rendering a field of density and colour along rays, in torch alone, with gradients to field and camera.

A camera is azimuth, elevation (rad), distance (sides of the cube) and horizontal view (rad), and looks at the origin;
its picture is a crop, x0 y0 x1 y1 of the camera's square picture. The cube has side 1 about the origin.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor

Field = Callable[[Tensor], tuple[Tensor, Tensor]]
"""Points (B, P, 3) -> density (B, P) and colour (B, P, 3)."""
_PARALLEL = 1e-9


class Seen(NamedTuple):
    """What rays meet."""

    mask: Tensor
    """(B, N) share of the light that is stopped."""
    colour: Tensor
    """(B, N, 3), black where nothing is."""
    depth: Tensor
    """(B, N) mean distance of what stops the light; 0 where nothing does."""


def rays(camera: Tensor, crop: Tensor, places: Tensor) -> tuple[Tensor, Tensor]:
    """Origins (B, 3) and unit directions (B, N, 3) through places (B, N, 2) of the crops (B, 4), 0..1 in each."""
    azimuth, elevation, distance, hfov = camera.unbind(-1)
    ce, se, ca, sa = torch.cos(elevation), torch.sin(elevation), torch.cos(azimuth), torch.sin(azimuth)
    away = torch.stack([ce * sa, se, ce * ca], dim=-1)
    right = torch.stack([ca, torch.zeros_like(ca), -sa], dim=-1)
    up = torch.stack([-se * sa, ce, -se * ca], dim=-1)
    full = crop[:, None, :2] + places * (crop[:, None, 2:] - crop[:, None, :2])
    x, y = ((2 * full - 1) * torch.tan(hfov / 2)[:, None, None]).unbind(-1)
    direction = x[..., None] * right[:, None] - y[..., None] * up[:, None] - away[:, None]
    return distance[:, None] * away, direction / direction.norm(dim=-1, keepdim=True)


def through_cube(origin: Tensor, direction: Tensor, half: float = 0.5) -> tuple[Tensor, Tensor]:
    """Where rays (B, N, 3) enter and leave the cube, (B, N) each; equal where they miss it."""
    safe = torch.where(direction.abs() < _PARALLEL, torch.full_like(direction, _PARALLEL), direction)
    a, b = (-half - origin[:, None]) / safe, (half - origin[:, None]) / safe
    near, far = torch.minimum(a, b).amax(-1).clamp(min=0), torch.maximum(a, b).amin(-1)
    return near, torch.maximum(near, far)


def render(field: Field, origin: Tensor, direction: Tensor, samples: int, *, jitter: bool = False) -> Seen:
    """March through the cube.

    Args:
        field: what is there.
        origin: (B, 3).
        direction: (B, N, 3), of length 1.
        samples: of each ray, evenly between entry and exit.
        jitter: move each at random within its step.
    """
    near, far = through_cube(origin, direction)
    step = (far - near) / samples
    offset = torch.rand(*near.shape, samples, device=near.device) if jitter else near.new_tensor(0.5)
    along = torch.arange(samples, device=near.device, dtype=near.dtype) + offset
    t = near[..., None] + step[..., None] * along
    points = origin[:, None, None] + t[..., None] * direction[:, :, None]
    density, colour = field(points.flatten(1, 2))
    density, colour = density.reshape(t.shape), colour.reshape(*t.shape, 3)
    lost = density * step[..., None]
    before = torch.cumsum(lost, dim=-1) - lost
    weight = torch.exp(-before) * (1 - torch.exp(-lost))
    mask = weight.sum(-1)
    depth = (weight * t).sum(-1) / mask.clamp(min=1e-6)
    return Seen(mask, (weight[..., None] * colour).sum(-2), depth)


def of_one(field: Field, views: int) -> Field:
    """The field for rays of several cameras: (B * views, P, 3) points, where every `views` in a row are one thing."""

    def there(points: Tensor) -> tuple[Tensor, Tensor]:
        rows = points.shape[0]
        density, colour = field(points.reshape(rows // views, -1, 3))
        return density.reshape(rows, -1), colour.reshape(rows, -1, 3)

    return there


def pixel_places(side: int, device: torch.device | None = None) -> Tensor:
    """(side^2, 2) middles of a square picture's pixels, row by row, 0..1."""
    axis = (torch.arange(side, device=device) + 0.5) / side
    y, x = torch.meshgrid(axis, axis, indexing="ij")
    return torch.stack([x, y], dim=-1).reshape(-1, 2)
