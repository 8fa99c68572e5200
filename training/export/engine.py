"""From a checkpoint to `engines/<name>`: ONNX, golden pair, manifest, card."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from pydantic import TypeAdapter, ValidationError

from edge.errors import DataError
from edge.inference.manifest import DataSource, FileRef, Golden, Manifest, Metric, sha256_of, write_manifest
from training.config import Recipe
from training.export.card import card_text
from training.export.onnx import checked_tolerances, largest_differences, write_onnx
from training.export.runners import OUTPUTS, TorchBackend, manifest_of
from training.tasks.base import NounTask
from training.tasks.build import load_task

ONNX_FILE, GOLDEN_FILE, CARD_FILE = "model.onnx", "golden.npz", "card.md"
_RENDERS = "own renders of random rooms (training/data/synthetic), furnished with CC0, MIT and Apache-2.0 assets"


def sources_of(recipe: Recipe) -> tuple[DataSource, ...]:
    """What a recipe learns from, with licences."""
    out = []
    if recipe.data.rooms is not None:
        out.append(DataSource(name=_RENDERS, licence="Apache-2.0", used_for="training"))
    if recipe.task == "lighting" and recipe.data.hdri is not None:
        out.append(DataSource(name="Poly Haven HDRIs", licence="CC0-1.0", used_for="training"))
    if recipe.data.weights is not None:
        name = f"MobileNetV2 pretrained weights ({recipe.data.weights.name})"
        out.append(DataSource(name=name, licence="Apache-2.0 / BSD-3-Clause", used_for="encoder's starting weights"))
    return tuple(out)


def read_metrics(path: Path | None) -> tuple[Metric, ...]:
    """The metrics that `edge-train evaluate --json` wrote.

    Raises:
        DataError: the file is something else.
    """
    if path is None:
        return ()
    try:
        return TypeAdapter(tuple[Metric, ...]).validate_python(json.loads(path.read_text(encoding="utf-8"))["metrics"])
    except (OSError, ValueError, KeyError, TypeError, ValidationError) as e:
        raise DataError(f"{path}: not written by `edge-train evaluate --json` ({e}); evaluate first") from e


def write_engine(
    task: NounTask,
    out: Path,
    golden_inputs: npt.NDArray[np.float32],
    *,
    metrics: tuple[Metric, ...] = (),
    notes: str = "",
) -> Manifest:
    """Write the model folder.

    Args:
        task: a trained task.
        out: the folder; existing files of ours in it are replaced.
        golden_inputs: (N, C, H, W) real pictures' tensors: the first is recorded, all are checked for parity.
        metrics: measured numbers for manifest and card.
        notes: for the card.

    Raises:
        EngineError: export or parity failed.
    """
    out.mkdir(parents=True, exist_ok=True)
    recipe, net = task.recipe, task.inference_net
    path = out / ONNX_FILE
    names = OUTPUTS[recipe.task]
    write_onnx(net, path, recipe.input.shape, recipe.input.name, names)
    onnx_ref = FileRef(file=ONNX_FILE, sha256=sha256_of(path))
    manifest = manifest_of(recipe, data=sources_of(recipe), metrics=metrics, onnx=onnx_ref)
    tolerance = checked_tolerances(largest_differences(net, path, manifest, golden_inputs))

    first = golden_inputs[:1]
    expected = TorchBackend(net, names).run(first)
    golden_path = out / GOLDEN_FILE
    arrays: dict[str, Any] = {f"input:{recipe.input.name}": first}
    arrays.update({f"output:{name}": value for name, value in expected.items()})
    np.savez_compressed(golden_path, **arrays)
    golden = Golden(file=GOLDEN_FILE, sha256=sha256_of(golden_path), tolerance=tolerance)
    manifest = manifest.model_copy(update={"golden": golden})
    write_manifest(out, manifest)
    parameters = sum(p.numel() for p in net.parameters())
    trained = f"Trained for {task.trained_s / 60:.0f} minutes. " if task.trained_s else ""
    text = card_text(manifest, trained + notes, path.stat().st_size, parameters)
    (out / CARD_FILE).write_text(text, encoding="utf-8")
    return manifest


def export_checkpoint(
    checkpoint: Path, out: Path, golden_inputs: npt.NDArray[np.float32], *, metrics: Path | None = None, notes: str = ""
) -> Manifest:
    """`write_engine` for a checkpoint file and a metrics file.

    Raises:
        DataError: a file is not what it should be.
        EngineError: export or parity failed.
    """
    return write_engine(load_task(checkpoint), out, golden_inputs, metrics=read_metrics(metrics), notes=notes)
