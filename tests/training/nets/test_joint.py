"""The joint network: smaller than what it replaces, and a panorama has no edge for it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from edge.errors import DataError
from training.config.file import load_recipe
from training.config.recipe import Recipe
from training.nets.joint import JointNet
from training.tasks.build import build_task

RECIPES = Path(__file__).parents[3] / "training" / "recipes"


def _net(recipe: Recipe) -> JointNet:
    net = build_task(recipe).net.eval()
    assert isinstance(net, JointNet)
    return net


def _canvas(width_px: int, height_px: int) -> torch.Tensor:
    x = torch.rand(1, 4, height_px, width_px)
    x[:, 3] = 1
    return x


def test_one_network_is_smaller_than_three() -> None:
    """The recipe's network has fewer parameters than the three shipped ones, even than the two largest of them."""
    sizes = {}
    for name in ("joint", "depth", "layout", "lighting"):
        task = build_task(load_recipe(RECIPES / f"{name}_edge.yaml"))
        sizes[name] = sum(p.numel() for p in task.net.parameters())
    joint = sizes.pop("joint")
    assert joint < sum(sizes.values())
    assert joint < max(sizes.values()) + sorted(sizes.values())[-2]


def test_a_turned_panorama_has_its_range_turned(small_recipe: Callable[..., Recipe]) -> None:
    """By whole cells of the coarsest map (32 px) the range turns exactly: every convolution wraps."""
    net, x = _net(small_recipe("joint")), _canvas(128, 64)
    with torch.no_grad():
        still, moved = net(x)[0], net(x.roll(32, dims=3))[0]
    assert float(still.std()) > 0
    torch.testing.assert_close(moved, still.roll(16, dims=3), rtol=1e-4, atol=1e-5)


def test_answers_have_the_shapes_that_their_readers_take(small_recipe: Callable[..., Recipe]) -> None:
    """Range at half size and within its limits, a boundary and a corner for each column, nine RGB coefficients."""
    recipe = small_recipe("joint", net={"min_m": 1.9, "max_m": 2.1})
    with torch.no_grad():
        depth, boundary, corners, coefficients = _net(recipe)(_canvas(128, 64) * 5)
    assert (depth.shape, boundary.shape) == ((1, 1, 32, 64), (1, 2, 128))
    assert (corners.shape, coefficients.shape) == ((1, 1, 128), (1, 9, 3))
    assert 1.9 - 1e-4 <= float(depth.min()) <= float(depth.max()) <= 2.1 + 1e-4


@pytest.mark.parametrize(
    ("change", "word"),
    [
        ({"input": {"mask_channel": False}}, "mask_channel: true"),
        ({"input": {"mean": [0.485, 0.456, 0.406]}}, "leave out input.mean"),
        ({"net": {"layout": {"head": "horizon_depth"}}}, "boundary"),
    ],
)
def test_recipes_that_make_no_sense_are_refused(
    change: dict[str, object], word: str, small_recipe: Callable[..., Recipe]
) -> None:
    """No mask, input normalised twice, or a head that it does not have."""
    with pytest.raises(DataError, match=word):
        small_recipe("joint", **change)
