"""Several cameras for a picture whose camera is unknown: each refined until the thing's field looks like it.

After "Pre-train, Self-train, Distill" (CVPR 2022), with what its released code lacks: elevations and distances that
cannot run away, an offset and a scale of the crop, weights in closed form, and cameras that are given up.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor

from edge.perception.object_view import MARGIN
from training.losses.rendering import Field, of_one, pixel_places, rays, render

CAMERAS = 10
ELEVATION_RAD = (math.radians(-15.0), math.radians(60.0))
"""Bounds that no camera leaves."""
_START_ELEVATION_RAD, _START_DISTANCE, _HFOV_RAD = math.radians(20.0), 2.2, math.radians(35.0)
_STEP = torch.tensor([1.0, 2.0, 0.3, 0.3, 0.3, 0.3])
"""How far a unit of each parameter goes: azimuth, elevation's logit, ln distance, crop's x, y and ln size."""
_MASK, _COLOUR = 0.2, 0.8
_SHARPNESS = 0.02


class Picture(NamedTuple):
    """A crop: mask (P, P) and sRGB (P, P, 3), 0..1, black outside the mask."""

    mask: Tensor
    colour: Tensor


class Cameras(NamedTuple):
    """Cameras of one picture: (M, 4) and the crop of each, (M, 4), as `losses.rendering` has them."""

    camera: Tensor
    crop: Tensor


def _square_about(places: Tensor) -> Tensor:
    """(M, N, 2) places -> (M, 4) square about them with the margin that crops have."""
    low, high = places.amin(1), places.amax(1)
    half = (high - low).amax(-1, keepdim=True) / (1 - 2 * MARGIN) / 2
    middle = (low + high) / 2
    return torch.cat([middle - half, middle + half], dim=-1)


def projected(camera: Tensor, points: Tensor) -> Tensor:
    """(M, 4) cameras, (N, 3) points -> (M, N, 2) places in the square pictures, 0..1 inside."""
    azimuth, elevation, distance, hfov = (v[:, None] for v in camera.unbind(-1))
    ce, se, ca, sa = torch.cos(elevation), torch.sin(elevation), torch.cos(azimuth), torch.sin(azimuth)
    x, y, z = points.unbind(-1)
    right, up = ca * x - sa * z, -se * sa * x + ce * y - se * ca * z
    deep = distance - (ce * sa * x + se * y + ce * ca * z)
    scale = 2 * deep * torch.tan(hfov / 2)
    return torch.stack([right / scale + 0.5, 0.5 - up / scale], dim=-1)


def started(points: Tensor, count: int = CAMERAS, phase_rad: float = 0.0) -> Cameras:
    """Evenly round the thing, whose filled cells' middles are (N, 3), each with the crop that just holds it."""
    azimuth = phase_rad + 2 * math.pi * torch.arange(count) / count
    return looking_from(azimuth, torch.full_like(azimuth, _START_ELEVATION_RAD), points)


def looking_from(azimuth: Tensor, elevation: Tensor, points: Tensor) -> Cameras:
    """Cameras at angles (M,) rad, each with the crop that just holds (N, 3) points; of no points, a cube."""
    others = [torch.full_like(azimuth, v) for v in (_START_DISTANCE, _HFOV_RAD)]
    camera = torch.stack([azimuth, elevation, *others], dim=-1)
    where = points if len(points) else torch.tensor([[-0.3, -0.3, -0.3], [0.3, 0.3, 0.3]])
    return Cameras(camera, _square_about(projected(camera, where)))


def _logit_of(elevation: Tensor) -> Tensor:
    low, high = ELEVATION_RAD
    return torch.logit(((elevation - low) / (high - low)).clamp(0.01, 0.99))


def _moved(first: Cameras, change: Tensor) -> Cameras:
    """The cameras changed by (M, 6) parameters; elevations stay within their bounds, distances positive."""
    azimuth, elevation, distance, hfov = first.camera.unbind(-1)
    a, e, d, x, y, s = (change * _STEP.to(change)).unbind(-1)
    low, high = ELEVATION_RAD
    bounded = low + (high - low) * torch.sigmoid(_logit_of(elevation) + e)
    camera = torch.stack([azimuth + a, bounded, distance * torch.exp(d.clamp(-0.6, 0.6)), hfov], dim=-1)
    middle, half = (first.crop[:, :2] + first.crop[:, 2:]) / 2, (first.crop[:, 2:] - first.crop[:, :2]) / 2
    middle = middle + 2 * half * torch.stack([x, y], dim=-1)
    half = half * torch.exp(s)[:, None]
    return Cameras(camera, torch.cat([middle - half, middle + half], dim=-1))


def looks_apart(field: Field, cameras: Cameras, picture: Picture, places: Tensor, samples: int) -> Tensor:
    """(M,) how unlike the picture the field looks from each camera, at places (N, 2) of the crop.

    `field` takes (1, P, 3): all cameras see one thing.
    """
    count, side = len(cameras.camera), picture.mask.shape[0]
    pixel = (places * side).long().clamp(max=side - 1)
    mask, colour = picture.mask[pixel[:, 1], pixel[:, 0]], picture.colour[pixel[:, 1], pixel[:, 0]]
    origin, direction = rays(cameras.camera, cameras.crop, places[None].expand(count, -1, -1))
    found = render(of_one(field, len(cameras.camera)), origin, direction, samples)
    off_mask = ((found.mask - mask) ** 2).mean(1)
    return _MASK * off_mask + _COLOUR * ((found.colour - colour) ** 2).mean((1, 2))


def refined(
    field: Field, first: Cameras, picture: Picture, *, steps: int = 20, lr: float = 0.1, count: int = 340,
    samples: int = 32, seed: int = 0,
) -> tuple[Cameras, Tensor]:  # fmt: skip
    """The cameras after Adam steps with the field as it is, and their loss (M,) from where they ended."""
    generator = torch.Generator().manual_seed(seed)
    change = torch.zeros(len(first.camera), 6, requires_grad=True)
    optimizer = torch.optim.Adam([change], lr=lr)
    side = picture.mask.shape[0]
    everywhere = pixel_places(side)
    with torch.enable_grad():
        for _ in range(steps):
            places = everywhere[torch.randint(len(everywhere), (count,), generator=generator)]
            optimizer.zero_grad()
            apart = looks_apart(field, _moved(first, change), picture, places, samples)
            apart.sum().backward()  # type: ignore[no-untyped-call]
            optimizer.step()
    with torch.no_grad():
        last = _moved(first, change)
        places = everywhere[torch.randint(len(everywhere), (3 * count,), generator=generator)]
        return last, looks_apart(field, last, picture, places, samples)


def weights_of(losses: Tensor) -> Tensor:
    """(M,) how much each camera counts: softmin at a temperature of a fiftieth of the losses' spread."""
    spread = (losses.max() - losses.min()).clamp(min=1e-8)
    return torch.softmax(-(losses - losses.min()) / (_SHARPNESS * spread), dim=0)


def best_of(cameras: Cameras, losses: Tensor, count: int) -> tuple[Cameras, Tensor]:
    """The `count` cameras of least loss, best first; never fewer than two where there are two.

    Front and back of a thing can look alike in its mask: the pair stays until colour decides.
    """
    kept = torch.argsort(losses)[: max(2, count)]
    return Cameras(cameras.camera[kept], cameras.crop[kept]), losses[kept]


@torch.no_grad()
def mask_ious(field: Field, cameras: Cameras, picture: Picture, side_px: int = 32, samples: int = 32) -> Tensor:
    """(M,) overlap of the masks that the field gives with the picture's."""
    places = pixel_places(side_px)
    origin, direction = rays(cameras.camera, cameras.crop, places[None].expand(len(cameras.camera), -1, -1))
    found = render(of_one(field, len(cameras.camera)), origin, direction, samples).mask > 0.5
    side = picture.mask.shape[0]
    pixel = (places * side).long()
    truth = picture.mask[pixel[:, 1], pixel[:, 0]] > 0.5
    return (found & truth).sum(1) / (found | truth).sum(1).clamp(min=1)
