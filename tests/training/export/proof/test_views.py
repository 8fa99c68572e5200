"""The pictures that files are proved and calibrated on are those of the recipe's data, as cameras give them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from edge.errors import DataError
from training.config.recipe import Recipe
from training.data.samples.rooms import split_rooms
from training.export.proof.runners import manifest_of
from training.export.proof.views import tensors, views_of


@pytest.mark.parametrize("task", ["depth", "layout", "lighting", "joint"])
def test_pictures_of_rooms(task: str, box_rooms: Path, small_recipe: Callable[..., Recipe]) -> None:
    """So many as asked, as the network's readers take them; where a mask says what is seen, half are parts."""
    recipe = small_recipe(task, data={"rooms": box_rooms})
    views = views_of(recipe, "train", 6)
    assert len(views) == 6
    given = tensors(manifest_of(recipe), views)
    assert given.shape == (6, *recipe.input.shape[1:])
    kinds = [view.camera.projection for view in views]
    if task == "depth":
        assert kinds == ["perspective"] * 6
    else:
        assert kinds == ["equirectangular", "perspective"] * 3
        assert all(view.camera.camera_height_m for view in views)
        seen = given[:, 3].mean(axis=(1, 2))
        np.testing.assert_array_equal(seen[::2], 1.0)
        assert (seen[1::2] < 0.3).all()


def test_held_out_pictures_are_not_those_learnt_from(box_rooms: Path, small_recipe: Callable[..., Recipe]) -> None:
    """No picture is in two parts (each room's lens is its own): what proves a file calibrated nothing."""
    recipe = small_recipe("depth", data={"rooms": box_rooms})
    parts = {part: views_of(recipe, part, 100) for part in ("train", "val")}
    assert len(parts["val"]) == len(split_rooms(box_rooms, "val", recipe.data.split_seed))
    assert len(parts["train"]) == len(split_rooms(box_rooms, "train", recipe.data.split_seed))
    seen = {part: {view.camera.intrinsics for view in views} for part, views in parts.items()}
    assert not seen["train"] & seen["val"]


def test_no_pictures_prove_nothing(small_recipe: Callable[..., Recipe]) -> None:
    """Without data the export stops and says what to give."""
    recipe = small_recipe("depth")
    assert views_of(recipe, "val", 4) == []
    with pytest.raises(DataError, match="--rooms"):
        tensors(manifest_of(recipe), [])
