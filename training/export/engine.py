"""From a checkpoint to `engines/<name>`: ONNX, golden pair, manifest, card."""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from pydantic import TypeAdapter, ValidationError

from edge.errors import DataError
from edge.inference.base import Arrays
from edge.inference.manifest import (
    MANIFEST_FILE,
    DataSource,
    FileRef,
    Golden,
    Manifest,
    Metric,
    Parity,
    Precision,
    sha256_of,
    write_manifest,
)
from edge.inference.ort import OrtBackend
from training.config.recipe import Recipe
from training.data.samples.rooms import assets_of
from training.data.sets.readers import kind_of
from training.data.synthetic.objects.rendered import RenderedObjects
from training.export.card import CARD_FILE, Tried, card_text
from training.export.macs import multiply_adds
from training.export.onnx import BatchSize, properties_of, write_onnx
from training.export.precision.quantize import FORMS
from training.export.precision.variants import FILES, Outcome, Proof, Score, make_half, make_int8, row_of
from training.export.proof.parity import Yardstick, check_outputs, golden_tolerances, require
from training.export.proof.runners import TorchBackend, manifest_of
from training.export.proof.views import CutOut, View, tensors
from training.export.reference import Known, reference_of
from training.nets.encoders import IMAGENET
from training.provenance import Origin, origin_of
from training.tasks.base import NounTask, read_checkpoint, runs_of
from training.tasks.build import load_task
from training.tasks.weights import WEIGHTS_FILE, write_weights

ONNX_FILE, GOLDEN_FILE = FILES["fp32"], "golden.npz"
_TORCHVISION = {
    "mobilenet_v2": "MobileNetV2",
    "resnet18": "ResNet-18",
    "resnet34": "ResNet-34",
    "resnet50": "ResNet-50",
}
_RENDERS = "own renders of random rooms (training/data/synthetic)"


def sources_of(recipe: Recipe) -> tuple[DataSource, ...]:
    """What a recipe learns from, with licences; what rooms are made of is read from their files."""
    if recipe.source is not None:
        return (DataSource(name=f"weights published by {recipe.source}", licence=recipe.licence, used_for="weights"),)
    out = list(_room_sources(recipe.data.rooms)) if recipe.data.rooms is not None else []
    if recipe.task in ("lighting", "joint") and recipe.data.hdri is not None:
        out.append(DataSource(name="Poly Haven HDRIs", licence="CC0-1.0", used_for="training"))
    if recipe.data.objects is not None:
        out += _object_sources(recipe.data.objects)
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
    if weights.suffix in (".ckpt", ".safetensors"):
        what = f"{weights.parent.name}/{weights.name}" if weights.suffix == ".safetensors" else weights.name
        return DataSource(
            name=f"weights of a trained network ({what})",
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


def _object_sources(objects: Path) -> Iterator[DataSource]:
    """What rendered things are made of, as their shards say."""
    found = RenderedObjects(objects).of("train")
    made = len(found.of("train", "made"))
    files = len(set(found.of("train", "file").clusters))
    yield DataSource(name=f"own renders of {len(found)} variants of things", licence="Apache-2.0", used_for="training")
    if files:
        name = f"{files} designs among CC0 models (Quaternius), of folders given to synthesize-objects"
        yield DataSource(name=name, licence="CC0-1.0", used_for="rendering")
    if made:
        name = f"{made} pieces of furniture made from numbers (training/data/synthetic/objects/makers.py)"
        yield DataSource(name=name, licence="Apache-2.0", used_for="rendering")
    yield DataSource(name="Poly Haven HDRIs as their light", licence="CC0-1.0", used_for="rendering")


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


@dataclass(frozen=True)
class Files:
    """Which files are written, and what they are made and proved with."""

    precisions: tuple[Precision, ...] = ("fp32",)
    """float32 is always among them."""
    batch: BatchSize = "dynamic"
    calibration: Sequence[View | CutOut] = field(default_factory=tuple)
    """Pictures that were learnt from: how large values get is measured on them."""
    score: Score | None = None
    """What int8's effect on the task is measured by, for the card."""


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


def _golden_pair(manifest: Manifest, network: TorchBackend, views: Sequence[View | CutOut]) -> tuple[Any, Arrays]:
    """The recorded input and the network's answer; a network of one row is asked by the row."""
    inputs = tensors(manifest, views)
    given = inputs[recorded_rows(inputs, mask_channel=manifest.input.mask_channel)]
    return given, network.run(given)


def _write_float32(
    task: NounTask, folder: Path, manifest: Manifest, views: Sequence[View | CutOut], files: Files
) -> Proof:
    """model.onnx and golden.npz, proved; the manifest in what is returned knows both and the parity.

    Raises:
        EngineError: export or parity failed.
    """
    net, path = task.inference_net, folder / ONNX_FILE
    properties = properties_of(manifest, "fp32")
    shape, name = manifest.input.shape, manifest.input.name
    write_onnx(net, path, shape, name, manifest.output_names, batch=files.batch, properties=properties)
    network = TorchBackend(net, manifest)
    yardstick = Yardstick(manifest, network, views)
    with OrtBackend(path, manifest, threads=1) as device:
        check_outputs(network, device, tensors(manifest, views))
        parity: tuple[Parity, ...] = yardstick.measure(device, "fp32")
    require(parity, ONNX_FILE)
    given, expected = _golden_pair(manifest, network, views)
    write_golden(folder, name, given, expected)
    golden = Golden(file=GOLDEN_FILE, sha256=sha256_of(folder / GOLDEN_FILE), tolerance=golden_tolerances(expected))
    onnx_ref = FileRef(file=ONNX_FILE, sha256=sha256_of(path))
    proved = manifest.model_copy(update={"onnx": onnx_ref, "golden": golden, "parity": parity})
    return Proof(proved, yardstick, given, expected)


def _variants(proof: Proof, folder: Path, views: Sequence[View | CutOut], files: Files) -> list[Outcome]:
    """The other precisions asked for, float16 first."""
    out, learnt = [], list(files.calibration)
    if "fp16" in files.precisions:
        out.append(make_half(proof, folder, tensors(proof.manifest, [*views, *learnt])))
    for form in FORMS:
        if form in files.precisions:
            inputs = tensors(proof.manifest, learnt) if learnt else np.empty((0,), np.float32)
            out.append(make_int8(proof, folder, inputs, form, score=files.score))
    return out


@contextmanager
def new_folder(out: Path) -> Iterator[Path]:
    """An empty folder whose files replace ours in the model folder `out`, if nothing was raised.

    Raises:
        DataError: something cannot be written.
    """
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=f".{out.name}.", dir=out.parent) as work:
            yield Path(work)
            _published(Path(work), out)
    except OSError as e:
        raise DataError(
            f"{out}: cannot be written ({e}); give --out a folder that you may write, on a disk with room for several "
            "times the checkpoint"
        ) from e


def _published(made: Path, out: Path) -> None:
    """Move the files to their folder, the manifest last, and take away files of ours that are no longer made."""
    out.mkdir(parents=True, exist_ok=True)
    names = sorted((p.name for p in made.iterdir()), key=lambda name: name == MANIFEST_FILE)
    for name in names:
        os.replace(made / name, out / name)
    for name in set(FILES.values()) - set(names):
        (out / name).unlink(missing_ok=True)


def write_engine(
    task: NounTask,
    out: Path,
    views: Sequence[View | CutOut],
    *,
    origin: Origin,
    metrics: tuple[Metric, ...] = (),
    notes: str = "",
    tried: Tried = (),
    files: Files | None = None,
    known: Sequence[Known] = (),
    known_data: str = "",
    level: float | None = None,
) -> Manifest:
    """Write the model folder: all of it, or, when something fails, nothing.

    Args:
        task: a trained task.
        out: the folder; existing files of ours in it are replaced.
        views: real pictures, not learnt from: every file is proved on all of them; the first, and the first that a
            camera sees only a part of the canvas in, are recorded.
        origin: how the task was trained.
        metrics: measured numbers for manifest and card.
        notes: for the card.
        tried: other runs, for the card.
        files: which files to write; None = float32 alone, with a dynamic batch.
        known: pictures not learnt from, for the manifest's reference; of too few scenes: it has none.
        known_data: what they are.
        level: of a thing's grid, the probability from which a cell counts as filled.

    Raises:
        DataError: there are no pictures, or too few to calibrate int8, or the folder cannot be written.
        EngineError: export or parity failed.
    """
    recipe, chosen = task.recipe, files or Files()
    manifest = manifest_of(recipe, commit=origin.commit, data=sources_of(recipe), metrics=metrics)
    if level is not None:
        manifest = manifest.model_copy(update={"output": manifest.output.model_copy(update={"level": level})})
    with new_folder(out) as folder:
        proof = _write_float32(task, folder, manifest, views, chosen)
        outcomes = _variants(proof, folder, views, chosen)
        variants = {o.precision: o.variant for o in outcomes if o.variant is not None}
        write_weights(task.inference_net, recipe, folder / WEIGHTS_FILE)
        weights = FileRef(file=WEIGHTS_FILE, sha256=sha256_of(folder / WEIGHTS_FILE))
        reference = reference_of(known, known_data)
        added = {"variants": variants, "weights": weights, "reference": reference}
        manifest = proof.manifest.model_copy(update=added)
        write_manifest(folder, manifest)
        size = (folder / ONNX_FILE).stat().st_size
        rows = [row_of(ONNX_FILE, size, manifest.parity, "1", "for all"), *(o.row for o in outcomes)]
        text = card_text(
            manifest,
            origin.lines,
            notes,
            size,
            sum(p.numel() for p in task.inference_net.parameters()),
            multiply_adds(folder / ONNX_FILE),
            tried,
            (rows, [note for outcome in outcomes for note in outcome.notes]),
        )
        (folder / CARD_FILE).write_text(text, encoding="utf-8")
    return manifest


def export_checkpoint(
    checkpoint: Path,
    out: Path,
    views: Sequence[View | CutOut],
    *,
    counts: dict[str, int],
    commit: str | None = None,
    metrics: Path | None = None,
    notes: str = "",
    tried: Sequence[tuple[str, Path]] = (),
    files: Files | None = None,
    version: str | None = None,
    known: Sequence[Known] = (),
    known_data: str = "",
    level: float | None = None,
) -> Manifest:
    """`write_engine` for a checkpoint file and metrics files; `counts` and `commit` as in `origin_of`.

    `version`: instead of the recipe's; `level` as in `write_engine`.

    Raises:
        DataError: a file is not what it should be.
        EngineError: export or parity failed.
    """
    origin = origin_of(runs_of(read_checkpoint(checkpoint)[1]), counts=counts, said_commit=commit)
    task = load_task(checkpoint)
    if version is not None:
        task.recipe = task.recipe.model_copy(update={"version": version})
    others = [(what, read_metrics(path)) for what, path in tried]
    return write_engine(
        task,
        out,
        views,
        origin=origin,
        metrics=read_metrics(metrics),
        notes=notes,
        tried=others,
        files=files,
        known=known,
        known_data=known_data,
        level=level,
    )
