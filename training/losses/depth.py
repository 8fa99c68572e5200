"""Depth losses.

berHu ("reverse Huber", Laina et al. 2016, eq. 2): |e| up to c, (e^2 + c^2) / (2c) beyond, c = 0.2 max |e| over the
batch's valid pixels. SiLog (Eigen et al. 2014, eq. 4): 10 sqrt(mean d^2 - 0.85 (mean d)^2) with d the difference of
ln depth over the batch's valid pixels; weight and factor are those of BTS (Lee et al. 2019), which AdaBins and others
took over. Pixels whose target is 0 are unknown and count nowhere.

What makes edges sharp: steps of log depth from pixel to pixel (Li & Snavely 2018), those where the true depth jumps by
themselves, as a mean over all pixels hardly sees them, and the surfaces' normals (Hu et al. 2019).
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from training.config.losses import DepthLossConfig
from training.losses.devices import largest_over_devices, mean_over_devices

BERHU_SHARE = 0.2
SILOG_LAMBDA = 0.85
SILOG_ALPHA = 10.0
NEAR_M = 1.0
_JUMP = 0.1
"""Step of log depth from pixel to pixel that is an edge; what differs by less lies on one surface."""


def berhu(error: Tensor, weight: Tensor | float = 1.0) -> Tensor:
    """Mean berHu of the errors of valid pixels (N,), weighted; 0 if there are none."""
    size = error.abs()
    largest = size.detach().max() if size.numel() else size.new_zeros(())
    c = (BERHU_SHARE * largest_over_devices(largest)).clamp(min=1e-6)
    return mean_over_devices(torch.where(size <= c, size, (size * size + c * c) / (2 * c)), weight)


def silog(difference: Tensor) -> Tensor:
    """SiLog of the differences of ln depth of valid pixels (N,); 0 if there are none."""
    mean = mean_over_devices(difference)
    # mean d^2 - lambda mean^2, never < 0; the mean that minimises the variance is no way for its gradient
    spread = mean_over_devices((difference - mean.detach()) ** 2) + (1 - SILOG_LAMBDA) * mean**2
    return SILOG_ALPHA * spread.clamp(min=1e-12).sqrt() * (spread > 0)


def gradient_difference(log_predicted: Tensor, log_target: Tensor, valid: Tensor, scales: int = 3) -> Tensor:
    """L1 between horizontal and vertical steps of log depth (B, 1, H, W) over halved scales (Li & Snavely 2018)."""
    total = log_predicted.new_zeros(())
    difference = (log_predicted - log_target) * valid
    mask = valid.to(difference.dtype)
    for _ in range(scales):
        for axis in (2, 3):
            n = difference.shape[axis] - 1
            both = mask.narrow(axis, 0, n) * mask.narrow(axis, 1, n)
            step = (difference.narrow(axis, 1, n) - difference.narrow(axis, 0, n)).abs() * both
            total = total + mean_over_devices(step, both)
        difference, mask = difference[..., ::2, ::2], mask[..., ::2, ::2]
    return total / scales


def edge_difference(log_predicted: Tensor, log_target: Tensor, valid: Tensor) -> Tensor:
    """L1 between steps of log depth (B, 1, H, W) across one and two pixels, over those where the true one jumps."""
    total = log_predicted.new_zeros(())
    for apart in (1, 2):
        for axis in (2, 3):
            n = log_target.shape[axis] - apart
            step, true = (x.narrow(axis, apart, n) - x.narrow(axis, 0, n) for x in (log_predicted, log_target))
            edge = valid.narrow(axis, 0, n) & valid.narrow(axis, apart, n) & (true.abs() > _JUMP)
            total = total + mean_over_devices((step - true).abs(), edge.to(step.dtype))
    return total / 4


def surface_normals(depth: Tensor, focal_px: float) -> Tensor:
    """(B, 3, H - 1, W - 1) unit normals of a pinhole picture's z-depth (B, 1, H, W), its axis in the middle."""
    h, w = depth.shape[2:]
    x = (torch.arange(w, device=depth.device) + 0.5 - w / 2) / focal_px
    y = (torch.arange(h, device=depth.device) + 0.5 - h / 2) / focal_px
    points = torch.cat([depth * x, depth * y[:, None], depth], dim=1)
    across, down = points[..., :-1, 1:] - points[..., :-1, :-1], points[..., 1:, :-1] - points[..., :-1, :-1]
    return F.normalize(torch.cross(across, down, dim=1), dim=1, eps=1e-9)


def normal_difference(log_predicted: Tensor, log_target: Tensor, valid: Tensor, focal_px: float) -> Tensor:
    """Mean of 1 - cosine between the surfaces of two log depths (B, 1, H, W), but across edges of the true one."""
    mine, true = (surface_normals(torch.exp(x.float()), focal_px) for x in (log_predicted, log_target))
    here = (..., slice(None, -1), slice(None, -1))
    smooth = valid[here]
    for there in ((..., slice(None, -1), slice(1, None)), (..., slice(1, None), slice(None, -1))):
        smooth = smooth & valid[there] & ((log_target[there] - log_target[here]).abs() < _JUMP)
    return mean_over_devices(1 - (mine * true).sum(dim=1, keepdim=True), smooth.to(mine.dtype))


def spread_likelihood(log_spread: Tensor, size: Tensor, weight: Tensor | float = 1.0) -> Tensor:
    """Negative log likelihood of errors of that size under Laplace's distribution of mean size exp(`log_spread`).

    The errors are given: what makes them learns nothing of this, so a spread cannot excuse them.
    """
    limited = log_spread.clamp(-7.0, 3.0)
    return mean_over_devices(size.detach() * torch.exp(-limited) + limited, weight)


class DepthLoss(torch.nn.Module):
    """berHu on metres or log depth, or SiLog; and the terms that make edges sharp."""

    def __init__(self, config: DepthLossConfig, min_m: float, max_m: float, *, focal_widths: float = 0.78) -> None:
        """Targets are limited to `min_m`..`max_m`; `focal_widths`: the lens's focal length in widths of its picture."""
        super().__init__()
        self.config, self.min_m, self.max_m, self.focal_widths = config, min_m, max_m, focal_widths

    def forward(self, raw: Tensor, target: Tensor, *, log: bool) -> Tensor:
        """The loss.

        Args:
            raw: (B, 1 or 2, h, w) the network's last layer: ln(metres) if `log`, else metres; and the ln of its spread.
            target: (B, 1, H, W) metres, 0 = unknown; brought to h x w where it differs.
            log: what `raw` is.
        """
        c, log_spread, raw = self.config, raw[:, 1:], raw[:, :1]
        if target.shape != raw.shape:
            target = F.interpolate(target, size=raw.shape[2:], mode="nearest")
        valid = target > 0
        weight = (1 + c.near * (target < NEAR_M))[valid]
        limited = target.clamp(self.min_m, self.max_m)
        log_target = torch.log(limited)
        log_raw = raw if log else torch.log(raw.clamp(min=self.min_m))
        error = (log_raw - log_target)[valid]
        if c.kind == "silog":
            total = silog(error)
        elif c.berhu_on == "log":
            total = berhu(error, weight)
        else:
            total = berhu(((torch.exp(raw) if log else raw) - limited)[valid], weight)
        if c.gradient > 0:
            total = total + c.gradient * gradient_difference(log_raw, log_target, valid, c.gradient_scales)
        if c.edges > 0:
            total = total + c.edges * edge_difference(log_raw, log_target, valid)
        if c.normals > 0:
            focal_px = self.focal_widths * raw.shape[3]
            total = total + c.normals * normal_difference(log_raw, log_target, valid, focal_px)
        if c.spread > 0 and log_spread.shape[1]:
            total = total + c.spread * spread_likelihood(log_spread[valid], error.abs())
        return total
