"""Layout samples: however a panorama is varied, its picture shows the room that the targets describe."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
import torch

from edge.geometry.panorama import longitudes, rays
from edge.geometry.polygon import boundary_latitudes
from training.config.recipe import Recipe
from training.data.mix.mixture import Mixture
from training.data.samples.rooms import LayoutSamples, columns_of
from training.data.vary.panoramic import Hidden, PanoramaRoom

L_ROOM = np.array([[-1.5, -2.0], [2.5, -2.0], [2.5, 1.0], [0.8, 1.0], [0.8, 3.0], [-1.5, 3.0]])
W, H = 128, 64
STILL = {"stretch": 1.0, "flip": False, "roll": False, "gamma": 1.0, "photometric": 0.0, "perspective_share": 0.0}


def _painted() -> PanoramaRoom:
    """Ceiling white, walls grey, floor black."""
    ceiling, floor = boundary_latitudes(L_ROOM, longitudes(W), 1.4, 2.6)
    lat = np.arcsin(rays(W, H)[..., 2])
    grey = np.where(lat > ceiling, 255, np.where(lat < floor, 0, 128)).astype(np.uint8)
    return PanoramaRoom(np.repeat(grey[..., None], 3, axis=2), L_ROOM, 1.4, 2.6)


def _samples(recipe: Recipe, room: PanoramaRoom) -> LayoutSamples:
    return LayoutSamples(Mixture([(1.0, [room])]), recipe, columns_of(recipe), 8)


def _shown(recipe: Recipe, sample: dict[str, torch.Tensor]) -> np.ndarray:
    """(H, W) 0..1 brightness of a sample's picture, not normalised."""
    image = sample["image"][:3].numpy()
    mean, std = (np.array(v, np.float32)[:, None, None] for v in (recipe.input.mean, recipe.input.std))
    return np.asarray((image * std + mean).mean(axis=0))


@pytest.mark.parametrize(
    "change",
    [{}, {"stretch": 2.0}, {"flip": True}, {"roll": True}, {"stretch": 1.6, "flip": True, "roll": True, "gamma": 2.0}],
)
def test_the_picture_shows_what_the_targets_say(small_recipe: Callable[..., Recipe], change: dict[str, object]) -> None:
    """Above the target's ceiling edge all is ceiling, below its floor edge all is floor, between them all is wall."""
    recipe = small_recipe("layout", augment=STILL | change)
    for seed in range(4):
        torch.manual_seed(seed)
        sample = _samples(recipe, _painted())[seed]
        down = -np.arcsin(rays(W, H)[..., 2])
        ceiling, floor = sample["boundary"].numpy()
        near = 1.5 * np.pi / H
        shown = _shown(recipe, sample)
        assert (shown[down < ceiling - near] > 0.9).mean() > 0.995
        assert (shown[down > floor + near] < 0.1).mean() > 0.995
        wall = (down > ceiling + near) & (down < floor - near)
        grey = np.median(shown[wall])
        assert 0.2 < grey < 0.8
        assert (np.abs(shown[wall] - grey) < 0.1).mean() > 0.98
        assert sample["seen"].min() == 1


def test_what_is_hidden_counts_for_nothing(small_recipe: Callable[..., Recipe]) -> None:
    """A quarter of the floor's edge, before any change: weight 0 there, 1 on all else."""
    recipe = small_recipe("layout", augment=STILL)
    quarter = Hidden("floor", np.array([0.0, 1.0]), np.array([1.0, 0.0]))
    seen = _samples(recipe, replace(_painted(), hidden=(quarter,)))[0]["seen"].numpy()
    columns = seen.shape[1]
    expected = np.ones((2, columns))
    expected[1, columns // 2 : columns * 3 // 4] = 0
    assert np.array_equal(seen, expected)


def test_what_the_camera_does_not_see_never_reaches_the_network(small_recipe: Callable[..., Recipe]) -> None:
    """Two rooms alike in view and different elsewhere give one tensor; edges in columns out of view do not count."""
    recipe = small_recipe("layout", augment=STILL | {"perspective_share": 1.0})
    room = _painted()
    for seed in range(6):
        torch.manual_seed(seed)
        first = _samples(recipe, room)[seed]
        seen = first["image"][3].numpy() > 0
        assert 0.02 < seen.mean() < 0.6
        elsewhere = np.where(seen[..., None], room.image, 77).astype(np.uint8)
        torch.manual_seed(seed)
        second = _samples(recipe, PanoramaRoom(elsewhere, L_ROOM, 1.4, 2.6))[seed]
        assert torch.equal(first["image"], second["image"])
        assert not first["image"][:3, torch.from_numpy(~seen)].any()
        weights = first["seen"].numpy()
        np.testing.assert_array_equal(weights > 0, np.stack([seen.any(axis=0)] * 2))
