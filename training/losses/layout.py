"""Layout loss of HorizonNet: L1 of the boundary and binary cross entropy of the corners, over what is seen."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from training.config import LossConfig


class LayoutLoss(torch.nn.Module):
    """Weighted sum over the seen columns."""

    def __init__(self, config: LossConfig) -> None:
        """Take the weights of the terms."""
        super().__init__()
        self.config = config

    def forward(self, predicted: tuple[Tensor, Tensor], boundary: Tensor, corners: Tensor, seen: Tensor) -> Tensor:
        """The loss.

        Args:
            predicted: boundary (B, 2, W) rad and corner logits (B, 1, W).
            boundary: (B, 2, W) rad, positive down.
            corners: (B, 1, W) 0..1.
            seen: (B, 2, W) how much each edge of a column counts, 0..1; its corner counts as much as the greater.
        """
        edges = ((predicted[0] - boundary).abs() * seen).sum() / seen.sum().clamp(min=1)
        weight = seen.amax(dim=1, keepdim=True)
        columns = weight.sum().clamp(min=1)
        entropy = F.binary_cross_entropy_with_logits(predicted[1], corners, reduction="none")
        return self.config.boundary * edges + self.config.corners * (entropy * weight).sum() / columns
