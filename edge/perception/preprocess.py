"""From a picture to the network's input tensor. Training and serving call the same code and see the same bits."""

from __future__ import annotations

from functools import lru_cache

import cv2
import numpy as np
import numpy.typing as npt

from edge.errors import ImageError
from edge.inference.manifest import InputSpec
from edge.scene import BoolArray, ImageArray

Tensor = npt.NDArray[np.float32]


def resize(image: ImageArray, width_px: int, height_px: int) -> ImageArray:
    """Stretch to (height, width): area-averaged when shrinking, bilinear when growing."""
    h, w = image.shape[:2]
    if (w, h) == (width_px, height_px):
        return image
    shrink = width_px < w or height_px < h
    out = cv2.resize(image, (width_px, height_px), interpolation=cv2.INTER_AREA if shrink else cv2.INTER_LINEAR)
    return np.asarray(out, dtype=np.uint8)


@lru_cache(maxsize=16)
def _tables(
    colour: str, scale: float, mean: tuple[float, ...], std: tuple[float, ...]
) -> tuple[tuple[int, Tensor], ...]:
    """For each tensor channel: the picture's channel it reads and the 256 normalised values."""
    levels = np.arange(256, dtype=np.float64) * scale
    order = (0, 1, 2) if colour == "rgb" else (2, 1, 0)
    return tuple((c, ((levels - m) / s).astype(np.float32)) for c, m, s in zip(order, mean, std, strict=True))


def tensor_from_image(
    image: ImageArray, spec: InputSpec, *, mask: BoolArray | None = None, out: Tensor | None = None
) -> Tensor:
    """Normalise a picture that already has the network's size.

    Args:
        image: (H, W, 3) uint8 RGB.
        spec: the manifest's input.
        mask: (H, W), True where the camera sees; None = everywhere. Unseen pixels become 0 in every channel.
        out: (C, H, W) float32 to write into; allocated when None.

    Returns:
        (C, H, W) float32; `out` if given.

    Raises:
        ImageError: the picture is not of the network's size, or `out` is not what is to be written.
    """
    if image.shape != (spec.height_px, spec.width_px, 3):
        raise ImageError(f"expected {(spec.height_px, spec.width_px, 3)}, got {image.shape}; call resize first")
    target = np.empty(spec.shape[1:], dtype=np.float32) if out is None else out
    if target.shape != spec.shape[1:] or target.dtype != np.float32 or not target.flags.c_contiguous:
        raise ImageError(f"cannot write a {spec.shape[1:]} tensor into {target.shape} {target.dtype}")
    channels = cv2.split(image)
    for i, (channel, table) in enumerate(_tables(spec.colour, spec.scale, spec.mean, spec.std)):
        cv2.LUT(channels[channel], table, dst=target[i])
    if spec.mask_channel:
        target[3] = 1.0 if mask is None else mask
    if mask is not None:
        target[:3] *= mask
    return target
