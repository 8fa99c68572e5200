"""What a picture of a moved camera says about depth: one picture made from another by depth and motion, and compared.

A pixel p of the target with depth z lies at q = K (R z K^-1 p + t) in the source (Zhou et al. 2017). How much the two
differ is .85 (1 - SSIM) / 2 + .15 L1 with SSIM over 3x3 pixels (Godard et al. 2017 and 2019); how much two depth maps
contradict each other is |a - b| / (a + b) (Bian et al. 2019). Pixel centres lie at + 0.5 everywhere, also where a
picture is sampled. A lens is (B, 4): fx, fy, cx, cy in px of the pictures given.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F
from torchmetrics.functional.image import structural_similarity_index_measure

NEAREST_M = 0.05
"""What lies nearer to the source's plane, or behind it, is not seen by it."""
SSIM_SHARE = 0.85
_GAIN, _OFFSET = (0.5, 2.0), 0.2
"""Limits of how far two pictures' exposures may differ, in shares of full scale."""
_DARK, _BRIGHT = 5 / 255, 250 / 255
_FLOOR_SHARE = 1 / 12
_NEVER = 1e6
"""Unlikeness of a source that does not show a pixel."""


class Warped(NamedTuple):
    """A source as the target's camera would have seen it."""

    image: Tensor
    """(B, C, H, W)"""
    depth_m: Tensor
    """(B, 1, H, W) how deep each of the target's points lies in the source."""
    seen: Tensor
    """(B, 1, H, W) bool: whether the point is before the source's lens and inside of its picture."""
    pixels: Tensor
    """(B, 2, H, W) where in the source it lies."""


def pixel_centres(height_px: int, width_px: int, like: Tensor) -> Tensor:
    """(2, H, W): x and y of each pixel's centre."""
    y, x = torch.meshgrid(
        torch.arange(height_px, dtype=like.dtype, device=like.device) + 0.5,
        torch.arange(width_px, dtype=like.dtype, device=like.device) + 0.5,
        indexing="ij",
    )
    return torch.stack([x, y])


def points_from_depth(depth_m: Tensor, lens: Tensor) -> Tensor:
    """(B, 3, H, W) camera points (x right, y down, z forward) of z-depth (B, 1, H, W)."""
    focal, centre = lens[:, :2, None, None], lens[:, 2:, None, None]
    xy = (pixel_centres(depth_m.shape[2], depth_m.shape[3], depth_m) - centre) / focal
    return torch.cat([xy * depth_m, depth_m], dim=1)


def project(points: Tensor, lens: Tensor) -> Tensor:
    """(B, 2, H, W) px of camera points (B, 3, H, W); what is not before the lens lands where it would just be."""
    focal, centre = lens[:, :2, None, None], lens[:, 2:, None, None]
    return points[:, :2] / points[:, 2:].clamp(min=NEAREST_M) * focal + centre


def transformed(points: Tensor, T: Tensor) -> Tensor:
    """Points (B, 3, H, W) moved by rigid transforms (B, 4, 4)."""
    return torch.einsum("bij,bjhw->bihw", T[:, :3, :3], points) + T[:, :3, 3, None, None]


def sampled(image: Tensor, pixels: Tensor) -> Tensor:
    """Values of (B, C, H, W) at px (B, 2, h, w), bilinear; beyond the outermost centres, theirs."""
    size = torch.tensor([image.shape[3], image.shape[2]], dtype=pixels.dtype, device=pixels.device)
    grid = 2 * pixels.permute(0, 2, 3, 1) / size - 1
    return F.grid_sample(image, grid, mode="bilinear", padding_mode="border", align_corners=False)


def inside(pixels: Tensor, height_px: int, width_px: int) -> Tensor:
    """(B, 1, h, w) bool: whether px lie between the outermost pixels' centres, where nothing is made up."""
    x, y = pixels[:, :1], pixels[:, 1:]
    return (x >= 0.5) & (x <= width_px - 0.5) & (y >= 0.5) & (y <= height_px - 0.5)


def synthesised(source: Tensor, depth_m: Tensor, lens: Tensor, T_source_target: Tensor) -> Warped:
    """The source (B, C, H, W) as seen from the target, whose z-depth is (B, 1, H, W); one lens for both."""
    there = transformed(points_from_depth(depth_m, lens), T_source_target)
    pixels, z = project(there, lens), there[:, 2:]
    seen = (z > NEAREST_M) & inside(pixels.detach(), source.shape[2], source.shape[3])
    return Warped(sampled(source, pixels), z, seen, pixels)


def ssim(a: Tensor, b: Tensor) -> Tensor:
    """(B, C, H, W) structural similarity (Wang et al. 2004) over 3x3 pixels, the border mirrored."""
    _, out = structural_similarity_index_measure(
        a, b, gaussian_kernel=False, kernel_size=3, data_range=1.0, return_full_image=True
    )
    return out


def unlikeness(a: Tensor, b: Tensor) -> Tensor:
    """(B, 1, H, W): .85 (1 - SSIM) / 2 + .15 L1 of two pictures (B, C, H, W) in 0..1, the mean of the channels."""
    structure = ((1 - ssim(a, b)) / 2).clamp(0, 1)
    return (SSIM_SHARE * structure + (1 - SSIM_SHARE) * (a - b).abs()).mean(dim=1, keepdim=True)


def exposed_alike(image: Tensor, like: Tensor, where: Tensor) -> Tensor:
    """The picture with the gain and offset that bring it nearest to the other over (B, 1, H, W), by least squares.

    Cameras expose each frame by themselves. The factors are limited, and nothing is learnt through them.
    """
    weight = where.to(image.dtype).expand_as(image).detach()
    n = weight.sum(dim=(1, 2, 3)).clamp(min=1.0)
    x, y = image.detach(), like.detach()
    mean_x, mean_y = (x * weight).sum(dim=(1, 2, 3)) / n, (y * weight).sum(dim=(1, 2, 3)) / n
    dx = (x - mean_x[:, None, None, None]) * weight
    variance = (dx * dx).sum(dim=(1, 2, 3)) / n
    shared = (dx * (y - mean_y[:, None, None, None])).sum(dim=(1, 2, 3)) / n
    gain = torch.where(variance > 1e-5, shared / variance.clamp(min=1e-5), torch.ones_like(variance)).clamp(*_GAIN)
    offset = (mean_y - gain * mean_x).clamp(-_OFFSET, _OFFSET)
    return image * gain[:, None, None, None] + offset[:, None, None, None]


def unclipped(image: Tensor) -> Tensor:
    """(B, 1, H, W) bool: whether a pixel of a picture in 0..1 is neither black nor white in every channel."""
    dark = (image <= _DARK).all(dim=1, keepdim=True)
    bright = (image >= _BRIGHT).all(dim=1, keepdim=True)
    return ~(dark | bright)


def contradiction(depth_m: Tensor, other_m: Tensor) -> Tensor:
    """|a - b| / (a + b) of two depths of the same points, 0..1 (Bian et al. 2019, eq. 5)."""
    return (depth_m - other_m).abs() / (depth_m + other_m).clamp(min=1e-6)


def smoothness(log_depth: Tensor, image: Tensor, *, of_disparity: bool = False) -> Tensor:
    """Mean step of log depth (B, 1, H, W), counting less where the picture (B, 3, H, W) in 0..1 has an edge.

    First order and exp(-10 |dI|); a logarithm needs no division by its mean. `of_disparity`: steps of 1 / depth over
    its mean, and exp(-|dI|) (Godard et al. 2019).
    """
    values, sharpness = log_depth, 10.0
    if of_disparity:
        disparity = torch.exp(-log_depth)
        values, sharpness = disparity / disparity.mean(dim=(2, 3), keepdim=True), 1.0
    total = log_depth.new_zeros(())
    for axis in (2, 3):
        n = values.shape[axis] - 1
        step = (values.narrow(axis, 1, n) - values.narrow(axis, 0, n)).abs()
        edge = (image.narrow(axis, 1, n) - image.narrow(axis, 0, n)).abs().mean(dim=1, keepdim=True)
        total = total + (step * torch.exp(-sharpness * edge)).mean()
    return total / 2


def scale_difference(log_depth: Tensor, start: Tensor, *, together: bool = False) -> Tensor:
    """Mean over pictures of the squared median of ln(depth / start): ties the scale to the start, and no shape.

    `together`: the square of that median's mean, which leaves each picture free and ties all of them.
    """
    median = (log_depth - start).flatten(1).median(dim=1).values
    return median.mean() ** 2 if together else (median**2).mean()


def plane_distances(depth_m: Tensor, lens: Tensor, where: Tensor) -> Tensor:
    """(B,) how far the camera is from the plane that z-depth (B, 1, H, W) has where (B, 1, H, W) says.

    Of a plane 1 / z = a x + b y + c, whatever its tilt, with x and y the ray at z = 1; it is 1 / |(a, b, c)| away.
    Least squares twice, the second time without what is more than a tenth off.
    """
    rays = points_from_depth(torch.ones_like(depth_m), lens).flatten(2).transpose(1, 2)
    inverse, weight = 1 / depth_m.flatten(1)[..., None], where.flatten(1)[..., None].to(depth_m.dtype)
    plane = rays.new_zeros(len(rays), 3, 1)
    ridge = 1e-6 * torch.eye(3, dtype=rays.dtype, device=rays.device)
    for _ in range(2):
        square = (rays * weight).transpose(1, 2) @ rays / weight.sum(dim=1, keepdim=True).clamp(min=1.0)
        shared = (rays * weight).transpose(1, 2) @ inverse / weight.sum(dim=1, keepdim=True).clamp(min=1.0)
        plane = torch.linalg.solve(square + ridge, shared)
        near = ((rays @ plane / inverse - 1).abs() < 0.1).to(weight.dtype)
        weight = weight * near.detach()
    size: Tensor = torch.linalg.vector_norm(plane[..., 0], dim=1).clamp(min=1e-6)
    return torch.reciprocal(size)


def height_difference(depth_m: Tensor, lens: Tensor, floor: Tensor, height_m: Tensor) -> Tensor:
    """Mean squared ln(height of the camera above the floor that depth shows / its true height), over pictures (B,).

    Of pictures that show the floor in a twelfth of them and whose height is known (not 0); 0 where there are none.
    """
    counts = (floor.flatten(1).to(depth_m.dtype).mean(dim=1) > _FLOOR_SHARE) & (height_m > 0)
    if not bool(counts.any()):
        return depth_m.new_zeros(())
    found = plane_distances(depth_m[counts], lens[counts], floor[counts])
    return (torch.log(found / height_m[counts]) ** 2).mean()


def motion_from_vector(vector: Tensor) -> Tensor:
    """(..., 4, 4) rigid transforms of (..., 6): a rotation vector in rad (Rodrigues), then a translation."""
    r, t = vector[..., :3], vector[..., 3:]
    zero = torch.zeros_like(r[..., 0])
    x, y, z = r.unbind(-1)
    skew = torch.stack([zero, -z, y, z, zero, -x, -y, x, zero], dim=-1).reshape(*r.shape[:-1], 3, 3)
    square = (r * r).sum(-1)[..., None, None]
    small = square < 1e-8  # series there: sin(a) / a and (1 - cos(a)) / a^2 have no gradient at 0
    angle = torch.where(small, torch.ones_like(square), square).sqrt()
    a = torch.where(small, 1 - square / 6, torch.sin(angle) / angle)
    b = torch.where(small, 0.5 - square / 24, (1 - torch.cos(angle)) / angle**2)
    eye = torch.eye(3, dtype=r.dtype, device=r.device)
    R = eye + a * skew + b * (skew @ skew)
    upper = torch.cat([R, t[..., None]], dim=-1)
    last = torch.tensor([0.0, 0.0, 0.0, 1.0], dtype=r.dtype, device=r.device).expand(*r.shape[:-1], 1, 4)
    return torch.cat([upper, last], dim=-2)


class Comparison(NamedTuple):
    """A target beside its sources."""

    photometric: Tensor
    """Scalar: the mean of `residual`."""
    geometric: Tensor
    """Scalar: how much the depths contradict each other; 0 where no source's depth is given."""
    counted: Tensor
    """(B, 1, H, W) bool: pixels that some source sees, and that match it better moved than unmoved."""
    residual: Tensor
    """(B, 1, H, W) how unlike each pixel's best source is; of one that does not count, what it is unmoved."""


def compared(
    target: Tensor,
    sources: Tensor,
    depth_m: Tensor,
    lens: Tensor,
    T_source_target: Tensor,
    *,
    sources_depth_m: Tensor | None = None,
    usable: Tensor | None = None,
    still: Tensor | None = None,
    sources_still: Tensor | None = None,
) -> Comparison:
    """A target against every source that shows the same scene from elsewhere.

    Of each pixel the source that fits best counts (an occluded one does not), and only if it fits better than the
    same source unmoved: a still camera and what moves with it say nothing (Godard et al. 2019). Where depths
    contradict each other a pixel counts less, by 1 - contradiction, through which nothing is learnt (Bian et al. 2019).
    A pixel that does not count costs what it costs unmoved: depth gains nothing by pushing pixels out of the picture.

    Args:
        target: (B, 3, H, W) in 0..1.
        sources: (B, S, 3, H, W).
        depth_m: (B, 1, H, W) z-depth of the target.
        lens: (B, 4).
        T_source_target: (B, S, 4, 4), metres.
        sources_depth_m: (B, S, 1, H, W), where the depths are to agree.
        usable: (B, S) bool; sources that are there. All of them if not given.
        still: (B, 1, H, W) bool; where the target shows nothing that moves by itself. Everywhere if not given.
        sources_still: (B, S, 1, H, W), the same of the sources.
    """
    residuals, unmoved, contradictions, shown = [], [], [], []
    for s in range(sources.shape[1]):
        warp = synthesised(sources[:, s], depth_m, lens, T_source_target[:, s])
        there = torch.ones_like(warp.seen) if usable is None else usable[:, s, None, None, None]
        seen = warp.seen & there & unclipped(target) & unclipped(warp.image.detach())
        if still is not None:
            seen = seen & still
        if sources_still is not None:  # a pixel between a still one and another is neither
            seen = seen & (sampled(sources_still[:, s].to(target.dtype), warp.pixels.detach()) > 0.99)
        residuals.append(unlikeness(target, exposed_alike(warp.image, target, seen)))
        as_it_is = exposed_alike(sources[:, s], target, there.expand_as(seen))
        unmoved.append(torch.where(there, unlikeness(target, as_it_is), _NEVER))
        shown.append(seen)
        if sources_depth_m is not None:
            contradictions.append(contradiction(warp.depth_m, sampled(sources_depth_m[:, s], warp.pixels)))
    seen_by = torch.stack(shown)
    best, which = torch.where(seen_by, torch.stack(residuals), _NEVER).min(dim=0)
    identity = torch.stack(unmoved).min(dim=0).values.detach()
    counted = seen_by.any(dim=0) & (best < identity).detach()
    mask = counted.to(target.dtype)
    weight, geometric = mask, target.new_zeros(())
    if contradictions:
        found = torch.gather(torch.stack(contradictions), 0, which[None])[0]
        geometric = torch.where(counted, found, 0.0).sum() / mask.sum().clamp(min=1.0)
        weight = mask * (1 - found.detach())
    base = torch.where(identity < _NEVER, identity, 0.0)
    residual = base + weight * torch.where(counted, best - base, 0.0)
    return Comparison(residual.mean(), geometric, counted, residual)
