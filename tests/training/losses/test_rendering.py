from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from training.config.losses import ObjectsLossConfig
from training.data.synthetic.objects.studio import Orbit
from training.distill.multiplex import projected
from training.losses.objects import ObjectsLoss, dice_loss
from training.losses.rendering import pixel_places, rays, render, through_cube
from training.nets.objects import CELLS, density_of, grid_points, looked_up

CAMERA = torch.tensor([[0.3, 0.2, 2.2, math.radians(35.0)]])
WHOLE = torch.tensor([[0.0, 0.0, 1.0, 1.0]])


def ball(density: float, radius: float):  # type: ignore[no-untyped-def]
    """The field of a ball of one density, white."""

    def field(points: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        return density * (points.norm(dim=-1) < radius).float(), torch.ones_like(points)

    return field


@pytest.mark.parametrize(("samples", "most"), [(48, 0.002), (192, 0.0005)])
def test_a_soft_ball_is_as_opaque_as_its_chords(samples: int, most: float) -> None:
    """Opacity through a ball of density 6 is 1 - exp(-6 x chord), nearer the more samples a ray has."""
    origin, direction = rays(CAMERA, WHOLE, pixel_places(48)[None])
    found = render(ball(6.0, 0.35), origin, direction, samples).mask
    away = (origin[:, None] - (origin[:, None] * direction).sum(-1, keepdim=True) * direction).norm(dim=-1)
    chord = 2 * (0.35**2 - away**2).clamp(min=0).sqrt()
    assert float((found - (1 - torch.exp(-6 * chord))).abs().mean()) < most


@pytest.mark.parametrize(("side", "most"), [(32, 1.10), (64, 1.06)])
def test_a_ball_of_cells_has_a_balls_silhouette(side: int, most: float) -> None:
    """A ball of filled cells looks as large as the ball, up to the trilinear rim of part of a cell."""
    inside = (grid_points(side).norm(dim=-1) < 0.35).float().view(1, 1, side, side, side)
    volume = torch.cat([inside, torch.ones(1, 3, side, side, side)], dim=1)

    def field(points: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        found = looked_up(volume, points)
        return density_of(found[..., 0], side), found[..., 1:]

    origin, direction = rays(CAMERA, WHOLE, pixel_places(96)[None])
    area = float((render(field, origin, direction, 96).mask > 0.5).float().mean())
    away = (origin[:, None] - (origin[:, None] * direction).sum(-1, keepdim=True) * direction).norm(dim=-1)
    assert 1.0 <= area / float((away < 0.35).float().mean()) < most


def test_rays_go_through_the_pixels_that_points_are_seen_in() -> None:
    """Renderer, camera fit and picture maker agree: a point lies on the ray through the place it is projected to."""
    points = np.random.default_rng(0).uniform(-0.4, 0.4, (20, 3))
    orbit = Orbit(0.7, -0.1, 2.0, math.radians(40.0))
    camera = torch.tensor([[0.7, -0.1, 2.0, math.radians(40.0)]])
    places = torch.tensor(orbit.project(points), dtype=torch.float32)[None]
    origin, direction = rays(camera, WHOLE, places)
    along = torch.tensor(points, dtype=torch.float32) - origin
    off = along - (along * direction[0]).sum(-1, keepdim=True) * direction[0]
    assert float(off.norm(dim=-1).max()) < 1e-5
    again = projected(camera, torch.tensor(points, dtype=torch.float32))
    assert float((again - places).abs().max()) < 1e-5


def test_rays_that_miss_the_cube_see_nothing() -> None:
    """Beside the cube entry and exit are one, and mask and colour 0 whatever the field."""
    origin, direction = rays(CAMERA, WHOLE, torch.tensor([[[0.01, 0.01], [0.5, 0.5]]]))
    near, far = through_cube(origin, direction)
    assert (far > near).tolist() == [[False, True]]
    found = render(ball(50.0, 9.0), origin, direction, 8)
    assert found.mask[0].tolist() == pytest.approx([0.0, 1.0], abs=1e-4)
    assert float(found.depth[0, 1]) == pytest.approx(2.2 - 0.5, abs=0.2)


def test_the_loss_of_views_is_least_at_the_truth_and_knows_the_axes() -> None:
    """Of views of a lop-sided thing the true grid has the least loss; x and z changed, it is over ten times more."""
    volume = torch.full((1, 4, 16, 16, 16), 0.0)
    volume[:, 0, 3:6, 3:8, 3:13] = 4 * CELLS
    volume[:, 1:, 3:6, 3:8, 3:13] = torch.tensor([0.9, 0.5, 0.1])[:, None, None, None]
    camera = torch.tensor([[[0.4, 0.3, 2.2, 0.61], [2.0, 0.1, 2.2, 0.61]]])
    crop, places = WHOLE.expand(1, 2, 4), pixel_places(24).expand(1, 2, -1, -1)

    def of(grid: torch.Tensor):  # type: ignore[no-untyped-def]
        def field(points: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
            found = looked_up(grid, points)
            return found[..., 0], found[..., 1:]

        return field

    origin, direction = rays(camera[0], crop[0], places[0])

    def both(points: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        density, colour = of(volume)(points.reshape(1, -1, 3))
        return density.reshape(2, -1), colour.reshape(2, -1, 3)

    seen = render(both, origin, direction, 24)
    truth = torch.cat([seen.mask[..., None], seen.colour], dim=-1)[None]
    loss = ObjectsLoss(ObjectsLossConfig(samples=24))
    with torch.no_grad():
        right, turned = (float(loss.of_views(of(v), camera, crop, places, truth, jitter=False)) for v in
                         (volume, volume.transpose(2, 4)))  # fmt: skip
    assert right < 1e-6 and turned > 10 * max(right, 1e-4)


def test_dice_is_zero_for_the_same_and_one_for_nothing_shared() -> None:
    """Soft overlap of a grid with itself loses nothing, with one beside it nearly all."""
    a = torch.zeros(1, 8, 8, 8)
    a[:, :4] = 1
    assert float(dice_loss(a, a)) == pytest.approx(0, abs=1e-6)
    assert float(dice_loss(a, 1 - a)) > 0.99
