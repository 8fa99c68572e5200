"""Learning lighting."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor, nn

from edge.scene import ImageArray
from training.config.losses import LightingLossConfig
from training.config.nets import CompletionConfig, MobileShConfig
from training.config.recipe import Recipe
from training.losses.lighting import LightingLoss
from training.nets.lighting import CompletionSh, MobileSh
from training.tasks.base import Batch, NounTask
from training.tasks.preview import SHOWN, light_row, picture_from_tensor


def build_lighting_net(recipe: Recipe) -> CompletionSh | MobileSh:
    """The recipe's lighting network with random weights."""
    if isinstance(recipe.net, MobileShConfig):
        return MobileSh(recipe.net)
    assert isinstance(recipe.net, CompletionConfig)
    return CompletionSh(recipe.net, recipe.input.height_px, recipe.input.width_px)


class LightingTask(NounTask):
    """Batches hold `image` (B, C, H, W), `coefficients` (B, 9, 3), `cells` (B, 3, h, w)."""

    def __init__(self, recipe: Recipe) -> None:
        """Build network and loss."""
        assert isinstance(recipe.loss, LightingLossConfig)
        super().__init__(recipe, build_lighting_net(recipe))
        self.loss = LightingLoss(recipe.loss)

    def loss_of(self, batch: Batch) -> Tensor:
        """`LightingLoss` of the coefficients, and of the radiance map where the network has one."""
        loss: Tensor
        if isinstance(self.net, CompletionSh):
            light = self.net.complete(batch["image"])
            loss = self.loss(light.coefficients, batch["coefficients"], light.radiance, batch["cells"], light.seen)
        else:
            loss = self.loss(self.net(batch["image"]), batch["coefficients"], None, batch["cells"])
        return loss

    def score(self, net: nn.Module, batch: Batch) -> dict[str, float]:
        """Means of the scale-invariant irradiance RMSE (`error`) and of the relative L1."""
        predicted, target = net(batch["image"]), batch["coefficients"]
        error = self.loss.si_irradiance(predicted, target)
        return {
            "error": float(error.mean()),
            "relative_l1": float(self.loss.relative_l1(predicted, target)),
        }

    @torch.no_grad()
    def preview(self, net: nn.Module, batch: Batch) -> dict[str, ImageArray]:
        """Rows of picture, true light and predicted light."""
        images, truth = batch["image"][:SHOWN], batch["coefficients"][:SHOWN]
        shown = [picture_from_tensor(x, self.recipe.input) for x in images]
        rows = [light_row(*row) for row in zip(shown, truth, net(images), strict=True)]
        return {"lighting": np.concatenate(rows)}
