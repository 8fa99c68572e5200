"""Which frames of a sequence to learn from, and the refusal of footage that depth cannot be learnt from.

A source is useful where its points moved by some per cent of the picture's width for another reason than the camera's
turn: less is drowned by the turn's own error, more leaves nothing to match. Frames apart in time are therefore chosen
by what they show and never by their number.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

import cv2
import numpy as np

from edge.errors import DataError
from edge.geometry.two_views import (
    STILL,
    Motion,
    Points,
    inverse,
    matched,
    motion_between,
    points_in_second,
    points_of,
)
from edge.perception.preprocess import resize
from edge.scene import BoolArray, ImageArray
from training.arrays import Array, Lens
from training.data.motion.footage import LARGEST_PX, Finder, Footage, Regions
from training.data.motion.lens import lens_found

APART = (1, 2, 3, 5, 8, 13, 20)
"""How many frames before and after one are tried as its sources, nearest first."""
PARALLAX = (0.012, 0.06)
"""Least and largest parallax of a useful source, in widths: 3 to 15 px of 256."""
LARGEST_TURN_RAD = np.radians(15.0)
FEWEST_PAIRS = 30
_SAMPLED = 60
_MOST = 0.9
"""If so large a share of sampled pairs has no parallax, the footage has none."""
_BLURRED = 0.3
"""Frames whose sharpness is under this share of the footage's median are left out."""
_AROUND = 0.02
"""What moves is left out with a rim of so much of the picture's width: outlines are found only about so well."""
_LARGEST_TILT = 1 / 256
"""Of rectified pairs: how far up or down points may lie apart, in widths."""


@dataclass(frozen=True)
class Source:
    """A frame that shows what another shows from elsewhere, and the motion from that other frame to it."""

    frame: int
    motion: Motion


@dataclass(frozen=True)
class Studied:
    """Frames at the size they are learnt from, and what is useful to each: other frames, or the right eye's picture."""

    name: str
    images: list[ImageArray]
    lens: Lens
    sources: list[list[Source]]
    rights: list[ImageArray]
    baseline_m: float | None
    metric: bool = False
    """Whether the motions are in metres."""
    moving: list[BoolArray] = field(default_factory=list)
    """(H, W) of each picture, where it shows what moves by itself; empty = nowhere."""
    rights_moving: list[BoolArray] = field(default_factory=list)
    """The same of the right eye's pictures."""
    floor: list[BoolArray] = field(default_factory=list)
    """(H, W) of each picture, where it shows the floor; empty = not known."""
    camera_height_m: float | None = None
    """Above that floor."""

    @property
    def usable(self) -> list[int]:
        """Frames that can be compared with something."""
        return [i for i in range(len(self.images)) if self.rights or self.sources[i]]


@dataclass(frozen=True)
class _Working:
    """Frames as read: their points at the size where those are found, and small copies to keep."""

    images: list[ImageArray]
    moving: list[BoolArray]
    floor: list[BoolArray]
    points: list[Points]
    sharpness: list[float]
    lens: Lens
    width_px: int
    height_px: int


def studied(footage: Footage, width_px: int, height_px: int, people: Finder | None = None) -> Studied:
    """Read a sequence, and find out how its camera moved; frames are brought to `width_px` x `height_px`.

    Args:
        footage: what to read; where it has masks, these say what moves by itself.
        width_px: of the frames.
        height_px: of the frames.
        people: finds what moves by itself, where the footage has no masks, and the floor.

    Raises:
        DataError: the camera did not move, or only turned, or its eyes are not rectified, or there is too little; says
            what to do instead.
    """
    left = _read(footage.frames(), footage, (width_px, height_px), people, with_masks=True)
    lens = _scaled(left.lens, width_px / left.width_px, height_px / left.height_px)
    if footage.right is not None:
        right = _read(footage.right(), footage, (width_px, height_px), people)
        _check_rectified(footage.name, left, right)
        return Studied(
            footage.name, left.images, lens, [], right.images, footage.baseline_m,
            moving=left.moving, rights_moving=right.moving, floor=left.floor, camera_height_m=footage.camera_height_m,
        )  # fmt: skip
    _check_moves(footage, left)
    sources = _sources(left, footage.T_world_camera)
    found = sum(map(len, sources))
    if found < FEWEST_PAIRS:
        raise DataError(
            f"{footage.name}: only {found} pairs of frames show the same from elsewhere, {FEWEST_PAIRS} are needed; "
            "walk through the room for two minutes with steps of 5 to 20 cm, lights on, and film textured things too"
        )
    at_size = [[_rescaled(s, width_px / left.width_px, height_px / left.height_px) for s in row] for row in sources]
    metric = footage.T_world_camera is not None
    return Studied(
        footage.name, left.images, lens, at_size, [], None, metric,
        moving=left.moving, floor=left.floor, camera_height_m=footage.camera_height_m,
    )  # fmt: skip


def _scaled(lens: Lens, across: float, down: float) -> Lens:
    return lens[0] * across, lens[1] * down, lens[2] * across, lens[3] * down


def _rescaled(source: Source, across: float, down: float) -> Source:
    m = source.motion
    return Source(source.frame, Motion(m.T_second_first, m.flow, m.parallax, m.pixels * [across, down], m.depth))


def _read(
    frames: Iterator[ImageArray], footage: Footage, size_px: tuple[int, int], people: Finder | None,
    *, with_masks: bool = False,
) -> _Working:  # fmt: skip
    images: list[ImageArray] = []
    moving: list[BoolArray] = []
    floor: list[BoolArray] = []
    points: list[Points] = []
    sharpness: list[float] = []
    shape: tuple[int, ...] = ()
    working_px, scale = (1, 1), 1.0
    masks = footage.masks() if with_masks and footage.masks is not None else None
    for image in frames:
        if shape and image.shape != shape:
            raise DataError(f"{footage.name}: frames of several sizes ({shape}, {image.shape}); give one camera's")
        shape, scale = image.shape, min(1.0, LARGEST_PX / image.shape[1])
        working_px = (round(shape[1] * scale), round(shape[0] * scale))
        working = resize(image, *working_px)
        regions = people(image) if people is not None else None
        left_out = _left_out(footage.name, image, masks, regions, working_px)
        images.append(resize(working, *size_px))
        if left_out is not None:
            moving.append(_nearest(left_out, size_px))
        if regions is not None:
            floor.append(_nearest(regions.floor, size_px))
        points.append(points_of(working, left_out))
        sharpness.append(float(cv2.Laplacian(cv2.cvtColor(working, cv2.COLOR_RGB2GRAY), cv2.CV_64F).var()))
    if not images:
        raise DataError(f"{footage.name}: no frames; give another file or folder")
    given = footage.lens
    lens = lens_found(footage.name, points, working_px) if given is None else _scaled(given, scale, scale)
    return _Working(images, moving, floor, points, sharpness, lens, *working_px)


def _nearest(mask: BoolArray, size_px: tuple[int, int]) -> BoolArray:
    return np.asarray(cv2.resize(mask.astype(np.uint8), size_px, interpolation=cv2.INTER_NEAREST) > 0)


def _left_out(
    name: str, image: ImageArray, masks: Iterator[BoolArray] | None, regions: Regions | None, size_px: tuple[int, int]
) -> BoolArray | None:
    """(H, W) of a frame at `size_px`, what moves by itself and a rim around it; None where nothing says it.

    Raises:
        DataError: a mask has not its frame's size, or there are fewer masks than frames.
    """
    if masks is not None:
        found = next(masks, None)
        if found is None or found.shape != image.shape[:2]:
            said = "there are fewer masks than frames" if found is None else f"a mask is {found.shape[::-1]} px"
            raise DataError(f"{name}: {said}; give one for each frame, of its size")
    elif regions is not None:
        found = regions.people
    else:
        return None
    rim = 2 * max(1, round(_AROUND * size_px[0])) + 1
    return np.asarray(cv2.dilate(_nearest(found, size_px).astype(np.uint8), np.ones((rim, rim), np.uint8)) > 0)


def _check_moves(footage: Footage, seen: _Working) -> None:
    """Refuse a camera that stands still or only turns.

    Raises:
        DataError: it does; says how far points moved.
    """
    apart = max(1, round(0.5 * footage.rate_hz)) if footage.rate_hz else 5
    last = len(seen.images) - 1 - apart
    first = sorted({round(x) for x in np.linspace(0, last, min(_SAMPLED, last + 1))}) if last >= 0 else []
    found = [motion_between(seen.points[i], seen.points[i + apart], seen.lens, seen.width_px) for i in first]
    motions = [m for m in found if m is not None]
    if not motions or len(motions) < len(found) / 4:
        raise DataError(
            f"{footage.name}: too few points are found again from frame to frame ({len(motions)} of {len(found)} pairs "
            "have enough); film more slowly, with more light, and things that have texture"
        )
    flow_px = 256 * float(np.median([m.flow for m in motions]))
    if np.mean([m.flow < STILL for m in motions]) > _MOST:
        raise DataError(
            f"{footage.name}: the camera does not move (median shift {flow_px:.1f} px of 256): depth cannot be learnt "
            "from it. Carry the camera through the room for two minutes, or learn from a teacher: `edge-train distill`"
        )
    if np.mean([m.parallax < 2 * STILL for m in motions]) > _MOST:
        raise DataError(
            f"{footage.name}: the camera only turns (points shift by {flow_px:.1f} px of 256, and by none of it once "
            "the turn is undone): step sideways by 5 to 20 cm between frames"
        )


def _sources(seen: _Working, T_world_camera: Array | None) -> list[list[Source]]:
    """For each frame the nearest useful one on either side."""
    sharp = np.array(seen.sharpness) > _BLURRED * float(np.median(seen.sharpness))
    count = len(seen.images)
    out: list[list[Source]] = [[] for _ in range(count)]
    for i in np.flatnonzero(sharp):
        later = _nearest_useful(seen, int(i), sharp)
        if later is None:
            continue
        back = inverse(later.motion, *points_in_second(later.motion, seen.lens))
        out[i].append(later)
        out[later.frame].append(Source(int(i), back))
    if T_world_camera is not None:
        out = [[_as_known(s, i, T_world_camera) for s in row] for i, row in enumerate(out)]
    return out


def _nearest_useful(seen: _Working, i: int, sharp: BoolArray) -> Source | None:
    for apart in APART:
        j = i + apart
        if j >= len(seen.images):
            return None
        if not sharp[j]:
            continue
        motion = motion_between(seen.points[i], seen.points[j], seen.lens, seen.width_px)
        if motion is None or motion.turn_rad > LARGEST_TURN_RAD or motion.parallax > PARALLAX[1]:
            return None
        if motion.parallax >= PARALLAX[0]:
            return Source(j, motion)
    return None


def _as_known(source: Source, frame: int, T_world_camera: Array) -> Source:
    """The source with the motion that the footage says, in metres, in place of the one found."""
    T = np.linalg.inv(T_world_camera[source.frame]) @ T_world_camera[frame]
    size = max(float(np.linalg.norm(T[:3, 3])), 1e-9)
    m = source.motion
    return Source(source.frame, Motion(T, m.flow, m.parallax, m.pixels, m.depth * size))


def _check_rectified(name: str, left: _Working, right: _Working) -> None:
    """Refuse pairs whose rows differ, or whose eyes are exchanged.

    Raises:
        DataError: they are; or there are not as many pictures of each eye.
    """
    if len(left.images) != len(right.images):
        raise DataError(f"{name}: {len(left.images)} left and {len(right.images)} right pictures; give as many of each")
    chosen = np.unique(np.linspace(0, len(left.images) - 1, min(20, len(left.images))).astype(int))
    pairs = [matched(left.points[i], right.points[i]) for i in chosen]
    off = np.concatenate([p - q for p, q in pairs])
    if len(off) < 20:
        raise DataError(f"{name}: the two eyes have next to no points in common; are they of one time and place?")
    vertical, disparity = float(np.median(np.abs(off[:, 1]))), float(np.median(off[:, 0]))
    if vertical > _LARGEST_TILT * left.width_px:
        raise DataError(
            f"{name}: pairs are not rectified (rows differ by {256 * vertical / left.width_px:.1f} px of 256); rectify "
            "them with the rig's calibration first"
        )
    if disparity < 0:
        raise DataError(f"{name}: left and right are exchanged (things shift the wrong way); swap the folders")
