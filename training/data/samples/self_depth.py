"""Samples of footage: a picture, what shows the same from elsewhere, and how the camera came there."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
import torch
from torch.utils.data import Dataset

from edge.geometry.two_views import Motion
from edge.perception.preprocess import tensor_from_image
from edge.scene import BoolArray, ImageArray
from training.arrays import Array, Lens
from training.config.recipe import Recipe
from training.data.motion.pairs import Studied
from training.data.samples.rooms import Sample
from training.data.vary.photometric import sensor

SOURCES = 2
"""Of each frame; where fewer are useful the others are marked as not there."""
POINTS = 64
"""Triangulated points of a source at most, by which the length of its way is found."""
MOST_PAIRS = 8192
"""So many pairs have a correction of their own; the others keep the motion as it was found."""


@dataclass(frozen=True)
class Moment:
    """A frame of footage that something can be compared with, and the number of its first pair."""

    footage: Studied
    frame: int
    first_pair: int


@dataclass(frozen=True)
class _Cut:
    """A part of the pictures, enlarged to their size; and whether left and right are exchanged after that."""

    left_px: int
    top_px: int
    zoom: float
    mirrored: bool


@dataclass(frozen=True)
class _Around:
    """What shows the same as a frame: the pictures, where things move in them, and the motions to them."""

    images: list[ImageArray]
    moving: list[BoolArray | None]
    motions: list[Motion]
    metric: bool


def moments(footage: Sequence[Studied], frames: Sequence[range]) -> list[Moment]:
    """The usable frames of each sequence within a range, with numbers for their pairs."""
    out: list[Moment] = []
    pairs = 0
    for sequence, within in zip(footage, frames, strict=True):
        for frame in sequence.usable:
            if frame in within:
                out.append(Moment(sequence, frame, pairs))
                pairs += SOURCES
    return out


def _cut(rng: np.random.Generator, width_px: int, height_px: int, largest_zoom: float, flip: bool) -> _Cut:
    zoom = float(np.exp(rng.uniform(0, np.log(largest_zoom)))) if largest_zoom > 1 and rng.random() < 0.8 else 1.0
    width, height = round(width_px / zoom), round(height_px / zoom)
    left, top = (int(rng.integers(0, whole - part + 1)) for whole, part in ((width_px, width), (height_px, height)))
    return _Cut(left, top, zoom, bool(flip and rng.random() < 0.5))


def _applied(cut: _Cut, image: ImageArray, interpolation: int = cv2.INTER_LINEAR) -> ImageArray:
    h, w = image.shape[:2]
    part = image[cut.top_px : cut.top_px + round(h / cut.zoom), cut.left_px : cut.left_px + round(w / cut.zoom)]
    if cut.zoom > 1:
        part = np.asarray(cv2.resize(part, (w, h), interpolation=interpolation), dtype=np.uint8)
    return np.ascontiguousarray(part[:, ::-1] if cut.mirrored else part)


def _moved(cut: _Cut, xy: Array, width_px: int, height_px: int) -> Array:
    """Where px of the whole picture are in the part; each side has its own zoom, as parts are of whole px."""
    zoom = np.array([width_px / round(width_px / cut.zoom), height_px / round(height_px / cut.zoom)])
    out = (xy - [cut.left_px, cut.top_px]) * zoom
    if cut.mirrored:
        out[..., 0] = width_px - out[..., 0]
    return np.asarray(out)


def _lens(cut: _Cut, lens: Lens, width_px: int, height_px: int) -> Array:
    zoom = np.array([width_px / round(width_px / cut.zoom), height_px / round(height_px / cut.zoom)])
    return np.concatenate([np.array(lens[:2]) * zoom, _moved(cut, np.array(lens[2:]), width_px, height_px)])


def _unit(image: ImageArray) -> torch.Tensor:
    """(3, H, W) in 0..1."""
    return torch.from_numpy(np.ascontiguousarray(np.moveaxis(image, -1, 0))).float() / 255


def _still(cut: _Cut, moving: BoolArray | None, size_px: tuple[int, int]) -> torch.Tensor:
    """(1, H, W) bool: where the part shows nothing that moves by itself; everywhere if that is not known."""
    if moving is None:
        return torch.ones(1, size_px[1], size_px[0], dtype=torch.bool)
    return torch.from_numpy(_applied(cut, (~moving).astype(np.uint8), cv2.INTER_NEAREST) > 0)[None]


class SelfDepthSamples(Dataset[Sample]):
    """What `SelfDepthTask` learns from and validates on.

    `image` (3, H, W) as the network takes it, varied as a sensor would; `target` (3, H, W) and `sources` (S, 3, H, W)
    in 0..1 and not varied; `lens` (4,) px; `T` (S, 4, 4) source from target, before mirroring; `mirrored`; `known`
    (S,) whether `T` is in metres, `usable` (S,) whether the source is there, `pair` (S,) its number or -1; `still`
    (1, H, W) and `sources_still` (S, 1, H, W) where nothing moves by itself, if that is known; `floor` (1, H, W)
    and `camera_height_m` above it, 0 = unknown; `points` (S, P, 3) px of the target and depth in lengths of the way,
    0 = none; `per_canonical`; and with rooms `room_image` and `room_depth`.
    """

    def __init__(self, items: Sequence[Moment], recipe: Recipe, samples: int | None, rooms: Dataset[Sample] | None):
        """`samples`: length of an epoch of random variations; None = each frame once, unchanged, for validation."""
        self._items, self._spec, self._augment, self._samples = items, recipe.input, recipe.augment, samples
        self._canonical_px = getattr(recipe.net, "canonical_focal_px", None)
        self._rooms = rooms

    def __len__(self) -> int:
        """Samples in an epoch."""
        return self._samples or len(self._items)

    def __getitem__(self, index: int) -> Sample:
        """A sample."""
        size = self._spec.width_px, self._spec.height_px
        if self._samples is None:
            return self._sample(self._items[index], _Cut(0, 0, 1.0, False), None)
        rng = np.random.default_rng(int(torch.randint(0, 2**62, ()).item()))
        item = self._items[int(rng.integers(len(self._items)))]
        sample = self._sample(item, _cut(rng, *size, self._augment.zoom, self._augment.flip), rng)
        if self._rooms is not None:
            room = self._rooms[index % len(self._rooms)]  # type: ignore[arg-type]
            sample |= {"room_image": room["image"], "room_depth": room["depth"]}
        return sample

    def _sample(self, item: Moment, cut: _Cut, rng: np.random.Generator | None) -> Sample:
        footage, size = item.footage, (self._spec.width_px, self._spec.height_px)
        clean = _applied(cut, footage.images[item.frame])
        shown = clean if rng is None else sensor(clean, rng, self._augment.photometric)
        lens = _lens(cut, footage.lens, *size)
        focal_px = float(np.sqrt(lens[0] * lens[1]))
        around = self._around(item)
        images, motions, known = around.images, around.motions, around.metric
        count = len(images)
        sources = [_applied(cut, image) for image in images] + [clean] * (SOURCES - count)
        still = _still(cut, footage.moving[item.frame] if footage.moving else None, size)
        sources_still = [_still(cut, moving, size) for moving in around.moving] + [still] * (SOURCES - count)
        pairs = [item.first_pair + s if rng is not None else -1 for s in range(SOURCES)]
        points = np.zeros((SOURCES, POINTS, 3), np.float32)
        T = np.tile(np.eye(4), (SOURCES, 1, 1))
        for s, motion in enumerate(motions):
            T[s] = motion.T_second_first
            self._put(points[s], motion, cut, rng)
        return {
            "image": torch.from_numpy(tensor_from_image(shown, self._spec)),
            "target": _unit(clean),
            "sources": torch.stack([_unit(image) for image in sources]),
            "lens": torch.from_numpy(lens.astype(np.float32)),
            "T": torch.from_numpy(T.astype(np.float32)),
            "mirrored": torch.tensor(cut.mirrored),
            "known": torch.tensor([known] * SOURCES),
            "usable": torch.tensor([s < count for s in range(SOURCES)]),
            "pair": torch.tensor([p if s < count and p < MOST_PAIRS else -1 for s, p in enumerate(pairs)]),
            "floor": ~_still(cut, footage.floor[item.frame], size) if footage.floor else torch.zeros_like(still),
            "camera_height_m": torch.tensor(footage.camera_height_m or 0.0),
            "still": still,
            "sources_still": torch.stack(sources_still),
            "points": torch.from_numpy(points),
            "per_canonical": torch.tensor(focal_px / self._canonical_px if self._canonical_px else 1.0),
        }

    def _around(self, item: Moment) -> _Around:
        footage, none = item.footage, np.zeros((0, 2))
        if footage.rights:
            T = np.eye(4)
            T[0, 3] = -(footage.baseline_m or 0.0)
            moving = footage.rights_moving[item.frame] if footage.rights_moving else None
            return _Around([footage.rights[item.frame]], [moving], [Motion(T, 0, 0, none, np.zeros(0))], True)
        chosen = footage.sources[item.frame][:SOURCES]
        return _Around(
            [footage.images[s.frame] for s in chosen],
            [footage.moving[s.frame] if footage.moving else None for s in chosen],
            [s.motion for s in chosen],
            footage.metric,
        )

    def _put(self, into: Array, motion: Motion, cut: _Cut, rng: np.random.Generator | None) -> None:
        """The motion's points that the part shows, as many as there is room for."""
        w, h = self._spec.width_px, self._spec.height_px
        xy = _moved(cut, motion.pixels, w, h)
        inside = np.flatnonzero((xy > 0.5).all(axis=1) & (xy < [w - 0.5, h - 0.5]).all(axis=1))
        if len(inside) > POINTS:
            inside = inside[:: -(-len(inside) // POINTS)] if rng is None else rng.choice(inside, POINTS, replace=False)
        into[: len(inside), :2], into[: len(inside), 2] = xy[inside], motion.depth[inside]
