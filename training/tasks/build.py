"""From a recipe or a checkpoint to a task."""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path

from torch import Tensor, nn

from edge.errors import DataError
from training.config.recipe import Recipe
from training.tasks.base import NounTask, read_checkpoint
from training.tasks.depth import DepthTask
from training.tasks.joint import JointTask
from training.tasks.layout import LayoutTask
from training.tasks.lighting import LightingTask
from training.tasks.objects import ObjectsTask
from training.tasks.self_depth import SelfDepthTask
from training.tasks.weights import read_weights

_LOG = logging.getLogger(__name__)
_TASKS: dict[str, Callable[[Recipe], NounTask]] = {
    "depth": DepthTask,
    "self_depth": SelfDepthTask,
    "layout": LayoutTask,
    "lighting": LightingTask,
    "joint": JointTask,
    "objects": ObjectsTask,
}


def build_task(recipe: Recipe, *, weights: Path | None = None) -> NounTask:
    """The recipe's task, started from `weights` where given: its encoder's, or those of a whole network.

    From those of another network, what has the same place and shape is taken: its encoder must fit whole.

    Raises:
        DataError: the weights file does not fit.
    """
    task: NounTask = _TASKS[recipe.task](recipe)
    trained = weights is not None and weights.suffix in (".ckpt", ".safetensors")
    if weights is not None and not trained:
        task.start_from(weights)
    task.finish_network()
    if weights is not None and trained:
        _start_from_trained(task, weights)
    return task


def _start_from_trained(task: NounTask, file: Path) -> None:
    """Give the task what a checkpoint or an engine would serve; optimiser, schedule and step count start anew."""
    if file.suffix == ".ckpt":
        old = load_task(file)
        recipe, state = old.recipe, dict(old.inference_net.state_dict())
    else:
        recipe, state = read_weights(file)
    same = recipe.net == task.recipe.net and recipe.input == task.recipe.input
    if not same:
        state = _fitting(state, task.net, file, recipe)
    for net in (task.net, *([] if task.averaged is None else [task.averaged.module])):
        try:
            net.load_state_dict(state, strict=same)
        except RuntimeError as e:
            raise DataError(f"{file}: is not the whole of its own network ({e}); export or train it again") from e


def _fitting(state: dict[str, Tensor], net: nn.Module, checkpoint: Path, recipe: Recipe) -> dict[str, Tensor]:
    """The tensors of another network that have a place in this one, under its own names.

    A joint network has what a layout network has under `layout.`, but for the encoder.

    Raises:
        DataError: a tensor of the encoder does not fit.
    """
    own = net.state_dict()
    found = {
        place: tensor
        for name, tensor in state.items()
        for place in (name, f"{recipe.task}.{name}")
        if place in own and own[place].shape == tensor.shape
    }
    missing = [name for name in own if name.startswith("encoder.") and name not in found]
    if missing or not any(name.startswith("encoder.") for name in own):
        raise DataError(
            f"{checkpoint}: the encoder of {recipe.name} has no tensor for {(missing or ['encoder'])[0]}; start from a "
            "network with the same net.encoder and net.width"
        )
    _LOG.info("%s: %d of %d tensors taken over", checkpoint, len(found), len(own))
    return found


def load_task(checkpoint: Path) -> NounTask:
    """The trained task of a checkpoint, in evaluation mode.

    Raises:
        DataError: no checkpoint of ours, or made by other code.
    """
    recipe, content = read_checkpoint(checkpoint)
    task = build_task(recipe)
    try:
        task.load_state_dict(content["state_dict"])
    except RuntimeError as e:
        raise DataError(f"{checkpoint}: its tensors are not this network's ({str(e)[:200]}); train again") from e
    task.trained_s = float(content.get("trained_s", 0.0))
    return task.eval()
