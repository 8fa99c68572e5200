from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from edge.inference.manifest import ObjectGrid, read_manifest
from edge.inference.store import ModelStore
from training.config.file import recipe_from_mapping
from training.export.engine import Files, write_engine
from training.export.proof.views import CutOut
from training.provenance import Origin
from training.tasks.build import build_task


@pytest.mark.slow
@pytest.mark.parametrize("precisions", [("fp32",)])
def test_a_network_for_things_is_exported_and_proved(tmp_path: Path, precisions: tuple[str, ...]) -> None:
    """The folder has what a device needs: outputs by name, the level chosen, a golden pair that ONNX Runtime meets."""
    torch.manual_seed(0)
    mapping = {
        "name": "things", "version": "0", "task": "objects",
        "net": {"net": "objects", "width": 0.35, "latent": 16, "channels": [16, 16, 16, 16]},
        "input": {"name": "image", "width_px": 64, "height_px": 64, "projection": "perspective", "mask_channel": True},
        "optim": {"steps": 1},
    }  # fmt: skip
    task = build_task(recipe_from_mapping(mapping, "test")).eval()
    net = task.inference_net
    with torch.no_grad():
        net.field.answer.bias.normal_(0, 2)  # type: ignore[union-attr,operator]
    rng = np.random.default_rng(0)
    mask = np.zeros((64, 64), np.uint8)
    mask[10:50, 20:44] = 255
    views = [CutOut(rng.integers(0, 255, (64, 64, 3)).astype(np.uint8), mask) for _ in range(3)]
    write_engine(task, tmp_path / "things", views, origin=Origin("none", ()), level=0.35, files=Files(precisions))  # type: ignore[arg-type]
    manifest = read_manifest(tmp_path / "things")
    assert manifest.task == "objects" and manifest.output_names == ("occupancy", "colour")
    assert isinstance(manifest.output, ObjectGrid) and manifest.output.level == 0.35
    assert {p.quantity for p in manifest.parity} == {"shape", "colour"}
    card = (tmp_path / "things/card.md").read_text(encoding="utf-8")
    assert "Shape and colours of one thing" in card and "- Output: `object_grid`." in card
    assert ModelStore(tmp_path).find("things").manifest == manifest
