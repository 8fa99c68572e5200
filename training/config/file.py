"""Reading recipes: from a file, a checkpoint, the command line. What is wrong is said with its key and the remedy."""

from __future__ import annotations

import difflib
from pathlib import Path
from typing import Any, get_args

import yaml
from pydantic import ValidationError

from edge.errors import DataError, explain
from edge.inference.manifest import InputSpec
from training.config.data import AugmentConfig, DataConfig, SourceConfig
from training.config.losses import (
    BoundaryLossConfig,
    DepthLossConfig,
    HorizonDepthLossConfig,
    LightingLossConfig,
    LossConfig,
)
from training.config.nets import (
    CompletionConfig,
    FastDepthConfig,
    FcrnConfig,
    HorizonNetConfig,
    JointConfig,
    MobileShConfig,
    Monodepth2Config,
    ObjectsConfig,
)
from training.config.optim import OptimConfig
from training.config.recipe import Recipe, loss_section

_NETS = (
    FcrnConfig, FastDepthConfig, Monodepth2Config, HorizonNetConfig, MobileShConfig, CompletionConfig, JointConfig,
    ObjectsConfig,
)  # fmt: skip
_SECTIONS = (Recipe, *_NETS, DataConfig, SourceConfig, AugmentConfig, OptimConfig, *get_args(LossConfig), InputSpec)


def _remedy(error: Any) -> str:
    """What to do about one pydantic error."""
    if error["type"] == "unread_weight":
        return f"remove it; the keys of this loss are {error['ctx']['reads']}"
    if error["type"] == "extra_forbidden":
        keys = {key for section in _SECTIONS for key in section.model_fields}
        near = difflib.get_close_matches(str(error["loc"][-1]), sorted(keys), n=1)
        return f"did you mean {near[0]}?" if near else "remove it; training/config lists the keys"
    if error["type"] == "missing":
        return "add it; training/recipes/*.yaml show how"
    return "correct the value; training/config says what each key takes"


def recipe_from_mapping(data: Any, where: str) -> Recipe:
    """A validated recipe.

    Raises:
        DataError: every problem, each with its dotted key and remedy.
    """
    try:
        return Recipe.model_validate(data)
    except ValidationError as e:
        lines = []
        for error, text in zip(e.errors(include_url=False), explain(e, "(whole recipe)"), strict=True):
            lines.append(f"{where}: {text}; {_remedy(error)}")
        raise DataError("\n".join(lines)) from e


def recipe_from_checkpoint(data: Any, where: str) -> Recipe:
    """A validated recipe as a checkpoint holds it, also one of a version that wrote recipes otherwise.

    Those of 0.2 and before called the joint task `scene` and its network `shared`, and had the weights of every task in
    one `loss`, of which each read its own; what the task did not read is dropped.

    Raises:
        DataError: as of `recipe_from_mapping`.
    """
    if isinstance(data, dict) and isinstance(data.get("net"), dict) and isinstance(data.get("loss"), dict):
        data = dict(data)
        if (data.get("task"), data["net"].get("net")) == ("scene", "shared"):
            data |= {"task": "joint", "net": data["net"] | {"net": "joint"}}
        if isinstance(data["loss"].get("depth"), str):
            data["loss"] = _loss_of_its_task(data)
    return recipe_from_mapping(data, where)


_FLAT_LOSS: dict[type[LossConfig], tuple[str, ...]] = {
    DepthLossConfig: ("kind", "berhu_on", "gradient"),
    BoundaryLossConfig: ("boundary", "corners"),
    HorizonDepthLossConfig: ("distance", "ratio", "normals"),
    LightingLossConfig: ("coefficients", "irradiance", "radiance"),
}
"""What each loss read when the weights of all stood side by side; names of today may mean another's weight there."""


def _loss_of_its_task(data: dict[str, Any]) -> dict[str, Any]:
    """The `loss` section of today out of one with the weights of every task."""
    old = data["loss"] | {"kind": data["loss"]["depth"]}

    def known(section: type[LossConfig]) -> dict[str, Any]:
        return {key: old[key] for key in _FLAT_LOSS.get(section, ()) if key in old}

    if data.get("task") == "joint":
        nouns: dict[str, type[LossConfig]]
        nouns = {"depth": DepthLossConfig, "layout": BoundaryLossConfig, "lighting": LightingLossConfig}
        shares = {f"{noun}_share": old[f"{noun}_share"] for noun in nouns if f"{noun}_share" in old}
        return {noun: known(section) for noun, section in nouns.items()} | shares
    return known(loss_section(data["task"], data["net"].get("head")))


def load_recipe(path: Path) -> Recipe:
    """Read and validate a recipe file.

    Raises:
        DataError: it cannot be read, is no YAML, or breaks the schema.
    """
    try:
        data = yaml.safe_load(path.read_text(encoding="utf-8"))
    except OSError as e:
        raise DataError(f"{path}: cannot be read ({e.strerror}); the shipped recipes are in training/recipes") from e
    except yaml.YAMLError as e:
        raise DataError(f"{path}: is no YAML: {e}; correct the line named") from e
    return recipe_from_mapping(data, str(path))


def with_overrides(
    recipe: Recipe, *, data: dict[str, Any] | None = None, optim: dict[str, Any] | None = None
) -> Recipe:
    """The recipe with the given (not None) keys of `data` and `optim` replaced, validated again."""
    mapping = recipe.model_dump()
    for part, changes in (("data", data), ("optim", optim)):
        mapping[part].update({k: v for k, v in (changes or {}).items() if v is not None})
    return recipe_from_mapping(mapping, "command line")
