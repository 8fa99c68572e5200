"""The model card: what a manifest says, for people."""

from __future__ import annotations

from edge.inference.manifest import Manifest, Metric

_WHAT = {
    "depth": "Depth in metres from one perspective picture.",
    "layout": "Wall-ceiling and wall-floor boundary and corners of a room, from a panorama or a camera's part of one.",
    "lighting": "Ambient light as order-2 spherical harmonics, from a panorama or a camera's part of one.",
}
_HIGHER_IS_BETTER = ("IoU", "delta")
_MEASURED = {
    "depth": "Nothing measured here was trained on. The baseline is told the set's mean depth; the model is not.",
    "layout": (
        "Nothing measured here was trained on. Baseline boxes are chosen on the very rooms they are measured on, for "
        "the overlap that their row measures (for pixel error: for 3D IoU); the model has seen none of those rooms."
    ),
    "lighting": (
        "Nothing measured here was trained on, but the rows called validation watched the training and chose between "
        "checkpoints. Rooms of the test split are new; some skies behind their windows are training environments."
    ),
}


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.3f}"


def _beaten(m: Metric) -> bool:
    """Whether the model is better than the row's baseline, in the digits that the card shows."""
    assert m.baseline is not None
    ours, base = round(m.value, 3), round(m.baseline, 3)
    return ours > base if any(word in m.name for word in _HIGHER_IS_BETTER) else ours < base


def not_better(metrics: tuple[Metric, ...]) -> str:
    """One sentence: where the model does not beat a baseline."""
    lost = [m for m in metrics if m.baseline is not None and not _beaten(m)]
    if not lost:
        return "It beats every baseline of the table."
    places = "; ".join(
        f"{m.name}, {m.data}: {_number(m.value)} against {_number(m.baseline)} of {m.baseline_name}" for m in lost
    )
    return f"**It does not beat the baseline in {len(lost)} of {len(metrics)} comparisons**: {places}."


def _rows(metrics: tuple[Metric, ...]) -> list[str]:
    """Table rows: one for each number, all its baselines in one cell."""
    grouped: dict[tuple[str, str], list[Metric]] = {}
    for m in metrics:
        grouped.setdefault((m.name, m.data), []).append(m)
    out = []
    for (name, data), rows in grouped.items():
        unit = f" {rows[0].unit}" if rows[0].unit else ""
        bases = "; ".join(f"{_number(m.baseline)} ({m.baseline_name})" for m in rows if m.baseline is not None)
        out.append(f"| {name} | {data} | {_number(rows[0].value)}{unit} | {bases} |")
    return out


def card_text(manifest: Manifest, trained: tuple[str, ...], notes: str, size_bytes: int, parameters: int) -> str:
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
        f"Through the device's own preprocessing and postprocessing. {_MEASURED[manifest.task]}",
        "",
        not_better(origin.metrics),
        "",
        "| metric | data | model | trivial baseline |",
        "|---|---|---|---|",
        *_rows(origin.metrics),
    ]
    lines += ["", "## Trained", "", *(trained or ("Not recorded.",))]
    lines += ["", "## Learnt from", "", "| what | licence | for |", "|---|---|---|"]
    lines += [f"| {d.name} | {d.licence} | {d.used_for} |" for d in origin.data]
    lines += ["", "## Notes", "", notes.strip() or "None.", ""]
    return "\n".join(lines)
