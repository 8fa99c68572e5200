"""From a picture to the network's input tensor. Training and serving call the same functions, so both see the same bits."""

from __future__ import annotations

from functools import lru_cache

import cv2
import numpy as np
import numpy.typing as npt

from edge.errors import ImageError
from edge.inference.manifest import InputSpec
from edge.scene import BoolArray, ImageArray

MIN_SIDE_PX = 16
Tensor = npt.NDArray[np.float32]


def rgb_from_any(picture: npt.NDArray[np.generic], *, bgr: bool = True) -> ImageArray:
    """Any decoded picture (grey, colour or with alpha; 8 or 16 bit) as (H, W, 3) uint8 RGB.

    Args:
        picture: (H, W), (H, W, 1), (H, W, 3) or (H, W, 4), uint8 or uint16.
        bgr: whether colour comes in OpenCV's order.

    Raises:
        ImageError: another type or shape, or a side under 16 px.
    """
    a = np.asarray(picture)
    if a.ndim == 3 and a.shape[2] == 1:
        a = a[..., 0]
    if a.ndim not in (2, 3) or (a.ndim == 3 and a.shape[2] not in (3, 4)):
        raise ImageError(f"a picture has 1, 3 or 4 channels, got an array of shape {a.shape}; convert it to RGB first")
    if min(a.shape[:2]) < MIN_SIDE_PX:
        raise ImageError(f"picture is {a.shape[1]}x{a.shape[0]} px; both sides must be at least {MIN_SIDE_PX} px")
    if a.dtype == np.uint16:
        a = (a >> 8).astype(np.uint8)
    elif a.dtype != np.uint8:
        raise ImageError(f"pictures are 8 or 16 bit, got {a.dtype}; convert it first")
    if a.ndim == 2:
        return np.ascontiguousarray(np.repeat(a[..., None], 3, axis=2))
    rgb = a[..., 2::-1] if bgr else a[..., :3]
    return np.ascontiguousarray(rgb)


def resize(image: ImageArray, width_px: int, height_px: int) -> ImageArray:
    """Stretch to (height, width): area-averaged when shrinking, bilinear when growing."""
    h, w = image.shape[:2]
    if (w, h) == (width_px, height_px):
        return image
    shrink = width_px < w or height_px < h
    out = cv2.resize(image, (width_px, height_px), interpolation=cv2.INTER_AREA if shrink else cv2.INTER_LINEAR)
    return np.asarray(out, dtype=np.uint8)


@lru_cache(maxsize=16)
def _tables(colour: str, scale: float, mean: tuple[float, ...], std: tuple[float, ...]) -> tuple[tuple[int, Tensor], ...]:
    """For each tensor channel: the picture's channel it reads and the 256 normalised values."""
    levels = np.arange(256, dtype=np.float64) * scale
    order = (0, 1, 2) if colour == "rgb" else (2, 1, 0)
    return tuple((c, ((levels - m) / s).astype(np.float32)) for c, m, s in zip(order, mean, std, strict=True))


def tensor_from_image(image: ImageArray, spec: InputSpec, *, mask: BoolArray | None = None, out: Tensor | None = None) -> Tensor:
    """Normalise a picture that already has the network's size.

    Args:
        image: (H, W, 3) uint8 RGB.
        spec: the manifest's input.
        mask: (H, W), True where the camera sees; None = everywhere. Unseen pixels become 0 in every channel.
        out: (C, H, W) float32 to write into; allocated when None.

    Returns:
        (C, H, W) float32; `out` if given.

    Raises:
        ImageError: the picture is not of the network's size.
    """
    if image.shape != (spec.height_px, spec.width_px, 3):
        raise ImageError(f"expected {(spec.height_px, spec.width_px, 3)}, got {image.shape}; call resize first")
    target = np.empty(spec.shape[1:], dtype=np.float32) if out is None else out
    for i, (channel, table) in enumerate(_tables(spec.colour, spec.scale, spec.mean, spec.std)):
        np.take(table, image[..., channel], out=target[i], mode="clip")
    if spec.mask_channel:
        target[3] = 1.0 if mask is None else mask
    if mask is not None:
        target[:3] *= mask
    return target
