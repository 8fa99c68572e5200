"""From a recipe or a checkpoint to a task."""

from __future__ import annotations

from pathlib import Path

from edge.errors import DataError
from training.config import Recipe
from training.tasks.base import NounTask, read_checkpoint
from training.tasks.depth import DepthTask
from training.tasks.layout import LayoutTask
from training.tasks.lighting import LightingTask

_TASKS = {"depth": DepthTask, "layout": LayoutTask, "lighting": LightingTask}


def build_task(recipe: Recipe, *, weights: Path | None = None) -> NounTask:
    """The recipe's task, its encoder started from `weights` where given.

    Raises:
        DataError: the weights file does not fit.
    """
    task: NounTask = _TASKS[recipe.task](recipe)
    if weights is not None:
        task.start_from(weights)
    task.finish_network()
    return task


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
