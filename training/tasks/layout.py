"""Learning room layout."""

from __future__ import annotations

import numpy as np
from torch import Tensor, nn

from training.config import HorizonNetConfig, Recipe
from training.losses.layout import LayoutLoss
from training.metrics.layout import iou_3d, pixel_error, room_from_boundary
from training.nets.layout import HorizonNet
from training.tasks.base import Batch, NounTask


class LayoutTask(NounTask):
    """Batches hold `image` (B, C, H, W), `boundary` (B, 2, W), `corners` (B, 1, W), `seen` (B, 2, W) 0..1."""

    net: HorizonNet

    def __init__(self, recipe: Recipe) -> None:
        """Build network and loss."""
        assert isinstance(recipe.net, HorizonNetConfig)
        spec = recipe.input
        net = HorizonNet(recipe.net, spec.height_px, spec.width_px, mask_channel=spec.mask_channel)
        super().__init__(recipe, net)
        self.loss = LayoutLoss(recipe.loss)

    def loss_of(self, batch: Batch) -> Tensor:
        """See `LayoutLoss`."""
        loss: Tensor = self.loss(self.net(batch["image"]), batch["boundary"], batch["corners"], batch["seen"])
        return loss

    def score(self, net: nn.Module, batch: Batch) -> dict[str, float]:
        """1 - 3D IoU of the raw boundary, as if the camera's height were 1; pixel error; corner loss."""
        boundary, logits = net(batch["image"])
        ious, pixels = [], []
        for p, t in zip(boundary.numpy(force=True), batch["boundary"].numpy(force=True), strict=True):
            mine, truth = room_from_boundary(p, 1.0), room_from_boundary(t, 1.0)
            ious.append(iou_3d(*mine, *truth))
            pixels.append(pixel_error(p, t))
        entropy = nn.functional.binary_cross_entropy_with_logits(logits, batch["corners"])
        return {"error": 1 - float(np.mean(ious)), "pixel_error": float(np.mean(pixels)), "corners": float(entropy)}
