"""Measuring a model the way the device runs it: its preprocessing, its backend, its reading of the outputs.

Each set of data is reported by itself, beside the trivial baseline on the same data.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt
from rich.console import Console
from rich.table import Table

from edge.errors import DataError, GeometryError
from edge.geometry.harmonics import projection_weights
from edge.geometry.panorama import longitudes
from edge.geometry.polygon import boundary_latitudes
from edge.inference.base import Backend
from edge.inference.manifest import Manifest, Metric
from edge.perception.canvas import CanvasMap
from edge.perception.depth import DepthReader
from edge.perception.layout import LayoutReader
from edge.perception.lighting import LightingReader
from training.data import evaluation
from training.data.evaluation import DepthCase, LayoutCase, LightingCase
from training.data.hdri import environments, protocol_picture, split_environments
from training.export.runners import open_model
from training.metrics import depth as depth_metrics
from training.metrics.layout import best_box, box_polygon, iou_2d, iou_3d, pixel_error
from training.metrics.lighting import lighting_metrics

Array = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Places:
    """Where the data is; None = not measured on it."""

    rooms: Path | None = None
    split: str = "test"
    split_seed: int = 0
    hdri: Path | None = None
    hold_out_hdri: tuple[str, ...] = ()
    real: Path | None = None


# --- depth ---------------------------------------------------------------------------------------------------------


def _depth_pairs(manifest: Manifest, backend: Backend, cases: list[DepthCase]) -> list[tuple[Array, Array]]:
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
    pairs = _depth_pairs(manifest, backend, cases)
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


# --- layout --------------------------------------------------------------------------------------------------------


def layout_rows(manifest: Manifest, backend: Backend, cases: list[LayoutCase], data: str) -> list[Metric]:
    """Mean IoUs of the fitted and the raw room beside the best box that needs no picture; a refused room counts 0."""
    rows: dict[str, list[float]] = {"3D IoU": [], "2D IoU": [], "raw 3D IoU": [], "pixel error": []}
    for case in cases:
        reader = LayoutReader(manifest, case.camera, smoothing_s=0.0, fit="auto")
        raw = LayoutReader(manifest, case.camera, smoothing_s=0.0, fit="raw")
        raw.prepare(case.image)
        outputs = backend.run(reader.prepare(case.image))
        try:
            found, plain = reader.read(outputs, 0.0), raw.read(outputs, 0.0)
        except GeometryError:
            for name in ("3D IoU", "2D IoU", "raw 3D IoU"):
                rows[name].append(0.0)
            continue
        truth = (case.polygon_m, case.ceiling_height_m)
        rows["3D IoU"].append(iou_3d(found.polygon_m, found.ceiling_height_m, *truth))
        rows["2D IoU"].append(iou_2d(found.polygon_m, case.polygon_m))
        rows["raw 3D IoU"].append(iou_3d(plain.polygon_m, plain.ceiling_height_m, *truth))
        rows["pixel error"].append(
            pixel_error(-np.stack([found.ceiling_rad, found.floor_rad]), _boundary(case, found.floor_rad))
        )
    box, best_3d = best_box([(c.polygon_m, c.ceiling_height_m) for c in cases])
    flat = float(np.mean([iou_2d(box_polygon(*box[:2]), c.polygon_m) for c in cases]))
    name = f"best box without a picture, {box[0]:.1f} x {box[1]:.1f} x {box[2]:.1f} m"
    baselines = {"3D IoU": best_3d, "2D IoU": flat, "raw 3D IoU": best_3d}
    return [
        Metric(
            name=key,
            value=float(np.mean(values)),
            data=f"{data} ({len(cases)} rooms)",
            baseline=baselines.get(key),
            baseline_name=name if key in baselines else "",
        )
        for key, values in rows.items()
        if values
    ]


def _boundary(case: LayoutCase, like: npt.NDArray[np.float32]) -> Array:
    height = case.camera.camera_height_m or 1.0
    ceiling, floor = boundary_latitudes(case.polygon_m, longitudes(len(like)), height, case.ceiling_height_m)
    return -np.stack([ceiling, floor])


# --- lighting ------------------------------------------------------------------------------------------------------


def projected_coefficients(case: LightingCase, width_px: int = 256) -> Array:
    """The baseline that needs no learning: the linearised picture's own harmonics; the unseen is given its mean."""
    height_px = width_px // 2
    size = (case.image.shape[1], case.image.shape[0])
    canvas, mask = CanvasMap(case.camera, size, width_px, height_px).apply(case.image)
    linear = (canvas / 255.0) ** 2.2
    weights = projection_weights(width_px, height_px)
    area = weights[0] * mask
    mean = (linear * area[..., None]).sum(axis=(0, 1)) / area.sum()
    filled = np.where(mask[..., None], linear, mean)
    return np.asarray(np.tensordot(weights, filled, axes=([1, 2], [0, 1])))


def lighting_rows(
    manifest: Manifest, backend: Backend, cases: list[LightingCase], data: str, mean: Array | None
) -> list[Metric]:
    """Irradiance RMSE and direction error beside projection; the RMSE beside the mean environment too."""
    ours, projected, constant = [], [], []
    for case in cases:
        reader = LightingReader(manifest, case.camera, smoothing_s=0.0)
        found = reader.read(backend.run(reader.prepare(case.image)), 0.0)
        ours.append(lighting_metrics(found.coefficients, case.coefficients))
        projected.append(lighting_metrics(projected_coefficients(case), case.coefficients))
        if mean is not None:
            constant.append(lighting_metrics(mean, case.coefficients))

    def average(rows: list[dict[str, float]], name: str) -> float:
        return float(np.mean([r[name] for r in rows]))

    where = f"{data} ({len(cases)} pictures)"
    error, angle = "si_irradiance_rmse", "direction_error_deg"
    name = "scale-invariant irradiance RMSE"
    plain = "projection of the picture itself"
    out = [
        Metric(
            name=name, value=average(ours, error), data=where, baseline=average(projected, error), baseline_name=plain
        ),
        Metric(
            name="direction error",
            unit="°",
            value=average(ours, angle),
            data=where,
            baseline=average(projected, angle),
            baseline_name=plain,
        ),
    ]
    if mean is not None:
        base = average(constant, error)
        out.append(
            Metric(name=name, value=out[0].value, data=where, baseline=base, baseline_name="mean training environment")
        )
    return out


def mean_environment(folder: Path, hold_out: tuple[str, ...]) -> Array:
    """(9, 3) mean of the training environments' coefficients, each at the evaluation's exposure and turned all ways."""
    train, _ = split_environments(environments(folder, 256, 128), hold_out)
    scaled = [m / protocol_picture(m)[1] for m in train]
    weights = projection_weights(256, 128)
    mean = np.mean([np.tensordot(weights, m, axes=([1, 2], [0, 1])) for m in scaled], axis=0)
    mean[[1, 3, 4, 5, 7, 8]] = 0.0  # only what depends on height alone survives a turn
    return np.asarray(mean)


# --- all -----------------------------------------------------------------------------------------------------------


def _measure_depth(manifest: Manifest, backend: Backend, places: Places) -> list[Metric]:
    rows: list[Metric] = []
    if places.rooms is not None:
        cases = evaluation.room_depth_cases(places.rooms, places.split, places.split_seed)
        rows += depth_rows(manifest, backend, cases, f"rendered rooms, {places.split} split")
    if places.real is not None:
        for name, cases in evaluation.real_depth_cases(places.real / "depth").items():
            rows += depth_rows(manifest, backend, cases, f"real: {name}")
    return rows


def _measure_layout(manifest: Manifest, backend: Backend, places: Places) -> list[Metric]:
    rows: list[Metric] = []
    if places.rooms is not None:
        cases = evaluation.room_layout_cases(places.rooms, places.split, places.split_seed)
        rows += layout_rows(manifest, backend, cases, f"rendered rooms, {places.split} split")
    if places.real is not None:
        rows += layout_rows(
            manifest, backend, evaluation.real_layout_cases(places.real / "layout"), "real: Poly Haven rooms"
        )
    return rows


def _measure_lighting(manifest: Manifest, backend: Backend, places: Places) -> list[Metric]:
    rows: list[Metric] = []
    mean = mean_environment(places.hdri, places.hold_out_hdri) if places.hdri else None
    if places.hdri is not None and places.hold_out_hdri:
        for name, cases in evaluation.hdri_cases(places.hdri, places.hold_out_hdri).items():
            rows += lighting_rows(manifest, backend, cases, f"held-out HDRIs, {name}", mean)
    if places.rooms is not None:
        cases = evaluation.room_lighting_cases(places.rooms, places.split, places.split_seed)
        rows += lighting_rows(manifest, backend, cases, f"rendered rooms, {places.split} split", mean)
    if places.real is not None:
        for name, cases in evaluation.hdri_cases(places.real / "lighting").items():
            rows += lighting_rows(manifest, backend, cases, f"real: {name}", mean)
    return rows


def evaluate(model: Path, places: Places, *, threads: int = 0) -> tuple[Metric, ...]:
    """Measure a checkpoint or a model folder on everything given.

    Raises:
        DataError: nothing was given to measure on, or a folder is laid out otherwise.
        EngineError: the model cannot be loaded or run.
    """
    manifest, backend = open_model(model, threads=threads)
    measure = {"depth": _measure_depth, "layout": _measure_layout, "lighting": _measure_lighting}[manifest.task]
    with backend:
        rows = measure(manifest, backend, places)
    if not rows:
        raise DataError("nothing to measure on: give --rooms, --hdri or --real")
    return tuple(rows)


def print_table(rows: tuple[Metric, ...], console: Console) -> None:
    """A table for people."""
    table = Table("metric", "data", "model", "baseline", "which baseline")
    for m in rows:
        base = "" if m.baseline is None else f"{m.baseline:.3f}"
        table.add_row(m.name, m.data, f"{m.value:.3f}{m.unit and ' ' + m.unit}", base, m.baseline_name)
    console.print(table)


def write_json(rows: tuple[Metric, ...], model: Path, path: Path) -> None:
    """What `edge-train export --metrics` reads."""
    path.parent.mkdir(parents=True, exist_ok=True)
    data = {"model": str(model), "metrics": [m.model_dump(mode="json") for m in rows]}
    path.write_text(json.dumps(data, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
