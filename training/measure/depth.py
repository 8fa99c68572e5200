"""Depth, metric and median-scaled, beside a constant."""

from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt

from edge.inference.base import Backend
from edge.inference.manifest import Manifest, Metric
from edge.perception.depth import DepthReader
from training.data.evaluation import DepthCase
from training.metrics import depth as depth_metrics

Array = npt.NDArray[np.float64]


def _pairs(manifest: Manifest, backend: Backend, cases: list[DepthCase]) -> list[tuple[Array, Array]]:
    pairs = []
    for case in cases:
        if not (case.depth_m > 0).any():
            continue
        reader = DepthReader(manifest, case.camera, smoothing_s=0.0)
        found = reader.read(backend.run(reader.prepare(case.image)), 0.0).depth
        h, w = case.depth_m.shape
        full = cv2.resize(found, (w, h), interpolation=cv2.INTER_LINEAR)
        pairs.append((full.astype(np.float64), case.depth_m.astype(np.float64)))
    return pairs


def depth_rows(manifest: Manifest, backend: Backend, cases: list[DepthCase], data: str) -> list[Metric]:
    """Per-picture means, metric and median-scaled, beside a constant: the mean depth of the very set."""
    pairs = _pairs(manifest, backend, cases)
    mean = float(np.mean([t[t > 0].mean() for _, t in pairs]))
    constant = [(np.full_like(t, mean), t) for _, t in pairs]
    rows, where = [], f"{data} ({len(pairs)} pictures)"
    for alignment, names in (("metric", ("absrel", "rmse_m", "delta1")), ("median", ("absrel", "delta1"))):
        ours = depth_metrics.per_image(pairs, alignment)  # type: ignore[arg-type]
        base = depth_metrics.per_image(constant, alignment)  # type: ignore[arg-type]
        rows += [
            Metric(
                name=f"{alignment} {name.removesuffix('_m')}",
                value=ours[name],
                unit="m" if name.endswith("_m") else "",
                data=where,
                baseline=base[name],
                baseline_name="the set's mean depth everywhere",
            )
            for name in names
        ]
    return rows
