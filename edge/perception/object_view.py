"""One thing in a camera's picture: looked at straight and level, told from what is behind it, and cut out.

Whatever the lens, the thing is seen as by a camera that is turned towards it and does not roll: as the network saw its
objects while it learned. Its mask is a polygon that was given, or found by GrabCut (Rother et al., SIGGRAPH 2004) from
a box; a mask that depends on how tightly the box was drawn is none.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from edge.errors import ObjectError
from edge.geometry.mask import covered
from edge.geometry.view import picture_rays, room_pixels
from edge.scene import BoolArray, Frame, ImageArray, Outline

Array = npt.NDArray[np.float64]
Box = tuple[float, float, float, float]
"""Left, top, right, bottom, in fractions of the picture's width and height."""

VIEW_PX = 256
MARGIN = 0.08
"""Of the cut-out's side, left free on each side of the mask."""
_GRID_PX = 256
_WIDER = 1.3
"""The view shows so much more than what was asked about: GrabCut learns from it what is behind."""
_WIDEST = 2.0
"""Tangent of half the widest view: 127 degrees across."""
_ROUNDS = 5
_SHRUNK = 0.08
_AGREEING = 0.85
_LEAST_SHARE = 0.1
"""Of what was asked about, that a mask must cover."""
_LEAST_PX = 16
_OTHER_REMEDY = "send a polygon around it, or a box that leaves a little free on every side"


@dataclass(frozen=True, slots=True)
class ObjectView:
    """What was asked about, as a level camera sees it that is turned towards it."""

    picture: ImageArray
    """(VIEW_PX, VIEW_PX, 3)."""
    asked: BoolArray
    """Which of its pixels lie inside the box or the polygon."""
    seen: BoolArray
    """Which the camera's picture shows."""
    rotation: Array
    """(3, 3) room vectors from the view's (x right, y down, z forward)."""
    half_tan: float
    """Tangent of half its field of view."""
    pixels: Array
    """(VIEW_PX, VIEW_PX, 2) where each of its pixels lies in the camera's picture, in fractions of its size."""


def outline_of(box: Box) -> Outline:
    """A box's corners in order."""
    left, top, right, bottom = box
    return (left, top), (right, top), (right, bottom), (left, bottom)


def view_of(frame: Frame, outline: Outline) -> ObjectView:
    """The view of what lies inside an outline on the camera's picture.

    Raises:
        ObjectError: the camera sees nothing there, or it is too large to be looked at as one thing.
    """
    model, (height, width) = frame.model, frame.image.shape[:2]
    grid = _GRID_PX, max(16, round(_GRID_PX * height / width))
    directions, shown = picture_rays(model, (width, height), grid)
    inside = covered([outline], *grid) & shown
    if not inside.any():
        raise ObjectError(f"camera {frame.camera} sees nothing there; draw the box on what its picture shows")
    asked = directions[inside]
    turn, half_tan = _towards(asked)
    if half_tan > _WIDEST:
        raise ObjectError(
            f"what was asked about fills too much of camera {frame.camera}'s view to be one object; draw the box "
            "around a single thing"
        )
    axis = (np.arange(VIEW_PX) + 0.5) / VIEW_PX * 2 - 1
    x, y = np.meshgrid(axis * half_tan, axis * half_tan)
    rays = np.stack([x, y, np.ones_like(x)], axis=-1)
    pixels, seen = room_pixels(model, rays @ turn.T, (width, height))
    at = np.where(seen[..., None], pixels - 0.5, -10.0).astype(np.float32)
    border = cv2.BORDER_WRAP if model.projection == "equirectangular" and model.part is None else cv2.BORDER_REPLICATE
    picture = cv2.remap(frame.image, at[..., 0], at[..., 1], cv2.INTER_LINEAR, borderMode=border)
    if frame.seen is not None:
        seen = seen & _read(frame.seen, pixels)
    fine = covered([outline], width, height)
    if model.masks:
        seen = seen & ~_read(covered(model.masks, width, height), pixels)
    return ObjectView(
        np.asarray(picture, np.uint8), seen & _read(fine, pixels), seen, turn, half_tan, pixels / (width, height)
    )


def _read(flags: BoolArray, pixels: Array) -> BoolArray:
    height, width = flags.shape
    x = np.clip(np.nan_to_num(pixels[..., 0]), 0, width - 1).astype(np.intp)
    y = np.clip(np.nan_to_num(pixels[..., 1]), 0, height - 1).astype(np.intp)
    return np.asarray(flags[y, x])


def _towards(directions: Array) -> tuple[Array, float]:
    """The rotation of a level view of these directions, and the tangent of half of it, a little widened."""
    middle = directions.mean(axis=0)
    turn = _level(middle)
    for _ in range(2):  # to the middle of what is seen there
        seen = directions @ turn
        ahead = seen[seen[:, 2] > 0.05]
        if not len(ahead):
            return turn, np.inf
        flat = ahead[:, :2] / ahead[:, 2:]
        low, high = flat.min(axis=0), flat.max(axis=0)
        turn = _level(turn @ np.array([*(low + high) / 2, 1.0]))
    seen = directions @ turn
    if (seen[:, 2] < 0.05).any():
        return turn, np.inf
    return turn, float(np.abs(seen[:, :2] / seen[:, 2:]).max()) * _WIDER


def _level(forward: Array) -> Array:
    """(3, 3) room vectors from those of a view along `forward` that does not roll."""
    f = forward / np.linalg.norm(forward)
    side = np.array([f[1], -f[0], 0.0])
    length = float(np.linalg.norm(side))
    right = side / length if length > 1e-6 else np.array([1.0, 0.0, 0.0])
    return np.stack([right, np.cross(f, right), f], axis=1)


# The mask -------------------------------------------------------------------------------------------------------------


def grab_cut(view: ObjectView) -> BoolArray:
    """(VIEW_PX, VIEW_PX) what stands out inside the box.

    Raises:
        ObjectError: nothing does, or not the same with a box a little smaller.
    """
    size = max(3, round(_SHRUNK * np.sqrt(view.asked.sum())) | 1)
    smaller = cv2.erode(view.asked.astype(np.uint8), np.ones((size, size), np.uint8)).astype(np.bool_)
    first, second = (_cut(view, asked) for asked in (view.asked, smaller))
    if first.sum() < _LEAST_SHARE * view.asked.sum():
        raise ObjectError(f"nothing inside the box stands out from what is around it; {_OTHER_REMEDY}")
    if iou(first, second) < _AGREEING:
        raise ObjectError(f"what stands out inside the box depends on how it is drawn; {_OTHER_REMEDY}")
    return first


def _cut(view: ObjectView, asked: BoolArray) -> BoolArray:
    """The largest piece of GrabCut's foreground."""
    mask = np.where(asked, cv2.GC_PR_FGD, cv2.GC_BGD).astype(np.uint8)
    if asked.all() or not asked.any():
        return asked
    background, foreground = np.zeros((1, 65)), np.zeros((1, 65))
    cv2.setRNGSeed(0)  # its k-means begins at random: the same picture is to give the same mask
    try:
        cv2.grabCut(_grained(view.picture), mask, (0, 0, 1, 1), background, foreground, _ROUNDS, cv2.GC_INIT_WITH_MASK)
    except cv2.error as error:
        raise ObjectError(f"what is inside the box cannot be told from what is around it; {_OTHER_REMEDY}") from error
    found = ((mask == cv2.GC_FGD) | (mask == cv2.GC_PR_FGD)).astype(np.uint8)
    count, labels, statistics, _ = cv2.connectedComponentsWithStats(found)
    if count < 2:
        return np.zeros_like(asked)
    return np.asarray(labels == 1 + int(np.argmax(statistics[1:, cv2.CC_STAT_AREA])))


def _grained(picture: ImageArray) -> ImageArray:
    """The picture with a grain of 2 of 255: of an even one OpenCV's GrabCut (5.0) may never end."""
    grain = np.random.default_rng(0).integers(-2, 3, picture.shape)
    return np.asarray(np.clip(picture.astype(np.int16) + grain, 0, 255), dtype=np.uint8)


def iou(one: BoolArray, other: BoolArray) -> float:
    """Intersection over union of two masks; 0 where both are empty."""
    union = int((one | other).sum())
    return float((one & other).sum() / union) if union else 0.0


def touches_border(view: ObjectView, mask: BoolArray) -> bool:
    """Whether a mask reaches what the camera's picture does not show: then only a part of the thing is seen."""
    around = cv2.dilate(mask.astype(np.uint8), np.ones((5, 5), np.uint8)).astype(np.bool_)
    return bool((around & ~view.seen).any())


def box_of(view: ObjectView, mask: BoolArray) -> Box:
    """The mask's box on the camera's picture."""
    at = np.clip(view.pixels[mask], 0.0, 1.0)
    (left, top), (right, bottom) = at.min(axis=0), at.max(axis=0)
    return float(left), float(top), float(right), float(bottom)


def cut_out(picture: ImageArray, mask: BoolArray, size_px: int) -> tuple[ImageArray, BoolArray]:
    """What a mask shows, square and tight, as the network is given it.

    Args:
        picture: (H, W, 3).
        mask: (H, W).
        size_px: side of the cut-out.

    Returns:
        The picture, black outside the mask, and the mask, both `size_px` square: the mask's longer side fills it but
        for `MARGIN` on each side.

    Raises:
        ObjectError: the mask is empty, everything, or too small to tell anything.
    """
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    if mask.all() or not len(rows):
        raise ObjectError(f"the mask covers {'all' if len(rows) else 'nothing'} of the picture; {_OTHER_REMEDY}")
    height, width = rows[-1] + 1 - rows[0], columns[-1] + 1 - columns[0]
    if max(height, width) < _LEAST_PX:
        raise ObjectError(
            f"the thing is {width} x {height} pixels large, too small to tell its shape; it needs {_LEAST_PX} at least"
        )
    side = max(height, width) / (1.0 - 2.0 * MARGIN)
    scale = size_px / side
    centre_x, centre_y = (columns[0] + columns[-1] + 1) / 2, (rows[0] + rows[-1] + 1) / 2
    # OpenCV's pixels have their centres at whole numbers.
    shift = [size_px / 2 - 0.5 - scale * (c - 0.5) for c in (centre_x, centre_y)]
    matrix = np.array([[scale, 0.0, shift[0]], [0.0, scale, shift[1]]])
    filter_ = cv2.INTER_LINEAR
    if scale < 1.0:  # averaged first, else fine texture becomes noise
        sigma = 0.5 * (1.0 / scale - 1.0) + 0.1
        picture = np.asarray(cv2.GaussianBlur(picture, (0, 0), sigma), np.uint8)
    wh = (size_px, size_px)
    inside = cv2.warpAffine(mask.astype(np.float32), matrix, wh, flags=filter_) >= 0.5
    image = cv2.warpAffine(picture, matrix, wh, flags=filter_)
    return np.asarray(image * inside[..., None], np.uint8), np.asarray(inside, np.bool_)


def distances(directions: Array, view: ObjectView, mask: BoolArray, depth: Array) -> Array:
    """How far along the view's axis the depths (N,) lie whose room-frame directions (N, 3) fall into the mask, m."""
    seen = directions @ view.rotation
    ahead = seen[:, 2] > 0.05
    flat = seen[ahead, :2] / seen[ahead, 2:]
    at = np.floor((flat / view.half_tan + 1) / 2 * VIEW_PX)
    within = ((at >= 0) & (at < VIEW_PX)).all(axis=1)
    column, row = at[within].astype(np.intp).T
    on = mask[row, column]
    along = (seen[ahead, 2] * depth[ahead])[within][on]
    return np.asarray(along[along > 0])
