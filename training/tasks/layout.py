"""Learning room layout."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor, nn

from edge.scene import ImageArray
from training.config.losses import BoundaryLossConfig, HorizonDepthLossConfig
from training.config.nets import HorizonNetConfig
from training.config.recipe import Recipe
from training.losses.layout import HorizonDepthLoss, LayoutLoss, OpeningTargets
from training.metrics.layout import iou_3d, pixel_error, room_from_boundary
from training.nets.layout import HorizonNet, boundary_from_distance
from training.tasks.base import Batch, NounTask
from training.tasks.preview import SHOWN, boundary_overlay, picture_from_tensor


def opening_targets(batch: Batch) -> OpeningTargets | None:
    """What a batch knows of openings; None where its samples were made for a network that says nothing of them."""
    if "kinds" not in batch:
        return None
    return OpeningTargets(batch["kinds"], batch["extended"], batch["extended_seen"])


def columns_loss(loss: LayoutLoss, predicted: tuple[Tensor, ...], batch: Batch) -> Tensor:
    """`LayoutLoss` of a batch."""
    edges = (batch["boundary"], batch["corners"], batch["seen"])
    total: Tensor = loss(predicted, *edges, opening_targets(batch))
    return total


def openings_iou(logits: Tensor, truth: OpeningTargets) -> float:
    """Columns said to show a door or an opening, and those that do: their intersection over their union."""
    counted = truth.seen.amax(dim=1) > 0
    found = torch.sigmoid(logits[:, (0, 2)]).sum(dim=1) > 0.5
    there = truth.kinds[:, (0, 2)].sum(dim=1) > 0.5
    either = ((found | there) & counted).sum()
    return float(((found & there) & counted).sum() / either.clamp(min=1))


def layout_scores(predicted: tuple[Tensor, ...], batch: Batch) -> dict[str, float]:
    """1 - 3D IoU of the raw boundary (`error`), as if the camera's height were 1; pixel error; corner loss; openings.

    `predicted`: boundary (B, 2, W) and corner logits (B, 1, W), and what else the network says of columns.
    """
    boundary, logits = predicted[:2]
    ious, pixels = [], []
    for p, t in zip(boundary.numpy(force=True), batch["boundary"].numpy(force=True), strict=True):
        mine, truth = room_from_boundary(p, 1.0), room_from_boundary(t, 1.0)
        ious.append(iou_3d(*mine, *truth))
        pixels.append(pixel_error(p, t))
    entropy = nn.functional.binary_cross_entropy_with_logits(logits, batch["corners"])
    scores = {"error": 1 - float(np.mean(ious)), "pixel_error": float(np.mean(pixels)), "corners": float(entropy)}
    known = opening_targets(batch)
    if known is not None and len(predicted) > 2:
        scores["openings"] = openings_iou(predicted[2], known)
    return scores


class LayoutTask(NounTask):
    """Batches hold `image` (B, C, H, W), `boundary` (B, 2, W), `corners` (B, 1, W), `seen` (B, 2, W) 0..1.

    For a network that says more of columns also `kinds` (B, 3, W), `extended` and `extended_seen` (B, 2, W).
    """

    net: HorizonNet

    def __init__(self, recipe: Recipe) -> None:
        """Build network and loss."""
        assert isinstance(recipe.net, HorizonNetConfig)
        assert isinstance(recipe.loss, BoundaryLossConfig | HorizonDepthLossConfig)
        spec = recipe.input
        net = HorizonNet(recipe.net, spec.height_px, spec.width_px, mask_channel=spec.mask_channel)
        super().__init__(recipe, net)
        self.loss: LayoutLoss | HorizonDepthLoss
        if isinstance(recipe.loss, BoundaryLossConfig):
            self.loss = LayoutLoss(recipe.loss)
        else:
            self.loss = HorizonDepthLoss(recipe.loss)

    def loss_of(self, batch: Batch) -> Tensor:
        """See `LayoutLoss`, or `HorizonDepthLoss` with that head."""
        predicted = self.net(batch["image"])
        if isinstance(self.loss, LayoutLoss):
            return columns_loss(self.loss, predicted, batch)
        loss: Tensor = self.loss(predicted, batch["boundary"], batch["seen"])
        return loss

    def _boundary(self, predicted: tuple[Tensor, ...]) -> Tensor:
        """(B, 2, W), whichever head gave the answer."""
        by_distance = isinstance(self.loss, HorizonDepthLoss)
        return boundary_from_distance(predicted[0], predicted[1]) if by_distance else predicted[0]

    def score(self, net: nn.Module, batch: Batch) -> dict[str, float]:
        """See `layout_scores`; a head that gives distances has no corners to score."""
        predicted = net(batch["image"])
        if isinstance(self.loss, LayoutLoss):
            return layout_scores(predicted, batch)
        scores = layout_scores((self._boundary(predicted), torch.zeros_like(batch["corners"])), batch)
        return {name: value for name, value in scores.items() if name != "corners"}

    @torch.no_grad()
    def preview(self, net: nn.Module, batch: Batch) -> dict[str, ImageArray]:
        """Panoramas with the true boundary and over it the network's, one below the other."""
        images, truth = batch["image"][:SHOWN], batch["boundary"][:SHOWN]
        shown = [picture_from_tensor(x, self.recipe.input) for x in images]
        overlays = [boundary_overlay(*row) for row in zip(shown, truth, self._boundary(net(images)), strict=True)]
        return {"layout": np.concatenate(overlays)}
