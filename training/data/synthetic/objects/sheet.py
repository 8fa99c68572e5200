"""Contact sheets of rendered things: pictures beside the filled cells seen from the front, the right and above."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt

from edge.errors import DataError
from training.data.synthetic.objects import CROP_PX
from training.data.synthetic.objects.rendered import RenderedObjects
from training.data.synthetic.shards import Item

Picture = npt.NDArray[np.uint8]
_VIEWS = 4


def faces_of(
    occupancy: npt.NDArray[np.float32], colour: npt.NDArray[np.float32], level: float = 0.4
) -> tuple[Picture, ...]:
    """The grid (G, G, G) in its colours (G, G, G, 3), 0..1, from the front, the right and above: the first cell met."""
    full = np.asarray(occupancy > level)
    out = []
    for axis, flip, order in ((2, True, "xy"), (0, True, "zy"), (1, True, "xz")):
        grid, paint = (np.flip(a, axis) if flip else a for a in (full, colour))
        first = grid.argmax(axis)
        index = np.expand_dims(first, axis)
        seen = np.take_along_axis(paint, index[..., None], axis).squeeze(axis)
        shade = 1 - 0.6 * first / full.shape[axis]
        flat = np.where(np.asarray(grid.any(axis))[..., None], seen * shade[..., None], 0.12)
        flat = np.flip(flat.swapaxes(0, 1), 0) if order == "xy" else flat
        if order == "zy":
            flat = np.flip(flat, (0, 1))
        if order == "xz":
            flat = flat.swapaxes(0, 1)
        out.append(np.asarray(np.rint(255 * np.clip(flat, 0, 1)), np.uint8))
    sized = (cv2.resize(f, (CROP_PX, CROP_PX), interpolation=cv2.INTER_NEAREST) for f in out)
    return tuple(np.asarray(f, np.uint8) for f in sized)


def _strip(item: Item) -> Picture:
    empty = np.zeros((CROP_PX, CROP_PX, 3), np.uint8)
    cells = [*item["image"][:_VIEWS], *[empty] * (_VIEWS - len(item["image"]))]
    cells += faces_of(item["occupancy"] / np.float32(255), item["colour"] / np.float32(255))
    return np.concatenate(cells, axis=1)


def object_sheet(folder: Path, out_png: Path, n: int = 24) -> Path:
    """Write a picture of `n` variants in two columns.

    Raises:
        DataError: nothing is there, or the picture cannot be written.
    """
    found = RenderedObjects(folder)
    step = max(1, len(found) // n)
    strips = [_strip(found.read(i)) for i in found.indices[::step][:n]]
    strips += [np.zeros_like(strips[0])] * (len(strips) % 2)
    half = len(strips) // 2
    sheet = np.concatenate([np.concatenate(strips[:half]), np.concatenate(strips[half:])], axis=1)
    out_png.parent.mkdir(parents=True, exist_ok=True)
    if not cv2.imwrite(str(out_png), sheet[..., ::-1]):
        raise DataError(f"cannot write {out_png}; give a path ending in .png in a folder that can be written")
    return out_png
