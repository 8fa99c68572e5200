"""The panorama canvas: where any camera's picture lies on the sphere around it.

A whole panorama fills the canvas; any other picture fills what it shows, the rest is masked, never invented.
The canvas is level and its longitude 0 is the room's +y, so the camera's mounting angles are undone here.
"""

from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt

from edge.geometry.mask import covered
from edge.geometry.panorama import check_panorama_size, rays, sampling_map
from edge.geometry.rigid import LEVEL_FORWARD
from edge.geometry.view import pixels_per_radian, room_pixels, rotation
from edge.inference.manifest import InputSpec
from edge.perception.preprocess import resize, tensor_from_image
from edge.scene import BoolArray, CameraModel, ImageArray

_FloatMap = npt.NDArray[np.float32]
_OUTSIDE_PX = -10.0
"""A sampling position that reads the (black) border."""


def visible_mask(
    model: CameraModel, image_width_px: int, image_height_px: int, width_px: int, height_px: int
) -> BoolArray:
    """(H, W) True where the camera sees that part of a canvas of `width_px` x `height_px`."""
    return room_pixels(model, rays(width_px, height_px), (image_width_px, image_height_px))[1]


class CanvasMap:
    """Lays one camera's pictures of one size into a level canvas; the tables are made once."""

    def __init__(self, model: CameraModel, image_wh: tuple[int, int], width_px: int, height_px: int) -> None:
        """Make the tables.

        Raises:
            GeometryError: a panorama that is not 2:1, or another camera without its lens.
        """
        self.width_px, self.height_px = width_px, height_px
        self._map: tuple[_FloatMap, _FloatMap] | None = None
        self._wrap = model.projection == "equirectangular"
        if model.projection == "equirectangular":
            check_panorama_size(*image_wh)
            self._source_wh = (width_px, height_px)
            self.mask = np.ones((height_px, width_px), dtype=np.bool_)
            if model.yaw_rad or model.pitch_rad or model.roll_rad:
                camera_from_room = (rotation(model) @ LEVEL_FORWARD.T).T
                xy = sampling_map(rays(width_px, height_px) @ camera_from_room.T, width_px, height_px)
                self._map = (xy[0].astype(np.float32) + 1, xy[1].astype(np.float32))
            self._hide(model)
            return
        # Shrink first to about the canvas's own resolution at the view's centre, so that sampling does not alias.
        shrink = min(1.0, 1.5 * width_px / (2 * np.pi * pixels_per_radian(model, *image_wh)))
        self._source_wh = (max(2, round(image_wh[0] * shrink)), max(2, round(image_wh[1] * shrink)))
        pixels, self.mask = room_pixels(model, rays(width_px, height_px), image_wh, self._source_wh)
        inside = np.clip(pixels - 0.5, 0.0, np.array(self._source_wh) - 1.0)
        pixels = np.where(self.mask[..., None], inside, _OUTSIDE_PX).astype(np.float32)
        self._map = (np.ascontiguousarray(pixels[..., 0]), np.ascontiguousarray(pixels[..., 1]))
        self._hide(model)

    def _hide(self, model: CameraModel) -> None:
        """What is painted over is not seen."""
        if model.masks:
            self.mask &= self.laid_mask(~covered(model.masks, *self._source_wh))

    def laid_mask(self, seen: BoolArray) -> BoolArray:
        """(H, W) where the canvas is laid with nothing but what is seen in the picture, given for any size of it."""
        unseen = np.asarray(~seen, np.uint8) * np.uint8(255)
        if seen.shape != self._source_wh[::-1]:
            unseen = resize(unseen, *self._source_wh)
        return np.asarray(self._laid(unseen) == 0)

    def apply(self, image: ImageArray) -> tuple[ImageArray, BoolArray]:
        """The canvas (H, W, 3) uint8 and its mask (H, W); what no camera but a panorama sees is 0."""
        return self._laid(resize(image, *self._source_wh)), self.mask

    def _laid(self, source: ImageArray) -> ImageArray:
        if self._map is None:
            return source
        if self._wrap:
            source = np.concatenate([source[:, -1:], source, source[:, :1]], axis=1)
        border = cv2.BORDER_REPLICATE if self._wrap else cv2.BORDER_CONSTANT
        out = cv2.remap(source, *self._map, cv2.INTER_LINEAR, borderMode=border, borderValue=(0, 0, 0))
        return np.asarray(out, dtype=np.uint8)


class CanvasInput:
    """What a network on the panorama canvas is fed of one camera; the tables follow the pictures' size.

    Readers of one network's several answers share one, so that any of them can read what another had prepared.
    """

    def __init__(self, spec: InputSpec, camera: CameraModel) -> None:
        """`spec`: the manifest's input, equirectangular."""
        self._spec, self._camera = spec, camera
        self._image_wh = (0, 0)
        self._map: CanvasMap | None = None
        self._seen: BoolArray | None = None
        self._mask: BoolArray | None = None

    @property
    def image_wh(self) -> tuple[int, int]:
        """Width and height of the last prepared picture, px."""
        return self._image_wh

    @property
    def seen(self) -> BoolArray | None:
        """What the last prepared picture shows, see `Frame`."""
        return self._seen

    @property
    def mask(self) -> BoolArray:
        """(H, W) what the camera of the last prepared picture sees."""
        assert self._mask is not None
        return self._mask

    def prepare(
        self, image: ImageArray, out: npt.NDArray[np.float32] | None = None, seen: BoolArray | None = None
    ) -> npt.NDArray[np.float32]:
        """(1, C, H, W) input for a picture of any size; written into `out` if given; `seen`: see `Frame`.

        Raises:
            GeometryError: see `CanvasMap`.
        """
        wh = (image.shape[1], image.shape[0])
        if self._map is None or wh != self._image_wh:
            self._map, self._image_wh = CanvasMap(self._camera, wh, self._spec.width_px, self._spec.height_px), wh
            self._mask = None
        if self._mask is None or seen is not self._seen:
            self._mask = self._map.mask if seen is None else self._map.mask & self._map.laid_mask(seen)
            self._seen = seen
        canvas, _ = self._map.apply(image)
        full = self._camera.projection == "equirectangular" and not self._camera.masks and seen is None
        target = np.empty(self._spec.shape, np.float32) if out is None else out
        tensor_from_image(canvas, self._spec, mask=None if full else self._mask, out=target[0])
        return target
