"""Rendered rooms: how a room becomes arrays, and how they are read from a folder (see `shards`).

A group a room:

    panorama        (H, W, 3) uint8    sRGB (IEC 61966-2-1) of clip(exposure * radiance)
    radiance        (H, W, 3) float16  linear, denoised, unclipped
    range_m         (H, W)    float16  Euclidean, along each pixel's centre ray
    sh              (9, 3)    float32  pre-scaled irradiance of `radiance`, in room axes
    polygon_m       (N, 2)    float32  floor corners, counter-clockwise, origin under the camera
    boundary_rad    (2, W)    float32  latitude of ceiling (negative) and floor (positive) edge: HorizonNet's sign, down
    corners_px      (M, 3)    float32  x, y of ceiling, y of floor, by x; what the camera sees: where a wall hides
                                       another there are two with one x. Continuous: the first pixel's centre is 0.5
    opening_kind    (W,)      uint8    what opening the wall of a column has there: 0 none, 1 door, 2 window, 3 opening
    extended_rad    (2, W)    float32  as boundary_rad, but through open doors and openings; see `horizon`
    openings_m      (K, 2, 2) float32  ends of the openings on the plan, and openings_kind (K,) uint8 as above
    extended_floor_m, extended_ceiling_m (N, 2) float32  outlines that extended_rad is of
    ceiling_shown   (W,)      uint8    0 where the ceiling slopes down to the wall: its level edge is hidden
    slopes_m        (S, 4, 2) float32  floors under such slopes
    view_image      (V, h, w, 3) uint8, view_depth_m (V, h, w) float16 z-depth, view_intrinsics (V, 4) fx fy cx cy px,
    view_angles_rad (V, 3) yaw pitch roll, view_position_m (V, 3), view_exposure (V,)
    attributes      index, height_m, camera_height_m, exposure, style, description (JSON)

Polygon, boundary and corners are those of the room alone, closed at every opening. Rooms of generators before `rooms-3`
lack what names openings and extended; `horizon.openings_of` reads both. Where `ceiling_shown` is missing it is 1.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt

from edge.errors import DataError
from edge.geometry.colour import srgb
from edge.geometry.harmonics import project_panorama
from edge.geometry.panorama import longitudes, pixel_from_angles
from edge.geometry.polygon import boundary_latitudes, wall_distances
from training.data.mix.entries import Part, part_of
from training.data.synthetic.assets import Catalog
from training.data.synthetic.description import Room, View
from training.data.synthetic.horizon import (
    ceiling_shown,
    column_kinds,
    extended_latitudes,
    extended_plans,
    opening_segments,
    slopes_of,
)
from training.data.synthetic.rooms import relit
from training.data.synthetic.shards import Groups, Item
from training.data.synthetic.stage import build
from training.data.synthetic.tracer import Shot, Tracer

Floats = npt.NDArray[np.float32]
HALF_MAX = 65000.0
DARKEST = 1e-3
"""Least median luminance of a panorama; a daylit room has about 1, a lamplit one at night 0.03."""


def exposure_scale(radiance: Floats, target: float) -> float:
    """Factor of auto-exposure: to a median luminance (`target` > 0) or a 99th percentile of all values (-`target`)."""
    level = np.median(radiance.mean(-1)) if target > 0 else np.percentile(radiance, 99)
    return abs(target) / max(float(level), 1e-6)


def picture(radiance: Floats, scale: float) -> npt.NDArray[np.uint8]:
    """Exposed, clipped, sRGB, 8 bits."""
    return srgb(radiance * np.float32(scale))


def visible_corners(polygon: npt.ArrayLike, camera_height_m: float, height_m: float, width_px: int) -> Floats:
    """Corners of the wall outline that the camera at the origin sees, (M, 3): x, y of ceiling, y of floor, by x."""
    corners = np.asarray(polygon, dtype=np.float64)
    lon = np.arctan2(corners[:, 0], corners[:, 1])
    own = np.hypot(corners[:, 0], corners[:, 1])
    rows: list[tuple[float, float]] = []
    for i in np.argsort(lon):
        before, after = wall_distances(corners, [lon[i] - 1e-6, lon[i] + 1e-6])
        sees = [abs(r - own[i]) < 1e-3 * max(1.0, own[i]) for r in (before, after)]
        if not any(sees):
            continue
        rows.append((lon[i], own[i] if sees[0] else before))
        if not all(sees):
            rows.append((lon[i], own[i] if sees[1] else after))
    lon_seen, reach = np.array(rows).T
    up, down = np.arctan2(height_m - camera_height_m, reach), -np.arctan2(camera_height_m, reach)
    x, y_ceiling = pixel_from_angles(lon_seen, up, width_px, width_px // 2)
    _, y_floor = pixel_from_angles(lon_seen, down, width_px, width_px // 2)
    return np.stack([x, y_ceiling, y_floor], axis=1).astype(np.float32)


def intrinsics(view: View, width_px: int, height_px: int) -> tuple[float, float, float, float]:
    """fx, fy, cx, cy in pixels; square pixels, centred."""
    f = width_px / 2 / float(np.tan(view.hfov_rad / 2))
    return f, f, width_px / 2, height_px / 2


def room_arrays(room: Room, panorama: Shot, views: list[Shot]) -> Item:
    """The arrays of one room, named as in the module's docstring, and its attributes under `attributes`."""
    width_px = panorama.distance_m.shape[1]
    scale = exposure_scale(panorama.radiance, room.exposure)
    ceiling, floor = boundary_latitudes(room.polygon, longitudes(width_px), room.camera_height_m, room.height_m)
    scales = [exposure_scale(s.radiance, v.exposure) for s, v in zip(views, room.views, strict=True)]
    item: Item = {
        "panorama": picture(panorama.radiance, scale),
        "radiance": np.minimum(panorama.radiance, HALF_MAX).astype(np.float16),
        "range_m": panorama.distance_m.astype(np.float16),
        "sh": project_panorama(panorama.radiance).astype(np.float32),
        "polygon_m": room.polygon.astype(np.float32),
        "boundary_rad": -np.stack([ceiling, floor]).astype(np.float32),
        "corners_px": visible_corners(room.polygon, room.camera_height_m, room.height_m, width_px),
    }
    item |= _through_openings(room, width_px)
    if views:
        h, w = views[0].distance_m.shape
        item |= {
            "view_image": np.stack([picture(s.radiance, k) for s, k in zip(views, scales, strict=True)]),
            "view_depth_m": np.stack([s.distance_m for s in views]).astype(np.float16),
            "view_intrinsics": np.array([intrinsics(v, w, h) for v in room.views], np.float32),
            "view_angles_rad": np.array([(v.yaw_rad, v.pitch_rad, v.roll_rad) for v in room.views], np.float32),
            "view_position_m": np.array([v.position_m for v in room.views], np.float32),
            "view_exposure": np.array(scales, np.float32),
        }
    item["attributes"] = {
        "index": room.index, "height_m": room.height_m, "camera_height_m": room.camera_height_m, "exposure": scale,
        "style": room.style, "description": room.to_json(),
    }  # fmt: skip
    return item


def _through_openings(room: Room, width_px: int) -> Item:
    """What the columns show of openings and of what is beyond, and where the ceiling is not level."""
    segments, kinds = opening_segments(room.polygon, room.openings)
    outlines = extended_plans(room.polygon, room.height_m, room.openings, [a.polygon for a in room.annexes])
    extended = extended_latitudes(*outlines, room.camera_height_m, room.height_m, width_px)
    slopes = slopes_of(room.pieces)
    return {
        "ceiling_shown": ceiling_shown(room.polygon, slopes, longitudes(width_px)),
        "slopes_m": slopes.astype(np.float32),
        "opening_kind": column_kinds(room.polygon, segments, kinds, longitudes(width_px)),
        "extended_rad": extended.astype(np.float32),
        "openings_m": segments.astype(np.float32), "openings_kind": kinds,
        "extended_floor_m": outlines[0].astype(np.float32), "extended_ceiling_m": outlines[1].astype(np.float32),
    }  # fmt: skip


def render_room(
    tracer: Tracer, room: Room, catalog: Catalog, size_px: tuple[int, int], view_size_px: tuple[int, int]
) -> Item:
    """Build and render one room; sizes are (width, height).

    Where no light gets out between the furniture, the room is described and rendered anew with a lamp more.
    """
    panorama, views = tracer.room(tracer.scene(room, build(room, catalog)), room, size_px[0], view_size_px)
    if np.median(panorama.radiance.mean(-1)) < DARKEST:
        room = relit(room)
        panorama, views = tracer.room(tracer.scene(room, build(room, catalog)), room, size_px[0], view_size_px)
    return room_arrays(room, panorama, views)


class RenderedRooms:
    """Rooms of a folder, by position; each item holds the arrays of the module's docstring.

    Raises:
        DataError: nothing is there, or a file cannot be read.
    """

    def __init__(self, folder: Path, indices: list[int] | None = None) -> None:
        self._folder, self._groups = folder, Groups(folder)
        there = self._groups.indices
        if not there:
            raise DataError(f"no rendered rooms in {folder}; make some with `edge-train synthesize --out {folder}`")
        self.indices = there if indices is None else sorted(set(indices).intersection(there))

    def __len__(self) -> int:
        return len(self.indices)

    def __getitem__(self, position: int) -> Item:
        return self.read(self.indices[position])

    def read(self, index: int, names: tuple[str, ...] | None = None) -> Item:
        """One room by its index, all arrays or only those named; its attributes are items as well."""
        return self._groups.read(index, names)

    def split(self, seed: int = 0) -> dict[str, RenderedRooms]:
        """The rooms as train, val and test (80, 10, 10 %); which one a room is in depends on its index alone."""
        parts: dict[str, list[int]] = {"train": [], "val": [], "test": []}
        for index in self.indices:
            parts[split_of(index, seed)].append(index)
        return {name: RenderedRooms(self._folder, indices) for name, indices in parts.items()}


def split_of(index: int, seed: int = 0) -> Part:
    """train, val or test, by a stable hash of the room's index."""
    return part_of(str(index), seed)
