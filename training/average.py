"""The weights between two networks of one kind, as one that learnt on from the other.

What was learnt on little data is better on new pictures when it is taken only part of the way (Wortsman et al., "Robust
fine-tuning of zero-shot models", CVPR 2022).
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from edge.errors import DataError
from training.config.recipe import Recipe
from training.tasks.base import read_checkpoint, runs_of
from training.tasks.build import load_task
from training.tasks.weights import WEIGHTS_FILE, read_weights

_NETS = ("net.", "averaged.module.")
"""Where a checkpoint keeps the network, and its average over steps."""


def _served(model: Path) -> tuple[Recipe, dict[str, Tensor]]:
    """The recipe and the tensors that a checkpoint, an engine's folder or its weights would serve."""
    if model.suffix == ".ckpt":
        task = load_task(model)
        return task.recipe, dict(task.inference_net.state_dict())
    return read_weights(model / WEIGHTS_FILE if model.is_dir() else model)


def _between(a: Tensor, b: Tensor, share: float) -> Tensor:
    return torch.lerp(a.double(), b.double(), share).to(b.dtype) if b.is_floating_point() else b


def average(start: Path, end: Path, out: Path, share: float) -> None:
    """Write a checkpoint of the weights that lie `share` of the way from one network to another.

    It goes on as `end` would in all else: its recipe, and the record of its runs, which says what was done here.

    Args:
        start: a checkpoint, an engine's folder, or its weights.
        end: a checkpoint of the same network.
        out: the file to write.
        share: 0 = the weights of `start`, 1 = those of `end`.

    Raises:
        DataError: a file is not what it should be, or the networks differ.
    """
    recipe, first = _served(start)
    ending, last = _served(end)
    if (recipe.net, recipe.input) != (ending.net, ending.input) or first.keys() != last.keys():
        raise DataError(f"{start} and {end} are different networks; give two that have the same net and input sections")
    between = {name: _between(first[name], tensor, share) for name, tensor in last.items()}
    content: dict[str, Any] = read_checkpoint(end)[1]
    for name in content["state_dict"]:
        for place in _NETS:
            if name.startswith(place):
                content["state_dict"][name] = between[name.removeprefix(place)]
    content |= {"optimizer_states": [], "runs": [*runs_of(content)]}
    content["runs"][-1] = content["runs"][-1] | {"averaged": {"with": start.name, "share": share}}
    out.parent.mkdir(parents=True, exist_ok=True)
    torch.save(content, out)
