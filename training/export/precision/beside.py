"""int8 for a model folder that is there already: made from its float32 file, and proved against that."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from edge.errors import DataError
from edge.inference.manifest import read_manifest, write_manifest
from edge.inference.ort import OrtBackend
from training.export.card import with_file
from training.export.precision.quantize import Form
from training.export.precision.variants import FILES, Outcome, Proof, Score, make_int8
from training.export.proof.parity import Yardstick
from training.export.proof.views import CutOut, View, tensors


def add_int8(
    folder: Path,
    views: Sequence[View | CutOut],
    learnt: Sequence[View | CutOut],
    form: Form,
    *,
    score: Score | None = None,
) -> Outcome:
    """Write an int8 file into a model folder, and manifest and card with it, if it is close enough and faster here.

    Args:
        folder: the model's; what it says of another file of this form is replaced.
        views: held-out pictures, at least one, on which it is compared with the float32 file.
        learnt: pictures that were learnt from, on which ranges are measured.
        form: for TensorRT or for CPUs.
        score: what its effect on the task is measured by, for the card.

    Raises:
        DataError: there are too few pictures, the folder has no golden pair, or cannot be written.
        EngineError: the float32 file does not run.
        ManifestError: the manifest is wrong.
    """
    manifest = read_manifest(folder)
    if manifest.golden is None:
        raise DataError(f"{folder}: no golden pair to prove a file with; export or import the model again")
    with np.load(folder / manifest.golden.file, allow_pickle=False) as z:
        given = z[f"input:{manifest.input.name}"]
        expected = {name: z[f"output:{name}"] for name in manifest.output_names}
    try:
        with tempfile.TemporaryDirectory(prefix=f".{folder.name}.", dir=folder.parent) as work:
            shutil.copy(folder / manifest.onnx.file, Path(work) / FILES["fp32"])
            with OrtBackend(Path(work) / FILES["fp32"], manifest, threads=1) as network:
                proof = Proof(manifest, Yardstick(manifest, network, views), given, expected)
                outcome = make_int8(proof, Path(work), tensors(manifest, learnt), form, score=score)
            variants = {p: v for p, v in manifest.variants.items() if p != form}
            if outcome.variant is not None:
                variants[form] = outcome.variant
                os.replace(Path(work) / FILES[form], folder / FILES[form])
            write_manifest(folder, manifest.model_copy(update={"variants": variants}))
            if outcome.variant is None:
                (folder / FILES[form]).unlink(missing_ok=True)
            card = folder / "card.md"
            if card.is_file():
                text = with_file(card.read_text(encoding="utf-8"), FILES[form], form, outcome.row, outcome.notes)
                card.write_text(text, encoding="utf-8")
    except OSError as e:
        raise DataError(f"{folder}: cannot be written ({e}); give a folder that you may write") from e
    return outcome
