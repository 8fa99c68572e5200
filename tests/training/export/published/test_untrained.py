"""A recipe without training: an ONNX to time, which says everywhere that it is nothing more."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from edge.commands.compare import compare
from edge.errors import DataError
from edge.inference.manifest import read_manifest
from edge.inference.store import ModelStore
from training.config.file import load_recipe
from training.export.macs import multiply_adds
from training.export.published.untrained import write_untrained
from training.tasks.build import build_task

ROOT = Path(__file__).parents[4]
pytestmark = pytest.mark.slow  # every test reads what is exported once

RECIPE = ROOT / "training" / "recipes" / "lighting_mobilenet.yaml"


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The published lighting architecture, untrained."""
    folder = tmp_path_factory.mktemp("models") / "mobilenet"
    write_untrained(RECIPE, folder)
    return folder


def test_it_cannot_be_mistaken(made: Path) -> None:
    """Name, version, licence and the card's first line say it; there is nothing measured and nothing to prove it by."""
    manifest = read_manifest(made)
    assert "untrained" in manifest.name
    assert "untrained" in manifest.version
    assert "for timing only" in manifest.provenance.licence
    assert manifest.golden is None
    assert not manifest.provenance.metrics
    assert not manifest.provenance.data
    first = (made / "card.md").read_text().splitlines()[0]
    assert "untrained" in first
    assert "mean nothing" in first


def test_it_is_timed_beside_the_shipped_one(made: Path) -> None:
    """`edge bench --against` takes the folder as it is."""
    store = ModelStore(ROOT / "engines")
    found = compare(store, [(made / "model.onnx", None)], names={"lighting": "lighting"}, seconds=0)
    assert [n.name for n in found.networks] == ["lighting", "lighting_mobilenet_untrained"]


def test_multiply_adds_are_torchs(made: Path) -> None:
    """What the ONNX is counted to do is half the floating-point operations that torch counts in the network."""
    recipe = load_recipe(RECIPE)
    net = build_task(recipe).inference_net.eval()
    with FlopCounterMode(display=False) as counter, torch.inference_mode():
        net(torch.zeros(recipe.input.shape))
    assert multiply_adds(made / "model.onnx") == pytest.approx(counter.get_total_flops() / 2, rel=1e-3)


def test_a_trained_model_is_not_overwritten(tmp_path: Path) -> None:
    """A folder with another model is refused and left as it is; one of ours is written anew."""
    folder = tmp_path / "lighting"
    shutil.copytree(ROOT / "engines" / "lighting", folder)
    before = (folder / "model.onnx").read_bytes()
    with pytest.raises(DataError, match="another folder"):
        write_untrained(RECIPE, folder)
    assert (folder / "model.onnx").read_bytes() == before
