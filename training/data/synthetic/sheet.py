"""Contact sheets: rooms to look at, with their labels drawn in."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from edge.errors import DataError
from training.data.synthetic.horizon import openings_of
from training.data.synthetic.rendered import RenderedRooms

Picture = npt.NDArray[np.uint8]
CEILING, FLOOR, CORNER = (255, 210, 0), (0, 230, 255), (255, 0, 90)
EXTENDED = (255, 255, 255)
OPENINGS = np.array([(0, 0, 0), (255, 120, 0), (80, 160, 255), (0, 220, 0)], np.uint8)
"""Colours of the strip that says what opening a column looks at: none, door, window, opening."""


def depth_picture(depth_m: npt.ArrayLike, far_m: float = 6.0) -> Picture:
    """Depth in colours, near warm and far cold; unknown is black."""
    d = np.asarray(depth_m, dtype=np.float32)
    level = (255 - np.clip(d / far_m, 0, 1) * 255).astype(np.uint8)
    colored = cv2.applyColorMap(level, cv2.COLORMAP_TURBO)[..., ::-1]
    return np.asarray(np.where((d > 0)[..., None], colored, 0), dtype=np.uint8)


def layout_picture(
    image: Picture, boundary_rad: npt.ArrayLike, corners_px: npt.ArrayLike, kinds: npt.NDArray[np.uint8],
    extended_rad: npt.ArrayLike,
) -> Picture:  # fmt: skip
    """The panorama with the edges of its ceiling and floor, also as seen through openings, its corners and openings."""
    out = np.ascontiguousarray(image).copy()
    height, width = out.shape[:2]
    rows = (np.concatenate([extended_rad, boundary_rad]) / np.pi + 0.5) * height
    for row, color in zip(rows, (EXTENDED, EXTENDED, CEILING, FLOOR), strict=True):
        points = np.stack([np.arange(width), np.clip(row, 0, height - 1)], axis=1)
        cv2.polylines(out, [np.rint(points).astype(np.int32)], False, color, 1)
    for x, top, bottom in np.asarray(corners_px):
        cv2.line(out, (int(x), int(top)), (int(x), int(bottom)), CORNER, 1)
    out[: max(1, height // 40)] = OPENINGS[kinds]
    return np.asarray(out, dtype=np.uint8)


def _strip(item: dict[str, Any]) -> Picture:
    height, width = item["panorama"].shape[:2]
    drawn = layout_picture(item["panorama"], item["boundary_rad"], item["corners_px"], *openings_of(item))
    row = [item["panorama"], drawn, depth_picture(item["range_m"])]
    cells = []
    for image, depth in zip(item.get("view_image", ()), item.get("view_depth_m", ()), strict=True):
        cells += [image, depth_picture(depth)]
    top = np.concatenate(row, axis=1)
    if not cells:
        return np.asarray(top)
    each = top.shape[1] // len(cells)
    small = [cv2.resize(c, (each, round(each * c.shape[0] / c.shape[1]))) for c in cells]
    bottom = np.concatenate(small, axis=1)
    return np.concatenate([top, np.pad(bottom, ((0, 0), (0, top.shape[1] - bottom.shape[1]), (0, 0)))], axis=0)


def contact_sheet(path: Path, out_png: Path, n: int = 8, first: int = 0) -> Path:
    """Write a picture of `n` rooms: panorama, layout drawn on it, range, and perspective views with depth.

    Raises:
        DataError: no rooms are there, or the picture cannot be written.
    """
    rooms = RenderedRooms(path)
    strips = [_strip(rooms[i]) for i in range(first, min(first + n, len(rooms)))]
    if not strips:
        raise DataError(f"there are only {len(rooms)} rooms in {path}; choose a smaller first room than {first}")
    out_png.parent.mkdir(parents=True, exist_ok=True)
    if not cv2.imwrite(str(out_png), np.concatenate(strips, axis=0)[..., ::-1]):
        raise DataError(f"cannot write {out_png}; give a path ending in .png in a folder that can be written")
    return out_png
