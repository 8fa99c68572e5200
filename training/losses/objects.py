"""The loss of a thing's grid: against the true cells, and against how the thing looks from other sides."""

from __future__ import annotations

from torch import Tensor
from torch.nn import functional as F

from training.config.losses import ObjectsLossConfig
from training.losses.devices import mean_over_devices
from training.losses.rendering import Field, of_one, rays, render

_COLOURED = 0.25
"""Share of a cell that must be filled for its colour to be learnt."""


def dice_loss(probability: Tensor, truth: Tensor) -> Tensor:
    """1 - Dice of soft occupancies (B, ...), each by itself, (B,)."""
    p, t = probability.flatten(1), truth.flatten(1)
    return 1 - (2 * (p * t).sum(1) + 1) / ((p * p).sum(1) + (t * t).sum(1) + 1)


def occupancy_loss(probability: Tensor, truth: Tensor, weight: Tensor | float = 1.0) -> Tensor:
    """Mean cross entropy of probabilities with soft truths."""
    return mean_over_devices(F.binary_cross_entropy(probability.clamp(1e-5, 1 - 1e-5), truth, reduction="none"), weight)


class ObjectsLoss:
    """Occupancy, overlap, colour and looks; weights of 0 leave a part out and its cost with it."""

    def __init__(self, config: ObjectsLossConfig) -> None:
        """Take the weights."""
        self.config = config

    def of_grid(
        self, occupancy: Tensor, colour: Tensor, true_occupancy: Tensor, true_colour: Tensor, *,
        weight: Tensor | float = 1.0, coloured: float = _COLOURED,
    ) -> Tensor:  # fmt: skip
        """Of (B, 1, x, y, z) and (B, 3, x, y, z) against (B, x, y, z) and (B, 3, x, y, z).

        `weight` is of the cells' occupancy, (B, 1, x, y, z); colours count where more than `coloured` is filled.
        """
        c, truth = self.config, true_occupancy[:, None]
        loss = occupancy.new_zeros(())
        if c.occupancy:
            loss = loss + c.occupancy * occupancy_loss(occupancy, truth, weight)
        if c.dice:
            loss = loss + c.dice * mean_over_devices(dice_loss(occupancy, truth))
        if c.colour:
            there = (truth > coloured).float()
            loss = loss + c.colour * mean_over_devices((colour - true_colour) ** 2, there)
        return loss

    def of_views(
        self, field: Field, camera: Tensor, crop: Tensor, places: Tensor, seen: Tensor, *, jitter: bool
    ) -> Tensor:
        """Of how the field looks: cameras (B, V, 4), crops (B, V, 4), places (B, V, N, 2), mask and sRGB (B, V, N, 4).

        `field` takes (B, P, 3) points: all views of a thing are rays of one field. `jitter`: see `render`.
        """
        origin, direction = rays(camera.flatten(0, 1), crop.flatten(0, 1), places.flatten(0, 1))
        field = of_one(field, camera.shape[1])
        found = render(field, origin, direction, self.config.samples, jitter=jitter)
        truth = seen.flatten(0, 1)
        mask, colour = (found.mask - truth[..., 0]) ** 2, (found.colour - truth[..., 1:]) ** 2
        return (mean_over_devices(mask) + mean_over_devices(colour)) / 2
