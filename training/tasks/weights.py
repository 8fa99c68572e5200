"""A network's weights in a file that cannot run code (safetensors), with the recipe that says which network it is."""

from __future__ import annotations

import json
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file

from edge.errors import DataError
from training.config.file import recipe_from_checkpoint
from training.config.recipe import Recipe

WEIGHTS_FILE = "weights.safetensors"
_REMEDY = "give the weights.safetensors of a model folder that `edge-train export` wrote"


def write_weights(net: torch.nn.Module, recipe: Recipe, path: Path) -> None:
    """Write all of a network's tensors, statistics of its normalisation included, and its recipe with the licence."""
    state = {name: tensor.detach().cpu().contiguous().clone() for name, tensor in net.state_dict().items()}
    said = {"recipe": json.dumps(_portable(recipe).model_dump(mode="json")), "licence": recipe.licence, "format": "pt"}
    save_file(state, path, said)


def _portable(recipe: Recipe) -> Recipe:
    """Without the places of data on the machine that trained it, which mean nothing elsewhere."""
    data = recipe.data
    places = {"rooms": None, "hdri": None, "weights": None, "pseudo": None, "style": None}
    sources = tuple(source.model_copy(update={"path": None}) for source in data.sources)
    return recipe.model_copy(update={"data": data.model_copy(update=places | {"sources": sources})})


def read_weights(path: Path) -> tuple[Recipe, dict[str, torch.Tensor]]:
    """The recipe and the tensors of a file that `write_weights` wrote.

    Raises:
        DataError: it cannot be read or is none of ours.
    """
    try:
        with safe_open(path, framework="pt") as file:
            said = file.metadata() or {}
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118  (it is no mapping)
        recipe = json.loads(said["recipe"])
    except (OSError, SafetensorError, ValueError, KeyError) as e:
        raise DataError(f"{path}: no weights of ours ({e}); {_REMEDY}") from e
    return recipe_from_checkpoint(recipe, str(path)), tensors
