"""Depth pictures cut and brought to size; and FCRN's way to vary them (Laina et al. 2016, sec. 4)."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import numpy.typing as npt

from edge.errors import DataError
from edge.perception.preprocess import resize
from edge.scene import ImageArray
from training.data.vary.perspective import DepthPicture, warped


def nearest(depth_m: npt.NDArray[np.float32], width_px: int, height_px: int) -> npt.NDArray[np.float32]:
    """A depth map at another size, each value that of the nearest pixel: nothing is blended across edges."""
    h, w = depth_m.shape
    ys = np.minimum(((np.arange(height_px) + 0.5) * h / height_px).astype(int), h - 1)
    xs = np.minimum(((np.arange(width_px) + 0.5) * w / width_px).astype(int), w - 1)
    return np.ascontiguousarray(depth_m[np.ix_(ys, xs)])


def resized(picture: DepthPicture, width_px: int, height_px: int) -> DepthPicture:
    """The whole picture at another size, as the device brings it to a network's."""
    h, w = picture.depth_m.shape
    if (w, h) == (width_px, height_px):
        return picture
    return DepthPicture(
        resize(picture.image, width_px, height_px),
        nearest(picture.depth_m, width_px, height_px),
        picture.fx_px * width_px / w,
        picture.fy_px * height_px / h,
    )


def cropped(picture: DepthPicture, top_px: int, left_px: int, height_px: int, width_px: int) -> DepthPicture:
    """A part of the picture; its focal lengths in px stay.

    Raises:
        DataError: the part is not inside of the picture.
    """
    h, w = picture.depth_m.shape
    if min(top_px, left_px) < 0 or min(height_px, width_px) < 1 or top_px + height_px > h or left_px + width_px > w:
        raise DataError(
            f"crop {top_px} {left_px} {height_px} {width_px} (top, left, height, width) is not inside of a picture of "
            f"{w}x{h}; correct it"
        )
    rows, columns = slice(top_px, top_px + height_px), slice(left_px, left_px + width_px)
    return replace(
        picture,
        image=np.ascontiguousarray(picture.image[rows, columns]),
        depth_m=np.ascontiguousarray(picture.depth_m[rows, columns]),
    )


def centre_cropped(picture: DepthPicture, width_px: int, height_px: int) -> DepthPicture:
    """The middle of the picture.

    Raises:
        DataError: the picture is smaller.
    """
    h, w = picture.depth_m.shape
    return cropped(picture, (h - height_px) // 2, (w - width_px) // 2, height_px, width_px)


def nearer(picture: DepthPicture, scale: float, roll_rad: float = 0.0) -> DepthPicture:
    """The same scene at depth / `scale` before the same lens: enlarged about the middle, and turned about it."""
    h, w = picture.depth_m.shape
    larger = warped(picture, (scale, scale), roll_rad, (w / 2, h / 2))
    return replace(picture, image=larger.image, depth_m=(larger.depth_m / np.float32(scale)).astype(np.float32))


def jittered(image: ImageArray, rng: np.random.Generator, strength: float) -> ImageArray:
    """Brightness, contrast and saturation by factors of 1 - `strength` to 1 + `strength`, in random order."""
    if strength <= 0:
        return image
    out = image.astype(np.float32)
    luma = np.array([0.299, 0.587, 0.114], np.float32)
    for step in rng.permutation(3):
        factor = np.float32(rng.uniform(1 - strength, 1 + strength))
        grey = (out @ luma)[..., None]
        towards = (np.zeros_like(grey), np.full_like(grey, grey.mean()), grey)[step]
        out = np.clip(towards + (out - towards) * factor, 0, 255)
    return np.asarray(np.rint(out), dtype=np.uint8)
