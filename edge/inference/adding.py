"""Another party's ONNX and what is known of it -> a model folder that this device loads and proves."""

from __future__ import annotations

import datetime
import os
import shutil
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from pydantic import ValidationError

from edge.errors import EngineError, ManifestError, explain
from edge.inference.manifest import Golden, InputSpec, Manifest, sha256_of, write_manifest
from edge.inference.onnx_file import check_whole, operators
from edge.inference.ort import OrtBackend, signature_of
from edge.inference.presets import NONE, PRESETS, SH_ROOM_FROM_MODEL, Preset
from edge.inference.proving import check_golden, check_outputs
from edge.inference.signature import Tensor
from edge.inference.store import ModelStore, StoredModel

Array = npt.NDArray[np.float32]
Picture = Callable[[InputSpec], Array]
"""(1, C, H, W) tensor of some picture as the device prepares it."""

_ARITHMETIC = {"Sub", "Div", "Mul", "Add"}
_TOLERANCE = 0.005
"""Golden tolerance as a share of an output's range: room for other processors, none for another file."""


@dataclass(frozen=True, slots=True)
class _File:
    """What a file says of itself, read once however many networks it may be."""

    path: Path
    sha256: str
    size_bytes: int
    inputs: Mapping[str, Tensor]
    outputs: Mapping[str, Tensor]
    nodes: list[tuple[str, tuple[str, ...]]]


def _read(path: Path) -> _File:
    """Read it.

    Raises:
        EngineError: it cannot be loaded.
        ManifestError: it is no whole ONNX file.
    """
    check_whole(path)
    return _File(path, sha256_of(path), path.stat().st_size, *signature_of(path), operators(path))


def fitting(path: Path) -> list[str]:
    """Names of the presets that a file fits; several, where networks differ in nothing that a file says.

    Raises:
        EngineError: it cannot be loaded.
        ManifestError: it is no whole ONNX file.
    """
    file, found = _read(path), []
    for name, preset in PRESETS.items():
        try:
            _described(file, "x", preset, None)
        except ManifestError:
            continue
        found.append(name)
    return found


def add(path: Path, out: Path, preset: Preset, picture: Picture, *, size_wh: tuple[int, int] | None = None) -> Manifest:
    """Write the model folder `out`, with a golden pair made by ONNX Runtime: all of it, or nothing.

    Args:
        path: the ONNX file.
        out: the model folder, which must not exist.
        preset: what it is said to be.
        picture: what to record the golden pair of.
        size_wh: px, of the pictures it is to be given where the file leaves that open.

    Raises:
        EngineError: it cannot be loaded or run, answers what it cannot mean, or the folder cannot be written.
        ManifestError: it is another network than the preset's; the message says in what.
    """
    manifest = _described(_read(path), out.name, preset, size_wh)
    if out.exists():
        raise EngineError(f"{out} is there already; give another name, or remove it first")
    try:
        with tempfile.TemporaryDirectory(prefix=f".{out.name}.", dir=out.parent) as work:
            folder = Path(work) / out.name
            folder.mkdir(mode=0o755)
            shutil.copyfile(path, folder / manifest.onnx.file)
            manifest = _proved(folder, manifest, preset, picture(manifest.input))
            (folder / "card.md").write_text(_card(manifest, preset), encoding="utf-8")
            os.replace(folder, out)
    except OSError as e:
        raise EngineError(f"{out}: cannot be written ({e.strerror}); let this user write {out.parent}") from e
    return manifest


def _described(file: _File, name: str, preset: Preset, size_wh: tuple[int, int] | None) -> Manifest:
    """The manifest of a file of that network, without a golden pair.

    Raises:
        ManifestError: it is another.
    """
    width, height = _checked_size(file.path, preset, file.inputs, size_wh)
    given = next(iter(file.inputs))
    _check_file(file, preset)
    first = {operator for operator, reads in file.nodes if given in reads}
    mean, std = NONE if first and first <= _ARITHMETIC else preset.normalisation
    try:
        return Manifest.model_validate({
            "schema": "edge.manifest/1",
            "name": name,
            "version": "published",
            "task": preset.task,
            "onnx": {"file": "model.onnx", "sha256": file.sha256},
            "input": {
                "name": given, "width_px": width, "height_px": height, "colour": preset.colour,
                "mean": mean, "std": std, "projection": preset.projection,
            },
            "output": _output(file.path, preset, file.outputs, (width, height)),
            "provenance": {
                "recipe": preset.source,
                "created": datetime.datetime.now(datetime.timezone.utc).date().isoformat(),
                "licence": preset.licence,
            },
        })  # fmt: skip
    except ValidationError as e:
        raise ManifestError(f"{file.path}: {explain(e, '(whole file)')[0]}; give another NAME or --size") from e


def _checked_size(
    path: Path, preset: Preset, inputs: Mapping[str, Tensor], size_wh: tuple[int, int] | None
) -> tuple[int, int]:
    """Width and height of the pictures to give it, px."""
    if len(inputs) != 1:
        raise ManifestError(f"{path}: takes {sorted(inputs)}; {preset.title} takes one picture")
    found = next(iter(inputs.values()))
    sizes = [n if isinstance(n, int) and n > 0 else None for n in found.shape]
    if len(sizes) != 4 or sizes[1] not in (3, None) or sizes[0] not in (1, None) or not found.is_float32:
        raise ManifestError(
            f"{path}: takes {found.type} {list(found.shape)}; {preset.title} takes float32 (1, 3, height, width): "
            "export it so"
        )
    wanted = size_wh or (sizes[3] or preset.size_wh[0], sizes[2] or preset.size_wh[1])
    if any(n not in (None, w) for n, w in zip((sizes[3], sizes[2]), wanted, strict=True)):
        raise ManifestError(f"{path}: takes pictures of {sizes[3]}x{sizes[2]} px alone; leave --size out")
    if preset.task != "depth" and wanted != preset.size_wh:
        raise ManifestError(
            f"{path}: takes pictures of {wanted[0]}x{wanted[1]} px, {preset.title} of "
            f"{preset.size_wh[0]}x{preset.size_wh[1]}: it is another network"
        )
    if any(n % preset.multiple_px for n in wanted):
        raise ManifestError(
            f"{path}: {wanted[0]}x{wanted[1]} px are not multiples of {preset.multiple_px}, as {preset.title} needs; "
            "give --size others, or it is another network"
        )
    return wanted


def _check_file(file: _File, preset: Preset) -> None:
    """Refuse what differs from the preset's network in its size or its operators."""
    if not preset.least_bytes <= file.size_bytes <= preset.most_bytes:
        megabytes = file.size_bytes / 1e6
        raise ManifestError(f"{file.path}: with {megabytes:.0f} MB it is not {preset.title}: {preset.other_size}")
    used = {operator for operator, _ in file.nodes}
    for sign in preset.signs:
        if (sign.operator in used) != sign.present:
            raise ManifestError(f"{file.path}: is not {preset.title}: {sign.otherwise}")


def _output(path: Path, preset: Preset, outputs: Mapping[str, Tensor], wh: tuple[int, int]) -> dict[str, Any]:
    """The manifest's `output`: which of the file's outputs is which, by their shapes."""

    def named(what: str, *shapes: tuple[int | None, ...]) -> str:
        for name, tensor in outputs.items():
            known = [n if isinstance(n, int) and n > 0 else None for n in tensor.shape]
            for shape in shapes:
                if len(known) == len(shape) and all(
                    k in (None, n) or n is None for k, n in zip(known, shape, strict=True)
                ):
                    return name
        have = ", ".join(f"{name} {list(tensor.shape)}" for name, tensor in outputs.items())
        raise ManifestError(
            f"{path}: gives {have}; {preset.title} gives {what} {' or '.join(map(str, shapes))}: it is another "
            "network, or was exported with other outputs"
        )

    columns = preset.size_wh[0]
    if preset.answer == "boundary_corners":
        boundary, corners = named("boundaries", (1, 2, columns)), named("corners", (1, 1, columns))
        return {"kind": preset.answer, "boundary": boundary, "corners": corners}
    if preset.answer == "horizon_depth":
        distance = named("distances", (1, columns // 4), (1, 1, columns // 4))
        return {"kind": preset.answer, "distance": distance, "ratio": named("the ceiling's ratio", (1, 1))}
    if preset.answer == "sh2_prescaled_irradiance":
        name = named("coefficients", (1, 27), (1, 9, 3))
        return {"kind": preset.answer, "coefficients": name, "colour": "rgb", "room_from_model": SH_ROOM_FROM_MODEL}
    width, height = wh if preset.whole_size else (None, None)
    name = named("a map of the picture's size", (1, height, width), (1, 1, height, width))
    return {"kind": preset.answer, "depth" if preset.answer == "depth_metres" else "inverse_depth": name}


def _proved(folder: Path, manifest: Manifest, preset: Preset, given: Array) -> Manifest:
    """The manifest with a golden pair, both written; the model ran twice and answered the same."""
    write_manifest(folder, manifest)
    stored = ModelStore(folder.parent).find(folder.name)
    with OrtBackend(stored.onnx, manifest) as backend:
        answer = {name: value.copy() for name, value in backend.run(given).items()}
        check_outputs(stored, answer)
        _check_answer(folder.name, preset, manifest, answer)
        path = folder / "golden.npz"
        arrays: dict[str, Any] = {f"input:{manifest.input.name}": given}
        arrays.update({f"output:{name}": answer[name] for name in manifest.output_names})
        np.savez_compressed(path, **arrays)
        span = {name: float(np.ptp(v) if v.size > 1 else np.abs(v).max()) for name, v in answer.items()}
        tolerance = {name: _TOLERANCE * span[name] for name in manifest.output_names}
        golden = Golden(file=path.name, sha256=sha256_of(path), tolerance=tolerance)
        manifest = manifest.model_copy(update={"golden": golden})
        write_manifest(folder, manifest)
        result = check_golden(StoredModel(folder, manifest), backend)
    if result is None or not result.passed:
        raise EngineError(
            f"{folder.name}: answers differ from run to run ({result}); a model with random layers cannot serve"
        )
    return manifest


def _check_answer(name: str, preset: Preset, manifest: Manifest, answer: Mapping[str, Array]) -> None:
    """Refuse an answer that the network cannot have meant."""
    for output in manifest.output_names:
        value = answer[output]
        if not np.isfinite(value).all():
            raise EngineError(f"{name}: its answer to a picture is not finite; export it again, in float32")
        if float(np.ptp(value)) == 0 and value.size > 1:
            raise EngineError(f"{name}: answers {value.flat[0]:g} everywhere; it was exported without its weights")
    if manifest.task == "depth":
        value = answer[manifest.output_names[0]]
        if float(value.min()) < -1e-3 * float(np.ptp(value)):
            raise ManifestError(f"{name}: answers {value.min():.3g}, which {preset.title} never does: another network")
        if preset.largest_m is not None and float(value.max()) > preset.largest_m * 1.001:
            raise ManifestError(
                f"{name}: answers {value.max():.3g} m, {preset.title} never more than {preset.largest_m:g}"
            )


def _card(manifest: Manifest, preset: Preset) -> str:
    spec = manifest.input
    return "\n".join([
        f"# {manifest.name}",
        "",
        f"{preset.title}, by others: {preset.source}. What it takes and gives is as said there in {preset.said_in}.",
        "",
        f"- Licence: {preset.licence}.{' **Not for commercial use.**' if preset.non_commercial else ''}",
        f"- Input: {spec.width_px}x{spec.height_px} px, {spec.projection}, {spec.colour.upper()}.",
        f"- Output: `{manifest.output.kind}`.",
        "- Not measured here; `edge bench` times it, `edge-train evaluate` measures it.",
        "",
    ])  # fmt: skip
