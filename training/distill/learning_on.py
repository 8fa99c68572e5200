"""What stages 2 and 3 share: a trained network for things, how fast its parts learn on, and its next checkpoint."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import torch

from edge.errors import DataError
from training.nets.objects import ObjectNet
from training.provenance import source_state
from training.tasks.base import NounTask, read_checkpoint, runs_of
from training.tasks.build import load_task
from training.tasks.objects import ObjectsTask


def object_task(checkpoint: Path) -> ObjectsTask:
    """The trained task of a checkpoint for things, in evaluation mode.

    Raises:
        DataError: it is for another noun.
    """
    task = load_task(checkpoint)
    if not isinstance(task, ObjectsTask):
        raise DataError(f"{checkpoint}: a network for {task.recipe.noun}; give one that a recipe of task objects made")
    return task


def parameter_groups(net: ObjectNet, lr: float, encoder_lr: float) -> list[dict[str, Any]]:
    """For an optimizer: the encoder learns at a rate of its own."""
    encoder = [p for n, p in net.named_parameters() if n.startswith("encoder.")]
    others = [p for n, p in net.named_parameters() if not n.startswith("encoder.")]
    return [{"params": encoder, "lr": encoder_lr}, {"params": others, "lr": lr}]


def write_learnt(
    start: Path, task: NounTask, net: ObjectNet, out: Path, *, steps: int, since: float, **said: Any
) -> None:
    """A checkpoint of `start` with another network in it, and one more run in its record.

    Args:
        start: the checkpoint that was learnt on from.
        task: its task.
        net: the network that learnt.
        out: the file.
        steps: that it learnt.
        since: when it began, of `time.monotonic`.
        said: further facts of the run, for the record.
    """
    content = read_checkpoint(start)[1]
    own = net.state_dict()
    for name in content["state_dict"]:
        for place in ("net.", "averaged.module."):
            if name.startswith(place):
                content["state_dict"][name] = own[name.removeprefix(place)]
    before = runs_of(content)
    minutes = round((time.monotonic() - since) / 60, 1)
    length = {"steps": before[-1]["steps"] + steps, "minutes": before[-1]["minutes"] + minutes}
    run = source_state() | {"weights": start.name, **said, **length}
    content |= {"optimizer_states": [], "runs": [*before, run], "recipe": task.recipe.model_dump(mode="json")}
    torch.save(content, out)
