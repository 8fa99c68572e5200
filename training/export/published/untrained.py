"""A recipe's network with random weights as a model folder: what its architecture takes to run, before any training."""

from __future__ import annotations

import datetime
from pathlib import Path

import torch

from edge.errors import DataError
from edge.inference.manifest import FileRef, Manifest, Provenance, sha256_of, write_manifest
from training.config.file import load_recipe
from training.export.card import CARD_FILE, card_text
from training.export.engine import ONNX_FILE
from training.export.macs import multiply_adds
from training.export.onnx import properties_of, write_onnx
from training.export.proof.runners import manifest_of
from training.tasks.build import build_task

_WARNING = "untrained, random weights: for timing only"


def write_untrained(recipe_path: Path, out: Path) -> Manifest:
    """Write ONNX, manifest and card, each of which says that it was not trained; there is no golden pair.

    Raises:
        DataError: the folder holds another model.
        EngineError: export failed.
    """
    recipe = load_recipe(recipe_path)
    if (out / CARD_FILE).is_file() and _WARNING not in (out / CARD_FILE).read_text(encoding="utf-8"):
        raise DataError(f"{out} holds another model, which would be lost; give --out another folder")
    torch.manual_seed(0)
    net = build_task(recipe).inference_net
    manifest = manifest_of(recipe).model_copy(
        update={
            "name": f"{recipe.name}_untrained",
            "version": "0-untrained",
            "provenance": Provenance(
                recipe=recipe_path.as_posix(),
                created=datetime.datetime.now(datetime.timezone.utc).date().isoformat(),
                licence=f"Apache-2.0 ({_WARNING})",
            ),
        }
    )
    out.mkdir(parents=True, exist_ok=True)
    path, properties = out / ONNX_FILE, properties_of(manifest, "fp32")
    write_onnx(net, path, recipe.input.shape, recipe.input.name, manifest.output_names, properties=properties)
    manifest = manifest.model_copy(update={"onnx": FileRef(file=ONNX_FILE, sha256=sha256_of(path))})
    write_manifest(out, manifest)
    parameters = sum(p.numel() for p in net.parameters())
    text = card_text(manifest, (f"Not at all: {_WARNING}.",), "", path.stat().st_size, parameters, multiply_adds(path))
    (out / CARD_FILE).write_text(f"**This model is {_WARNING}. Its answers mean nothing.**\n\n{text}", encoding="utf-8")
    return manifest
