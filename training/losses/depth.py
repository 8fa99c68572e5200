"""Depth losses.

berHu ("reverse Huber", Laina et al. 2016, eq. 2): |e| up to c, (e^2 + c^2) / (2c) beyond, c = 0.2 max |e| over the
batch's valid pixels. SiLog (Eigen et al. 2014, eq. 4): 10 sqrt(mean d^2 - 0.85 (mean d)^2) with d the difference of
ln depth over the batch's valid pixels; weight and factor are those of BTS (Lee et al. 2019), which AdaBins and others
took over. Pixels whose target is 0 are unknown and count nowhere.
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


def berhu(error: Tensor) -> Tensor:
    """Mean berHu of the errors of valid pixels (N,); 0 if there are none."""
    size = error.abs()
    largest = size.detach().max() if size.numel() else size.new_zeros(())
    c = (BERHU_SHARE * largest_over_devices(largest)).clamp(min=1e-6)
    return mean_over_devices(torch.where(size <= c, size, (size * size + c * c) / (2 * c)))


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


class DepthLoss(torch.nn.Module):
    """berHu on metres or log depth, or SiLog; and the gradient term."""

    def __init__(self, config: DepthLossConfig, min_m: float, max_m: float) -> None:
        """Targets are limited to `min_m`..`max_m`."""
        super().__init__()
        self.config, self.min_m, self.max_m = config, min_m, max_m

    def forward(self, raw: Tensor, target: Tensor, *, log: bool) -> Tensor:
        """The loss.

        Args:
            raw: (B, 1, h, w) the network's last layer: ln(metres) if `log`, else metres.
            target: (B, 1, H, W) metres, 0 = unknown; brought to h x w where it differs.
            log: what `raw` is.
        """
        if target.shape != raw.shape:
            target = F.interpolate(target, size=raw.shape[2:], mode="nearest")
        valid = target > 0
        limited = target.clamp(self.min_m, self.max_m)
        log_target = torch.log(limited)
        log_raw = raw if log else torch.log(raw.clamp(min=self.min_m))
        if self.config.kind == "silog":
            total = silog((log_raw - log_target)[valid])
        elif self.config.berhu_on == "log":
            total = berhu((log_raw - log_target)[valid])
        else:
            total = berhu(((torch.exp(raw) if log else raw) - limited)[valid])
        if self.config.gradient > 0:
            total = total + self.config.gradient * gradient_difference(log_raw, log_target, valid)
        return total
