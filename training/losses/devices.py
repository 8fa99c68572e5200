"""Sums over a batch of which each device (DDP) has a share.

A loss is a mean, or has a threshold, over the whole batch, as one device would compute it: a mean of the devices' means
gives another gradient wherever they know unequally many pixels.
"""

from __future__ import annotations

import torch
from torch import Tensor, distributed


def _shared() -> bool:
    """Whether a batch is shared now: devices train together, and this is a training step."""
    return distributed.is_available() and distributed.is_initialized() and torch.is_grad_enabled()


def largest_over_devices(value: Tensor) -> Tensor:
    """The largest of the devices' values, without a gradient."""
    largest = value.detach().clone()
    if _shared():
        distributed.all_reduce(largest, op=distributed.ReduceOp.MAX)
    return largest


def sum_over_devices(own: Tensor) -> Tensor:
    """The sum of the devices' values, its gradient times their number: DDP takes the mean of the devices' gradients."""
    if not _shared():
        return own
    total = own.detach().clone()
    distributed.all_reduce(total)
    return total + distributed.get_world_size() * (own - own.detach())


def mean_over_devices(values: Tensor, weight: Tensor | float = 1.0) -> Tensor:
    """Weighted sum of all devices' values by the sum of all weights, or by 1 where that is less.

    Args:
        values: of any shape; devices may have unequally many, or none.
        weight: of a shape that broadcasts to that of the values; each value's own.
    """
    given = values.to(torch.promote_types(values.dtype, torch.float32))
    count = torch.as_tensor(weight, dtype=given.dtype, device=given.device).expand_as(given).sum()
    total, number = sum_over_devices(torch.stack([(given * weight).sum(), count]))
    mean: Tensor = total / number.detach().clamp(min=1)
    return mean
