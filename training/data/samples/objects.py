"""Samples of things: a varied crop, the true grids, and rays of other views of the same thing."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
import torch
from torch.utils.data import Dataset

from edge.errors import DataError, ObjectError
from edge.inference.manifest import InputSpec
from edge.perception.object_view import cut_out
from edge.perception.preprocess import tensor_from_image
from training.config.losses import ObjectsLossConfig
from training.config.recipe import Recipe
from training.data.sets.pictures import read_picture
from training.data.synthetic.objects.rendered import RenderedObjects

Sample = dict[str, torch.Tensor]
Picture = npt.NDArray[np.uint8]
_SHIFT = 0.05
"""Crops are moved and scaled by up to this share of their side."""
_HIDDEN = 0.2
"""Share of samples with a part behind something."""


def tensor_of(image: Picture, mask: Picture, spec: InputSpec) -> torch.Tensor:
    """(4, H, W) what the network is given of a crop; stretched to its size."""
    size = (spec.width_px, spec.height_px)
    if image.shape[:2] != size[::-1]:
        image, mask = (np.asarray(cv2.resize(a, size, interpolation=cv2.INTER_LINEAR), np.uint8) for a in (image, mask))
    return torch.from_numpy(tensor_from_image(image, spec, mask=mask > 127))


def mirrored(item: dict[str, Any]) -> dict[str, Any]:
    """A thing, its pictures and its cameras in a mirror across x."""
    camera, crop = item["camera"].copy(), item["crop"].copy()
    camera[:, 0] *= -1
    crop[:, [0, 2]] = 1 - crop[:, [2, 0]]
    return item | {
        "image": item["image"][:, :, ::-1], "mask": item["mask"][:, :, ::-1], "camera": camera, "crop": crop,
        "occupancy": item["occupancy"][::-1], "colour": item["colour"][::-1],
    }  # fmt: skip


def _random() -> np.random.Generator:
    """A generator that torch's own seeds, as every sample's must be."""
    return np.random.default_rng(int(torch.randint(2**31, ()).item()))


def disturbed(
    image: Picture, mask: Picture, rng: np.random.Generator, strength: float = 1.0
) -> tuple[Picture, Picture]:
    """A crop as a camera and a segmenter might have given it: moved, tinted, noisy, its mask off, a part hidden."""
    side = mask.shape[0]
    scale = 1 + strength * rng.uniform(-_SHIFT, _SHIFT)
    shift = strength * rng.uniform(-_SHIFT, _SHIFT, 2) * side + (1 - scale) * side / 2
    move = np.array([[scale, 0, shift[0]], [0, scale, shift[1]]])
    image, mask = (
        np.asarray(cv2.warpAffine(np.ascontiguousarray(a), move, (side, side)), np.uint8) for a in (image, mask)
    )
    steps = int(rng.integers(-2, 3)) if rng.random() < strength else 0
    if steps:
        change = cv2.dilate if steps > 0 else cv2.erode
        moved = np.asarray(change(mask, np.ones((3, 3), np.uint8), iterations=abs(steps)), np.uint8)
        mask = moved if (moved > 127).sum() > 0.4 * (mask > 127).sum() else mask
    if rng.random() < _HIDDEN * strength:
        w, h = rng.uniform(0.1, 0.35, 2) * side
        x, y = rng.uniform(0, side - w), rng.uniform(0, side - h)
        mask = mask.copy()
        mask[int(y) : int(y + h), int(x) : int(x + w)] = 0
    colour: npt.NDArray[np.floating[Any]] = image.astype(np.float32) * rng.uniform(
        1 - 0.4 * strength, 1 + 0.4 * strength
    )
    colour *= 1 + strength * rng.uniform(-0.1, 0.1, 3)
    colour += rng.normal(0, strength * rng.uniform(0, 8), colour.shape)
    if rng.random() < 0.5 * strength:
        colour = np.asarray(cv2.GaussianBlur(colour, (0, 0), float(rng.uniform(0.3, 1.0))), np.float32)
    return np.clip(colour, 0, 255).astype(np.uint8), mask


def truth_of(item: dict[str, Any]) -> Sample:
    """`occupancy` (x, y, z) and `colour` (3, x, y, z), 0..1."""
    occupancy = torch.from_numpy(np.ascontiguousarray(item["occupancy"])).float() / 255
    colour = torch.from_numpy(np.ascontiguousarray(np.moveaxis(item["colour"], -1, 0))).float() / 255
    return {"occupancy": occupancy, "colour": colour}


def rays_of(item: dict[str, Any], loss: ObjectsLossConfig, rng: np.random.Generator) -> Sample:
    """Random pixels of random views: `camera` (V, 4), `crop` (V, 4), `places` (V, N, 2), `seen` (V, N, 4)."""
    side = item["mask"].shape[1]
    view = rng.integers(len(item["camera"]), size=loss.views)
    pixel = rng.integers(side, size=(loss.views, loss.rays, 2))
    x, y = pixel[..., 0], pixel[..., 1]
    which = np.broadcast_to(view[:, None], x.shape)
    seen = np.concatenate([item["mask"][which, y, x][..., None], item["image"][which, y, x]], axis=-1)
    return {
        "camera": torch.from_numpy(item["camera"][view]),
        "crop": torch.from_numpy(item["crop"][view]),
        "places": torch.from_numpy(((pixel + 0.5) / side).astype(np.float32)),
        "seen": torch.from_numpy(seen.astype(np.float32) / 255),
    }


class ObjectSamples(Dataset[Sample]):
    """Pictures of variants, held in memory; varied where `length` is given, else every view once."""

    def __init__(self, found: RenderedObjects, recipe: Recipe, length: int | None, most: int | None = None) -> None:
        """Read everything.

        Args:
            found: variants of one side of the split.
            recipe: its input and loss.
            length: of an epoch of random samples; None = in order, as they are.
            most: of those in order at most so many, evenly.
        """
        assert isinstance(recipe.loss, ObjectsLossConfig)
        self._spec, self._loss, self._length = recipe.input, recipe.loss, length
        self._flip, self._strength = recipe.augment.flip, recipe.augment.photometric
        self._items = [
            {k: item[k] for k in ("image", "mask", "crop", "camera", "occupancy", "colour")} for item in found
        ]
        views = [(i, v) for i, item in enumerate(self._items) for v in range(len(item["image"]))]
        step = -(-len(views) // most) if most else 1
        self._views = views[::step]

    def __len__(self) -> int:
        """Samples of an epoch."""
        return len(self._views) if self._length is None else self._length

    def __getitem__(self, index: int) -> Sample:
        """`image` (4, H, W), the truth, and where rendering is learnt from, rays."""
        if self._length is None:
            number, view = self._views[index]
            item = self._items[number]
            image, mask = item["image"][view], item["mask"][view]
            return {"image": tensor_of(image, mask, self._spec)} | truth_of(item)
        rng = _random()
        number = int(rng.integers(len(self._items)))
        item = self._items[number]
        if self._flip and rng.random() < 0.5:
            item = mirrored(item)
        view = int(rng.integers(len(item["image"])))
        image, mask = disturbed(item["image"][view], item["mask"][view], rng, min(1.0, self._strength))
        sample = {"image": tensor_of(image, mask, self._spec)} | truth_of(item)
        return sample | rays_of(item, self._loss, rng) if self._loss.rendering else sample


def picture_pairs(images: Path, masks: Path) -> list[tuple[str, Path, Path]]:
    """Pictures and their masks by name, endings left out.

    Raises:
        DataError: there are none, or a picture has no mask.
    """
    endings = (".png", ".jpg", ".jpeg")
    found = sorted(p for p in images.iterdir() if p.suffix.lower() in endings) if images.is_dir() else []
    by_stem = {p.stem: p for p in masks.iterdir() if p.suffix.lower() in endings} if masks.is_dir() else {}
    if not found:
        raise DataError(f"{images}: no .png or .jpg pictures; give a folder with one picture of each thing")
    missing = next((p.name for p in found if p.stem not in by_stem), None)
    if missing is not None:
        raise DataError(f"{masks}: no mask for {missing}; give each picture one of the same name, white on the thing")
    return [(p.name, p, by_stem[p.stem]) for p in found]


@dataclass(frozen=True)
class Crop:
    """A user's picture of a thing, cut out as a device does it."""

    name: str
    image: Picture
    mask: Picture


def read_crops(images: Path, masks: Path, side_px: int, most: int | None = None) -> list[Crop]:
    """All pictures of a folder that have a usable mask.

    Raises:
        DataError: none has, or sizes differ.
    """
    out, first = [], ""
    for name, image_path, mask_path in picture_pairs(images, masks)[:most]:
        image, mask = read_picture(image_path), read_picture(mask_path).max(axis=2)
        if image.shape[:2] != mask.shape:
            raise DataError(f"{mask_path}: {mask.shape[1]}x{mask.shape[0]} px, its picture is another size; resize it")
        try:
            picture, inside = cut_out(image, mask > 127, side_px)
        except ObjectError as error:
            first = first or f"{name}: {str(error).partition(';')[0]}"
            continue
        out.append(Crop(name, picture, np.where(inside, 255, 0).astype(np.uint8)))
    if not out:
        raise DataError(f"{masks}: no usable mask ({first}); give masks that are white on one thing, black elsewhere")
    return out
