"""A camera's picture as a pinhole without distortion would have taken it, looking the same way."""

from __future__ import annotations

import cv2
import numpy as np

from edge.errors import GeometryError
from edge.geometry.pinhole import intrinsics_from_fov, rays_at, rays_from_pixels
from edge.geometry.view import camera_pixels, lens, pixels_per_radian
from edge.perception.preprocess import resize
from edge.scene import BoolArray, CameraModel, ImageArray, Intrinsics

_WIDE_RAD = np.radians(90.0)
"""Of what sees too far round for a pinhole, the middle."""
_SHAPE = (4, 3)
_NARROWER, _TIMES = 1.03, 60


class PinholeView:
    """The largest undistorted view within a camera's picture, of at most `width_px`.

    Args:
        model: the camera.
        image_wh: size of its pictures.
        width_px: of the view, at most; never wider than a perspective camera's own.

    Raises:
        GeometryError: the lens is unknown, or shows nothing in the middle.
    """

    def __init__(self, model: CameraModel, image_wh: tuple[int, int], width_px: int) -> None:
        self._plain = model.projection == "perspective" and not lens(model, *image_wh).distorted
        if model.projection == "perspective":
            width_px = min(width_px, image_wh[0])
            k = lens(model, *image_wh).resized(width_px, max(1, round(width_px * image_wh[1] / image_wh[0])))
            wanted = Intrinsics(k.width_px, k.height_px, k.fx_px, k.fy_px, k.cx_px, k.cy_px)
        else:
            wanted = intrinsics_from_fov(width_px, width_px * _SHAPE[1] // _SHAPE[0], float(_WIDE_RAD))
        self.lens = wanted if self._plain else _within(model, image_wh, wanted)
        if not self._plain:
            self._between = self._reduced(model, image_wh)
            pixels, _ = camera_pixels(model, rays_from_pixels(self.lens), image_wh, self._between)
            self._map = pixels.astype(np.float32) - np.float32(0.5)

    def apply(self, image: ImageArray) -> ImageArray:
        """The view of a picture of the size that was given."""
        if self._plain:
            return resize(image, self.lens.width_px, self.lens.height_px)
        source = resize(image, *self._between)
        return np.asarray(cv2.remap(source, self._map, None, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE))  # type: ignore[call-overload]

    def shows(self, seen: BoolArray) -> bool:
        """Whether a picture that shows something only there fills the view."""
        return bool(self.apply(np.repeat(seen[..., None], 3, axis=2).astype(np.uint8)).all())

    def _reduced(self, model: CameraModel, image_wh: tuple[int, int]) -> tuple[int, int]:
        """The size at which the picture is as fine as the view, so that nothing is skipped between its pixels."""
        scale = min(1.0, self.lens.fx_px / pixels_per_radian(model, *image_wh))
        return max(1, round(image_wh[0] * scale)), max(1, round(image_wh[1] * scale))


def _within(model: CameraModel, image_wh: tuple[int, int], wanted: Intrinsics) -> Intrinsics:
    """The lens, narrowed until the picture has all of its view."""
    edge = np.linspace(0.0, 1.0, 33)
    across, down = edge * wanted.width_px, edge * wanted.height_px
    sides = [np.stack(np.broadcast_arrays(across, y), -1) for y in (0.0, wanted.height_px)]
    border = np.concatenate(sides + [np.stack(np.broadcast_arrays(x, down), -1) for x in (0.0, wanted.width_px)])
    k = wanted
    for _ in range(_TIMES):
        if camera_pixels(model, rays_at(border, k), image_wh)[1].all():
            return k
        fx_px, fy_px = k.fx_px * _NARROWER, k.fy_px * _NARROWER
        k = Intrinsics(k.width_px, k.height_px, fx_px, fy_px, k.cx_px, k.cy_px)
    raise GeometryError("the camera's picture shows nothing straight ahead; correct its lens in the configuration")
