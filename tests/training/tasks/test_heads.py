"""Heads and networks beside the shipped ones learn through the same tasks."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from training.config.file import with_overrides
from training.config.recipe import Recipe
from training.data.sources import datasets
from training.tasks.build import build_task

NETS = {
    "horizon_depth": ("layout", {"net": "horizonnet", "encoder": "mobilenet_v2", "squeeze": "light", "hidden": 32}),
    "fast_depth": ("depth", {"net": "fast_depth", "encoder_channels": [16] * 14, "decoder_channels": [16] * 5}),
}


@pytest.mark.parametrize("name", NETS)
def test_two_samples_can_be_learnt(name: str, box_rooms: Path, small_recipe: Callable[..., Recipe]) -> None:
    """On two fixed samples the loss falls well below what it was, and the score is a finite error."""
    task, net = NETS[name]
    mapping = small_recipe(task).model_dump(mode="json") | {"net": net}
    if name == "horizon_depth":
        mapping |= {"net": net | {"head": name}, "loss": {}}
    recipe = with_overrides(Recipe.model_validate(mapping), data={"rooms": box_rooms})
    learner, data = build_task(recipe).train(), datasets(recipe).validation
    batch = torch.utils.data.default_collate([data[i] for i in range(2)])
    optimizer = torch.optim.AdamW(learner.net.parameters(), lr=3e-3)
    losses = []
    for _ in range(25):
        optimizer.zero_grad()
        loss = learner.loss_of(batch)
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert sum(losses[-5:]) / 5 < 0.7 * losses[0]
    with torch.no_grad():
        scores = learner.eval().score(learner.net, batch)
    assert 0 <= scores["error"] < 2
    assert "corners" not in scores
