"""Things beside a ball, mean shapes and the nearest picture's thing; the level is chosen on the validation split.

Pictures are renders of low-poly models; no photograph and no scanned shape is at hand, and no number here is of one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
import torch

from edge.inference.base import Backend
from edge.inference.manifest import Manifest, Metric
from edge.scene import ImageArray
from training.data.samples.objects import tensor_of
from training.data.synthetic.objects.rendered import RenderedObjects
from training.data.synthetic.objects.sheet import faces_of
from training.losses.rendering import pixel_places, rays, render
from training.measure.report import Measured, Scored, side_by_side
from training.metrics.objects import (
    LEVELS,
    TRUE_LEVEL,
    distances,
    iou,
    ious_at_levels,
    overlaps_with,
    psnr,
    soft_iou,
    surface_of,
)
from training.nets.objects import field_of

Floats = npt.NDArray[np.float32]
Grid = tuple[Floats, Floats]
"""Occupancy (x, y, z) and colours (3, x, y, z), 0..1."""
_LOOK_PX, _SAMPLES = 48, 48
_SMALL_PX = 24
_POINTS = 2048
_MOST_LEARNT = 4000
MOST_SEEN = 72
"""Of each set at most so many pictures, evenly spaced."""
_RESAMPLED = 1000


@dataclass
class Seen:
    """One picture with what is true of the thing, and of another view of it."""

    name: str
    category: str
    cluster: str
    image: npt.NDArray[np.uint8]
    mask: npt.NDArray[np.uint8]
    truth: Grid
    surface: Floats
    other: dict[str, Any] = field(default_factory=dict)


def _grid_of(item: dict[str, Any]) -> Grid:
    colour = np.moveaxis(item["colour"], -1, 0).astype(np.float32) / 255
    return item["occupancy"].astype(np.float32) / 255, colour


def seen_of(found: RenderedObjects) -> Iterator[Seen]:
    """Every view of every thing; the view after it is what its looks are compared with."""
    for item in found:
        count = len(item["image"])
        for v in range(count):
            w = (v + 1) % count
            other = {key: item[key][w] for key in ("image", "mask", "camera", "crop")}
            name = f"{item['model']}, view {v}"
            yield Seen(name, str(item["category"]), str(item["cluster"]), item["image"][v], item["mask"][v],
                       _grid_of(item), item["surface"], other)  # fmt: skip


def answer(manifest: Manifest, backend: Backend, image: ImageArray, mask: npt.NDArray[np.uint8]) -> Grid:
    """What the network says of a crop."""
    outputs = backend.run(tensor_of(image, mask, manifest.input).numpy()[None])
    occupancy, colour = (outputs[name] for name in manifest.output_names)
    return occupancy[0, 0].copy(), colour[0].copy()


def look_of(grid: Grid, camera: Floats, crop: Floats, side_px: int = _LOOK_PX) -> tuple[Floats, Floats]:
    """A grid as a camera sees it: mask (H, W) and colours (H, W, 3)."""
    occupancy, colours = (torch.from_numpy(np.ascontiguousarray(a, np.float32))[None] for a in grid)
    there = field_of(occupancy[None], colours)
    with torch.inference_mode():
        places = pixel_places(side_px)[None]
        origin, direction = rays(torch.from_numpy(camera)[None], torch.from_numpy(crop)[None], places)
        shown = render(there, origin, direction, _SAMPLES)
    mask, colour = shown.mask[0].numpy(), shown.colour[0].numpy()
    return mask.reshape(side_px, side_px), colour.reshape(side_px, side_px, 3)


def cut(grid: Grid, level: float) -> Grid:
    """The grid with cells above the level full and the others empty, as a device makes its mesh."""
    return (grid[0] > level).astype(np.float32), grid[1]


def best_level(manifest: Manifest, backend: Backend, folder: Path, most: int = 200) -> float:
    """The level of the largest mean overlap on the validation split."""
    seen = list(seen_of(RenderedObjects(folder).of("val")))
    seen = seen[:: -(-len(seen) // most)]
    scores = [ious_at_levels(answer(manifest, backend, s.image, s.mask)[0], s.truth[0]) for s in seen]
    return LEVELS[int(np.mean(scores, axis=0).argmax())]


class Baselines:
    """Answers that need no network, made of what was learnt from; levels and radius chosen on the validation split."""

    names = ("ball", "mean shape", "category's mean shape (told the category)", "nearest picture's thing")

    def __init__(self, folder: Path) -> None:
        """Read what was learnt from."""
        found = RenderedObjects(folder)
        grids, categories, small, owner = [], [], [], []
        for i, item in enumerate(found.of("train")):
            grids.append(item["occupancy"])
            categories.append(str(item["category"]))
            for image, mask in zip(item["image"], item["mask"], strict=True):
                small.append(_small(image, mask))
                owner.append(i)
        self.learnt = np.stack(grids)
        self._filled = (self.learnt.reshape(len(grids), -1) >= 255 * TRUE_LEVEL).astype(np.float32)
        self._small, self._owner = np.stack(small[:_MOST_LEARNT]), np.array(owner[:_MOST_LEARNT])
        self._mean = self.learnt.mean(0, dtype=np.float32) / 255
        names = np.array(categories)
        self._means = {c: self.learnt[names == c].mean(0, dtype=np.float32) / 255 for c in set(categories)}
        self._choose([s for s in seen_of(found.of("val"))][::3])

    def _choose(self, val: Sequence[Seen]) -> None:
        axis = (np.arange(self._mean.shape[0]) + 0.5) / self._mean.shape[0] - 0.5
        radius = np.sqrt(sum(a**2 for a in np.meshgrid(axis, axis, axis, indexing="ij")))
        radii = np.arange(0.1, 0.5, 0.02)
        by_radius = [np.mean([iou(radius < r, s.truth[0] >= TRUE_LEVEL) for s in val]) for r in radii]
        self.ball = (radius < radii[int(np.argmax(by_radius))]).astype(np.float32)
        self.level = LEVELS[int(np.mean([ious_at_levels(self._mean, s.truth[0]) for s in val], axis=0).argmax())]
        scores = [ious_at_levels(self._means.get(s.category, self._mean), s.truth[0]) for s in val]
        self.category_level = LEVELS[int(np.mean(scores, axis=0).argmax())]

    def nearest(self, seen: Seen) -> Floats:
        """The thing of the training picture that looks most alike."""
        away = ((self._small - _small(seen.image, seen.mask)) ** 2).sum(axis=1)
        return np.asarray(self.learnt[self._owner[int(away.argmin())]] / 255, dtype=np.float32)

    def ious(self, seen: Seen) -> tuple[float, ...]:
        """In the order of `names`."""
        truth = seen.truth[0]
        category = self._means.get(seen.category, self._mean)
        return (
            soft_iou(self.ball, truth, 0.5),
            soft_iou(self._mean, truth, self.level),
            soft_iou(category, truth, self.category_level),
            iou(self.nearest(seen) >= TRUE_LEVEL, truth >= TRUE_LEVEL),
        )

    def oracle(self, seen: Seen) -> float:
        """Overlap of the most alike of all things learnt from: what no look-up can pass."""
        return float(overlaps_with(self._filled, seen.truth[0]).max())


def _small(image: npt.NDArray[np.uint8], mask: npt.NDArray[np.uint8]) -> Floats:
    """A picture as few numbers: grey and mask, equally weighted."""
    grey = image.mean(axis=2, dtype=np.float32)
    parts = [cv2.resize(a.astype(np.float32), (_SMALL_PX,) * 2, interpolation=cv2.INTER_AREA) for a in (grey, mask)]
    return np.concatenate([p.ravel() / 255 for p in parts]).astype(np.float32)


def _looks(grid: Grid, seen: Seen) -> tuple[float, float]:
    """Mask IoU and PSNR from the other view."""
    mask, colour = look_of(grid, seen.other["camera"], seen.other["crop"])
    true_mask, true_colour = (
        cv2.resize(seen.other[k], (_LOOK_PX,) * 2, interpolation=cv2.INTER_AREA).astype(np.float32) / 255
        for k in ("mask", "image")
    )
    union = (mask > 0.5) | (true_mask > 0.5)
    return iou(mask > 0.5, true_mask > 0.5), psnr(colour, true_colour, union)


def score_one(grid: Grid, seen: Seen, level: float) -> dict[str, float]:
    """All that is measured of an answer to one picture."""
    chamfer, f1 = distances(surface_of(grid[0], level, _POINTS), seen.surface)
    mask, peak = _looks(cut(grid, level), seen)
    numbers = {"3D IoU": soft_iou(grid[0], seen.truth[0], level), "Chamfer distance": chamfer}
    numbers |= {f"F1 at {d:g}": score for d, score in f1.items()}
    return numbers | {"mask IoU of another view": mask, "PSNR of another view": peak}


_UNITS = {"Chamfer distance": "cube sides", "PSNR of another view": "dB"}


def spread(values: Floats, clusters: Sequence[str]) -> tuple[float, float]:
    """The middle 95 % of what the mean of all pictures would be with other clusters like these: they are drawn anew."""
    names = sorted(set(clusters))
    of = np.array([names.index(c) for c in clusters])
    sums, counts = np.bincount(of, values), np.bincount(of)
    drawn = np.random.default_rng(0).integers(len(names), size=(_RESAMPLED, len(names)))
    low, high = np.percentile(sums[drawn].sum(axis=1) / counts[drawn].sum(axis=1), (2.5, 97.5))
    return float(low), float(high)


def _rows(data: str, ours: Sequence[dict[str, float]], base: Sequence[tuple[float, ...]],
          near: Sequence[dict[str, float]]) -> list[Metric]:  # fmt: skip
    """The set's metrics beside their baselines."""
    rows = []
    for name in ours[0]:
        value = float(np.mean([o[name] for o in ours]))
        unit = _UNITS.get(name, "")
        if name == "3D IoU":
            for k, baseline in enumerate(Baselines.names):
                told = float(np.mean([b[k] for b in base]))
                rows.append(Metric(name=name, value=value, data=data, baseline=told, baseline_name=baseline))
        elif near:
            told = float(np.mean([n[name] for n in near]))
            rows.append(Metric(name=name, value=value, unit=unit, data=data, baseline=told,
                               baseline_name=Baselines.names[3]))  # fmt: skip
    return rows


def measure_objects(
    manifest: Manifest, backend: Backend, folder: Path, side: str, source: str, level: float, baselines: Baselines
) -> Measured | None:
    """Pictures of one side of the split, of files or made things; None where it has none.

    Categories are rows of their own: 3D IoU beside the baselines.
    """
    seen = list(seen_of(RenderedObjects(folder).of(side, source)))
    seen = seen[:: -(-len(seen) // MOST_SEEN) or 1]
    if not seen:
        return None
    what = "designs from files" if source == "file" else "furniture made from numbers"
    data = f"rendered things, {side} split, {what}"
    ours, base, near, oracle = [], [], [], []
    for s in seen:
        ours.append(score_one(answer(manifest, backend, s.image, s.mask), s, level))
        base.append(baselines.ious(s))
        near.append(score_one((baselines.nearest(s), s.truth[1] * 0 + 0.5), s, TRUE_LEVEL))
        oracle.append(baselines.oracle(s))
    rows = _rows(data, ours, base, near)
    for category in sorted({s.category for s in seen}):
        which = [i for i, s in enumerate(seen) if s.category == category]
        only = [{"3D IoU": ours[i]["3D IoU"]} for i in which]
        rows += _rows(f"{data}: {category}", only, [base[i] for i in which], [])
    ious = np.array([o["3D IoU"] for o in ours], np.float32)
    details = {
        "level": level, "pictures": len(seen), "clusters": len({s.cluster for s in seen}),
        "iou_95_percent": spread(ious, [s.cluster for s in seen]), "oracle_iou": float(np.mean(oracle)),
        **{name: float(np.mean([o[name] for o in ours])) for name in ours[0]},
    }  # fmt: skip
    scored = tuple(Scored(s.name, 1 - o["3D IoU"], o) for s, o in zip(seen, ours, strict=True))
    draw = partial(_drawn, lambda i: answer(manifest, backend, seen[i].image, seen[i].mask), seen, level)
    return Measured(data, tuple(rows), details, scored, "1 - 3D IoU", draw)


def _drawn(answered: Callable[[int], Grid], seen: Sequence[Seen], level: float, index: int) -> ImageArray:
    """Picture, true grid and found grid."""
    s, grid = seen[index], answered(index)
    parts = [("picture", np.asarray(s.image, np.uint8))]
    for what, (occupancy, colour), at in (("true", s.truth, TRUE_LEVEL), ("found", grid, level)):
        faces = faces_of(occupancy, np.moveaxis(colour, 0, -1), at)
        parts += [(f"{what} {side}", face) for side, face in zip(("front", "right", "above"), faces, strict=True)]
    return side_by_side(parts, 160)
