"""Depth: network tensors -> a depth map in metres, on perspective and panorama cameras.

A network for ordinary pictures also serves a panorama camera: it looks at six tangent views that together cover the
sphere, and the views are fused into one range map. Views of one room that overlap must agree, so each view gets one
scale factor, found by least squares on the log range where views overlap, before they are blended.

A network on the panorama canvas gives one range map of the level canvas; each camera reads its own part of it.

A network of relative inverse depth has a scale and a shift of its own in every picture it looks at. Where a metric
layout is known, each picture is put into metres by it, before views are fused. Else the map is relative, and its views
agree in scale alone.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

import cv2
import numpy as np
import numpy.typing as npt

from edge.errors import GeometryError
from edge.geometry.mask import covered
from edge.geometry.panorama import check_panorama_size, rays, sampling_map
from edge.geometry.pinhole import intrinsics_from_fov, project, rays_from_pixels
from edge.geometry.rigid import LEVEL_FORWARD, rotation_room_camera
from edge.geometry.view import depth_directions, lens, rotation
from edge.inference.manifest import DepthMetres, DepthSign, InverseDepthRelative, Manifest
from edge.perception.alignment import (
    RANGE_M,
    Affine,
    Look,
    align_to_layout,
    inverse_alignment,
    speaks_in_metres,
)
from edge.perception.canvas import CanvasInput
from edge.perception.doubt import expected_error
from edge.perception.preprocess import resize, tensor_from_image
from edge.perception.smoothing import ExponentialSmoother
from edge.scene import CameraModel, DepthMap, ImageArray, RoomLayout, Scale

Array = npt.NDArray[np.float64]
FloatMap = npt.NDArray[np.float32]

_TANGENT_HALF_HEIGHT = 1.072
"""Tangent of half a view's vertical field: six views (4 round, up, down) cover the sphere from 1 on, and overlap."""
_TANGENT_LEAST_HFOV_RAD = np.deg2rad(110.0)
_TANGENT_WIDEST_RAD = np.deg2rad(140.0)
_TANGENT_VIEWS = ((0.0, 0.0), (90.0, 0.0), (180.0, 0.0), (-90.0, 0.0), (0.0, 90.0), (0.0, -90.0))
_NEAR_M, _FAR_M = 1.0, 4.0
FUSED_WH = (384, 192)
"""Size of the fused range map: about one pixel a degree, as much as a view 128 px wide holds."""


@dataclass(frozen=True, slots=True)
class _View:
    """One tangent view: where it reads the panorama, and where and how strongly it writes the fused map."""

    read: tuple[FloatMap, FloatMap]
    write: tuple[FloatMap, FloatMap]
    weight: FloatMap


class TangentViews:
    """Perspective views of a panorama that cover the sphere, and the fusion of their depths. Tables are made once."""

    def __init__(self, view_wh: tuple[int, int], panorama_wh: tuple[int, int]) -> None:
        """Make the tables for views of one size and panoramas of one size.

        Raises:
            GeometryError: the panorama is not 2:1, or the views are too wide to cover the sphere.
        """
        check_panorama_size(*panorama_wh)
        hfov_rad = 2 * np.arctan(_TANGENT_HALF_HEIGHT * view_wh[0] / view_wh[1])
        if hfov_rad > _TANGENT_WIDEST_RAD:
            raise GeometryError(
                f"a depth network of {view_wh[0]}x{view_wh[1]} is too wide to look round a panorama; "
                "use one nearer to 4:3"
            )
        self.intrinsics = intrinsics_from_fov(*view_wh, max(hfov_rad, _TANGENT_LEAST_HFOV_RAD))
        # A view spans 110 degrees of the panorama: shrink that to about the view's own resolution before sampling.
        shrink = min(1.0, 1.5 * 2 * np.pi * self.intrinsics.fx_px / panorama_wh[0])
        height = max(8, round(panorama_wh[1] * shrink))
        self._source_wh = (2 * height, height)
        self._log_per_z = np.log(np.linalg.norm(rays_from_pixels(self.intrinsics), axis=-1)).astype(np.float32)
        self._views = [self._view(np.deg2rad(yaw), np.deg2rad(pitch)) for yaw, pitch in _TANGENT_VIEWS]

    def _view(self, yaw_rad: float, pitch_rad: float) -> _View:
        k = self.intrinsics
        r = rotation_room_camera(yaw_rad, pitch_rad)
        x, y = sampling_map(rays_from_pixels(k) @ r.T, *self._source_wh)
        pixels, ahead = project(rays(*FUSED_WH) @ r, k)
        # Weight falls from the view's centre to 0 at its border.
        across = 1 - np.abs(pixels[..., 0] / k.width_px * 2 - 1)
        down = 1 - np.abs(pixels[..., 1] / k.height_px * 2 - 1)
        weight = np.where(ahead, np.clip(np.minimum(across, down), 0, None), 0.0)
        weight = np.nan_to_num(weight)
        pixels = np.where(weight[..., None] > 0, pixels - 0.5, 0.0).astype(np.float32)
        return _View(
            (x.astype(np.float32) + 1, y.astype(np.float32)),
            (np.ascontiguousarray(pixels[..., 0]), np.ascontiguousarray(pixels[..., 1])),
            weight.astype(np.float32),
        )

    def __len__(self) -> int:
        """Number of views."""
        return len(self._views)

    def cut(self, panorama: ImageArray) -> list[ImageArray]:
        """The views' pictures (h, w, 3) uint8."""
        source = resize(panorama, *self._source_wh)
        source = np.concatenate([source[:, -1:], source, source[:, :1]], axis=1)
        border = cv2.BORDER_REPLICATE
        return [
            np.asarray(cv2.remap(source, *v.read, cv2.INTER_LINEAR, borderMode=border), np.uint8) for v in self._views
        ]

    def fuse(self, depths_z: list[FloatMap]) -> FloatMap:
        """One range map of `FUSED_WH` from the views' z-depths, each (h, w) > 0."""
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
        log = log - _agreeing_offsets(log, weight)[:, None, None]
        return np.asarray(np.clip(np.exp((log * weight).sum(0) / weight.sum(0)), *RANGE_M), dtype=np.float32)


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


class DepthReader:
    """Depth of one camera: prepares its pictures and reads the network's answers."""

    def __init__(
        self, manifest: Manifest, camera: CameraModel, *, smoothing_s: float = 0.0, canvas: CanvasInput | None = None
    ) -> None:
        """`smoothing_s`: time constant on log depth, 0 = none; `canvas`: one shared with other readers."""
        assert isinstance(manifest.output, DepthMetres | InverseDepthRelative)
        self._spec, self._output, self._camera = manifest.input, manifest.output, camera
        self._smoother, self._smooths = ExponentialSmoother(smoothing_s), smoothing_s > 0
        self._image_wh = (0, 0)
        self._views: TangentViews | None = None
        self._grid: tuple[tuple[int, int], Array, Array | float] | None = None
        self._cut: tuple[tuple[int, int], FloatMap, FloatMap] | None = None
        self._looks: list[Look] | None = None
        self._was_scale: Scale | None = None
        self._canvas = None
        if manifest.input.projection == "equirectangular":
            self._canvas = canvas or CanvasInput(manifest.input, camera)

    @property
    def _by_views(self) -> bool:
        return self._camera.projection == "equirectangular" and self._spec.projection == "perspective"

    @property
    def rows(self) -> int:
        """Pictures of the network that one of the camera's becomes: one, or one per tangent view."""
        return len(_TANGENT_VIEWS) if self._by_views else 1

    def prepare(self, image: ImageArray, out: FloatMap | None = None) -> FloatMap:
        """(rows, C, H, W) input for a picture of any size; written into `out` if given."""
        if self._canvas is not None:
            return self._canvas.prepare(image, out)
        wh, size = (image.shape[1], image.shape[0]), (self._spec.width_px, self._spec.height_px)
        if wh != self._image_wh:
            self._views = TangentViews(size, wh) if self._by_views else None
            self._image_wh, self._grid, self._looks = wh, None, None
        pictures = self._views.cut(image) if self._views else [resize(image, *size)]
        tensor = np.empty((len(pictures), *self._spec.shape[1:]), np.float32) if out is None else out
        for picture, target in zip(pictures, tensor, strict=True):
            tensor_from_image(picture, self._spec, out=target)
        return tensor

    def _metres(self, raw: FloatMap, aligned: Affine | None) -> FloatMap:
        """Network output (h, w) -> depth; canonical focal length undone, inverse depth turned over."""
        if aligned is not None:
            return aligned.depth_m(raw)
        if isinstance(self._output, InverseDepthRelative):
            inverse = np.maximum(raw, 1e-6 * float(raw.max()) + 1e-12)
            return np.asarray(float(np.median(inverse)) / inverse, dtype=np.float32)
        factor = 1.0
        if self._output.canonical_focal_px and self._spec.projection == "perspective":
            size = (self._spec.width_px, self._spec.height_px)
            k = self._views.intrinsics if self._views else lens(self._camera, *self._image_wh).resized(*size)
            factor = float(np.sqrt(k.fx_px * k.fy_px)) / self._output.canonical_focal_px
        return np.asarray(np.clip(raw * np.float32(factor), *RANGE_M), dtype=np.float32)

    def read(
        self, outputs: dict[str, npt.NDArray[np.float32]], at_s: float, layout: RoomLayout | None = None
    ) -> DepthMap:
        """The depth map, from the answer to the last `prepare`d picture, aligned to the room if one is known.

        What is painted over in the picture is unknown.
        """
        found = self._read(outputs, at_s, layout)
        if not self._camera.masks:
            return found
        height, width = found.depth.shape
        hidden = covered(self._camera.masks, width, height)
        return replace(found, depth=np.where(hidden, np.float32(0), found.depth))

    def _read(self, outputs: dict[str, npt.NDArray[np.float32]], at_s: float, layout: RoomLayout | None) -> DepthMap:
        if self._canvas is not None and self._canvas.image_wh != self._image_wh:
            self._image_wh, self._grid, self._cut, self._looks = self._canvas.image_wh, None, None, None
        metres = isinstance(self._output, DepthMetres)
        name = self._output.depth if isinstance(self._output, DepthMetres) else self._output.inverse_depth
        tensor = outputs[name]
        raw = list(tensor.reshape(len(tensor), *tensor.shape[-2:]))
        aligned = None if metres or not speaks_in_metres(layout) else self._alignments(raw, layout)
        maps = [self._metres(m, aligned[i] if aligned else None) for i, m in enumerate(raw)]
        scale: Scale = "metric" if metres or aligned else "relative"
        depth = self._views.fuse(maps) if self._views else self._own_part(maps[0], scale)
        depth = self._smoothed(depth, scale, at_s)
        kind: Literal["z", "range"] = "range" if self._camera.projection == "equirectangular" else "z"
        if aligned:
            units = [a.unit_m(m) for a, m in zip(aligned, raw, strict=True)]
            return DepthMap(depth, kind, scale, float(np.exp(np.mean(np.log(units)))))
        found = DepthMap(depth, kind, scale, expected_error=self._expected_error(depth, outputs))
        if layout is None or not metres:
            return found
        directions, per_depth = self._directions((depth.shape[1], depth.shape[0]))
        return align_to_layout(found, layout, directions, per_depth)

    def _expected_error(self, depth: FloatMap, outputs: dict[str, npt.NDArray[np.float32]]) -> float | None:
        """See `DepthMap`."""
        output = self._output
        if not isinstance(output, DepthMetres) or output.confidence is None:
            return None
        spread = 0.0
        if output.spread is not None:
            said = outputs[output.spread]
            if self._canvas is not None:
                seen = cv2.resize(
                    self._canvas.mask.astype(np.uint8), said.shape[:-3:-1], interpolation=cv2.INTER_NEAREST
                )
                said = said[..., seen > 0]
            spread = float(np.log(said).mean())
        signs: dict[DepthSign, float] = {
            "spread": spread,
            "near": float((depth < _NEAR_M).mean()),
            "far": float((depth > _FAR_M).mean()),
        }
        return expected_error(output.confidence, signs)

    def _smoothed(self, depth: FloatMap, scale: Scale, at_s: float) -> FloatMap:
        if not self._smooths:
            return depth
        if scale != self._was_scale:
            self._smoother.reset()
        self._was_scale = scale
        return np.exp(self._smoother.update(np.log(depth), at_s)).astype(np.float32)

    def _alignments(self, raw: list[FloatMap], layout: RoomLayout) -> list[Affine] | None:
        """What puts each picture's inverse depth (h, w) into metres; None unless all can be."""
        if self._looks is None:
            self._looks = self._look(*Look.size(raw[0].shape[1], raw[0].shape[0]))
        by_views = self._views is not None
        found = [
            inverse_alignment(m, layout, look, may_be_flat=by_views) for m, look in zip(raw, self._looks, strict=True)
        ]
        sure = [a for a in found if a is not None]
        return sure if len(sure) == len(raw) else None

    def _look(self, width: int, height: int) -> list[Look]:
        """Where the pictures that the network is shown look, on a grid."""
        wh = (width, height)
        if self._canvas is not None:
            mask = np.asarray(self._canvas.mask, np.uint8)
            seen = cv2.resize(mask, wh, interpolation=cv2.INTER_NEAREST).astype(np.bool_)
            return [Look(rays(*wh), np.ones((height, width)), seen)]
        k = self._views.intrinsics if self._views else lens(self._camera, *self._image_wh)
        turns = [rotation(self._camera)]
        if self._views:
            panorama = rotation(self._camera) @ LEVEL_FORWARD.T
            turns = [panorama @ rotation_room_camera(*np.deg2rad(view)) for view in _TANGENT_VIEWS]
        camera = rays_from_pixels(k.resized(*wh))
        per_z = np.linalg.norm(camera, axis=-1)
        everywhere = np.ones((height, width), np.bool_)
        return [Look(camera / per_z[..., None] @ turn.T, per_z, everywhere) for turn in turns]

    def _own_part(self, depth: FloatMap, scale: Scale) -> FloatMap:
        """What this camera sees of the canvas's range map: z on a perspective picture, range on its own panorama."""
        model = self._camera
        perspective = model.projection == "perspective"
        if self._canvas is None or not (perspective or model.yaw_rad or model.pitch_rad or model.roll_rad):
            return depth
        height, width = depth.shape
        wh = self._part_wh(width) if perspective else (width, height)
        directions, per_depth = self._directions(wh)
        if self._cut is None or self._cut[0] != wh:
            x, y = sampling_map(directions, width, height)
            self._cut = (wh, x.astype(np.float32) + 1, y.astype(np.float32))
        wrapped = np.concatenate([depth[:, -1:], depth, depth[:, :1]], axis=1)
        own = cv2.remap(wrapped, *self._cut[1:], cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
        limits = RANGE_M if scale == "metric" else (0.0, np.inf)
        return np.asarray(np.clip(own / per_depth, *limits), dtype=np.float32)

    def _part_wh(self, canvas_px: int) -> tuple[int, int]:
        """Size of a perspective camera's part: twice the canvas's resolution, so that sampling loses nothing."""
        k = lens(self._camera, *self._image_wh)
        share = min(1.0, 2 * canvas_px / (2 * np.pi * max(k.fx_px, k.fy_px)))
        return max(2, round(k.width_px * share)), max(2, round(k.height_px * share))

    def _directions(self, wh: tuple[int, int]) -> tuple[Array, Array | float]:
        """Room-frame unit directions of the depth map's pixels and range per unit of depth; cached by size."""
        if self._grid is None or self._grid[0] != wh:
            self._grid = (wh, *depth_directions(self._camera, self._image_wh, wh))
        return self._grid[1], self._grid[2]

    def reset(self) -> None:
        """Forget the past: the scene was cut."""
        self._smoother.reset()
