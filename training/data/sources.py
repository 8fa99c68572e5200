"""Which data a recipe trains and validates on."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import torch
from torch.utils.data import Dataset

from edge.errors import DataError
from training.config import Recipe
from training.data.hdri import LightingTraining, LightingValidation, environments, split_environments
from training.data.rooms import (
    DepthSamples,
    LayoutSamples,
    RoomRadiance,
    columns_of,
    depth_pictures,
    panorama_rooms,
    split_rooms,
    without_skies,
)

Samples = Dataset[dict[str, torch.Tensor]]


class Split(NamedTuple):
    """Samples to learn from, samples that choose the checkpoint, and how many rooms and environments they show."""

    training: Samples
    validation: Samples
    counts: dict[str, int]


def rooms_folder(recipe: Recipe) -> Path:
    """The folder of rendered rooms.

    Raises:
        DataError: none is given.
    """
    if recipe.data.rooms is None:
        raise DataError(
            f"{recipe.task} learns from rendered rooms: make some with `edge-train synthesize`, give --rooms"
        )
    return recipe.data.rooms


def _lighting(recipe: Recipe, samples: int) -> Split:
    data, spec = recipe.data, recipe.input
    if data.hdri is None:
        raise DataError("lighting learns from HDRIs: give --hdri, a folder of equirectangular .hdr files")
    train, held = split_environments(environments(data.hdri, spec.width_px, spec.height_px), data.hold_out_hdri)
    rooms, held_rooms = None, []
    counts = {"environments": len(train), "validation_environments": len(held)}
    if data.rooms is not None and data.rooms_share > 0:
        parts = [
            without_skies(split_rooms(data.rooms, part, data.split_seed, data.max_rooms), data.hold_out_hdri)
            for part in ("train", "val")
        ]
        rooms = RoomRadiance(parts[0], spec.width_px, spec.height_px)
        few = RoomRadiance(parts[1][:40], spec.width_px, spec.height_px)
        held_rooms = [few[i] for i in range(len(few))]
        counts |= {"rooms": len(rooms), "validation_rooms": len(few)}
    if not held + held_rooms:
        raise DataError("lighting has nothing to validate on: name maps in data.hold_out_hdri, or give --rooms")
    validation: Samples = torch.utils.data.ConcatDataset(
        [LightingValidation(maps, spec, yaws) for maps, yaws in ((held, 8), (held_rooms, 2)) if maps]
    )
    return Split(LightingTraining(train, rooms, spec, recipe.augment, data, samples), validation, counts)


def datasets(recipe: Recipe) -> Split:
    """What a recipe learns from.

    Raises:
        DataError: a folder that the recipe needs is not given or is empty.
    """
    samples = recipe.optim.batch_size * recipe.optim.validate_every
    if recipe.task == "lighting":
        return _lighting(recipe, samples)
    data, size = recipe.data, (recipe.input.width_px, recipe.input.height_px)
    folder = rooms_folder(recipe)
    train, held = (split_rooms(folder, part, data.split_seed, data.max_rooms) for part in ("train", "val"))
    if not train or not held:
        raise DataError(f"{folder}: too few rooms to split for training and validation; synthesize at least 20")
    counts = {"rooms": len(train), "validation_rooms": len(held)}
    if recipe.task == "layout":
        columns = columns_of(recipe)
        return Split(
            LayoutSamples(panorama_rooms(train, *size), recipe, columns, samples),
            LayoutSamples(panorama_rooms(held, *size), recipe, columns, None),
            counts,
        )
    return Split(
        DepthSamples(depth_pictures(train, *size), recipe, samples),
        DepthSamples(depth_pictures(held, *size), recipe, None),
        counts,
    )
