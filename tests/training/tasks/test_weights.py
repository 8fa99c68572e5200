"""What learns on from an engine starts as the engine answers, normalisation and all."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from edge.errors import DataError
from edge.inference.manifest import read_manifest, sha256_of
from training.commands.fit import _start
from training.config.recipe import Recipe
from training.export.proof.runners import TorchBackend
from training.tasks.build import build_task
from training.tasks.weights import WEIGHTS_FILE, read_weights, write_weights

ENGINES = Path(__file__).parents[3] / "engines"


def _settled(recipe: Recipe) -> torch.nn.Module:
    """A network whose normalisation has statistics of its own."""
    net = build_task(recipe).net.train()
    with torch.no_grad():
        for _ in range(2):
            net(torch.rand(2, *(4 if recipe.input.mask_channel else 3,), recipe.input.height_px, recipe.input.width_px))
    return net.eval()


def test_all_tensors_come_back(small_recipe: Callable[..., Recipe], tmp_path: Path) -> None:
    """Bit for bit, statistics of batch normalisation too; the recipe without the places of its data."""
    recipe = small_recipe("depth")
    placed = recipe.model_copy(update={"data": recipe.data.model_copy(update={"rooms": Path("/home/somebody/rooms")})})
    net = _settled(placed)
    write_weights(net, placed, tmp_path / WEIGHTS_FILE)
    found, tensors = read_weights(tmp_path / WEIGHTS_FILE)
    assert found.net == recipe.net
    assert found.data.rooms is None
    assert b"somebody" not in (tmp_path / WEIGHTS_FILE).read_bytes()
    state = net.state_dict()
    assert set(tensors) == set(state)
    assert any("running_var" in name for name in state)
    assert all(torch.equal(tensors[name], state[name]) for name in state)


def test_learning_on_starts_from_the_same_answers(small_recipe: Callable[..., Recipe], tmp_path: Path) -> None:
    """Of the network that learns and of its average, with the recipe that the file holds or another of the same net."""
    recipe = small_recipe("depth")
    net = _settled(recipe)
    write_weights(net, recipe, tmp_path / WEIGHTS_FILE)
    held, file = _start(None, tmp_path, None)
    task = build_task(held, weights=file).eval()
    picture = torch.rand(1, 3, recipe.input.height_px, recipe.input.width_px)
    with torch.no_grad():
        for learner in (task.net, task.inference_net):
            assert torch.allclose(learner.eval()(picture), net(picture), rtol=1e-5, atol=1e-5)


def test_another_network_or_file_is_refused(small_recipe: Callable[..., Recipe], tmp_path: Path) -> None:
    """With the remedy."""
    recipe = small_recipe("depth")
    write_weights(build_task(recipe).net, recipe, tmp_path / WEIGHTS_FILE)
    with pytest.raises(DataError, match=r"same net\.encoder and net\.width"):
        build_task(small_recipe("layout"), weights=tmp_path / WEIGHTS_FILE)
    partial = build_task(recipe).net
    del partial.answer
    write_weights(partial, recipe, tmp_path / WEIGHTS_FILE)
    with pytest.raises(DataError, match="not the whole of its own network"):
        build_task(recipe, weights=tmp_path / WEIGHTS_FILE)
    torn = tmp_path / "torn.safetensors"
    torn.write_bytes((tmp_path / WEIGHTS_FILE).read_bytes()[:1000])
    for wrong in (torn, tmp_path / "none.safetensors"):
        with pytest.raises(DataError, match="edge-train export"):
            read_weights(wrong)


@pytest.mark.parametrize("name", ["depth", "layout", "lighting", "objects"])
def test_the_weights_that_ship_answer_as_the_engine_does(name: str) -> None:
    """To 1e-5 of the recorded answer, for the file that the manifest names."""
    folder = ENGINES / name
    manifest = read_manifest(folder)
    assert manifest.weights is not None
    assert sha256_of(folder / WEIGHTS_FILE) == manifest.weights.sha256
    recipe, _ = read_weights(folder / WEIGHTS_FILE)
    network = TorchBackend(build_task(recipe, weights=folder / WEIGHTS_FILE).inference_net, manifest)
    with np.load(folder / "golden.npz") as golden:
        found = network.run(golden[f"input:{manifest.input.name}"])
        for output in manifest.output_names:
            assert np.abs(found[output] - golden[f"output:{output}"]).max() < 1e-5
