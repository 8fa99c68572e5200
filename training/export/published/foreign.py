"""Another party's ONNX and a manifest for it -> a model folder that the device loads and proves."""

from __future__ import annotations

import datetime
import json
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from google.protobuf.message import DecodeError
from pydantic import ValidationError

from edge.errors import DataError, EngineError, ManifestError, explain
from edge.inference.manifest import FileRef, Golden, Manifest, sha256_of, write_manifest
from edge.inference.onnx_file import refuse_placeholder
from edge.inference.ort import OrtBackend
from edge.inference.proving import check_golden, check_outputs
from edge.inference.store import ModelStore
from edge.perception.preprocess import resize, tensor_from_image
from training.data.sets.pictures import read_picture
from training.export.card import CARD_FILE, card_text
from training.export.engine import GOLDEN_FILE, ONNX_FILE, new_folder, write_golden
from training.export.proof.parity import golden_tolerances

_DEMO = Path(str(files("edge"))) / "demo"
_OF_OTHER_FILES = ("golden", "variants", "parity", "weights")
"""What a manifest may say of files that are not the one imported."""
_CLIPS = {"equirectangular": "panorama", "perspective": "perspective"}


def _whole(path: Path) -> tuple[bytes, int]:
    """The model in one piece, with what it kept in files beside it, and its number of weights."""
    try:
        refuse_placeholder(path)
        model = onnx.load(path)
        onnx.checker.check_model(model)
        data = model.SerializeToString()
    except (OSError, ValueError, DecodeError, onnx.checker.ValidationError) as e:
        line = (str(e).strip().splitlines() or [type(e).__name__])[0]
        raise DataError(
            f"{path}: no ONNX model that can be copied into one file ({line}); give the .onnx, with its .data file "
            "beside it if it has one, below 2 GiB together"
        ) from e
    return data, sum(int(np.prod(t.dims)) for t in model.graph.initializer)


def manifest_for(path: Path, onnx_file: FileRef) -> Manifest:
    """The given manifest, of this file alone; what it leaves out of its provenance is filled in."""
    try:
        data: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        provenance = {"created": datetime.datetime.now(datetime.timezone.utc).date().isoformat()}
        data = {**data, "onnx": onnx_file.model_dump(), "provenance": {**provenance, **data["provenance"]}}
        return Manifest.model_validate({k: v for k, v in data.items() if k not in _OF_OTHER_FILES})
    except ValidationError as e:
        first = explain(e, "(whole file)")[0]
        raise ManifestError(f"{path}: {first}; see the schema printed by `edge schema manifest`") from e
    except (OSError, ValueError, KeyError, TypeError) as e:
        raise DataError(
            f"{path}: no manifest ({e!r}); write a JSON file with name, version, task, input, output and provenance "
            "(recipe: the model's URL, licence), as `edge schema manifest` describes"
        ) from e


def _picture(manifest: Manifest, path: Path | None) -> np.ndarray:
    """(1, C, H, W) tensor of a picture, one of our own clips where none is given."""
    spec = manifest.input
    path = path or sorted((_DEMO / _CLIPS[spec.projection]).glob("*.jpg"))[0]
    sized = resize(read_picture(path), spec.width_px, spec.height_px)
    return tensor_from_image(sized, spec)[None]


def import_onnx(path: Path, manifest_path: Path, out: Path, *, picture: Path | None = None) -> Manifest:
    """Write the model folder `out` with ONNX, manifest, card and a golden pair made by ONNX Runtime: all or nothing.

    Args:
        path: the ONNX file.
        manifest_path: what it takes and gives; what it says of other files is replaced.
        out: the model folder; existing files of ours in it are replaced.
        picture: what to record the golden pair of; one of our own clips where None.

    Raises:
        DataError: a file is not what it should be, or the answer is not finite.
        ManifestError: the manifest breaks the schema, or the model is not what it says.
        EngineError: the model cannot be loaded or run, or its answers differ from run to run.
    """
    with new_folder(out) as folder:
        return _import(path, manifest_path, folder, picture)


def _import(path: Path, manifest_path: Path, out: Path, picture: Path | None) -> Manifest:
    """`import_onnx` into an empty folder."""
    data, weights = _whole(path)
    (out / ONNX_FILE).write_bytes(data)
    manifest = manifest_for(manifest_path, FileRef(file=ONNX_FILE, sha256=sha256_of(out / ONNX_FILE)))
    write_manifest(out, manifest)
    store, given = ModelStore(out.parent), _picture(manifest, picture)
    stored = store.find(out.name)
    with OrtBackend(stored.onnx, manifest) as model:
        expected = model.run(given)
    check_outputs(stored, expected)
    if not all(np.isfinite(value).all() for value in expected.values()):
        raise DataError(f"{path}: its answer is not finite; check scale, mean and std of the manifest's input")
    write_golden(out, manifest.input.name, given, expected)
    golden = Golden(file=GOLDEN_FILE, sha256=sha256_of(out / GOLDEN_FILE), tolerance=golden_tolerances(expected))
    manifest = manifest.model_copy(update={"golden": golden})
    write_manifest(out, manifest)
    stored = store.find(out.name)
    with OrtBackend(stored.onnx, manifest) as model:
        result = check_golden(stored, model)
    if result is None or not result.passed:
        raise EngineError(f"{path}: answers differ from run to run ({result}); a model with random layers cannot serve")
    text = card_text(manifest, ("By another party; see there.",), "", len(data), weights, None)
    (out / CARD_FILE).write_text(text, encoding="utf-8")
    return manifest
