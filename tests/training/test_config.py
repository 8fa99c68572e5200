"""Recipes: what is shipped loads, what is wrong is said."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from edge.errors import DataError
from tests.training.conftest import RECIPES
from training.config.file import load_recipe, recipe_from_checkpoint, recipe_from_mapping, with_overrides
from training.config.losses import HorizonDepthLossConfig
from training.config.recipe import Recipe


@pytest.mark.parametrize("path", sorted(RECIPES.glob("*.yaml")), ids=lambda p: p.stem)
def test_shipped_recipes_load(path: Path) -> None:
    """Every recipe is valid: those of shipped engines are named after their noun, the others after their file."""
    recipe = load_recipe(path)
    assert path.stem in ({f"{recipe.task}_edge"} if recipe.name == recipe.task else {recipe.name})


@pytest.mark.parametrize(
    ("line", "replacement", "expected"),
    [
        ("batch_size: 16", "batchsize: 16", "optim.batchsize.*did you mean batch_size"),
        ("zoom: 1.6", "zoom: wide", "augment.zoom"),
        ("task: depth", "task: layout", "task layout takes net"),
        ("name: depth", "", "name.*add it"),
        ("steps: 20000", "steps: -1", "optim.steps"),
        ("height_px: 192", "height_px: 200", "multiples of 32, not 256x200"),
        (
            "gradient: 0.5",
            "corners: 0.5",
            "loss: task depth does not read corners; remove it; .* gradient",
        ),
        ("gradient: 0.5", "gradient: -1", "loss.gradient: .*greater than or equal to 0"),
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


def test_a_joint_network_learns_no_normals(small_recipe: Callable[..., Recipe]) -> None:
    """They are those of a pinhole camera's picture; a joint network sees a panorama."""
    with pytest.raises(DataError, match=r"depth\.normals is of a perspective picture"):
        small_recipe("joint", loss={"depth": {"normals": 0.2}})


def test_a_recipe_that_is_no_yaml_or_missing_is_refused(tmp_path: Path) -> None:
    """Unreadable files are our errors, not the parser's."""
    path = tmp_path / "recipe.yaml"
    with pytest.raises(DataError, match="cannot be read"):
        load_recipe(path)
    path.write_text("a: [1\n")
    with pytest.raises(DataError, match="no YAML"):
        load_recipe(path)


def _flat_loss(**changed: Any) -> dict[str, Any]:
    """The `loss` that version 0.2 kept in every checkpoint, whatever its task."""
    edges = {"boundary": 1.0, "corners": 1.0, "distance": 0.9, "ratio": 0.1, "normals": 0.1}
    light = {"coefficients": 1.0, "irradiance": 1.0, "radiance": 0.0}
    shares = {"depth_share": 1.0, "layout_share": 1.0, "lighting_share": 1.0}
    return {"depth": "berhu", "berhu_on": "log", "gradient": 0.0} | edges | light | shares | changed


@pytest.mark.parametrize(
    ("task", "changed", "expected"),
    [
        ("depth", {"depth": "silog", "gradient": 0.5}, {"kind": "silog", "berhu_on": "log", "gradient": 0.5}),
        ("layout", {"corners": 0.3}, {"boundary": 1.0, "corners": 0.3}),
        ("lighting", {"radiance": 0.1}, {"coefficients": 1.0, "irradiance": 1.0, "radiance": 0.1}),
    ],
)
def test_a_checkpoint_of_an_older_version_keeps_the_weights_its_task_read(
    task: str, changed: dict[str, Any], expected: dict[str, Any], small_recipe: Callable[..., Recipe]
) -> None:
    """What other tasks read is dropped; as a recipe file the same is refused."""
    old = small_recipe(task).model_dump(mode="json") | {"loss": _flat_loss(**changed)}
    assert recipe_from_checkpoint(old, "old.ckpt").loss.model_dump(exclude_unset=True) == expected
    with pytest.raises(DataError, match=f"loss: task {task}.*does not read"):
        recipe_from_mapping(old, "recipe.yaml")


def test_a_checkpoint_of_an_older_version_may_be_of_a_scene(small_recipe: Callable[..., Recipe]) -> None:
    """The joint task was called `scene`, its network `shared`, and its weights stood side by side."""
    mapping = small_recipe("joint").model_dump(mode="json")
    mapping["loss"] = {
        "depth": {"gradient": 0.5},
        "layout": {"corners": 0.3},
        "lighting": {"coefficients": 0.5, "radiance": 0.1},
        "lighting_share": 0.5,
    }
    now = recipe_from_mapping(mapping, "recipe.yaml")
    flat = _flat_loss(gradient=0.5, corners=0.3, coefficients=0.5, radiance=0.1, lighting_share=0.5)
    old = mapping | {"task": "scene", "net": mapping["net"] | {"net": "shared"}, "loss": flat}
    assert recipe_from_checkpoint(old, "old.ckpt") == now


def test_a_layout_head_reads_its_own_loss(small_recipe: Callable[..., Recipe]) -> None:
    """The horizon-depth head has other weights than the boundary head, and a checkpoint's recipe stays what it is."""
    mapping = small_recipe("layout").model_dump(mode="json")
    mapping["net"] |= {"head": "horizon_depth"}
    with pytest.raises(DataError, match="net.head horizon_depth does not read boundary, corners"):
        recipe_from_mapping(mapping, "recipe.yaml")
    recipe = recipe_from_mapping(mapping | {"loss": {"ratio": 0.2}}, "recipe.yaml")
    assert recipe.loss == HorizonDepthLossConfig(ratio=0.2)
    assert recipe_from_checkpoint(recipe.model_dump(mode="json"), "new.ckpt") == recipe


def test_overrides_replace_only_what_is_given(small_recipe: Callable[..., Recipe]) -> None:
    """None keeps the recipe's value; anything else is validated like the recipe's own."""
    recipe = small_recipe("layout")
    changed = with_overrides(recipe, data={"rooms": "rooms", "hdri": None}, optim={"steps": 9, "batch_size": None})
    assert (changed.data.rooms, changed.data.hdri) == (Path("rooms"), None)
    assert (changed.optim.steps, changed.optim.batch_size) == (9, recipe.optim.batch_size)
    with pytest.raises(DataError, match="optim.steps"):
        with_overrides(recipe, optim={"steps": 0})
