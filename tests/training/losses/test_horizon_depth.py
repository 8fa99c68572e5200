"""The loss of distances to the walls, on rooms whose distances are exact."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor

from edge.geometry.panorama import longitudes
from edge.geometry.polygon import boundary_latitudes, wall_distances
from training.config.losses import HorizonDepthLossConfig
from training.losses.layout import HorizonDepthLoss, distance_from_boundary, wall_directions
from training.nets.layout import boundary_from_distance

WIDTH, CAMERA_M, CEILING_M = 64, 1.6, 2.8
ROOM = np.array([[2.0, 3.0], [-2.0, 3.0], [-2.0, -1.5], [2.0, -1.5]])
SEEN = torch.ones(1, 2, WIDTH)


def _boundary(plan: np.ndarray) -> Tensor:
    ceiling, floor = boundary_latitudes(plan, longitudes(WIDTH), CAMERA_M, CEILING_M)
    return torch.from_numpy(-np.stack([ceiling, floor])).float()[None]


def _exact(plan: np.ndarray) -> tuple[Tensor, Tensor]:
    distance = torch.from_numpy(wall_distances(plan, longitudes(WIDTH)) / CAMERA_M).float()
    return distance[None, None], torch.tensor([[(CEILING_M - CAMERA_M) / CAMERA_M]])


def _loss(**weights: float) -> HorizonDepthLoss:
    return HorizonDepthLoss(HorizonDepthLossConfig(**({"distance": 0.0, "ratio": 0.0, "normals": 0.0} | weights)))  # type: ignore[arg-type]


def test_a_boundary_says_the_distances_of_its_room() -> None:
    """Horizontal distance and height in camera heights, as geometry has them, and back to the boundary."""
    found, expected = distance_from_boundary(_boundary(ROOM)), _exact(ROOM)
    for mine, theirs in zip(found, expected, strict=True):
        torch.testing.assert_close(mine, theirs, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(boundary_from_distance(*found), _boundary(ROOM), rtol=1e-4, atol=1e-5)


def test_the_true_room_costs_nothing() -> None:
    """All terms together are 0 at the truth."""
    loss = _loss(distance=1.0, ratio=1.0, normals=1.0)
    assert float(loss(_exact(ROOM), _boundary(ROOM), SEEN)) == pytest.approx(0, abs=1e-3)


def test_each_term_is_its_formula() -> None:
    """Walls half a camera height too far cost 0.5, a ceiling 0.2 too high 0.2, each times its weight."""
    distance, ratio = _exact(ROOM)
    wrong = (distance + 0.5, ratio + 0.2)
    assert float(_loss(distance=0.9)(wrong, _boundary(ROOM), SEEN)) == pytest.approx(0.45, abs=1e-3)
    assert float(_loss(ratio=0.1)(wrong, _boundary(ROOM), SEEN)) == pytest.approx(0.02, abs=1e-4)


def test_walls_are_compared_by_direction() -> None:
    """A room twice as large has the same walls and costs nothing there; one turned by 45 degrees does cost."""
    loss = _loss(normals=1.0)
    distance, ratio = _exact(ROOM)
    assert float(loss((2 * distance, ratio), _boundary(ROOM), SEEN)) == pytest.approx(0, abs=1e-3)
    half = np.sqrt(0.5)
    turned = ROOM @ np.array([[half, half], [-half, half]])
    assert float(loss(_exact(turned), _boundary(ROOM), SEEN)) > 0.2
    directions = wall_directions(distance)
    torch.testing.assert_close(directions.norm(dim=1), torch.ones(1, WIDTH))
    inner = directions[0, :, 2:5]  # behind the camera: along the wall y = -1.5, towards -x
    torch.testing.assert_close(inner, torch.tensor([[-1.0], [0.0]]).expand(2, 3), rtol=0, atol=1e-4)


def test_turning_the_panorama_changes_nothing() -> None:
    """The loss of rolled distances against a rolled boundary is the same: there is no seam."""
    loss = _loss(distance=1.0, ratio=1.0, normals=1.0)
    distance, ratio = _exact(ROOM)
    wrong = distance * (1 + 0.3 * torch.rand(1, 1, WIDTH))
    straight = loss((wrong, ratio), _boundary(ROOM), SEEN)
    rolled = _boundary(ROOM).roll(WIDTH // 4, dims=2)
    torch.testing.assert_close(loss((wrong.roll(WIDTH // 4, dims=2), ratio), rolled, SEEN), straight, rtol=1e-3, atol=0)


def test_columns_out_of_view_count_nowhere() -> None:
    """Neither value nor gradient depends on the distances of columns that are not seen."""
    loss = _loss(distance=1.0, normals=1.0)
    seen = SEEN.clone()
    seen[..., 20:40] = 0
    distance, ratio = _exact(ROOM)
    wrong = (distance + torch.rand(1, 1, WIDTH)).requires_grad_(True)
    value = loss((wrong, ratio), _boundary(ROOM), seen)
    value.backward()
    assert wrong.grad is not None
    assert not wrong.grad[..., 20:40].any()
    assert bool(wrong.grad[..., :20].any())
    other = wrong.detach().clone()
    other[..., 20:40] += 3
    torch.testing.assert_close(loss((other, ratio), _boundary(ROOM), seen), value.detach())


def test_the_ceiling_is_the_median_over_columns() -> None:
    """Some columns that say nonsense of the ceiling do not move it; an edge above the horizon counts as far away."""
    boundary = _boundary(ROOM)
    boundary[:, 0, :20] = 0.3
    assert float(distance_from_boundary(boundary)[1]) == pytest.approx((CEILING_M - CAMERA_M) / CAMERA_M, abs=0.02)
    boundary[:, 1, 5] = -0.1
    assert float(distance_from_boundary(boundary)[0][0, 0, 5]) == pytest.approx(1 / np.tan(0.02))


def test_terms_out_of_view_count_by_the_greater_of_their_edges() -> None:
    """A column of which only the ceiling's edge is seen, by half, counts half in the mean distance."""
    distance, ratio = _exact(ROOM)
    wrong = distance.clone()
    wrong[..., 0] += 1.0
    seen = torch.zeros(1, 2, WIDTH)
    seen[:, 0, 0], seen[:, 1, 10:12] = 0.5, 1.0
    assert float(_loss(distance=1.0)((wrong, ratio), _boundary(ROOM), seen)) == pytest.approx(0.5 / 2.5, abs=1e-3)
    assert float(_loss(distance=1.0)((wrong, ratio), _boundary(ROOM), SEEN * 0)) == 0


def test_walls_term_by_hand() -> None:
    """1 - cosine over pairs of columns and the mean |difference| of turns over triples, from angles by hand."""
    rng = np.random.default_rng(0)
    distance, _ = _exact(ROOM)
    wrong = distance * torch.from_numpy(rng.uniform(0.8, 1.2, (1, 1, WIDTH))).float()
    seen = rng.uniform(0.2, 1, WIDTH)

    def steps(d: Tensor) -> np.ndarray:
        lon = longitudes(WIDTH)
        p = d[0, 0].double().numpy()[:, None] * np.stack([np.sin(lon), np.cos(lon)], axis=1)
        s = np.roll(p, -1, axis=0) - p
        return np.asarray(s / np.linalg.norm(s, axis=1, keepdims=True))

    a, b = steps(wrong), steps(distance_from_boundary(_boundary(ROOM))[0])
    pair = seen * np.roll(seen, -1)
    triple = pair * np.roll(pair, -1)
    cosine = (pair * (1 - (a * b).sum(axis=1))).sum() / pair.sum()
    turn = np.abs((np.roll(a, -1, axis=0) - a) - (np.roll(b, -1, axis=0) - b))
    expected = cosine + (triple[:, None] * turn).sum() / (2 * triple.sum())
    weights = torch.from_numpy(np.stack([seen, 0 * seen])).float()[None]
    assert float(_loss(normals=1.0)((wrong, torch.zeros(1, 1)), _boundary(ROOM), weights)) == pytest.approx(
        expected, rel=1e-3
    )


@pytest.mark.parametrize("weight", [1.0, 0.5])
def test_a_single_column_is_not_blown_up(weight: float) -> None:
    """The distance of one column, off by 0.4: 0.4 in full view, 0.2 where it counts half."""
    distance, ratio = _exact(ROOM)
    seen = torch.zeros(1, 2, WIDTH)
    seen[:, 1, 7] = weight
    found = float(_loss(distance=1.0)((distance + 0.4, ratio), _boundary(ROOM), seen))
    assert found == pytest.approx(0.4 * weight, abs=1e-3)
