"""Learning things: their grids from one segmented picture."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor, nn

from edge.scene import ImageArray
from training.config.losses import ObjectsLossConfig
from training.config.nets import ObjectsConfig
from training.config.recipe import Recipe
from training.data.synthetic.objects.sheet import faces_of
from training.losses.objects import ObjectsLoss
from training.metrics.objects import LEVELS, TRUE_LEVEL
from training.nets.objects import ObjectNet
from training.tasks.base import Batch, NounTask
from training.tasks.preview import SHOWN, picture_from_tensor

_LEVEL = 0.4


def build_object_net(recipe: Recipe) -> ObjectNet:
    """The recipe's network with random weights."""
    assert isinstance(recipe.net, ObjectsConfig)
    return ObjectNet(recipe.net, recipe.input.height_px, recipe.input.width_px)


class ObjectsTask(NounTask):
    """Batches: `image` (B, 4, H, W), `occupancy` (B, x, y, z), `colour` (B, 3, x, y, z), and rays of other views."""

    net: ObjectNet

    def __init__(self, recipe: Recipe) -> None:
        """Build network and loss."""
        assert isinstance(recipe.loss, ObjectsLossConfig)
        super().__init__(recipe, build_object_net(recipe))
        self.loss = ObjectsLoss(recipe.loss)

    def loss_of(self, batch: Batch) -> Tensor:
        """`ObjectsLoss` of the grid and of the looks from other sides."""
        net, config = self.net, self.loss.config
        latent = net.latent(batch["image"])
        pointwise = not (config.occupancy or config.dice or config.colour)
        raw = None if pointwise else net.field.grid(latent)
        loss = latent.new_zeros(())
        if raw is not None:
            shown = raw.permute(0, 1, 4, 3, 2)
            occupancy, colour = net.probability(shown[:, :1]), torch.sigmoid(shown[:, 1:])
            loss = loss + self.loss.of_grid(occupancy, colour, batch["occupancy"], batch["colour"])
        if config.rendering:
            field = net.field_in(raw) if raw is not None else lambda points: net.looks(net.field.at(latent, points))
            rays = (batch["camera"], batch["crop"], batch["places"], batch["seen"])
            loss = loss + config.rendering * self.loss.of_views(field, *rays, jitter=torch.is_grad_enabled())
        return loss

    def score(self, net: nn.Module, batch: Batch) -> dict[str, float]:
        """`error` is 1 - mean IoU at .4; and the squared error of colours where the thing is."""
        occupancy, colour = net(batch["image"])
        truth = batch["occupancy"] >= TRUE_LEVEL
        scores = {}
        for level in (_LEVEL, LEVELS[3]):
            found = occupancy[:, 0] > level
            both, either = (found & truth).flatten(1).sum(1), (found | truth).flatten(1).sum(1)
            scores[level] = float((both / either.clamp(min=1)).mean())
        there = truth[:, None].float()
        off = ((colour - batch["colour"]) ** 2 * there).sum() / (3 * there.sum()).clamp(min=1)
        return {"error": 1 - scores[_LEVEL], "iou_at_0.3": scores[LEVELS[3]], "colour": float(off)}

    @torch.no_grad()
    def preview(self, net: nn.Module, batch: Batch) -> dict[str, ImageArray]:
        """Rows of picture, true grid and found grid, each from front, right and above."""
        occupancy, colour = (t.cpu().numpy() for t in net(batch["image"][:SHOWN]))
        rows = []
        for i, x in enumerate(batch["image"][:SHOWN]):
            picture = picture_from_tensor(x, self.recipe.input)
            truth = batch["occupancy"][i].cpu().numpy(), np.moveaxis(batch["colour"][i].cpu().numpy(), 0, -1)
            faces = [*faces_of(*truth), *faces_of(occupancy[i, 0], np.moveaxis(colour[i], 0, -1))]
            side = faces[0].shape[0]
            rows.append(np.concatenate([_fitted(picture, side), *faces], axis=1))
        return {"objects": np.concatenate(rows)}


def _fitted(picture: ImageArray, side: int) -> ImageArray:
    """The middle of a picture, every n-th pixel, of that side."""
    step = max(1, picture.shape[0] // side)
    small = picture[::step, ::step][:side, :side]
    return np.pad(small, ((0, side - small.shape[0]), (0, side - small.shape[1]), (0, 0)))
