"""Learning depth."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from training.config import FcrnConfig, Recipe
from training.losses.depth import DepthLoss
from training.nets.depth import Fcrn
from training.tasks.base import Batch, NounTask


class DepthTask(NounTask):
    """Batches hold `image` (B, 3, H, W) and `depth` (B, 1, h, w) metres for the canonical lens, 0 = unknown."""

    net: Fcrn

    def __init__(self, recipe: Recipe) -> None:
        """Build network and loss."""
        assert isinstance(recipe.net, FcrnConfig)
        super().__init__(recipe, Fcrn(recipe.net))
        self.loss = DepthLoss(recipe.loss, recipe.net.min_m, recipe.net.max_m)
        self._log = recipe.net.activation == "log"

    def loss_of(self, batch: Batch) -> Tensor:
        """See `DepthLoss`."""
        loss: Tensor = self.loss(self.net.raw(batch["image"]), batch["depth"], log=self._log)
        return loss

    def score(self, net: nn.Module, batch: Batch) -> dict[str, float]:
        """Metric AbsRel and delta1, median-scaled delta1: means over pictures."""
        predicted = net(batch["image"]).clamp(min=0.05)
        rows: dict[str, list[float]] = {"error": [], "delta1": [], "delta1_median": []}
        for p, t in zip(predicted, batch["depth"], strict=True):
            t = t if t.shape == p.shape else nn.functional.interpolate(t[None], size=p.shape[1:], mode="nearest")[0]
            known = t > 0
            if not bool(known.any()):
                continue
            a, b = p[known], t[known]
            scaled = a * (b.median() / a.median())
            rows["error"].append(float(((a - b).abs() / b).mean()))
            rows["delta1"].append(float((torch.maximum(a / b, b / a) < 1.25).float().mean()))
            rows["delta1_median"].append(float((torch.maximum(scaled / b, b / scaled) < 1.25).float().mean()))
        return {k: sum(v) / max(1, len(v)) for k, v in rows.items()}
