"""One panorama of several pictures: each is read where it shows the panorama's directions, and overlaps are feathered.

What any lens gives (an ordinary one, a fisheye, a face of a cube, a part of a panorama) is a picture, and where
directions lie in it; so there is one way to compose them. Weights are whole numbers that sum to the same everywhere, so
the order of the views changes nothing, and a flat colour stays what it is. Where no view sees, the panorama is a flat
grey and its mask says so. What is shown is taken to be far beyond the distances between the lenses.

All tables are made once for the sizes of the pictures, and blends once for the set of pictures that are there.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from edge.cameras.base import MOST_WIDTH_PX, View
from edge.cameras.blending import FULL, ByteMap, FloatMap, Region, raw_weight, region_of, shares
from edge.cameras.exposure import Exposure, Overlap
from edge.cameras.privacy import GREY
from edge.errors import GeometryError
from edge.geometry.panorama import latitudes, longitudes, rays
from edge.geometry.view import WHOLE, camera_pixels, pixels_per_radian, rotation
from edge.scene import BoolArray, ImageArray

_COARSE_WH = (256, 128)
"""Where views lie on the panorama, and overlap, is first found on one of this size."""
_FINER = 1.5
"""Pictures that are more than so much finer than the panorama are averaged down before they are read."""
_BAND_ROWS = 64


@dataclass(frozen=True, slots=True)
class _Table:
    """Where one view is read, and how much it counts by itself."""

    region: Region
    part: tuple[slice, slice]
    """Rows and columns of the picture that are read at all."""
    source_wh: tuple[int, int]
    """Of that part, as it is read."""
    maps: tuple[npt.NDArray[np.integer[Any]], npt.NDArray[np.integer[Any]]]
    wraps: bool
    raw: FloatMap

    def read(self, picture: ImageArray) -> ImageArray:
        """(h, w, 3) the view's picture as it lies in its region."""
        picture = picture[self.part]
        if picture.shape[1::-1] != self.source_wh:
            picture = np.asarray(cv2.resize(picture, self.source_wh, interpolation=cv2.INTER_AREA), np.uint8)
        if self.wraps:
            picture = np.concatenate([picture[:, -1:], picture, picture[:, :1]], axis=1)
        border = cv2.BORDER_REPLICATE
        return np.asarray(cv2.remap(picture, *self.maps, cv2.INTER_LINEAR, borderMode=border), np.uint8)


@dataclass(frozen=True, slots=True)
class _Blend:
    """How the views that are there are put together."""

    shared: dict[int, ByteMap]
    """By view, (h, w, 3) weights in its region."""
    alone: dict[int, ByteMap]
    """By view that shares nothing with others, (h, w) other than 0 where it sees."""
    base: npt.NDArray[np.uint16] | ImageArray
    """(H, W, 3) the panorama before any view, as sums of weighted bytes if any are shared."""
    seen: BoolArray | None
    overlap: Overlap


class Composer:
    """Composes pictures into a panorama.

    Args:
        views: of every picture, the lenses in it.
        width_px: of the panorama; None: as fine as the first pictures.
        match_exposure: whether views that overlap are made equally bright.
        nadir_mask_rad: so far round straight down nothing is shown.
        square: the views are the faces of a cube.
    """

    def __init__(
        self,
        views: Sequence[Sequence[View]],
        width_px: int | None = None,
        *,
        match_exposure: bool = True,
        nadir_mask_rad: float = 0.0,
        square: bool = False,
    ) -> None:
        self._square = square
        self.views = tuple(view for own in views for view in own)
        self._of = [member for member, own in enumerate(views) for _ in own]
        self._wanted_px, self._lowest_rad = width_px, nadir_mask_rad - np.pi / 2
        self._exposure = Exposure(len(self.views)) if match_exposure else None
        self._sizes: dict[int, tuple[int, int]] = {}
        """By picture, width and height of the last."""
        self._tables: dict[int, _Table] = {}
        self._blends: dict[frozenset[int], _Blend] = {}
        self.width_px = self.height_px = 0
        """Of the panorama; known with the first pictures."""

    @property
    def gains(self) -> npt.NDArray[np.float64]:
        """(views, 3) by which linear light is multiplied now."""
        return np.ones((len(self.views), 3)) if self._exposure is None else self._exposure.gains

    def compose(self, images: Sequence[ImageArray | None], at_s: float) -> tuple[ImageArray, BoolArray | None]:
        """The panorama (H, W, 3), which belongs to the caller, and (H, W) what of it is seen; None: all.

        Args:
            images: (h, w, 3) of each member; None: it is not there. One at least is.
            at_s: when they were taken, on any clock, for smoothing the exposure.

        Raises:
            GeometryError: a picture does not fit its lens, or the faces of a cube are not alike.
        """
        pictures = self._pictures(images)
        there = frozenset(pictures)
        blend = self._blends.get(there)
        if blend is None:
            blend = self._blends[there] = self._blend(sorted(there, key=lambda i: repr(self.views[i])))
        if self._exposure is not None and blend.shared:
            self._exposure.measure(pictures, blend.overlap, at_s)
        return self._laid(pictures, blend), blend.seen

    def overlap(self, images: Sequence[ImageArray]) -> tuple[Overlap, dict[int, ImageArray]]:
        """Where the views of these pictures overlap, and each one's own picture."""
        pictures = self._pictures(images)
        return self._overlap(pictures), pictures

    # Tables ----------------------------------------------------------------------------------------------------------

    def _pictures(self, images: Sequence[ImageArray | None]) -> dict[int, ImageArray]:
        """By view, its own picture; tables are made where it is the first of its size."""
        pictures: dict[int, ImageArray] = {}
        for i, (view, member) in enumerate(zip(self.views, self._of, strict=True)):
            image = images[member]
            if image is not None:
                pictures[i] = _cropped(image, view)
                size = (pictures[i].shape[1], pictures[i].shape[0])
                if self._sizes.get(i) != size:
                    self._sizes[i] = size
                    self._tables.pop(i, None)
                    self._blends.clear()
        if self._square and len({side for size in self._sizes.values() for side in size}) > 1:
            sizes = ", ".join(f"{width}x{height}" for width, height in self._sizes.values())
            raise GeometryError(f"the faces of a cube are squares of one size, these are {sizes}; export them anew")
        if not self.width_px:
            wanted = self._wanted_px or max(self._finest_px(i) for i in pictures)
            self.height_px = min(wanted, MOST_WIDTH_PX) // 2
            self.width_px = 2 * self.height_px
        for i in pictures.keys() - self._tables.keys():
            self._tables[i] = self._table(i)
        return pictures

    def _finest_px(self, i: int) -> int:
        return round(2 * np.pi * pixels_per_radian(self.views[i].model, *self._sizes[i]))

    def _table(self, i: int) -> _Table:
        model, wh = self.views[i].model, self._sizes[i]
        coarse = camera_pixels(model, rays(*_COARSE_WH) @ rotation(model), wh)[1]
        region = region_of(coarse, self.width_px, self.height_px) or Region(0, 1, 0, 1)
        part = model.part or WHOLE
        wraps = model.projection == "equirectangular" and part.right_rad - part.left_rad > 2 * np.pi - 1e-9
        shape = (region.bottom - region.top, region.width)
        x, y, raw = np.empty(shape, np.float32), np.empty(shape, np.float32), np.empty(shape, np.float32)
        columns = longitudes(self.width_px)[(np.arange(region.width) + region.left) % self.width_px]
        rows, turn = latitudes(self.height_px)[region.top : region.bottom, None], rotation(model)
        for first in range(0, len(rows), _BAND_ROWS):  # directions of all at once would be large
            up = rows[first : first + _BAND_ROWS]
            level = np.cos(up)
            room = np.stack(np.broadcast_arrays(level * np.sin(columns), level * np.cos(columns), np.sin(up)), axis=-1)
            pixels, seen = camera_pixels(model, room @ turn, wh)
            seen &= up >= self._lowest_rad
            band = slice(first, first + len(up))
            raw[band] = raw_weight(model, room @ turn, pixels, seen, wh)
            x[band], y[band] = np.moveaxis(np.where(seen[..., None], pixels, np.nan), -1, 0)
        own, source_wh = self._read_part(i, x, y, wraps)
        for axis, at in enumerate((x, y)):
            first = own[1 - axis].start
            at -= first
            at *= source_wh[axis] / (own[1 - axis].stop - first)
            at -= np.float32(0.5 if axis or not wraps else -0.5)
            np.nan_to_num(at, copy=False)
        whole, fractions = cv2.convertMaps(x, y, cv2.CV_16SC2)
        maps = np.asarray(whole, np.int16), np.asarray(fractions, np.uint16)
        return _Table(region, own, source_wh, maps, wraps, raw)

    def _read_part(self, i: int, x: FloatMap, y: FloatMap, wraps: bool) -> tuple[tuple[slice, slice], tuple[int, int]]:
        """Which rows and columns of a view's picture are read at these px, and to which size they are averaged down."""
        shrink = self.width_px / self._finest_px(i)
        shrink = shrink if shrink < 1 / _FINER else 1.0
        margin = int(np.ceil(2 / shrink))
        columns, rows = (_reached(at, size, margin) for at, size in zip((x, y), self._sizes[i], strict=True))
        columns = slice(0, self._sizes[i][0]) if wraps else columns
        width, height = (max(2, round((one.stop - one.start) * shrink)) for one in (columns, rows))
        return (rows, columns), (width, height)

    def _blend(self, order: list[int]) -> _Blend:
        tables = [self._tables[i] for i in order]
        weights, seen, shares_any = shares([(t.region, t.raw) for t in tables], self.width_px, self.height_px)
        found = list(zip(order, weights, shares_any, strict=True))
        shared = {i: np.repeat(weight[..., None], 3, axis=2) for i, weight, is_shared in found if is_shared}
        base: npt.NDArray[np.uint16] | ImageArray = np.full((*seen.shape, 3), GREY, np.uint8)
        if shared:
            base = np.where(seen[..., None], 0, GREY * FULL).repeat(3, axis=2).astype(np.uint16)
        return _Blend(
            shared,
            {i: weight for i, weight, is_shared in found if not is_shared},
            base,
            None if seen.all() else seen,
            self._overlap(order),
        )

    def _overlap(self, views: Sequence[int] | Mapping[int, ImageArray]) -> Overlap:
        found: dict[int, tuple[npt.NDArray[np.intp], npt.NDArray[np.intp], BoolArray]] = {}
        for i in views:
            model, wh = self.views[i].model, self._sizes[i]
            pixels, seen = camera_pixels(model, rays(*_COARSE_WH) @ rotation(model), wh)
            x, y = np.moveaxis(np.where(seen[..., None], pixels, 0).astype(np.intp), -1, 0)
            found[i] = np.minimum(x, wh[0] - 1), np.minimum(y, wh[1] - 1), seen
        return Overlap(found)

    # Pictures --------------------------------------------------------------------------------------------------------

    def _read(self, i: int, picture: ImageArray, blend: _Blend) -> ImageArray:
        """A view as it lies in its region, as bright as the others: fewer px than its picture has."""
        read = self._tables[i].read(picture)
        return read if self._exposure is None or not blend.shared else self._exposure.applied(read, i)

    def _laid(self, pictures: Mapping[int, ImageArray], blend: _Blend) -> ImageArray:
        out = blend.base.copy()
        for i, weight in blend.shared.items():
            part = cv2.multiply(self._read(i, pictures[i], blend), weight, dtype=cv2.CV_16U)
            for here, there in self._tables[i].region.pieces(self.width_px):
                out[there] += part[:, here]
        if blend.shared:
            out = np.asarray(cv2.convertScaleAbs(out, alpha=1 / FULL), np.uint8)
        for i, weight in blend.alone.items():
            part = self._read(i, pictures[i], blend)
            for here, there in self._tables[i].region.pieces(self.width_px):
                cv2.copyTo(part[:, here], weight[:, here], out[there])
        return np.asarray(out, np.uint8)


def _reached(at: FloatMap, size_px: int, margin_px: int) -> slice:
    """From the first to the last px of a side that is read, and some around them."""
    if np.isnan(at).all():
        return slice(0, size_px)
    low, high = int(np.nanmin(at)) - margin_px, int(np.nanmax(at)) + 1 + margin_px
    return slice(max(0, low), min(size_px, high))


def _cropped(image: ImageArray, view: View) -> ImageArray:
    """The part of a picture that is a view's own."""
    if view.crop == (0.0, 0.0, 1.0, 1.0):
        return image
    height, width = image.shape[:2]
    left, top, right, bottom = view.crop
    return image[round(top * height) : round(bottom * height), round(left * width) : round(right * width)]
