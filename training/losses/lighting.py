"""Lighting loss: coefficients, the light on surfaces they give, and the coarse radiance they come from."""

from __future__ import annotations

import torch
from torch import Tensor

from edge.geometry.harmonics import polynomials
from edge.geometry.panorama import rays, solid_angles
from training.config.losses import LightingLossConfig
from training.losses.devices import mean_over_devices

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

    def forward(self, predicted: Tensor, target: Tensor, radiance: Tensor | None, cells: Tensor) -> Tensor:
        """The weighted sum.

        Args:
            predicted: (B, 9, 3).
            target: (B, 9, 3).
            radiance: (B, 3, h, w) completed radiance map, or None where the network has none.
            cells: (B, 3, h, w) its truth, in units of the picture's white; nan = unknown.
        """
        c = self.config
        total = c.coefficients * self.relative_l1(predicted, target)
        total = total + c.irradiance * self.si_irradiance(predicted, target).mean()
        if radiance is not None and c.radiance > 0:
            known = torch.isfinite(cells)
            off = torch.log(radiance + 0.02) - torch.log(torch.where(known, cells, 0.0) + 0.02)
            total = total + c.radiance * mean_over_devices(off.abs(), known)
        return total
