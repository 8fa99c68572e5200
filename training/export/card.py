"""The model card: what a manifest says, for people."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import TypeAlias

from edge.inference.manifest import Manifest, Metric, Provenance
from edge.inference.reference import Reference
from training.export.proof.tables import not_better, tables, tried_table

CARD_FILE = "card.md"

Tried: TypeAlias = Sequence[tuple[str, tuple[Metric, ...]]]
"""Other runs by what was different, with what `evaluate` measured of them."""
FileTable: TypeAlias = tuple[Sequence[str], Sequence[str]]
"""Rows of the table of files, and sentences about them."""

_WHAT = {
    "depth": "Depth in metres from one perspective picture.",
    "layout": "Wall-ceiling and wall-floor boundary and corners of a room, from a panorama or a camera's part of one.",
    "lighting": "Ambient light as order-2 spherical harmonics, from a panorama or a camera's part of one.",
    "objects": "Shape and colours of one thing on a grid of cells, from one picture of it and its mask.",
    "joint": "Range, layout and ambient light of a room by one network, from a panorama or a camera's part of one.",
}
_MEASURED = {
    "depth": "Nothing measured here was trained on. The baseline is told the set's mean depth; the model is not.",
    "layout": (
        "Nothing measured here was trained on. Baseline boxes are chosen on the very rooms they are measured on, for "
        "2D IoU where that is measured and for 3D IoU elsewhere; the model has seen none of those rooms."
    ),
    "lighting": (
        "Nothing measured here was trained on, but the rows called validation watched the training and chose between "
        "checkpoints. Rooms of the test split are new; some skies behind their windows are training environments."
    ),
    "objects": (
        "No test picture was trained on; what is alike is on one side of the split. Wild pictures were learnt from, "
        "without their shapes and cameras, where a run below says so. Pictures are renders of low-poly models, not "
        "photographs; no scan of a real thing was at hand. Levels are the validation split's. The first stage learns "
        "from exact cells, which is more supervision than the method it follows has."
    ),
    "joint": (
        "Nothing measured here was trained on, but rows called validation chose between checkpoints. Depth's baseline "
        "is told the set's mean depth; layout's boxes are chosen on the very rooms that they are measured on."
    ),
}
_LEARN_ON = "- `{file}`: what to learn on from with `edge-train fit --from` this folder; under the same licence."


def _maker(origin: Provenance) -> str:
    if origin.recipe.startswith("https://"):
        return f"Imported from what {origin.recipe} publishes"
    return f"Made by `{origin.recipe}` (commands in its header)"


def _measured(manifest: Manifest) -> list[str]:
    metrics = manifest.provenance.metrics
    if not metrics:
        return [not_better(metrics)]
    how = f"Through the device's own preprocessing and postprocessing. {_MEASURED[manifest.task]}"
    return [how, "", not_better(metrics), "", *tables(metrics)]


def _files(files: FileTable) -> list[str]:
    rows, notes = files
    return [
        "Beside the trained network on held-out pictures, through the device's readers: the worst picture's mean.",
        "",
        "| file | MB | differs by | time, float32 = 1 | |",
        "|---|---|---|---|---|",
        *rows,
        *(line for note in notes for line in ("", note)),
    ]


_KNOWN = "## Pictures it knows"


def _known(reference: Reference) -> str:
    return (
        f"`reference` in the manifest is of {reference.pictures} pictures of {reference.scenes} scenes: "
        f"{reference.data}. A device tells when a camera's pictures are unlike all of them (docs/drift.md)."
    )


def with_reference(card: str, reference: Reference) -> str:
    """A card that says which pictures the manifest's reference is of, in the place of what it said of another."""
    lines = "\n".join([_KNOWN, "", _known(reference), ""])
    head, found, rest = card.partition(f"{_KNOWN}\n")
    if not found:
        head, mark, after = card.partition("## Trained\n")
        return f"{head}{lines}\n{mark}{after}"
    _, mark, after = rest.partition("\n## ")
    return f"{head}{lines}{mark}{after}"


def card_text(
    manifest: Manifest,
    trained: tuple[str, ...],
    notes: str,
    size_bytes: int,
    parameters: int,
    multiply_adds: int | None,
    tried: Tried = (),
    files: FileTable = ((), ()),
) -> str:
    """card.md; `multiply_adds` of one picture, None where they cannot be counted."""
    arithmetic = "" if multiply_adds is None else f"{multiply_adds / 1e9:.3g} G multiply-adds a picture, "
    spec, origin = manifest.input, manifest.provenance
    channels = "RGB and mask" if spec.mask_channel else spec.colour.upper()
    lines = [
        f"# {manifest.name} {manifest.version}",
        "",
        _WHAT[manifest.task],
        "",
        f"- Input: {spec.width_px}x{spec.height_px} px, {spec.projection}, {channels}.",
        f"- Output: {', '.join(f'`{part.kind}`' for part in manifest.parts.values() or [manifest.output])}.",
        f"- {parameters:,} parameters, {arithmetic}{size_bytes / 1e6:.1f} MB. Licence: {origin.licence}.",
        f"- {_maker(origin)}, {origin.created}, commit {origin.commit or 'unknown'}.",
        *([_LEARN_ON.format(file=manifest.weights.file)] if manifest.weights else []),
        "",
        "## Measured",
        "",
        *_measured(manifest),
    ]
    if files[0]:
        lines += ["", "## Files", "", *_files(files)]
    if manifest.reference is not None:
        lines += ["", _KNOWN, "", _known(manifest.reference)]
    lines += ["", "## Trained", "", *(trained or ("Not recorded.",))]
    lines += ["", "## Learnt from", "", "| what | licence | for |", "|---|---|---|"]
    lines += [f"| {d.name} | {d.licence} | {d.used_for} |" for d in origin.data]
    if tried:
        lines += ["", "## Tried", "", "Runs beside it, measured alike:", "", *tried_table(manifest.task, tried)]
    lines += ["", "## Notes", "", notes.strip() or "None.", ""]
    return "\n".join(lines)


def with_file(card: str, name: str, precision: str, row: str, notes: Sequence[str]) -> str:
    """A card with another line in its table of files, and notes below, in the place of what it said of that file."""
    head, found, rest = card.partition("## Files\n")
    if not found:
        head, mark, rest = card.partition("## Trained\n")
        rest = "\n" + "\n".join(_files(([], []))) + "\n\n" + mark + rest
    section, mark, after = rest.partition("\n## ")
    old = (f"| `{name}`", f"{precision}:", f"{precision}, sensitivity:", f"{precision} against float32:")
    lines = [line for line in section.strip("\n").split("\n") if not line.startswith(old)]
    last = max((i for i, line in enumerate(lines) if line.startswith("|")), default=len(lines) - 1)
    lines.insert(last + 1, row)
    text = re.sub(r"\n{3,}", "\n\n", "\n".join(lines))
    body = "\n\n".join([text.strip("\n"), *notes])
    return f"{head}## Files\n\n{body}\n{mark}{after}"
