"""Depth: network tensors -> a depth map in metres, on perspective and panorama cameras.

A network for ordinary pictures also serves panorama and fisheye cameras: it looks at tangent views that together cover
the sphere, and the views are fused into one range map. Views of one room that overlap must agree, so each view gets one
scale factor, found by least squares on the log range where views overlap, before they are blended.

A network on the panorama canvas gives one range map of the level canvas; each camera reads its own part of either. What
the picture does not show, outside a fisheye's circle, where a composed panorama has nothing, and under a privacy mask,
is unknown (0).

A network of relative inverse depth has a scale and a shift of its own in every picture it looks at. Where a metric
layout is known, each picture is put into metres by it, before views are fused. Else the map is relative, and its views
agree in scale alone.
"""

from __future__ import annotations

from typing import Literal

import cv2
import numpy as np
import numpy.typing as npt

from edge.geometry.mask import covered
from edge.geometry.panorama import rays, sampling_map
from edge.geometry.pinhole import rays_from_pixels
from edge.geometry.view import depth_directions, lens, picture_rays, pixels_per_radian, room_pixels, rotation
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
from edge.perception.smoothing import ExponentialSmoother, ScaleSmoother
from edge.perception.tangent_views import FUSED_WH, TangentViews, axes_of, looks_of
from edge.scene import BoolArray, CameraModel, DepthMap, ImageArray, RoomLayout, Scale

Array = npt.NDArray[np.float64]
FloatMap = npt.NDArray[np.float32]

_NEAR_M, _FAR_M = 1.0, 4.0


class DepthReader:
    """Depth of one camera: prepares its pictures and reads the network's answers."""

    def __init__(
        self,
        manifest: Manifest,
        camera: CameraModel,
        *,
        smoothing_s: float = 0.0,
        scale_smoothing_s: float = 0.0,
        canvas: CanvasInput | None = None,
    ) -> None:
        """Time constants, 0 = none, and a canvas shared with other readers.

        `smoothing_s`: on the log depth of each pixel; `scale_smoothing_s`: on the scale of the map as a whole.
        """
        assert isinstance(manifest.output, DepthMetres | InverseDepthRelative)
        self._spec, self._output, self._camera = manifest.input, manifest.output, camera
        self._smoother, self._scale_smoother = ExponentialSmoother(smoothing_s), ScaleSmoother(scale_smoothing_s)
        self._smooths = smoothing_s > 0 or scale_smoothing_s > 0
        self._image_wh = (0, 0)
        self._seen: BoolArray | None = None
        self._views: TangentViews | None = None
        self._grid: tuple[tuple[int, int], Array, Array | float] | None = None
        self._cut: tuple[tuple[int, int], FloatMap, FloatMap] | None = None
        self._shown_around: BoolArray | None = None
        self._shown_at: dict[tuple[int, int], BoolArray | None] = {}
        self._looks: list[Look] | None = None
        self._was_scale: Scale | None = None
        self._canvas = self._rows = None
        if manifest.input.projection == "equirectangular":
            self._canvas = canvas or CanvasInput(manifest.input, camera)
        elif self._by_views:
            self._rows = len(looks_of(camera, (self._spec.width_px, self._spec.height_px)))

    @property
    def _by_views(self) -> bool:
        return self._camera.projection != "perspective" and self._spec.projection == "perspective"

    @property
    def rows(self) -> int:
        """Pictures of the network that one of the camera's becomes: one, or one per tangent view."""
        return self._rows or 1

    def prepare(self, image: ImageArray, out: FloatMap | None = None, seen: BoolArray | None = None) -> FloatMap:
        """(rows, C, H, W) input for a picture of any size; written into `out` if given; `seen`: see `Frame`."""
        self._size((image.shape[1], image.shape[0]), seen)
        if self._canvas is not None:
            return self._canvas.prepare(image, out, seen)
        size = (self._spec.width_px, self._spec.height_px)
        if self._by_views and self._views is None:
            self._views = TangentViews(size, self._image_wh, self._camera)
        pictures = self._views.cut(image) if self._views else [resize(image, *size)]
        tensor = np.empty((len(pictures), *self._spec.shape[1:]), np.float32) if out is None else out
        for picture, target in zip(pictures, tensor, strict=True):
            tensor_from_image(picture, self._spec, out=target)
        return tensor

    def _size(self, wh: tuple[int, int], seen: BoolArray | None) -> None:
        """Forget the tables of pictures of another size, or that showed another part of what is around."""
        if wh != self._image_wh:
            self._image_wh, self._views, self._grid, self._cut = wh, None, None, None
        elif seen is self._seen:
            return
        self._seen, self._looks, self._shown_around, self._shown_at = seen, None, None, {}

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
        """The depth map, from the answer to the last `prepare`d picture, aligned to the room if one is known."""
        if self._canvas is not None:
            self._size(self._canvas.image_wh, self._canvas.seen)  # another reader may have prepared it
        metres = isinstance(self._output, DepthMetres)
        name = self._output.depth if isinstance(self._output, DepthMetres) else self._output.inverse_depth
        tensor = outputs[name]
        raw = list(tensor.reshape(len(tensor), *tensor.shape[-2:]))
        aligned = None if metres or not speaks_in_metres(layout) else self._alignments(raw, layout)
        maps = [self._metres(m, aligned[i] if aligned else None) for i, m in enumerate(raw)]
        scale: Scale = "metric" if metres or aligned else "relative"
        depth = self._smoothed(self._own_part(self._whole(maps), scale), scale, at_s)
        kind: Literal["z", "range"] = "z" if self._camera.projection == "perspective" else "range"
        error = self._expected_error(depth, outputs)
        shown = self._shown((depth.shape[1], depth.shape[0]))
        if shown is not None:
            depth = np.where(shown, depth, np.float32(0))
        if aligned:
            units = [a.unit_m(m) for a, m in zip(aligned, raw, strict=True)]
            return DepthMap(depth, kind, scale, float(np.exp(np.mean(np.log(units)))))
        found = DepthMap(depth, kind, scale, expected_error=error)
        if layout is None or not metres:
            return found
        directions, per_depth = self._directions((depth.shape[1], depth.shape[0]))
        return align_to_layout(found, layout, directions, per_depth)

    def _whole(self, maps: list[FloatMap]) -> FloatMap:
        """One map of all that the network was shown."""
        if self._views is None:
            return maps[0]
        if self._shown_around is None and (self._camera.projection == "fisheye" or self._seen is not None):
            self._shown_around = self._shown_in(rays(*FUSED_WH) @ self._views.axes.T)
        return self._views.fuse(maps, self._shown_around)

    def _shown_in(self, directions: Array) -> BoolArray:
        """In which room-frame directions the last picture shows something."""
        pixels, shown = room_pixels(self._camera, directions, self._image_wh)
        if self._seen is not None:
            width, height = self._image_wh
            x = np.clip(pixels[..., 0].astype(np.intp), 0, width - 1)
            y = np.clip(pixels[..., 1].astype(np.intp), 0, height - 1)
            shown = shown & self._seen[y, x]
        return shown

    def _shown(self, wh: tuple[int, int]) -> BoolArray | None:
        """(H, W) at which pixels of the camera's depth map of this size its picture shows something; None: at all."""
        if wh not in self._shown_at:
            shown = picture_rays(self._camera, self._image_wh, wh)[1] if self._camera.projection == "fisheye" else None
            if self._seen is not None:
                seen = self._shown_in(self._directions(wh)[0])
                shown = seen if shown is None else shown & seen
            if self._camera.masks:
                free = ~covered(self._camera.masks, *wh)
                shown = free if shown is None else shown & free
            self._shown_at[wh] = shown
        return self._shown_at[wh]

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
            self.reset()
        self._was_scale = scale
        return np.exp(self._smoother.update(self._scale_smoother.update(np.log(depth), at_s), at_s)).astype(np.float32)

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
        turns = [self._views.axes @ turn for turn in self._views.looks] if self._views else [rotation(self._camera)]
        camera = rays_from_pixels(k.resized(*wh))
        per_z = np.linalg.norm(camera, axis=-1)
        directions = [camera / per_z[..., None] @ turn.T for turn in turns]
        return [
            Look(d, per_z, self._shown_in(d) if self._views else np.ones(d.shape[:2], np.bool_)) for d in directions
        ]

    def _own_part(self, depth: FloatMap, scale: Scale) -> FloatMap:
        """What this camera sees of a range map all round: z on a perspective picture, range on its own picture."""
        model = self._camera
        if self._canvas is not None:
            turned = bool(model.yaw_rad or model.pitch_rad or model.roll_rad)
            whole, axes = model.projection == "equirectangular" and not turned, np.eye(3)
        else:
            whole, axes = model.projection != "fisheye", axes_of(model)
        if whole:
            return depth
        height, width = depth.shape
        wh = (width, height) if model.projection == "equirectangular" else self._part_wh(width)
        directions, per_depth = self._directions(wh)
        if self._cut is None or self._cut[0] != wh:
            x, y = sampling_map(directions @ axes, width, height)
            self._cut = (wh, x.astype(np.float32) + 1, y.astype(np.float32))
        wrapped = np.concatenate([depth[:, -1:], depth, depth[:, :1]], axis=1)
        own = cv2.remap(wrapped, *self._cut[1:], cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
        limits = RANGE_M if scale == "metric" else (0.0, np.inf)
        return np.asarray(np.clip(own / per_depth, *limits), dtype=np.float32)

    def _part_wh(self, all_round_px: int) -> tuple[int, int]:
        """Size of the camera's part of a map that wide: twice as fine, so that sampling loses nothing."""
        width, height = self._image_wh
        share = min(1.0, 2 * all_round_px / (2 * np.pi * pixels_per_radian(self._camera, width, height)))
        return max(2, round(width * share)), max(2, round(height * share))

    def _directions(self, wh: tuple[int, int]) -> tuple[Array, Array | float]:
        """Room-frame unit directions of the depth map's pixels and range per unit of depth; cached by size."""
        if self._grid is None or self._grid[0] != wh:
            self._grid = (wh, *depth_directions(self._camera, self._image_wh, wh))
        return self._grid[1], self._grid[2]

    def reset(self) -> None:
        """Forget the past: the scene was cut."""
        self._smoother.reset()
        self._scale_smoother.reset()
