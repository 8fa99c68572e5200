"""From a recipe or a checkpoint to a task."""

from __future__ import annotations

from pathlib import Path

from edge.errors import DataError
from training.config.recipe import Recipe
from training.tasks.base import NounTask, read_checkpoint
from training.tasks.depth import DepthTask
from training.tasks.joint import JointTask
from training.tasks.layout import LayoutTask
from training.tasks.lighting import LightingTask

_TASKS = {"depth": DepthTask, "layout": LayoutTask, "lighting": LightingTask, "joint": JointTask}


def build_task(recipe: Recipe, *, weights: Path | None = None) -> NounTask:
    """The recipe's task, started from `weights` where given: its encoder's, or a checkpoint of the same network.

    Raises:
        DataError: the weights file does not fit.
    """
    task: NounTask = _TASKS[recipe.task](recipe)
    trained = weights is not None and weights.suffix == ".ckpt"
    if weights is not None and not trained:
        task.start_from(weights)
    task.finish_network()
    if weights is not None and trained:
        _start_from_trained(task, weights)
    return task


def _start_from_trained(task: NounTask, checkpoint: Path) -> None:
    """Give the task what a checkpoint would serve, with optimiser, schedule and step count starting anew."""
    old = load_task(checkpoint)
    if old.recipe.net != task.recipe.net or old.recipe.input != task.recipe.input:
        raise DataError(f"{checkpoint}: holds another network than {task.recipe.name}'s; give its own recipe")
    state = old.inference_net.state_dict()
    task.net.load_state_dict(state)
    if task.averaged is not None:
        task.averaged.module.load_state_dict(state)


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
