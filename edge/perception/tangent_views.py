"""Perspective views of a picture that sees too far round for one, and the fusion of their depths.

Six views that together cover the sphere. Of a panorama they are in the picture's own axes; of a fisheye they are level,
whichever way it hangs, and those that it sees nothing of are left out. Where a view looks past what a fisheye shows, it
is filled with the rim's colours, and what the network says there is not used.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import cv2
import numpy as np
import numpy.typing as npt

from edge.errors import GeometryError
from edge.geometry.panorama import check_panorama_size, rays, sampling_map
from edge.geometry.pinhole import intrinsics_from_fov, project, rays_from_pixels
from edge.geometry.rigid import LEVEL_FORWARD, rotation_room_camera
from edge.geometry.view import fisheye, pixels_per_radian, room_pixels, rotation
from edge.perception.alignment import RANGE_M
from edge.perception.preprocess import resize
from edge.scene import BoolArray, CameraModel, Fisheye, FisheyeCircle, ImageArray, Intrinsics

Array = npt.NDArray[np.float64]
FloatMap = npt.NDArray[np.float32]

_HALF_HEIGHT = 1.072
"""Tangent of half a view's vertical field: six views (4 round, up, down) cover the sphere from 1 on, and overlap."""
_LEAST_HFOV_RAD = np.deg2rad(110.0)
_WIDEST_RAD = np.deg2rad(140.0)
_LOOKS_DEG = ((0.0, 0.0), (90.0, 0.0), (180.0, 0.0), (-90.0, 0.0), (0.0, 90.0), (0.0, -90.0))
_RIM = 0.98
"""What lies beyond a fisheye's field of view is taken from this far out: its very edge is dark."""
_BORDER_PX = 2
"""So far beyond what is shown the fused map still holds answers, to interpolate between."""
FUSED_WH = (384, 192)
"""Size of the fused range map: about one pixel a degree, as much as a view 128 px wide holds."""
_PANORAMA = CameraModel("equirectangular")


@dataclass(frozen=True, slots=True)
class _View:
    """One tangent view: where it reads the picture, and where and how strongly it writes the fused map."""

    read: tuple[FloatMap, FloatMap]
    write: tuple[FloatMap, FloatMap]
    weight: FloatMap


def axes_of(camera: CameraModel) -> Array:
    """(3, 3) room vectors from those of the fused map: a panorama's own axes, or level ones of another camera's yaw."""
    if camera.projection == "equirectangular":
        return np.asarray(rotation(camera) @ LEVEL_FORWARD.T)
    return np.asarray(rotation_room_camera(camera.yaw_rad) @ LEVEL_FORWARD.T)


def looks_of(camera: CameraModel, view_wh: tuple[int, int]) -> list[Array]:
    """Of each view, (3, 3): vectors of the fused map's axes from the view's.

    Raises:
        GeometryError: a network of that size is too wide to look all round.
    """
    turns = [rotation_room_camera(*np.deg2rad(look)) for look in _LOOKS_DEG]
    if camera.projection == "equirectangular":
        return turns
    assert isinstance(camera.fisheye, Fisheye | FisheyeCircle)
    k = _intrinsics(view_wh)
    axis = rotation(camera)[:, 2] @ axes_of(camera)
    around = rays(*FUSED_WH)
    shown = around[around @ axis >= np.cos(min(camera.fisheye.fov_rad / 2, np.pi))]
    return [turn for turn in turns if _weight(shown @ turn, k).any()]


def _intrinsics(view_wh: tuple[int, int]) -> Intrinsics:
    hfov_rad = 2 * np.arctan(_HALF_HEIGHT * view_wh[0] / view_wh[1])
    if hfov_rad > _WIDEST_RAD:
        raise GeometryError(
            f"a depth network of {view_wh[0]}x{view_wh[1]} is too wide to look round a panorama or a fisheye; "
            "use one nearer to 4:3"
        )
    return intrinsics_from_fov(*view_wh, max(hfov_rad, _LEAST_HFOV_RAD))


def _weight(directions: Array, k: Intrinsics) -> Array:
    """How much a view counts in directions (..., 3) of its own: falls from its centre to 0 at its border."""
    pixels, ahead = project(directions, k)
    across = 1 - np.abs(pixels[..., 0] / k.width_px * 2 - 1)
    down = 1 - np.abs(pixels[..., 1] / k.height_px * 2 - 1)
    return np.nan_to_num(np.where(ahead, np.clip(np.minimum(across, down), 0, None), 0.0))


class TangentViews:
    """The views of one camera's pictures of one size. Tables are made once."""

    def __init__(self, view_wh: tuple[int, int], image_wh: tuple[int, int], camera: CameraModel = _PANORAMA) -> None:
        """Make the tables.

        Raises:
            GeometryError: a panorama that is not 2:1, a fisheye whose lens does not fit its picture, or views too wide
                to cover the sphere.
        """
        self.intrinsics = _intrinsics(view_wh)
        self.looks = looks_of(camera, view_wh)
        self.axes = axes_of(camera)
        self._wraps = camera.projection == "equirectangular"
        if self._wraps:
            check_panorama_size(*image_wh)
        # A view spans 110 degrees of the picture: shrink that to about the view's own resolution before sampling.
        shrink = min(1.0, 1.5 * self.intrinsics.fx_px / pixels_per_radian(camera, *image_wh))
        height = max(8, round(image_wh[1] * shrink))
        self._source_wh = (2 * height, height) if self._wraps else (max(8, round(image_wh[0] * shrink)), height)
        self._log_per_z = np.log(np.linalg.norm(rays_from_pixels(self.intrinsics), axis=-1)).astype(np.float32)
        self._views = [self._view(camera, image_wh, turn) for turn in self.looks]

    def _view(self, camera: CameraModel, image_wh: tuple[int, int], turn: Array) -> _View:
        k = self.intrinsics
        ahead = rays_from_pixels(k) @ turn.T
        if self._wraps:
            x, y = sampling_map(ahead, *self._source_wh)
            x = x + 1
        else:
            lens = fisheye(camera, *image_wh)
            inner = replace(camera, fisheye=replace(lens, fov_rad=lens.fov_rad * _RIM))
            pixels = room_pixels(inner, ahead @ self.axes.T, image_wh, self._source_wh)[0]
            x, y = pixels[..., 0] - 0.5, pixels[..., 1] - 0.5
        around = rays(*FUSED_WH) @ turn
        weight = _weight(around, k)
        pixels = np.where(weight[..., None] > 0, project(around, k)[0] - 0.5, 0.0).astype(np.float32)
        return _View(
            (np.ascontiguousarray(x, np.float32), np.ascontiguousarray(y, np.float32)),
            (np.ascontiguousarray(pixels[..., 0]), np.ascontiguousarray(pixels[..., 1])),
            weight.astype(np.float32),
        )

    def __len__(self) -> int:
        """Number of views."""
        return len(self._views)

    def cut(self, image: ImageArray) -> list[ImageArray]:
        """The views' pictures (h, w, 3) uint8."""
        source = resize(image, *self._source_wh)
        if self._wraps:
            source = np.concatenate([source[:, -1:], source, source[:, :1]], axis=1)
        border = cv2.BORDER_REPLICATE
        return [
            np.asarray(cv2.remap(source, *v.read, cv2.INTER_LINEAR, borderMode=border), np.uint8) for v in self._views
        ]

    def fuse(self, depths_z: Sequence[FloatMap], shown: BoolArray | None = None) -> FloatMap:
        """One range map of `FUSED_WH` from the views' z-depths, each (h, w) > 0.

        `shown`: (H, W) of `FUSED_WH`, where the picture shows something, None: everywhere; the rest is made up.
        """
        size = (self.intrinsics.width_px, self.intrinsics.height_px)
        logs, weights = [], []
        for view, depth in zip(self._views, depths_z, strict=True):
            log_z = np.log(np.maximum(depth, np.float32(1e-3)))
            if log_z.shape[::-1] != size:
                log_z = cv2.resize(log_z, size, interpolation=cv2.INTER_LINEAR)
            log_range = log_z + self._log_per_z
            logs.append(cv2.remap(log_range, *view.write, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE))
            weights.append(view.weight)
        log: FloatMap = np.stack(logs).astype(np.float32, copy=False)
        weight: FloatMap = np.stack(weights)
        if shown is not None:
            side = 2 * _BORDER_PX + 1
            weight = weight * cv2.dilate(shown.astype(np.uint8), np.ones((side, side), np.uint8))
        log = log - _agreeing_offsets(log, weight)[:, None, None]
        total = weight.sum(0)
        if shown is not None:
            total = np.maximum(total, np.finfo(np.float32).tiny)
        return np.asarray(np.clip(np.exp((log * weight).sum(0) / total), *RANGE_M), dtype=np.float32)


def _agreeing_offsets(log: FloatMap, weight: FloatMap) -> FloatMap:
    """(V,) offsets to subtract so that overlapping views agree in the mean; they sum to 0."""
    count = len(log)
    rows, values = [np.ones(count)], [0.0]
    for i in range(count):
        for j in range(i + 1, count):
            shared = (weight[i, ::4, ::4] > 0) & (weight[j, ::4, ::4] > 0)
            if not shared.any():
                continue
            strength = np.sqrt(shared.sum())
            row = np.zeros(count)
            row[i], row[j] = strength, -strength
            rows.append(row)
            values.append(strength * float(np.median((log[i, ::4, ::4] - log[j, ::4, ::4])[shared])))
    found = np.linalg.lstsq(np.array(rows), np.array(values), rcond=None)[0]
    return np.asarray(found, dtype=np.float32)
