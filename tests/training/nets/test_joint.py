"""The joint network: smaller than what it replaces, and a panorama has no edge for it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from edge.errors import DataError
from training.config.file import load_recipe
from training.config.recipe import Recipe
from training.export.proof.runners import output_names
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
    for name in ("scene", "depth", "layout", "lighting"):
        task = build_task(load_recipe(RECIPES / f"{name}_edge.yaml"))
        sizes[name] = sum(p.numel() for p in task.net.parameters())
    joint = sizes.pop("scene")
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
    """Range at half size and within its limits, what is said of each column, nine RGB coefficients: as named."""
    recipe = small_recipe("joint", net={"min_m": 1.9, "max_m": 2.1})
    with torch.no_grad():
        found = dict(zip(output_names(recipe), _net(recipe)(_canvas(128, 64) * 5), strict=True))
    assert {name: tuple(tensor.shape[1:]) for name, tensor in found.items()} == {
        "depth": (1, 32, 64),
        "depth_spread": (1, 32, 64),
        "boundary": (2, 128),
        "corners": (1, 128),
        "openings": (3, 128),
        "extended": (2, 128),
        "spread": (2, 128),
        "coefficients": (9, 3),
    }
    assert 1.9 - 1e-4 <= float(found["depth"].min()) <= float(found["depth"].max()) <= 2.1 + 1e-4
    assert 0.002 - 1e-6 <= float(found["spread"].min()) <= float(found["spread"].max()) <= 0.3 + 1e-6


def test_a_layout_networks_weights_start_the_joint_one(small_recipe: Callable[..., Recipe], tmp_path: Path) -> None:
    """Encoder, columns and corners answer as they did; a network with another encoder is refused."""
    layout = build_task(small_recipe("layout"))
    path = tmp_path / "layout.ckpt"
    torch.save({"recipe": layout.recipe.model_dump(mode="json"), "state_dict": layout.state_dict()}, path)
    x = _canvas(128, 64)
    started = build_task(small_recipe("joint"), weights=path).net.eval()
    normal = torch.cat([(x[:, :3] - 0.5) / 0.5, x[:, 3:]], dim=1)
    with torch.no_grad():
        boundary, corners = layout.eval().net(normal)
        found = started(x)
    torch.testing.assert_close(found[2], boundary, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(found[3], corners, rtol=1e-4, atol=1e-5)
    with pytest.raises(DataError, match=r"net\.encoder"):
        build_task(small_recipe("joint", net={"layout": {"width": 0.5}}), weights=path)


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
