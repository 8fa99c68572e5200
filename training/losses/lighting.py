"""Lighting loss: coefficients, the light on surfaces they give, and the coarse radiance they come from."""

from __future__ import annotations

import torch
from torch import Tensor

from edge.geometry.harmonics import polynomials
from edge.geometry.panorama import rays, solid_angles
from training.config.losses import LightingLossConfig
from training.losses.devices import mean_over_devices

_CLEAR = 0.05
"""Share of the light that a picture hides up to which nothing should be added."""
_LUMINANCE = (0.2126, 0.7152, 0.0722)


def sphere(rows: int = 8) -> tuple[Tensor, Tensor]:
    """Polynomials (N, 9) at N normals spread over the sphere, and their area shares (N,)."""
    basis = polynomials(rays(2 * rows, rows).reshape(-1, 3))
    share = solid_angles(2 * rows, rows).reshape(-1) / (4 * torch.pi)
    return torch.tensor(basis, dtype=torch.float32), torch.tensor(share.copy(), dtype=torch.float32)


class LightingLoss(torch.nn.Module):
    """Relative L1 of coefficients + scale-invariant irradiance RMSE + log-L1 of the coarse radiance map."""

    basis: Tensor
    share: Tensor
    luminance: Tensor

    def __init__(self, config: LightingLossConfig) -> None:
        """Take the weights of the terms."""
        super().__init__()
        self.config = config
        basis, share = sphere()
        self.register_buffer("basis", basis, persistent=False)
        self.register_buffer("share", share, persistent=False)
        self.register_buffer("luminance", torch.tensor(_LUMINANCE), persistent=False)

    def relative_l1(self, predicted: Tensor, target: Tensor) -> Tensor:
        """Mean |error| of (B, 9, 3) in units of the true mean luminance."""
        ambient = (target[:, 0] @ self.luminance).clamp(min=1e-4)
        return ((predicted - target).abs().mean(dim=(1, 2)) / ambient).mean()

    def si_irradiance(self, predicted: Tensor, target: Tensor) -> Tensor:
        """(B,) RMS irradiance error over the sphere after the best scalar, over the RMS of the truth."""
        weight = self.share[:, None]
        p, t = self.basis @ predicted, self.basis @ target
        cross = (p * t * weight).sum(dim=(1, 2))
        power = (p * p * weight).sum(dim=(1, 2)).clamp(min=1e-8)
        truth = (t * t * weight).sum(dim=(1, 2)).clamp(min=1e-8)
        return (1 - (cross * cross / (power * truth)).clamp(max=1 - 1e-6)).sqrt()

    def added(self, radiance: Tensor, seen: Tensor, cells: Tensor) -> Tensor:
        """Mean share of light added to what is seen, over the pictures whose truth hides next to none.

        Args:
            radiance: (B, 3, h, w) completed map.
            seen: (B, 3, h, w) what the picture shows of it.
            cells: (B, 3, h, w) the truth; nan = unknown.
        """
        rows = cells.shape[2]
        area = torch.cos(((torch.arange(rows, device=cells.device) + 0.5) / rows - 0.5) * torch.pi)[:, None]
        known = torch.isfinite(cells).flatten(1).all(dim=1)
        maps = (torch.nan_to_num(cells), seen, radiance)
        total, shown, given = ((m * area).sum(dim=(1, 2, 3)).clamp(min=1e-4) for m in maps)
        clear = known & (1 - shown / total < _CLEAR)
        return mean_over_devices((1 - shown / given).clamp(min=0), clear.to(given.dtype))

    def forward(
        self, predicted: Tensor, target: Tensor, radiance: Tensor | None, cells: Tensor, seen: Tensor | None = None
    ) -> Tensor:
        """The weighted sum.

        Args:
            predicted: (B, 9, 3).
            target: (B, 9, 3).
            radiance: (B, 3, h, w) completed radiance map, or None where the network has none.
            cells: (B, 3, h, w) its truth, in units of the picture's white; nan = unknown.
            seen: (B, 3, h, w) the part of `radiance` that the picture shows.
        """
        c = self.config
        total = c.coefficients * self.relative_l1(predicted, target)
        total = total + c.irradiance * self.si_irradiance(predicted, target).mean()
        if radiance is not None and c.radiance > 0:
            known = torch.isfinite(cells)
            off = torch.log(radiance + 0.02) - torch.log(torch.where(known, cells, 0.0) + 0.02)
            total = total + c.radiance * mean_over_devices(off.abs(), known)
        if radiance is not None and seen is not None and c.hidden > 0:
            total = total + c.hidden * self.added(radiance, seen, cells)
        return total
