"""Layout: overlap of the room found with the true one, from panoramas and from perspective views."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from edge.errors import GeometryError
from edge.geometry.panorama import longitudes
from edge.geometry.pinhole import intrinsics_from_fov
from edge.geometry.polygon import boundary_latitudes, wall_distances
from edge.inference.base import Backend
from edge.inference.manifest import Manifest, Metric
from edge.perception.layout import LayoutReader
from edge.scene import CameraModel, RoomLayout
from training.data.evaluation import LayoutCase
from training.data.panoramic import PanoramaRoom, turned
from training.data.perspective import view_from_panorama
from training.metrics.boxes import Box, best_box, best_floor, best_wedge, wedge
from training.metrics.layout import corner_error, corners_px, iou_2d, iou_3d, pixel_error

Array = npt.NDArray[np.float64]
_VIEW_WH = (320, 240)
_VIEW_HFOV_RAD = float(np.radians(90.0))
_WEDGE_COLUMNS = 128
_CORNERS_WH = (1024, 512)


def _boundary(case: LayoutCase, polygon: Array, ceiling_height_m: float, columns: int) -> Array:
    """(2, W) positive down, of a room seen from the case's camera."""
    height = case.camera.camera_height_m or 1.0
    ceiling, floor = boundary_latitudes(polygon, longitudes(columns), height, ceiling_height_m)
    return -np.stack([ceiling, floor])


def _corner_error(case: LayoutCase, found: RoomLayout) -> float:
    """Percent of the picture's diagonal, mean over both ends; nan if another number of corners was found."""
    height = case.camera.camera_height_m or 1.0
    mine = corners_px(found.polygon_m, height, found.ceiling_height_m, *_CORNERS_WH)
    truth = corners_px(case.polygon_m, height, case.ceiling_height_m, *_CORNERS_WH)
    return 100 * float(np.mean([corner_error(a, b, *_CORNERS_WH) for a, b in zip(mine, truth, strict=True)]))


def _found(manifest: Manifest, backend: Backend, case: LayoutCase) -> tuple[RoomLayout, RoomLayout] | None:
    """The fitted and the raw room, or None where the picture was refused."""
    fitted = LayoutReader(manifest, case.camera, smoothing_s=0.0, fit="auto")
    raw = LayoutReader(manifest, case.camera, smoothing_s=0.0, fit="raw")
    raw.prepare(case.image)
    outputs = backend.run(fitted.prepare(case.image))
    try:
        return fitted.read(outputs, 0.0), raw.read(outputs, 0.0)
    except GeometryError:
        return None


def _counted(data: str, measured: int, of: int, what: str) -> str:
    refused = f", {of - measured} refused and not counted" if measured < of else ""
    return f"{data} ({measured} {what}{refused})"


def layout_rows(manifest: Manifest, backend: Backend, cases: list[LayoutCase], data: str) -> list[Metric]:
    """Means over the rooms that got an answer, each overlap beside the best box for that very overlap."""
    done = [(c, found) for c in cases if (found := _found(manifest, backend, c)) is not None]
    if not done:
        return []
    where = _counted(data, len(done), len(cases), "rooms")
    truth = [(c.polygon_m, c.ceiling_height_m) for c, _ in done]
    flat, solid = best_floor([p for p, _ in truth]), best_box([p for p, _ in truth], [h for _, h in truth])
    overlap = [iou_3d(f.polygon_m, f.ceiling_height_m, *t) for (_, (f, _)), t in zip(done, truth, strict=True)]
    raw = [iou_3d(r.polygon_m, r.ceiling_height_m, *t) for (_, (_, r)), t in zip(done, truth, strict=True)]
    rows = [
        _row("3D IoU", overlap, where, solid.overlap, solid.name),
        _row("2D IoU", [iou_2d(f.polygon_m, c.polygon_m) for c, (f, _) in done], where, flat.overlap, flat.name),
        _row("raw 3D IoU", raw, where, solid.overlap, solid.name),
    ]
    return [*rows, _pixel_row(done, solid, where), *_corner_rows(done, data)]


def _row(name: str, values: list[float], data: str, baseline: float | None, what: str, unit: str = "") -> Metric:
    value = float(np.mean(values))
    return Metric(name=name, value=value, unit=unit, data=data, baseline=baseline, baseline_name=what)


Done = list[tuple[LayoutCase, tuple[RoomLayout, RoomLayout]]]


def _pixel_row(done: Done, box: Box, where: str) -> Metric:
    ours, base = [], []
    for case, (found, _) in done:
        columns = len(found.floor_rad)
        truth = _boundary(case, case.polygon_m, case.ceiling_height_m, columns)
        counted = case.counted_columns(columns)
        ours.append(pixel_error(-np.stack([found.ceiling_rad, found.floor_rad]), truth, counted))
        base.append(pixel_error(_boundary(case, box.polygon, box.height_m, columns), truth, counted))
    return _row("pixel error", ours, where, float(np.mean(base)), box.name)


def _corner_rows(done: Done, data: str) -> list[Metric]:
    errors = [_corner_error(case, found) for case, (found, _) in done]
    known = [e for e in errors if np.isfinite(e)]
    if not known:
        return []
    where = f"{data} (the {len(known)} of {len(errors)} rooms found with the true number of corners)"
    return [_row("corner error", known, where, None, "", unit="%")]


def _views(case: LayoutCase) -> list[LayoutCase]:
    """Four perspective cameras that look forward, left, back and right from the place of a panorama's."""
    lens = intrinsics_from_fov(*_VIEW_WH, _VIEW_HFOV_RAD)
    camera = CameraModel("perspective", hfov_rad=_VIEW_HFOV_RAD, camera_height_m=case.camera.camera_height_m)
    room = PanoramaRoom(case.image, case.polygon_m, case.camera.camera_height_m or 1.0, case.ceiling_height_m)
    out = []
    for quarter in range(4):
        seen = turned(room, quarter * room.image.shape[1] // 4)
        view = view_from_panorama(seen.image.astype(np.float32), lens, 0.0)
        picture = np.rint(view).clip(0, 255).astype(np.uint8)
        out.append(LayoutCase(picture, camera, seen.polygon_m, seen.ceiling_height_m))
    return out


def view_rows(manifest: Manifest, backend: Backend, cases: list[LayoutCase], data: str) -> list[Metric]:
    """2D IoU of the part of the floor that 90-degree cameras at the panoramas' place see, up to the walls."""
    lon = (np.arange(_WEDGE_COLUMNS) + 0.5) / _WEDGE_COLUMNS * _VIEW_HFOV_RAD - _VIEW_HFOV_RAD / 2
    views = [v for case in cases for v in _views(case)]
    seen, ours = [], []
    for view in views:
        found = _found(manifest, backend, view)
        if found is None:
            continue
        seen.append(wedge(wall_distances(view.polygon_m, lon), lon))
        ours.append(iou_2d(found[0].polygon_m, seen[-1]))
    if not ours:
        return []
    best = best_wedge(seen, lon)
    where = _counted(f"{data}, 90° views", len(ours), len(views), "pictures")
    return [_row("2D IoU of the visible part", ours, where, best.overlap, best.name)]
