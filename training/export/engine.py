"""From a checkpoint to `engines/<name>`: ONNX, golden pair, manifest, card."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from pydantic import TypeAdapter, ValidationError

from edge.errors import DataError
from edge.inference.base import Arrays
from edge.inference.manifest import DataSource, FileRef, Golden, Manifest, Metric, sha256_of, write_manifest
from training.config import Recipe
from training.data.readers import kind_of
from training.data.rooms import assets_of
from training.export.card import Tried, card_text
from training.export.onnx import check_parity, golden_tolerances, write_onnx
from training.export.runners import TorchBackend, manifest_of, output_names
from training.nets.encoders import IMAGENET
from training.provenance import Origin, origin_of
from training.tasks.base import NounTask, read_checkpoint, runs_of
from training.tasks.build import load_task

ONNX_FILE, GOLDEN_FILE, CARD_FILE = "model.onnx", "golden.npz", "card.md"
_TORCHVISION = {"mobilenet_v2": "MobileNetV2", "resnet18": "ResNet-18", "resnet50": "ResNet-50"}
_RENDERS = "own renders of random rooms (training/data/synthetic)"


def sources_of(recipe: Recipe) -> tuple[DataSource, ...]:
    """What a recipe learns from, with licences; what rooms are made of is read from their files."""
    if recipe.source is not None:
        return (DataSource(name=f"weights published by {recipe.source}", licence=recipe.licence, used_for="weights"),)
    out = list(_room_sources(recipe.data.rooms)) if recipe.data.rooms is not None else []
    if recipe.task in ("lighting", "scene") and recipe.data.hdri is not None:
        out.append(DataSource(name="Poly Haven HDRIs", licence="CC0-1.0", used_for="training"))
    for source in recipe.data.sources:
        kind = kind_of(recipe.task, source.kind)
        out.append(DataSource(name=kind.title, licence=kind.licence, used_for="training"))
    if recipe.data.pseudo is not None:
        name = f"pictures labelled by models ({recipe.data.pseudo.name})"
        out.append(DataSource(name=name, licence="that of the pictures", used_for="training"))
    if recipe.data.style is not None and recipe.augment.style_share > 0:
        name = f"pictures whose look rendered ones are given ({recipe.data.style.name})"
        out.append(DataSource(name=name, licence="that of the pictures", used_for="training"))
    if recipe.data.weights is not None:
        out.append(_start_of(recipe, recipe.data.weights))
    return tuple(out)


def _start_of(recipe: Recipe, weights: Path) -> DataSource:
    """The weights that training started from."""
    if weights.suffix == ".ckpt":
        return DataSource(
            name=f"a checkpoint of the same network ({weights.name})",
            licence="that of its own card",
            used_for="starting weights",
        )
    name, licence = f"weights of an encoder ({weights.name})", "that of the file's source"
    if weights == IMAGENET or "torchvision" in weights.name:
        encoder = _TORCHVISION[getattr(recipe.net, "encoder", "mobilenet_v2")]
        name = f"torchvision's {encoder}, pretrained on ImageNet ({weights.name})"
        licence = "BSD-3-Clause / Apache-2.0"
    elif "ade20k" in weights.name:
        name = f"MLCommons' DeepLab on MobileNetV2, trained on ADE20K ({weights.name})"
        licence = "MLCommons (Apache-2.0 text)"
    return DataSource(name=name, licence=licence, used_for="encoder's starting weights")


def _room_sources(rooms: Path) -> Iterator[DataSource]:
    yield DataSource(name=_RENDERS, licence="Apache-2.0", used_for="training")
    count = assets_of(rooms)
    if count.get("models"):
        name = f"{count['models']} furniture models (Quaternius) in those rooms"
        yield DataSource(name=name, licence="CC0-1.0", used_for="rendering")
        name = "wall, floor and fabric textures in those rooms (ambientCG, Poly Haven, Godot, MaterialX and others)"
        yield DataSource(name=name, licence="CC0-1.0, MIT, Apache-2.0", used_for="rendering")
    if count.get("pictures"):
        name = f"{count['pictures']} portraits on those rooms' walls"
        yield DataSource(name=name, licence="public domain", used_for="rendering")
    if count.get("skies"):
        name = f"{count['skies']} Poly Haven HDRIs behind those rooms' windows"
        yield DataSource(name=name, licence="CC0-1.0", used_for="rendering")


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


def recorded_rows(inputs: npt.NDArray[np.float32], *, mask_channel: bool) -> list[int]:
    """Which inputs (N, C, H, W) make the golden pair: the first, and the first that a mask hides a part of."""
    if not mask_channel:
        return [0]
    partial = np.flatnonzero((inputs[:, 3] == 0).any(axis=(1, 2)))
    return sorted({0, int(partial[0])}) if len(partial) else [0]


def write_golden(out: Path, name: str, given: npt.NDArray[np.float32], expected: Arrays) -> None:
    """Record an input (N, C, H, W) of that name and the outputs expected of it, as the device reads them."""
    arrays: dict[str, Any] = {f"input:{name}": given}
    arrays.update({f"output:{output}": value for output, value in expected.items()})
    np.savez_compressed(out / GOLDEN_FILE, **arrays)


def write_engine(
    task: NounTask,
    out: Path,
    golden_inputs: npt.NDArray[np.float32],
    *,
    origin: Origin,
    metrics: tuple[Metric, ...] = (),
    notes: str = "",
    tried: Tried = (),
) -> Manifest:
    """Write the model folder.

    Args:
        task: a trained task.
        out: the folder; existing files of ours in it are replaced.
        golden_inputs: (N, C, H, W) real pictures' tensors: all are checked for parity; the first, and the first one
            that is partly masked, are recorded.
        origin: how the task was trained.
        metrics: measured numbers for manifest and card.
        notes: for the card.
        tried: other runs, for the card.

    Raises:
        EngineError: export or parity failed.
    """
    out.mkdir(parents=True, exist_ok=True)
    recipe, net = task.recipe, task.inference_net
    path = out / ONNX_FILE
    names = output_names(recipe)
    write_onnx(net, path, recipe.input.shape, recipe.input.name, names)
    onnx_ref = FileRef(file=ONNX_FILE, sha256=sha256_of(path))
    manifest = manifest_of(recipe, commit=origin.commit, data=sources_of(recipe), metrics=metrics, onnx=onnx_ref)
    check_parity(net, path, manifest, golden_inputs)

    given = golden_inputs[recorded_rows(golden_inputs, mask_channel=recipe.input.mask_channel)]
    expected = TorchBackend(net, names).run(given)
    write_golden(out, recipe.input.name, given, expected)
    golden = Golden(file=GOLDEN_FILE, sha256=sha256_of(out / GOLDEN_FILE), tolerance=golden_tolerances(expected))
    manifest = manifest.model_copy(update={"golden": golden})
    write_manifest(out, manifest)
    parameters = sum(p.numel() for p in net.parameters())
    text = card_text(manifest, origin.lines, notes, path.stat().st_size, parameters, tried)
    (out / CARD_FILE).write_text(text, encoding="utf-8")
    return manifest


def export_checkpoint(
    checkpoint: Path,
    out: Path,
    golden_inputs: npt.NDArray[np.float32],
    *,
    counts: dict[str, int],
    commit: str | None = None,
    metrics: Path | None = None,
    notes: str = "",
    tried: Sequence[tuple[str, Path]] = (),
) -> Manifest:
    """`write_engine` for a checkpoint file and metrics files; `counts` and `commit` as in `origin_of`.

    Raises:
        DataError: a file is not what it should be.
        EngineError: export or parity failed.
    """
    origin = origin_of(runs_of(read_checkpoint(checkpoint)[1]), counts=counts, said_commit=commit)
    task = load_task(checkpoint)
    others = [(what, read_metrics(path)) for what, path in tried]
    return write_engine(
        task, out, golden_inputs, origin=origin, metrics=read_metrics(metrics), notes=notes, tried=others
    )
