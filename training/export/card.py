"""The model card: what a manifest says, for people."""

from __future__ import annotations

from edge.inference.manifest import Manifest

_WHAT = {
    "depth": "Depth in metres from one perspective picture.",
    "layout": "Wall-ceiling and wall-floor boundary and corners of a room, from a panorama or a camera's part of one.",
    "lighting": "Ambient light as order-2 spherical harmonics, from a panorama or a camera's part of one.",
}


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.3f}"


def card_text(manifest: Manifest, notes: str, size_bytes: int, parameters: int) -> str:
    """card.md."""
    spec, origin = manifest.input, manifest.provenance
    channels = "RGB and mask" if spec.mask_channel else spec.colour.upper()
    lines = [
        f"# {manifest.name} {manifest.version}",
        "",
        _WHAT[manifest.task],
        "",
        f"- Input: {spec.width_px}x{spec.height_px} px, {spec.projection}, {channels}.",
        f"- Output: `{manifest.output.kind}`.",
        f"- {parameters:,} parameters, {size_bytes / 1e6:.1f} MB. Licence: {origin.licence}.",
        f"- Made by `{origin.recipe}` (commands in its header), {origin.created}, commit {origin.commit or 'unknown'}.",
        "",
        "## Measured",
        "",
        "Through the device's own preprocessing and postprocessing, on data that the model never saw in training.",
        "",
        "| metric | data | model | trivial baseline | |",
        "|---|---|---|---|---|",
    ]
    for m in origin.metrics:
        unit = f" {m.unit}" if m.unit else ""
        lines.append(f"| {m.name} | {m.data} | {_number(m.value)}{unit} | {_number(m.baseline)} | {m.baseline_name} |")
    lines += ["", "## Learnt from", "", "| what | licence | for |", "|---|---|---|"]
    lines += [f"| {d.name} | {d.licence} | {d.used_for} |" for d in origin.data]
    lines += ["", "## Notes", "", notes.strip() or "None.", ""]
    return "\n".join(lines)
