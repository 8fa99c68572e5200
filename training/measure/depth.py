"""Depth as the device gives it, brought to the truth's size, beside a constant."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from edge.inference.base import Backend
from edge.inference.manifest import InverseDepthRelative, Manifest, Metric
from edge.perception.averaging import averaged
from edge.perception.depth import DepthReader
from edge.scene import ImageArray
from training.data.evaluation import DepthCase
from training.data.mix.entries import Entry
from training.drawing import coloured_depth, coloured_error
from training.measure.confidence import rank_correlation
from training.measure.report import Measured, Scored, side_by_side
from training.metrics.depth import (
    ALIGNMENTS,
    LIMITS_M,
    Alignment,
    DepthScores,
    aligned,
    both_ways,
    known,
    steps_recovered,
)

Entries = Sequence[Entry[DepthCase]]
BASELINE = "the set's mean depth everywhere"
_HEADLINES: dict[str, tuple[tuple[Alignment, tuple[str, ...]], ...]] = {
    "metric": (("metric", ("absrel", "rmse_m", "delta1")), ("median", ("absrel", "delta1"))),
    "relative": (("affine_inverse", ("absrel", "delta1")), ("median", ("absrel", "delta1"))),
}
_WORST_SHARE = 0.5
"""Relative error that is painted at full strength."""


def _predicted(
    manifest: Manifest, backend: Backend, case: DepthCase, flip: bool
) -> tuple[npt.NDArray[np.float32], float | None]:
    """The device's depth map at the truth's size, in an unknown unit if the model is relative; the error it expects.

    `flip`: blended with that of the mirror image.
    """
    reader = averaged(DepthReader(manifest, case.camera, smoothing_s=0.0), manifest)
    found = reader.read(backend.run(reader.prepare(case.image)), 0.0)
    depth = found.depth
    if flip:
        again = reader.read(backend.run(reader.prepare(np.ascontiguousarray(case.image[:, ::-1]))), 0.0)
        depth = both_ways(depth, again.depth[:, ::-1])
    height, width = case.depth_m.shape
    sized = cv2.resize(depth, (width, height), interpolation=cv2.INTER_LINEAR)
    return np.asarray(sized, dtype=np.float32), found.expected_error


def _mean_depth(entries: Entries) -> tuple[float, list[int]]:
    """The mean over pictures of their mean known depth, m, and which pictures know any."""
    means, usable = [], []
    for index, entry in enumerate(entries):
        truth = entry.read().depth_m
        _, values = known(truth, truth)
        if len(values):
            means.append(float(values.mean()))
            usable.append(index)
    return float(np.mean(means)) if means else float("nan"), usable


def measure_depth(
    manifest: Manifest, backend: Backend, entries: Entries, data: str, *, flip: bool = False
) -> Measured | None:
    """Every metric under every alignment, per picture and pooled, beside a constant; None if no depth is known.

    The constant is the mean depth of the very set: it is told what the model is not. A picture is ranked by its
    headline AbsRel that allows no less than the model needs: none for metres, scale and shift for relative depth.
    `flip`: every picture is asked about in the mirror too, see `both_ways`; the rows' names say so.
    """
    mean_m, usable = _mean_depth(entries)
    if not usable:
        return None
    relative = isinstance(manifest.output, InverseDepthRelative)
    alignments = tuple(a for a in ALIGNMENTS if not (relative and a == "metric"))
    first: Alignment = "affine_inverse" if relative else "metric"
    ours = {a: DepthScores(a) for a in alignments}
    base = {a: DepthScores(a) for a in alignments}
    scored: list[Scored] = []
    doubts: list[float] = []
    steps: list[float] = []
    for index in usable:
        case = entries[index].read()
        found, expected = _predicted(manifest, backend, case, flip)
        constant = np.full_like(case.depth_m, mean_m)
        errors = {a: scores.add(found, case.depth_m) for a, scores in ours.items()}
        for scores in base.values():
            scores.add(constant, case.depth_m)
        numbers = {"median absrel": errors["median"]["absrel"], f"{first} delta1": errors[first]["delta1"]}
        scored.append(Scored(entries[index].name, errors[first]["absrel"], numbers))
        doubts += [] if expected is None else [expected]
        steps.append(steps_recovered(found, case.depth_m))
    where = f"{data} ({len(usable)} pictures{', asked both ways' if flip else ''})"
    return Measured(
        data=where,
        rows=tuple(
            _rows(ours, base, where, "relative" if relative else "metric")
            + _relief(steps, where)
            + _ranked(doubts, scored, where)
        ),
        details=_details(ours, base, mean_m),
        pictures=tuple(scored),
        ranked_by=f"{_label(first)} absrel",
        draw=lambda i: _drawn(manifest, backend, entries[usable[i]].read(), first, flip),
    )


def _relief(steps: list[float], where: str) -> list[Metric]:
    """The mean over pictures that have steps; a constant has none of them."""
    having = [s for s in steps if np.isfinite(s)]
    if not having:
        return []
    name = "depth steps recovered"
    return [Metric(name=name, value=float(np.mean(having)), data=where, baseline=0.0, baseline_name=BASELINE)]


def _ranked(expected: list[float], scored: list[Scored], where: str) -> list[Metric]:
    """How well the expected error orders the pictures, where the model says it and there are enough to tell."""
    found = rank_correlation(expected, [s.error for s in scored]) if len(expected) == len(scored) else float("nan")
    return [Metric(name="expected error rank correlation", value=found, data=where)] if np.isfinite(found) else []


def _label(alignment: Alignment) -> str:
    return alignment.replace("_", "-")


def _rows(
    ours: dict[Alignment, DepthScores], base: dict[Alignment, DepthScores], where: str, kind: str
) -> list[Metric]:
    """What cards show: means over pictures."""
    return [
        Metric(
            name=f"{_label(alignment)} {name.removesuffix('_m')}",
            value=ours[alignment].per_image[name],
            unit="m" if name.endswith("_m") else "",
            data=where,
            baseline=base[alignment].per_image[name],
            baseline_name=BASELINE,
        )
        for alignment, names in _HEADLINES[kind]
        for name in names
    ]


def _details(ours: dict[Alignment, DepthScores], base: dict[Alignment, DepthScores], mean_m: float) -> dict[str, Any]:
    def numbers(scores: dict[Alignment, DepthScores]) -> dict[str, Any]:
        return {a: {"per_image": s.per_image, "pooled": s.pooled} for a, s in scores.items()}

    pixels = next(iter(ours.values())).pixels
    return {
        "pictures": len(pixels),
        "pixels": sum(pixels),
        "limits_m": list(LIMITS_M),
        "model": numbers(ours),
        "baseline": {"name": BASELINE, "depth_m": mean_m, **numbers(base)},
    }


def _drawn(manifest: Manifest, backend: Backend, case: DepthCase, alignment: Alignment, flip: bool) -> ImageArray:
    """Picture, truth, prediction and relative error, both depths on one scale."""
    truth, (found, _) = case.depth_m, _predicted(manifest, backend, case, flip)
    fit = partial(aligned, alignment=alignment)
    p, t = known(found, truth)
    shown = np.zeros(truth.shape, np.float32)
    counts = (truth > LIMITS_M[0]) & (truth < LIMITS_M[1])
    shown[counts] = fit(p, t)
    near, far = (float(v) for v in np.percentile(np.concatenate([t, shown[counts]]), (1, 99)))
    error = np.where(counts, np.abs(shown - truth) / np.maximum(truth, LIMITS_M[0]), np.nan)
    whole = found if alignment == "metric" else shown
    prediction = "prediction" if alignment == "metric" else f"prediction, {_label(alignment)}"
    return side_by_side(
        [
            ("picture", case.image),
            (f"truth, red {near:.1f} to blue {far:.1f} m", coloured_depth(truth, near, far)),
            (prediction, coloured_depth(whole, near, far)),
            (f"error, 0 to {_WORST_SHARE:.0%} and more", coloured_error(error / _WORST_SHARE)),
        ]
    )
