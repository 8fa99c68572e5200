"""Layout losses, over what is seen; the ceiling's height counts always.

Beside HorizonNet's: what columns show of doors, windows and openings, the boundary as seen through those (Tsai et al.,
"Bi-Layout", CVPR 2024, learns both answers too), and how far off the boundary is, as Laplace's distribution of errors.

HorizonNet's: L1 of the boundary and binary cross entropy of the corners. LGT-Net's (Jiang et al., CVPR 2022): L1 of
distances and of the ceiling's height, the cosine between true and found walls, and L1 of how walls turn from column to
column. Its code takes that turn of the sine of a wall's angle alone; here it is of the whole direction.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F

from training.config.losses import BoundaryLossConfig, HorizonDepthLossConfig
from training.losses.depth import spread_likelihood
from training.losses.devices import mean_over_devices

_OPENING_WEIGHT = 3.0
"""How much more a column that shows a door, window or opening counts there than one that does not: they are fewer."""
_NEAREST_RAD = 0.02
"""Floor edges are taken to be at least this far below the horizon: 50 camera heights away."""


def distance_from_boundary(boundary: Tensor) -> tuple[Tensor, Tensor]:
    """(B, 1, W) horizontal distances and (B, 1) height of the ceiling above the camera, both in camera heights.

    `boundary`: (B, 2, W) latitudes, positive down, of a room with a level ceiling.
    """
    distance = 1.0 / torch.tan(boundary[:, 1:].clamp(min=_NEAREST_RAD))
    above = distance * torch.tan((-boundary[:, :1]).clamp(min=0.0))
    return distance, above.median(dim=2).values


def log_distance(floor: Tensor) -> Tensor:
    """Natural logarithm of the horizontal distance, in camera heights, that floor edges (rad, positive down) give."""
    return -torch.log(torch.tan(floor.clamp(_NEAREST_RAD, 1.5)))


def wall_directions(distance: Tensor) -> Tensor:
    """(B, 2, W) unit steps along the walls from each column to the next, round the panorama."""
    w = distance.shape[2]
    longitude = ((torch.arange(w, device=distance.device) + 0.5) / w - 0.5) * (2 * torch.pi)
    points = distance * torch.stack([torch.sin(longitude), torch.cos(longitude)])
    return F.normalize(points.roll(-1, dims=2) - points, dim=1, eps=1e-6)


class HorizonDepthLoss(torch.nn.Module):
    """LGT-Net's: distances, the ceiling's height, the walls' directions and how they turn, over the seen columns."""

    def __init__(self, config: HorizonDepthLossConfig) -> None:
        """Take the weights of the terms."""
        super().__init__()
        self.config = config

    def forward(self, predicted: tuple[Tensor, Tensor], boundary: Tensor, seen: Tensor) -> Tensor:
        """The loss.

        Args:
            predicted: distances (B, 1, W) and the ceiling's height above the camera (B, 1), in camera heights.
            boundary: (B, 2, W) rad, positive down.
            seen: (B, 2, W) how much each edge of a column counts, 0..1; its distance counts as much as the greater.
        """
        distance, ratio = distance_from_boundary(boundary)
        weight = seen[:, :2].amax(dim=1, keepdim=True)
        pairs = weight * weight.roll(-1, dims=2)
        triples = pairs * pairs.roll(-1, dims=2)
        mine, theirs = wall_directions(predicted[0]), wall_directions(distance)
        turn = (mine.roll(-1, dims=2) - mine) - (theirs.roll(-1, dims=2) - theirs)
        walls = mean_over_devices(1 - (mine * theirs).sum(dim=1, keepdim=True), pairs)
        walls = walls + mean_over_devices(turn.abs(), triples)
        far = mean_over_devices((predicted[0] - distance).abs(), weight)
        high = (predicted[1] - ratio).abs().mean()
        return self.config.distance * far + self.config.ratio * high + self.config.normals * walls


class OpeningTargets(NamedTuple):
    """What is known of the openings of each column."""

    kinds: Tensor
    """(B, 3, W) 1 where the column shows a door, a window, an opening."""
    extended: Tensor
    """(B, 2, W) rad, positive down: the boundary as seen through doors and openings."""
    seen: Tensor
    """(B, 2, W) how much each edge of `extended` counts; the column's kinds count as much as the greater."""


def opening_loss(config: BoundaryLossConfig, predicted: tuple[Tensor, ...], truth: OpeningTargets) -> Tensor:
    """The weighted terms of kinds, of the extended boundary, and of how it lies to the wall's.

    `predicted`: boundary (B, 2, W), corner logits, logits of kinds (B, 3, W), extended boundary (B, 2, W).
    """
    edges, kinds, extended = predicted[0].detach(), predicted[2], predicted[3]
    column = truth.seen.amax(dim=1, keepdim=True)
    positive = torch.full_like(kinds, _OPENING_WEIGHT)
    entropy = F.binary_cross_entropy_with_logits(kinds, truth.kinds, reduction="none", pos_weight=positive)
    total = config.openings * mean_over_devices(entropy, column)
    total = total + config.extended * mean_over_devices((extended - truth.extended).abs(), truth.seen)
    nearer = (extended[:, 1:] - edges[:, 1:]).clamp(min=0)  # a floor edge further down is nearer
    return total + config.beyond * mean_over_devices(nearer, column)


class LayoutLoss(torch.nn.Module):
    """HorizonNet's: L1 of the boundary, binary cross entropy of the corners, of the seen columns, and further terms."""

    def __init__(self, config: BoundaryLossConfig) -> None:
        """Take the weights of the terms."""
        super().__init__()
        self.config = config

    def forward(
        self,
        predicted: tuple[Tensor, ...],
        boundary: Tensor,
        corners: Tensor,
        seen: Tensor,
        openings: OpeningTargets | None = None,
    ) -> Tensor:
        """The loss.

        Args:
            predicted: what `HorizonNet` gives: boundary (B, 2, W) rad, corner logits (B, 1, W), and what else it says.
            boundary: (B, 2, W) rad, positive down.
            corners: (B, 1, W) 0..1.
            seen: (B, 2, W) how much each edge of a column counts, 0..1; its corner counts as much as the greater, or as
                a third row says.
            openings: for a network that says more of columns.
        """
        c, both, error = self.config, seen[:, :2], (predicted[0] - boundary).abs()
        weight = seen[:, 2:] if seen.shape[1] == 3 else seen.amax(dim=1, keepdim=True)
        entropy = F.binary_cross_entropy_with_logits(predicted[1], corners, reduction="none")
        total = c.boundary * mean_over_devices(error, both) + c.corners * mean_over_devices(entropy, weight)
        if c.distance > 0:
            off = log_distance(predicted[0][:, 1:]) - log_distance(boundary[:, 1:])
            total = total + c.distance * mean_over_devices(off.abs(), both[:, 1:])
        if openings is not None and len(predicted) > 2:
            total = total + opening_loss(c, predicted, openings)
            total = total + c.spread * spread_likelihood(torch.log(predicted[4]), error, both)
        return total
