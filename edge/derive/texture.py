"""A camera's own picture laid on the surfaces of its room: one JPEG for all, and what the camera did not see marked.

Nothing is invented. What stands in front of a surface is projected onto it; what a wall hides, what lies outside the
picture and what a privacy mask covers is hatched in the mean colour of the rest of its surface.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from edge.derive.mesh import Array, Surface
from edge.errors import GeometryError
from edge.geometry.polygon import wall_distances
from edge.geometry.view import picture_positions, pixels_per_radian
from edge.scene import BoolArray, CameraModel, ImageArray

_Floats = npt.NDArray[np.float32]

DENSITY = (32.0, 128.0)
"""Fewest and most texels in a metre (in a relative room: in a camera's height)."""
GUTTER_PX = 4
HATCH_PX = 8
QUALITY = 80
WIDEST_PX = 4096
_TEXELS_PER_PIXEL = 1.5
"""More texels than this would only repeat what the picture has."""
_MOST_TEXELS = 2_000_000
_NEAREST = 0.2
_ARRANGEMENTS = 24
_TOLERANCE = 0.01
"""A texel this much behind a wall, in metres, still counts as on it."""
_DIRECTIONS = 4096
"""In which what can be seen of the floor is traced."""


@dataclass(frozen=True, slots=True)
class Texture:
    """One picture for all surfaces."""

    jpeg: bytes
    width_px: int
    height_px: int
    uv: dict[str, Array]
    """By surface, (V, 2) for its vertices: fractions of width and height from the top left."""
    seen_fraction: dict[str, float]
    """By surface, how much of it the camera saw."""

    def picture(self) -> ImageArray:
        """(H, W, 3) RGB.

        Raises:
            GeometryError: the JPEG is none.
        """
        bgr = cv2.imdecode(np.frombuffer(self.jpeg, np.uint8), cv2.IMREAD_COLOR)
        if bgr is None:
            raise GeometryError("the picture on the room's walls cannot be read; export the room again")
        return np.asarray(bgr[..., ::-1], dtype=np.uint8)


@dataclass(frozen=True, slots=True)
class _Tile:
    surface: Surface
    width_px: int
    height_px: int
    x_px: int = 0
    y_px: int = 0


def _planned(surfaces: Sequence[Surface], eye: Array, image_px: int, per_radian: float) -> list[_Tile]:
    """How large each surface's part is: as fine as the picture shows its nearest point, within limits."""
    near = [max(_NEAREST, abs(float((eye - s.corner) @ s.normal))) for s in surfaces]
    density = np.clip(per_radian / np.array(near), *DENSITY)
    sizes = np.array([s.size for s in surfaces])
    density = np.minimum(density, WIDEST_PX / sizes.max(axis=1))
    texels = float((sizes.prod(axis=1) * density**2).sum())
    density *= min(1.0, np.sqrt(min(_TEXELS_PER_PIXEL * image_px, _MOST_TEXELS) / texels))
    wh = np.maximum(np.ceil(sizes * density[:, None]).astype(int), 2)
    return [_Tile(s, int(w), int(h)) for s, (w, h) in zip(surfaces, wh, strict=True)]


def _shelves(tiles: list[_Tile], width: int) -> tuple[list[_Tile], int, int]:
    """The tiles on shelves of this width, highest first, each with a gutter around it; and the size of the whole."""
    gap = 2 * GUTTER_PX
    placed: list[_Tile] = []
    x = y = shelf = 0
    for tile in sorted(tiles, key=lambda t: -t.height_px):
        if x + tile.width_px + gap > width:
            x, y, shelf = 0, y + shelf, 0
        placed.append(_Tile(tile.surface, tile.width_px, tile.height_px, x + GUTTER_PX, y + GUTTER_PX))
        x, shelf = x + tile.width_px + gap, max(shelf, tile.height_px + gap)
    return placed, width, y + shelf


def _packed(tiles: list[_Tile]) -> tuple[list[_Tile], int, int]:
    """The arrangement that wastes least, of a few."""
    widest = max(t.width_px for t in tiles) + 2 * GUTTER_PX
    whole = sum(t.width_px + 2 * GUTTER_PX for t in tiles)
    widths = np.unique(np.linspace(widest, min(max(widest, whole), 2 * WIDEST_PX), _ARRANGEMENTS).astype(int))
    return min((_shelves(tiles, int(width)) for width in widths), key=lambda found: found[1] * found[2])


class _Picture:
    """The camera's picture at several sizes, so that what is far finer than a texel is averaged."""

    def __init__(self, image: ImageArray, camera: CameraModel, hidden: BoolArray | None) -> None:
        self._camera = camera
        self._wraps = camera.projection == "equirectangular"
        self._levels = [image]
        self._hidden = None if hidden is None else self._padded(np.asarray(hidden, dtype=np.uint8))
        self._ready: dict[int, ImageArray] = {}
        self.width_px, self.height_px = image.shape[1], image.shape[0]

    def _padded(self, image: ImageArray) -> ImageArray:
        if not self._wraps:
            return image
        return np.asarray(np.concatenate([image[:, -1:], image, image[:, :1]], axis=1), dtype=np.uint8)

    def _level(self, finer: float) -> int:
        """The smallest size that is still finer than the texels; `finer`: how much the picture itself is."""
        wanted = max(0, int(np.floor(np.log2(max(finer, 1.0)))))
        while len(self._levels) <= wanted and min(self._levels[-1].shape[:2]) > 64:
            h, w = self._levels[-1].shape[:2]
            half = cv2.resize(self._levels[-1], (w // 2, h // 2), interpolation=cv2.INTER_AREA)
            self._levels.append(np.asarray(half, dtype=np.uint8))
        return min(wanted, len(self._levels) - 1)

    def read(self, x: _Floats, y: _Floats, z: _Floats, finer: float) -> tuple[ImageArray, BoolArray | None]:
        """The colours in these directions from the camera, and which it sees (None: all)."""
        column, row, seen = picture_positions(x, y, z, self._camera, self.width_px, self.height_px)
        index = self._level(finer)
        if index not in self._ready:
            self._ready[index] = self._padded(self._levels[index])
        source, shift = self._ready[index], float(self._wraps)
        if self._hidden is not None:
            at = (np.ascontiguousarray(column + np.float32(shift)), np.ascontiguousarray(row))
            free = cv2.remap(self._hidden, *at, cv2.INTER_NEAREST, borderMode=cv2.BORDER_REPLICATE) == 0
            seen = free if seen is None else seen & free
        if index:
            fx = self._levels[index].shape[1] / self.width_px
            fy = self._levels[index].shape[0] / self.height_px
            column = (column + np.float32(0.5)) * np.float32(fx) - np.float32(0.5)
            row = (row + np.float32(0.5)) * np.float32(fy) - np.float32(0.5)
        at = (np.ascontiguousarray(column + np.float32(shift)), np.ascontiguousarray(row))
        out = cv2.remap(source, *at, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
        return np.asarray(out, dtype=np.uint8), seen


class _Reach:
    """What the camera sees before walls hide it."""

    def __init__(self, polygon: Array) -> None:
        self._polygon = polygon
        ahead = np.roll(polygon, -1, axis=0) - polygon
        self._everything = bool((polygon[:, 0] * ahead[:, 1] - polygon[:, 1] * ahead[:, 0] > -1e-9).all())
        self._region: Array | None = None

    def of(self, tile: _Tile, x: _Floats, y: _Floats) -> BoolArray | None:
        """Which texels no wall hides, in rows, columns or both; None: all.

        `x` and `y`: from the camera, as far as they vary.
        """
        if self._everything:
            return None
        if tile.surface.kind == "wall":
            distance = np.hypot(x, y)
            reach = wall_distances(self._polygon, np.arctan2(x, y).ravel()).reshape(distance.shape)
            return np.asarray(distance <= reach + _TOLERANCE)
        if self._region is None:
            longitude = ((np.arange(_DIRECTIONS) + 0.5) / _DIRECTIONS - 0.5) * 2 * np.pi
            reach = wall_distances(self._polygon, longitude)
            reach = np.where(np.isfinite(reach), reach, 0.0) + _TOLERANCE
            self._region = np.stack([np.sin(longitude), np.cos(longitude)], axis=-1) * reach[:, None]
        return _inside(tile, self._region)


def _points(tile: _Tile, eye: Array) -> tuple[_Floats, _Floats, _Floats]:
    """From the camera to every texel's centre, by component; each only as large as it varies."""
    s = tile.surface
    along = (np.arange(tile.width_px) + 0.5) / tile.width_px * s.size[0]
    down = (np.arange(tile.height_px) + 0.5) / tile.height_px * s.size[1]
    found: list[_Floats] = []
    for k in range(3):
        values = np.full((1, 1), s.corner[k] - eye[k])
        if s.right[k]:
            values = values + (along * s.right[k])[None, :]
        if s.down[k]:
            values = values + (down * s.down[k])[:, None]
        found.append(values.astype(np.float32))
    return found[0], found[1], found[2]


def _inside(tile: _Tile, polygon: Array) -> BoolArray:
    """Which texels of a floor's or ceiling's rectangle lie within an outline of the plan."""
    s = tile.surface
    at = s.on_rectangle(np.column_stack([polygon, np.full(len(polygon), s.corner[2])]))
    corners = at * (tile.width_px, tile.height_px) - 0.5
    drawn = np.zeros((tile.height_px, tile.width_px), np.uint8)
    cv2.fillPoly(drawn, [np.rint(corners * 256).astype(np.int32)], (1,), cv2.LINE_8, 8)
    return np.asarray(drawn, dtype=np.bool_)


def _marked(colours: ImageArray, seen: BoolArray) -> ImageArray:
    """What was not seen in the mean colour of what was, hatched."""
    mask = seen.astype(np.uint8)
    mean = np.array(cv2.mean(colours, mask)[:3] if seen.any() else (128.0, 128.0, 128.0))
    rows, columns = np.ogrid[: seen.shape[0], : seen.shape[1]]
    dark, light = (mean * 0.85).astype(np.uint8), (mean * 0.7 + 38.0).astype(np.uint8)
    flat = np.where((((rows + columns) // HATCH_PX) % 2 == 0)[..., None], dark, light)
    cv2.copyTo(colours, mask, flat)
    return flat


def paint(
    surfaces: Sequence[Surface],
    polygon: Array,
    camera_height: float,
    image: ImageArray,
    camera: CameraModel,
    *,
    hidden: BoolArray | None = None,
    max_bytes: int = 2_000_000,
) -> Texture:
    """The picture on the surfaces, those of kind `cut` left out.

    Args:
        surfaces: of the room.
        polygon: (N, 2) the outline, counter-clockwise, camera at the origin.
        camera_height: in the outline's unit.
        image: (H, W, 3) what the camera saw when the room was inferred.
        camera: its lens, and how it hangs.
        hidden: (H, W) True where the picture was painted over.
        max_bytes: the texture is made smaller until its JPEG is not larger.

    Raises:
        GeometryError: the camera's lens is not known, or its picture does not fit it.
    """
    eye = np.array([0.0, 0.0, camera_height])
    per_radian = pixels_per_radian(camera, image.shape[1], image.shape[0])
    shown = [s for s in surfaces if s.kind != "cut"]
    tiles, width, height = _packed(_planned(shown, eye, image.shape[0] * image.shape[1], per_radian))
    picture, reach = _Picture(image, camera, hidden), _Reach(polygon)
    atlas = np.zeros((height, width, 3), np.uint8)
    seen_fraction: dict[str, float] = {}
    for tile in tiles:
        s = tile.surface
        x, y, z = _points(tile, eye)
        near = max(_NEAREST, abs(float((eye - s.corner) @ s.normal)))
        colours, seen = picture.read(x, y, z, per_radian / near / (tile.width_px / s.size[0]))
        unhidden = reach.of(tile, x, y)
        if (eye - s.corner) @ s.normal <= 0:  # its other side is nearer
            unhidden = np.zeros((1, 1), dtype=np.bool_)
        if unhidden is not None:
            seen = unhidden if seen is None else seen & unhidden
        seen_fraction[s.name] = 1.0
        if seen is not None:
            seen = np.broadcast_to(seen, colours.shape[:2])
            part = seen if s.kind == "wall" else seen[_inside(tile, polygon)]
            seen_fraction[s.name] = round(float(part.mean()), 4) if part.size else 0.0
            colours = colours if seen.all() else _marked(colours, seen)
        g = GUTTER_PX
        bordered = cv2.copyMakeBorder(colours, g, g, g, g, cv2.BORDER_REPLICATE)
        atlas[tile.y_px - g : tile.y_px + tile.height_px + g, tile.x_px - g : tile.x_px + tile.width_px + g] = bordered
    uv = {
        t.surface.name: (t.surface.on_rectangle(t.surface.vertices) * (t.width_px, t.height_px) + (t.x_px, t.y_px))
        / (width, height)
        for t in tiles
    }
    jpeg, (w, h) = _encoded(atlas, max_bytes)
    return Texture(jpeg, w, h, uv, seen_fraction)


def _encoded(atlas: ImageArray, max_bytes: int) -> tuple[bytes, tuple[int, int]]:
    """The atlas as JPEG, halved until it fits."""
    bgr = cv2.cvtColor(atlas, cv2.COLOR_RGB2BGR)
    while True:
        ok, data = cv2.imencode(".jpg", bgr, (cv2.IMWRITE_JPEG_QUALITY, QUALITY))
        h, w = int(bgr.shape[0]), int(bgr.shape[1])
        if not ok:
            raise GeometryError(f"a texture of {w}x{h} px cannot be encoded; leave it out with scene.texture: false")
        if len(data) <= max_bytes or min(w, h) < 2 * HATCH_PX:
            return bytes(data), (w, h)
        bgr = np.asarray(cv2.resize(bgr, (w // 2, h // 2), interpolation=cv2.INTER_AREA), dtype=np.uint8)
