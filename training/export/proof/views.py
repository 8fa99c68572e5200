"""Pictures, with the cameras that took them, that an exported file is proved and calibrated on."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from edge.errors import DataError
from edge.inference.manifest import Manifest
from edge.perception.readers import reader_of
from edge.scene import CameraModel, ImageArray, Intrinsics
from training.config.recipe import Recipe
from training.data import evaluation
from training.data.mix.entries import Entry, Part, spread
from training.data.motion.footage import Footage
from training.data.samples.objects import tensor_of
from training.data.sets.video import lens_from_fov
from training.data.sources import TRAINED_SHARE, parts_of
from training.data.synthetic.objects.rendered import RenderedObjects

_HEIGHT_M = 1.6
"""Of a camera whose height a data set does not tell."""
_HFOV_DEG = 65.0
"""Of a camera whose lens footage does not tell."""


@dataclass(frozen=True)
class View:
    """A picture as a device's camera gives it."""

    image: ImageArray
    camera: CameraModel


@dataclass(frozen=True)
class CutOut:
    """A picture of one thing and its mask, of the network's size."""

    image: ImageArray
    mask: npt.NDArray[np.uint8]


def tensors(manifest: Manifest, views: Sequence[View | CutOut]) -> npt.NDArray[np.float32]:
    """(N, C, H, W) what the device gives the network of these pictures.

    Raises:
        DataError: there are none.
    """
    if not views:
        raise DataError("no pictures: give --rooms, --hdri or --source with held-out ones; noise proves nothing")
    return np.concatenate([_tensor(manifest, view) for view in views])


def _tensor(manifest: Manifest, view: View | CutOut) -> npt.NDArray[np.float32]:
    if isinstance(view, CutOut):
        return tensor_of(view.image, view.mask, manifest.input).numpy()[None]
    task = next(iter(manifest.parts))
    return np.asarray(reader_of(task, manifest.part(task), view.camera).prepare(view.image))


def cut_outs(objects: Path, part: Part, count: int) -> list[CutOut]:
    """About `count` pictures of that part of rendered things, evenly."""
    found = RenderedObjects(objects).of(part)
    chosen = found.indices[:: -(-len(found) // count) or 1]
    items = [found.read(index) for index in chosen]
    return [CutOut(item["image"][0], item["mask"][0]) for item in items]


def entries_of(recipe: Recipe, part: Part) -> Iterator[list[Entry[Any]]]:
    """Every set of data that the recipe learns from: its entries of that part."""
    data, task = recipe.data, "layout" if recipe.task == "joint" else recipe.noun
    rooms: dict[str, Callable[[Path, str, int], list[Any]]] = {
        "depth": evaluation.room_depth_cases,
        "layout": evaluation.room_layout_cases,
        "lighting": evaluation.room_lighting_cases,
    }
    if data.rooms is not None:
        yield rooms[task](data.rooms, part, data.split_seed)
    if data.hdri is not None and task == "lighting":
        names = tuple(n for n in evaluation.places_in(data.hdri) if (n in data.hold_out_hdri) == (part == "val"))
        if names:
            yield from evaluation.hdri_cases(data.hdri, names).values()
    for source in data.sources:
        if source.path is None or recipe.task == "self_depth":  # footage has no truth: `footage_views` shows it
            continue
        found = evaluation.Source(source.kind, source.path, part, source, data.split_seed, data.hold_out_hdri)
        if task == "lighting":
            yield from found.lighting_cases().values()
        else:
            yield found.depth_cases() if task == "depth" else found.layout_cases()


def footage_views(recipe: Recipe, part: Part, count: int) -> list[View]:
    """About `count` frames of the footage that a recipe learns from, evenly from its clips.

    Held out are whole clips where there are enough of them, else the end of each, as in training.
    """
    clips: list[tuple[Footage, bool]] = []
    for source in recipe.data.sources if recipe.task == "self_depth" else ():
        if source.path is None:
            continue
        parts = parts_of(recipe, source)
        whole = bool(parts["train"] and parts["val"])
        chosen = parts[part] if whole else [e for found in parts.values() for e in found]
        clips += [(entry.read(), whole) for entry in chosen]
    views: list[View] = []
    share = -(-count // max(1, len(clips)))
    for clip, whole in clips[:count]:
        total = sum(1 for _ in clip.frames())
        first, last = (0, total) if whole else _part_of_clip(total, part)
        wanted = set(np.linspace(first, last - 1, min(share, last - first)).round().astype(int).tolist())
        for number, image in enumerate(clip.frames()):
            if number in wanted:
                lens = clip.lens or lens_from_fov(image.shape[1], image.shape[0], _HFOV_DEG)
                inner = Intrinsics(image.shape[1], image.shape[0], *lens)
                views.append(View(image, CameraModel("perspective", intrinsics=inner, camera_height_m=_HEIGHT_M)))
    return views


def _part_of_clip(total: int, part: Part) -> tuple[int, int]:
    """First frame and one past the last of a clip's own part: its end is held out."""
    end = round(TRAINED_SHARE * total)
    return (0, end) if part == "train" else (min(end, total - 1), total)


def views_of(recipe: Recipe, part: Part, count: int) -> list[View | CutOut]:
    """About `count` pictures of that part of the recipe's data, evenly from its sets.

    Panoramas alternate with what a perspective camera sees of them, where the network is told what is seen.
    """
    if recipe.data.objects is not None and recipe.noun == "objects":
        return list(cut_outs(recipe.data.objects, part, count))
    sets = [entries for entries in entries_of(recipe, part) if entries]
    share = -(-count // max(1, len(sets)))
    cases = [entry.read() for entries in sets for entry in spread(entries, share)]
    views = footage_views(recipe, part, count)
    views += [View(c.image, replace(c.camera, camera_height_m=c.camera.camera_height_m or _HEIGHT_M)) for c in cases]
    if not recipe.input.mask_channel:
        return list(views)
    turned = {i for i, v in enumerate(views) if i % 2 and v.camera.projection == "equirectangular"}
    return [
        View(*evaluation.view_of(v.image, v.camera.camera_height_m)) if i in turned else v for i, v in enumerate(views)
    ]
