"""Learning depth."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor, nn

from edge.scene import ImageArray
from training.config.losses import DepthLossConfig
from training.config.nets import FastDepthConfig, FcrnConfig, Monodepth2Config, NetConfig
from training.config.recipe import Recipe
from training.losses.depth import DepthLoss
from training.nets.depth import Fcrn
from training.nets.fast_depth import FastDepth
from training.nets.monodepth2 import Monodepth2
from training.tasks.base import Batch, NounTask
from training.tasks.preview import SHOWN, depth_row, picture_from_tensor


def depth_scores(predicted: Tensor, target: Tensor) -> dict[str, float]:
    """Metric AbsRel (`error`) and delta1, median-scaled delta1: means over the pictures (B, 1, h, w) that know any."""
    predicted = predicted.clamp(min=0.05)
    rows: dict[str, list[float]] = {"error": [], "delta1": [], "delta1_median": []}
    for p, t in zip(predicted, target, strict=True):
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


def _depth(answer: Tensor | tuple[Tensor, Tensor]) -> Tensor:
    """The metres of a network's answer, without the spread."""
    return answer[0] if isinstance(answer, tuple) else answer


def depth_net(config: NetConfig) -> Fcrn | FastDepth | Monodepth2:
    """The depth network that a recipe names, with random weights."""
    if isinstance(config, FastDepthConfig):
        return FastDepth(config)
    if isinstance(config, Monodepth2Config):
        return Monodepth2(config)
    assert isinstance(config, FcrnConfig)
    return Fcrn(config)


class DepthTask(NounTask):
    """Batches hold `image` (B, 3, H, W) and `depth` (B, 1, h, w) metres for the canonical lens, 0 = unknown."""

    net: Fcrn | FastDepth | Monodepth2

    def __init__(self, recipe: Recipe) -> None:
        """Build network and loss."""
        assert isinstance(recipe.net, FcrnConfig | FastDepthConfig | Monodepth2Config)
        assert isinstance(recipe.loss, DepthLossConfig)
        super().__init__(recipe, depth_net(recipe.net))
        focal_px = getattr(recipe.net, "canonical_focal_px", None) or recipe.input.width_px
        focal_widths = focal_px / recipe.input.width_px
        self.loss = DepthLoss(recipe.loss, recipe.net.min_m, recipe.net.max_m, focal_widths=focal_widths)
        self._log = getattr(recipe.net, "activation", "log") == "log" and not isinstance(recipe.net, FastDepthConfig)

    def loss_of(self, batch: Batch) -> Tensor:
        """`DepthLoss` of the network's last layer."""
        loss: Tensor = self.loss(self.net.raw(batch["image"]), batch["depth"], log=self._log)
        return loss

    def score(self, net: nn.Module, batch: Batch) -> dict[str, float]:
        """See `depth_scores`."""
        return depth_scores(_depth(net(batch["image"])), batch["depth"])

    def scored(self, batch: Batch) -> int:
        """How many pictures of the batch have any known depth: the others are not scored."""
        return int((batch["depth"] > 0).flatten(1).any(dim=1).sum())

    @torch.no_grad()
    def preview(self, net: nn.Module, batch: Batch) -> dict[str, ImageArray]:
        """Rows of picture, truth and prediction."""
        images, truth = batch["image"][:SHOWN], batch["depth"][:SHOWN]
        shown = [picture_from_tensor(x, self.recipe.input) for x in images]
        rows = [depth_row(*row) for row in zip(shown, truth, _depth(net(images)), strict=True)]
        return {"depth": np.concatenate([r for r in rows if r.shape == rows[0].shape])}
