"""Weights between two networks: where each share ends, what is recorded, what is refused."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from edge.errors import DataError
from tests.training.conftest import ALONE, CPU
from training.average import average
from training.config.recipe import Recipe
from training.fit import fit
from training.provenance import origin_of
from training.tasks.base import read_checkpoint, runs_of
from training.tasks.build import build_task, load_task
from training.tasks.weights import WEIGHTS_FILE, write_weights


def _saved(recipe: Recipe, path: Path, seed: int) -> Path:
    """A network of random weights as `fit` would have saved it; its average over steps is another."""
    torch.manual_seed(seed)
    task = build_task(recipe)
    with torch.no_grad():
        for tensor in task.net.parameters():
            tensor.add_(1)
    content = {"state_dict": task.state_dict(), "recipe": recipe.model_dump(mode="json"), "global_step": 7}
    torch.save(content | {"optimizer_states": [{"state": {}, "param_groups": []}]}, path)
    return path


def test_a_share_of_the_way(tmp_path: Path, small_recipe: Callable[..., Recipe]) -> None:
    """0 serves what the start serves, 1 what the end serves, 1/4 the weights a quarter of the way; its record says so.

    The start may be an engine's folder. A run cannot be resumed from it, as no optimiser was on the way.
    """
    recipe = small_recipe("lighting")
    engine, end = tmp_path / "engine", _saved(recipe, tmp_path / "end.ckpt", 2)
    engine.mkdir()
    start = load_task(_saved(recipe, tmp_path / "start.ckpt", 1)).inference_net.state_dict()
    write_weights(load_task(tmp_path / "start.ckpt").inference_net, recipe, engine / WEIGHTS_FILE)
    served = {}
    for share in (0.0, 0.25, 1.0):
        average(engine, end, tmp_path / "between" / f"{share}.ckpt", share)
        task = load_task(tmp_path / "between" / f"{share}.ckpt")
        served[share] = task.inference_net.state_dict()
        assert all(torch.equal(task.net.state_dict()[name], tensor) for name, tensor in served[share].items())
    for name, tensor in load_task(end).inference_net.state_dict().items():
        assert torch.equal(served[0.0][name], start[name]) or not tensor.is_floating_point()
        assert torch.equal(served[1.0][name], tensor)
        torch.testing.assert_close(served[0.25][name], 0.75 * start[name] + 0.25 * tensor, check_dtype=False)
    quarter = tmp_path / "between" / "0.25.ckpt"
    said = origin_of(runs_of(read_checkpoint(quarter)[1]), counts={}, said_commit="abc").lines[0]
    assert "then 0.25 of the way to these weights from those of engine" in said
    with pytest.raises(DataError, match="holds weights alone"):
        fit(recipe, tmp_path / "run", resume=quarter, hardware=CPU, loading=ALONE, show_progress=False)


def test_different_networks_have_nothing_between_them(tmp_path: Path, small_recipe: Callable[..., Recipe]) -> None:
    """Refused, and nothing is written."""
    start = _saved(small_recipe("lighting", net={"hidden": 16}), tmp_path / "start.ckpt", 1)
    end = _saved(small_recipe("lighting"), tmp_path / "end.ckpt", 2)
    with pytest.raises(DataError, match="different networks"):
        average(start, end, tmp_path / "out.ckpt", 0.5)
    assert not (tmp_path / "out.ckpt").exists()
