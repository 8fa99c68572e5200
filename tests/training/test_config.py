"""Recipes: what is shipped loads, what is wrong is said."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from edge.errors import DataError
from tests.training.conftest import RECIPES
from training.config import Recipe, load_recipe, with_overrides


@pytest.mark.parametrize("path", sorted(RECIPES.glob("*.yaml")), ids=lambda p: p.stem)
def test_shipped_recipes_load(path: Path) -> None:
    """Every recipe is valid: those of shipped engines are named after their noun, the others after their file."""
    recipe = load_recipe(path)
    assert recipe.name == (recipe.task if path.stem.endswith("_edge") else path.stem)
    assert path.stem in (f"{recipe.task}_edge", recipe.name)


@pytest.mark.parametrize(
    ("line", "replacement", "expected"),
    [
        ("batch_size: 16", "batchsize: 16", "optim.batchsize.*did you mean batch_size"),
        ("zoom: 1.6", "zoom: wide", "augment.zoom"),
        ("task: depth", "task: layout", "task layout takes net"),
        ("name: depth", "", "name.*add it"),
        ("steps: 20000", "steps: -1", "optim.steps"),
        ("height_px: 192", "height_px: 200", "multiples of 32, not 256x200"),
    ],
)
def test_a_wrong_recipe_is_refused_with_key_and_remedy(
    tmp_path: Path, line: str, replacement: str, expected: str
) -> None:
    """An unknown key, wrong type, wrong combination or missing key names itself and says what to do."""
    text = (RECIPES / "depth_edge.yaml").read_text()
    assert line in text
    path = tmp_path / "recipe.yaml"
    path.write_text(text.replace(line, replacement, 1))
    with pytest.raises(DataError, match=expected):
        load_recipe(path)


def test_a_recipe_that_is_no_yaml_or_missing_is_refused(tmp_path: Path) -> None:
    """Unreadable files are our errors, not the parser's."""
    path = tmp_path / "recipe.yaml"
    with pytest.raises(DataError, match="cannot be read"):
        load_recipe(path)
    path.write_text("a: [1\n")
    with pytest.raises(DataError, match="no YAML"):
        load_recipe(path)


def test_overrides_replace_only_what_is_given(small_recipe: Callable[..., Recipe]) -> None:
    """None keeps the recipe's value; anything else is validated like the recipe's own."""
    recipe = small_recipe("layout")
    changed = with_overrides(recipe, data={"rooms": "rooms", "hdri": None}, optim={"steps": 9, "batch_size": None})
    assert (changed.data.rooms, changed.data.hdri) == (Path("rooms"), None)
    assert (changed.optim.steps, changed.optim.batch_size) == (9, recipe.optim.batch_size)
    with pytest.raises(DataError, match="optim.steps"):
        with_overrides(recipe, optim={"steps": 0})
