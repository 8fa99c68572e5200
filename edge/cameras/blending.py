"""How much each view counts where several see the same: less towards its picture's border and away from its axis."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple, TypeVar

import numpy as np
import numpy.typing as npt

from edge.geometry.view import WHOLE, fisheye
from edge.scene import BoolArray, CameraModel

Array = npt.NDArray[np.float64]
FloatMap = npt.NDArray[np.float32]
ByteMap = npt.NDArray[np.uint8]

T = TypeVar("T", bound=np.generic)

FULL = 255
"""What the weights of a direction sum to."""
_FEATHER = 0.1
"""Share of a picture's side over which its weight rises from 0 at the border to 1."""
_LEAST_WEIGHT = 1e-3
"""What lies at a picture's very border still counts where nothing else shows it."""
_WHOLE_RAD = 1e-9


class Region(NamedTuple):
    """Rows `top` to `bottom` of a panorama, and `width` columns from `left` on, across its seam where they must."""

    top: int
    bottom: int
    left: int
    width: int

    def pieces(self, panorama_px: int) -> Iterator[tuple[slice, tuple[slice, slice]]]:
        """The region's columns, and where those lie in the panorama, on either side of its seam."""
        rows, first = slice(self.top, self.bottom), min(self.width, panorama_px - self.left)
        yield slice(0, first), (rows, slice(self.left, self.left + first))
        if first < self.width:
            yield slice(first, self.width), (rows, slice(0, self.width - first))

    def of(self, panorama: npt.NDArray[T]) -> npt.NDArray[T]:
        """The region cut out of a panorama (H, W)."""
        return np.concatenate([panorama[there] for _, there in self.pieces(panorama.shape[1])], axis=1)


def region_of(seen: BoolArray, width_px: int, height_px: int) -> Region | None:
    """The smallest region of a panorama that holds what is seen on a coarse one, and a pixel of that around it."""
    rows, columns = np.flatnonzero(seen.any(axis=1)), np.flatnonzero(seen.any(axis=0))
    if not rows.size:
        return None
    down, across = height_px / seen.shape[0], width_px / seen.shape[1]
    top = max(0, int((rows[0] - 1) * down))
    bottom = min(height_px, int(np.ceil((rows[-1] + 2) * down)))
    gaps = np.diff(np.append(columns, columns[0] + seen.shape[1]))  # the columns begin after the widest gap
    widest = int(np.argmax(gaps))
    first, count = int(columns[(widest + 1) % len(columns)]), seen.shape[1] - int(gaps[widest]) + 1
    width = int(np.ceil((count + 2) * across))
    if width >= width_px:
        return Region(top, bottom, 0, width_px)
    return Region(top, bottom, int(np.floor((first - 1) * across)) % width_px, width)


def _rise(inside: Array) -> Array:
    """0 at a border, 1 from a tenth of the side in; `inside`: fractions of the side."""
    return np.clip(inside / _FEATHER, 0.0, 1.0)


def _of_panorama(model: CameraModel, x: Array, y: Array) -> Array:
    """By distance to its borders, but not to those where the sphere goes on or ends."""
    part, out = model.part or WHOLE, np.ones(x.shape)
    if part.right_rad - part.left_rad < 2 * np.pi - _WHOLE_RAD:
        out = out * _rise(np.minimum(x, 1 - x))
    if part.top_rad < np.pi / 2 - _WHOLE_RAD:
        out = out * _rise(y)
    return out * _rise(1 - y) if part.bottom_rad > -np.pi / 2 + _WHOLE_RAD else out


def raw_weight(model: CameraModel, camera: Array, pixels: Array, seen: BoolArray, wh: tuple[int, int]) -> Array:
    """(...) how much a view counts by itself: more far from its picture's borders and near its axis; 0: unseen.

    Args:
        model: the view's lens.
        camera: (..., 3) unit directions in its axes.
        pixels: (..., 2) where they lie in its picture.
        seen: (...) which it shows.
        wh: width and height of its picture.
    """
    x, y = pixels[..., 0] / wh[0], pixels[..., 1] / wh[1]
    if model.projection == "equirectangular":
        out = _of_panorama(model, x, y)
    else:
        out = _rise(np.minimum(x, 1 - x)) * _rise(np.minimum(y, 1 - y))
    if model.projection == "perspective":
        out = out * camera[..., 2]
    elif model.projection == "fisheye":  # the cosine, of a lens wider than that from 1 to 0 at its rim
        half = fisheye(model, *wh).fov_rad / 2
        angle = np.arctan2(np.hypot(camera[..., 0], camera[..., 1]), camera[..., 2])
        turned = np.minimum(angle / max(half, np.pi / 2), 1.0)
        out = out * _rise((half - angle) / (2 * half)) * np.cos(turned * np.pi / 2)
    return np.where(seen, np.maximum(np.nan_to_num(out), _LEAST_WEIGHT), 0.0)


def shares(
    views: Sequence[tuple[Region, FloatMap]], width_px: int, height_px: int
) -> tuple[list[ByteMap], BoolArray, list[bool]]:
    """Every direction shared among the views that see it.

    Args:
        views: of each, its region and (h, w) its raw weights there; what rounding leaves over goes to the strongest,
            the first of equals.
        width_px: of the panorama.
        height_px: of the panorama.

    Returns:
        Of each view (h, w) weights, which sum to `FULL`; (H, W) what any view sees; whether each shares anything.
    """
    size = height_px, width_px
    total, strongest, count = np.zeros(size, np.float32), np.zeros(size, np.float32), np.zeros(size, np.uint8)
    for region, raw in views:
        for here, there in region.pieces(width_px):
            total[there] += raw[:, here]
            strongest[there] = np.maximum(strongest[there], raw[:, here])
            count[there] += raw[:, here] > 0
    seen = total > 0
    total[~seen] = 1
    left = np.where(seen, FULL, 0).astype(np.int16)
    found = [np.floor(FULL * raw / region.of(total)).astype(np.int16) for region, raw in views]
    for (region, _), weight in zip(views, found, strict=True):
        for here, there in region.pieces(width_px):
            left[there] -= weight[:, here]
    for (region, raw), weight in zip(views, found, strict=True):
        takes = (raw > 0) & (raw >= region.of(strongest))
        weight += np.where(takes, region.of(left), 0).astype(np.int16)
        for here, there in region.pieces(width_px):
            left[there][takes[:, here]] = 0
    shared = [bool((region.of(count)[raw > 0] > 1).any()) for region, raw in views]
    return [weight.astype(np.uint8) for weight in found], seen, shared
