"""Learning depth, layout and lighting jointly, with one encoder."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from edge.scene import Task
from training.config.losses import JointLossConfig
from training.config.nets import JointConfig
from training.config.recipe import Recipe
from training.losses.depth import DepthLoss
from training.losses.layout import LayoutLoss
from training.losses.lighting import LightingLoss
from training.nets.joint import JointNet
from training.tasks.base import Batch, NounTask
from training.tasks.depth import depth_scores
from training.tasks.layout import columns_loss, layout_scores


class JointTask(NounTask):
    """Batches hold what those of the depth, layout and lighting tasks do.

    `depth` (B, 1, H / 2, W / 2) is range in metres. It is 0, and `seen` too, where nothing is known.
    """

    net: JointNet

    def __init__(self, recipe: Recipe) -> None:
        """Build network and losses."""
        assert isinstance(recipe.net, JointConfig) and isinstance(recipe.loss, JointLossConfig)
        spec = recipe.input
        super().__init__(recipe, JointNet(recipe.net, spec.height_px, spec.width_px))
        self._shares = recipe.loss
        self.depth_loss = DepthLoss(recipe.loss.depth, recipe.net.min_m, recipe.net.max_m)
        self.layout_loss = LayoutLoss(recipe.loss.layout)
        self.lighting_loss = LightingLoss(recipe.loss.lighting)

    def terms(self, batch: Batch) -> dict[Task, Tensor]:
        """Each noun's own loss, by its share; 0 where the batch knows nothing of it."""
        answer, c = self.net.answer(batch["image"]), self._shares
        shown = answer.light
        light = (shown.coefficients, batch["coefficients"], shown.radiance, batch["cells"], shown.seen)
        logs = [answer.log_range] if answer.log_spread is None else [answer.log_range, answer.log_spread]
        return {
            "depth": c.depth_share * self.depth_loss(torch.cat(logs, dim=1), batch["depth"], log=True),
            "layout": c.layout_share * columns_loss(self.layout_loss, answer.columns, batch),
            "lighting": c.lighting_share * self.lighting_loss(*light),
        }

    def loss_of(self, batch: Batch) -> Tensor:
        """The sum of `terms`."""
        return sum(self.terms(batch).values(), batch["image"].new_zeros(()))

    def score(self, net: nn.Module, batch: Batch) -> dict[str, float]:
        """Each noun's error, as its own task measures it, and as `error` their mean."""
        answers = net(batch["image"])
        depth, coefficients = answers[0], answers[-1]
        columns = answers[2 if self.net.config.depth_spread else 1 : -1]
        layout = layout_scores(columns, batch)
        errors = {
            "depth": depth_scores(depth, batch["depth"])["error"],
            "layout": layout["error"],
            "lighting": float(self.lighting_loss.si_irradiance(coefficients, batch["coefficients"]).mean()),
        }
        further = {"openings": layout["openings"]} if "openings" in layout else {}
        return {"error": sum(errors.values()) / len(errors)} | errors | further
