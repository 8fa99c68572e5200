"""Layout: the room found against the true one, from panoramas and from perspective views."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from edge.errors import GeometryError
from edge.geometry.panorama import longitudes
from edge.geometry.polygon import boundary_latitudes, wall_distances
from edge.inference.base import Backend
from edge.inference.manifest import Manifest, Metric
from edge.perception.averaging import averaged
from edge.perception.layout import LayoutReader
from edge.scene import ImageArray, RoomLayout
from training.arrays import Array
from training.data.evaluation import LayoutCase, view_case, view_longitudes
from training.data.mix.entries import Entry
from training.drawing import compared_layout, compared_plan
from training.measure.confidence import rank_correlation
from training.measure.report import Measured, Scored, side_by_side
from training.metrics.boxes import Box, best_box, best_floor, best_wedge, wedge
from training.metrics.layout import (
    CORNER_GROUPS,
    corner_error,
    corner_group,
    corners_px,
    depth_agreement,
    iou_2d,
    iou_3d,
    junction_f1,
    pixel_error,
    shell_depth,
)

Entries = Sequence[Entry[LayoutCase]]
_PANORAMA_WH = (1024, 512)
_SHELL_WH = (512, 256)
_RANKED = "confidence rank correlation"
_UNITS = {"pixel error": "%", "corner error": "%", "horizon depth RMSE": "m", "shell depth RMSE": "m"}


@dataclass(frozen=True)
class _Truth:
    """What of a case is kept once its picture is let go."""

    polygon_m: Array
    camera_height_m: float
    ceiling_height_m: float


@dataclass(frozen=True)
class _Answer:
    """The numbers of one room, and what baselines are measured against."""

    truth: _Truth
    numbers: dict[str, float]
    counted: npt.NDArray[np.bool_]
    confidence: float


def _truth(case: LayoutCase) -> _Truth:
    return _Truth(case.polygon_m, case.camera.camera_height_m or 1.0, case.ceiling_height_m)


def _boundary(room: _Truth, columns: int) -> Array:
    """(2, W) positive down."""
    lon = longitudes(columns)
    ceiling, floor = boundary_latitudes(room.polygon_m, lon, room.camera_height_m, room.ceiling_height_m)
    return -np.stack([ceiling, floor])


def _agreement(found: _Truth, truth: _Truth) -> dict[str, float]:
    """Every number that needs the two rooms alone; both are seen from the truth's camera."""
    horizon = [wall_distances(r.polygon_m, longitudes(_PANORAMA_WH[0])) for r in (found, truth)]
    shell = [shell_depth(r.polygon_m, truth.camera_height_m, r.ceiling_height_m, *_SHELL_WH) for r in (found, truth)]
    horizon_rmse_m, horizon_delta1 = depth_agreement(*horizon)
    shell_rmse_m, shell_delta1 = depth_agreement(*shell)
    ends = [corners_px(r.polygon_m, truth.camera_height_m, r.ceiling_height_m, *_PANORAMA_WH) for r in (found, truth)]
    off = [corner_error(a, b, *_PANORAMA_WH) for a, b in zip(*ends, strict=True)]
    return {
        "3D IoU": iou_3d(found.polygon_m, found.ceiling_height_m, truth.polygon_m, truth.ceiling_height_m),
        "2D IoU": iou_2d(found.polygon_m, truth.polygon_m),
        "corner error": 100 * float(np.mean(off)),
        "true number of corners": float(np.isfinite(off).all()),
        "junction F1": junction_f1(ends[0], ends[1], _PANORAMA_WH[0]),
        "horizon depth RMSE": horizon_rmse_m,
        "horizon depth delta1": horizon_delta1,
        "shell depth RMSE": shell_rmse_m,
        "shell depth delta1": shell_delta1,
    }


def _found(manifest: Manifest, backend: Backend, case: LayoutCase) -> tuple[RoomLayout, RoomLayout] | None:
    """The fitted and the raw room, or None where the picture was refused."""
    fitted = averaged(LayoutReader(manifest, case.camera, smoothing_s=0.0, fit="auto"), manifest)
    raw = averaged(LayoutReader(manifest, case.camera, smoothing_s=0.0, fit="raw"), manifest)
    raw.prepare(case.image)
    outputs = backend.run(fitted.prepare(case.image))
    try:
        return fitted.read(outputs, 0.0), raw.read(outputs, 0.0)
    except GeometryError:
        return None


def _answer(case: LayoutCase, fitted: RoomLayout, raw: RoomLayout) -> _Answer:
    truth = _truth(case)
    columns = len(fitted.floor_rad)
    counted = case.counted_columns(columns)
    numbers = _agreement(_Truth(fitted.polygon_m, fitted.camera_height_m, fitted.ceiling_height_m), truth)
    numbers["raw 3D IoU"] = iou_3d(raw.polygon_m, raw.ceiling_height_m, truth.polygon_m, truth.ceiling_height_m)
    edges = -np.stack([fitted.ceiling_rad, fitted.floor_rad])
    numbers["pixel error"] = 100 * pixel_error(edges, _boundary(truth, columns), counted)
    return _Answer(truth, numbers, counted, fitted.confidence)


def _counted(data: str, measured: int, of: int, what: str) -> str:
    refused = f", {of - measured} refused and not counted" if measured < of else ""
    return f"{data} ({measured} {what}{refused})"


def measure_layout(manifest: Manifest, backend: Backend, entries: Entries, data: str) -> Measured | None:
    """Means over the rooms that got an answer, beside the best box for the overlap; None if none did.

    The corner error is over the rooms found with the true number of corners, whose share stands beside it. Boxes are
    chosen on these very rooms: `best_floor` for the 2D overlap, `best_box` (3D) for all else.
    """
    answers: dict[int, _Answer] = {}
    for index, entry in enumerate(entries):
        case = entry.read()
        found = _found(manifest, backend, case)
        if found is not None:
            answers[index] = _answer(case, *found)
    if not answers:
        return None
    rooms = list(answers.values())
    where = _counted(data, len(rooms), len(entries), "rooms")
    polygons = [a.truth.polygon_m for a in rooms]
    flat, solid = best_floor(polygons), best_box(polygons, [a.truth.ceiling_height_m for a in rooms])
    base = [_box_numbers(solid, a) for a in rooms]
    ours, theirs = _means([a.numbers for a in rooms]), _means(base)
    ours |= _ranked(rooms)
    return Measured(
        data=where,
        rows=tuple(_rows(ours, theirs, flat, solid, where)),
        details=_details(rooms, base, solid, len(entries)),
        pictures=tuple(_scored(entry.name, answers.get(i)) for i, entry in enumerate(entries)),
        ranked_by="1 - 3D IoU",
        draw=lambda i: _drawn(manifest, backend, entries[i].read()),
    )


def _ranked(rooms: list[_Answer]) -> dict[str, float]:
    """How well confidence orders the rooms by their overlap, where there are enough to tell."""
    found = rank_correlation([a.confidence for a in rooms], [a.numbers["2D IoU"] for a in rooms])
    return {_RANKED: found} if np.isfinite(found) else {}


def _scored(name: str, answer: _Answer | None) -> Scored:
    if answer is None:
        return Scored(name, float("inf"))
    shown = {key: answer.numbers[key] for key in ("2D IoU", "pixel error", "corner error", "junction F1")}
    return Scored(name, 1 - answer.numbers["3D IoU"], shown)


def _box_numbers(box: Box, answer: _Answer) -> dict[str, float]:
    """What a box in place of the model's answer gets."""
    room = _Truth(box.polygon, answer.truth.camera_height_m, box.height_m)
    columns = answer.counted.shape[1]
    numbers = _agreement(room, answer.truth)
    off = pixel_error(_boundary(room, columns), _boundary(answer.truth, columns), answer.counted)
    return numbers | {"raw 3D IoU": numbers["3D IoU"], "pixel error": 100 * off}


def _means(rows: list[dict[str, float]]) -> dict[str, float]:
    """Of each number over the rooms that have it."""
    out = {}
    for name in rows[0]:
        values = [row[name] for row in rows if np.isfinite(row[name])]
        if values:
            out[name] = float(np.mean(values))
    return out


_HEADLINES = (
    "3D IoU",
    "2D IoU",
    "raw 3D IoU",
    "pixel error",
    "junction F1",
    "horizon depth RMSE",
    "horizon depth delta1",
    "corner error",
    "true number of corners",
    _RANKED,
)


def _rows(ours: dict[str, float], base: dict[str, float], flat: Box, solid: Box, where: str) -> list[Metric]:
    rows = []
    for name in _HEADLINES:
        if name not in ours:
            continue
        baseline, box = (flat.overlap, flat) if name == "2D IoU" else (base.get(name), solid)
        if name in ("corner error", "true number of corners", _RANKED):
            baseline = None  # of other rooms than the model's, or of the boxes among them
        rows.append(_row(name, ours[name], where, baseline, box.name if baseline is not None else ""))
    return rows


def _row(name: str, value: float, data: str, baseline: float | None, what: str) -> Metric:
    unit = _UNITS.get(name, "")
    return Metric(name=name, value=value, unit=unit, data=data, baseline=baseline, baseline_name=what)


def _details(rooms: list[_Answer], base: list[dict[str, float]], box: Box, of: int) -> dict[str, Any]:
    """All rooms, and by the true number of corners."""
    groups: dict[str, list[int]] = {name: [] for name in CORNER_GROUPS}
    for index, room in enumerate(rooms):
        groups[corner_group(len(room.truth.polygon_m))].append(index)
    by_corners = {
        name: {
            "rooms": len(indices),
            "model": _means([rooms[i].numbers for i in indices]),
            "baseline": _means([base[i] for i in indices]),
        }
        for name, indices in groups.items()
        if indices
    }
    return {
        "rooms": len(rooms),
        "refused": of - len(rooms),
        "model": _means([r.numbers for r in rooms]),
        "baseline": {"name": box.name, **_means(base)},
        "by_corners": by_corners,
    }


def _drawn(manifest: Manifest, backend: Backend, case: LayoutCase) -> ImageArray:
    """The picture with both boundaries, and both floors from above; true green, found orange."""
    found = _found(manifest, backend, case)
    fitted = found[0] if found else None
    truth = _boundary(_truth(case), _PANORAMA_WH[0])
    around = case.camera.projection == "equirectangular"
    picture = compared_layout(case.image, -truth, fitted) if around else case.image
    caption = "true green, found orange" if fitted else "true green; the picture was refused"
    return side_by_side([(caption, picture), ("from above", compared_plan(case.polygon_m, fitted))], 300)


def measure_views(manifest: Manifest, backend: Backend, entries: Entries, data: str) -> Measured | None:
    """2D IoU of the part of the floor that 90-degree cameras at the panoramas' place see, up to the walls."""
    lon = view_longitudes()
    views = [(entry, quarter) for entry in entries for quarter in range(4)]
    seen, ours, scored = [], [], []
    for entry, quarter in views:
        case = view_case(entry.read(), quarter)
        name = f"{entry.name}-{90 * quarter}"
        found = _found(manifest, backend, case)
        if found is None:
            scored.append(Scored(name, float("inf")))
            continue
        seen.append(wedge(wall_distances(case.polygon_m, lon), lon))
        ours.append(iou_2d(found[0].polygon_m, seen[-1]))
        scored.append(Scored(name, 1 - ours[-1]))
    if not ours:
        return None
    best = best_wedge(seen, lon)
    where = _counted(f"{data}, 90° views", len(ours), len(views), "pictures")
    name = "2D IoU of the visible part"
    return Measured(
        data=where,
        rows=(_row(name, float(np.mean(ours)), where, best.overlap, best.name),),
        details={"pictures": len(ours), "refused": len(views) - len(ours), "model": {name: float(np.mean(ours))}},
        pictures=tuple(scored),
        ranked_by="1 - 2D IoU of the visible part",
        draw=lambda i: _drawn(manifest, backend, view_case(views[i][0].read(), views[i][1])),
    )
