"""Which data a recipe trains and validates on: rendered rooms, HDRIs and data sets, mixed by weight."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, Generic, NamedTuple, TypeVar

import torch
from torch.utils.data import ConcatDataset, Dataset

from edge.errors import DataError
from training.config.data import SourceConfig
from training.config.file import recipe_from_mapping
from training.config.recipe import Recipe
from training.data.mix import splits
from training.data.mix.entries import PARTS, Entry, Lazy, Part
from training.data.mix.mixture import Items, Mixture
from training.data.motion.footage import Finder, Footage
from training.data.motion.pairs import Studied, studied
from training.data.samples.hdri import (
    LightingTraining,
    LightingValidation,
    area_averaged,
    environments,
    split_environments,
)
from training.data.samples.joint import joint_samples
from training.data.samples.objects import ObjectSamples
from training.data.samples.rooms import (
    DepthSamples,
    LayoutSamples,
    RoomRadiance,
    columns_of,
    depth_pictures,
    panorama_rooms,
    split_rooms,
    without_skies,
)
from training.data.samples.self_depth import SelfDepthSamples, moments
from training.data.sets.hdr_files import Radiance, place_of
from training.data.sets.readers import kind_of
from training.data.synthetic import RenderedRooms
from training.data.synthetic.objects.rendered import RenderedObjects

_LOG = logging.getLogger(__name__)
T = TypeVar("T")
Samples = Dataset[dict[str, torch.Tensor]]
Rooms = list[tuple[RenderedRooms, int]]
MOST_VALIDATION = 400
"""Of each data set at most so many items, evenly spaced, choose the checkpoint."""
_MOST_ROOMS = 40
"""Of rendered rooms at most so many choose a lighting checkpoint."""
TRAINED_SHARE, _GAP = 0.82, 0.03
"""Shares of a sequence that are learnt from, and left out before what is held out."""


class Split(NamedTuple):
    """Samples to learn from, samples that choose the checkpoint, how much data they show, and which scenes of it."""

    training: Samples
    validation: Samples
    counts: dict[str, int]
    scenes: list[dict[str, Any]]


@dataclass
class _Gathered(Generic[T]):
    """What all places together give: sets with weights to learn from, and sets to validate on."""

    train: list[tuple[float, Items[T]]] = field(default_factory=list)
    held: list[tuple[float, Items[T]]] = field(default_factory=list)
    counts: dict[str, int] = field(default_factory=dict)
    scenes: list[dict[str, Any]] = field(default_factory=list)

    def add(self, weight: float, train: Items[T], held: Items[T], what: str) -> None:
        """Add a set, drawn `weight` times as often as one of weight 1; its items are counted as `what`."""
        self.train.append((weight, train))
        self.held.append((1.0, held))
        for key, items in ((what, train), (f"validation_{what}", held)):
            self.counts[key] = self.counts.get(key, 0) + len(items)

    def to_validate_on(self) -> Mixture[T]:
        """All that is held out.

        Raises:
            DataError: that is nothing, or a scene of it is learnt from.
        """
        splits.check_apart(self.scenes)
        if not any(len(items) for _, items in self.held):
            raise DataError(
                "nothing to validate on: the data has too few scenes; give more, another data.split_seed, or for "
                "lighting maps in data.hold_out_hdri"
            )
        return Mixture(self.held)


def with_sources(recipe: Recipe, given: Sequence[str]) -> Recipe:
    """The recipe with data sets of the command line, each `kind=path` or `kind=path:weight`.

    A kind that the recipe names gets this path and keeps its options; others are added.

    Raises:
        DataError: a text is written otherwise.
    """
    if not given:
        return recipe
    sources = list(recipe.data.sources)
    unset = list(range(len(sources)))
    for text in given:
        kind, _, path = text.partition("=")
        before, colon, last = path.rpartition(":")
        weighted = bool(colon and before) and last.replace(".", "", 1).isdigit()
        changes: dict[str, Any] = {"path": Path(before), "weight": float(last)} if weighted else {"path": Path(path)}
        if not kind or not path:
            raise DataError(f"--source {text}: expected kind=path or kind=path:weight, like nyu=data/nyu:0.5")
        known = next((i for i in unset if sources[i].kind == kind), None)
        if known is None:
            sources.append(SourceConfig(kind=kind, **changes))
        else:
            unset.remove(known)
            sources[known] = sources[known].model_copy(update=changes)
    mapping = recipe.model_dump()
    mapping["data"]["sources"] = [s.model_dump() for s in sources]
    return recipe_from_mapping(mapping, "command line")


def rooms_folder(recipe: Recipe) -> Path:
    """The folder of rendered rooms.

    Raises:
        DataError: none is given.
    """
    if recipe.data.rooms is None:
        raise DataError(
            f"{recipe.task} learns from rendered rooms: make some with `edge-train synthesize`, give --rooms"
            + ("" if recipe.task == "joint" else "; or from data sets: give --source kind=path")
        )
    return recipe.data.rooms


def parts_of(recipe: Recipe, source: SourceConfig) -> splits.Parts[Any]:
    """The entries of one of a recipe's data sets, split; places in `data.hold_out_hdri` are validated on.

    Raises:
        DataError: its folder is not given or laid out otherwise.
    """
    if source.path is None:
        raise DataError(f"data.sources: {source.kind} has no path; give --source {source.kind}=FOLDER")
    data = recipe.data
    entries = kind_of(recipe.task, source.kind).entries(source.path, source.options)
    held = data.hold_out_hdri if recipe.task == "lighting" else ()
    return splits.parted(entries, data.split_seed, source.split, f"{source.kind} {source.path}", held)


def _add_sources(
    recipe: Recipe, gathered: _Gathered[T], items: Callable[[Sequence[Entry[T]]], Items[T]], what: str
) -> None:
    """The recipe's data sets; `items` reads entries, now or when they are taken."""
    for source in recipe.data.sources:
        parts = parts_of(recipe, source)
        held = parts["val"][:: -(-len(parts["val"]) // MOST_VALIDATION) or 1]
        gathered.add(source.weight, items(parts["train"]), items(held), what)
        gathered.scenes.append(splits.record(source.kind, str(source.path), parts))


def _room_parts(recipe: Recipe, hidden_skies: tuple[str, ...] = ()) -> tuple[Rooms, Rooms, dict[str, Any]]:
    """Rooms to learn from and to validate on, and the record of their split.

    Raises:
        DataError: they are too few to split.
    """
    data, folder = recipe.data, rooms_folder(recipe)
    rooms = {part: split_rooms(folder, part, data.split_seed, data.max_rooms) for part in PARTS}
    if hidden_skies:
        rooms = {part: without_skies(found, hidden_skies) for part, found in rooms.items()}
    if not rooms["train"] or not rooms["val"]:
        raise DataError(f"{folder}: too few rooms to split for training and validation; synthesize at least 20")
    entries = {part: [Entry(str(i), str(i), partial(r.read, i)) for r, i in rooms[part]] for part in PARTS}
    return rooms["train"], rooms["val"], splits.record("rooms", str(folder), entries)


def _from_rooms_and_sources(
    recipe: Recipe, of_rooms: Callable[[Rooms], Items[T]], what: str
) -> tuple[Mixture[T], Mixture[T], _Gathered[T]]:
    """What to draw from and to validate on, for the nouns that learn from rooms as from any other set."""
    gathered = _Gathered[T]()
    if recipe.data.rooms is not None or not recipe.data.sources:
        train, held, scenes = _room_parts(recipe)
        gathered.add(1.0, of_rooms(train), of_rooms(held), what)
        gathered.counts = {"rooms": len(train), "validation_rooms": len(held)}
        gathered.scenes.append(scenes)
    _add_sources(recipe, gathered, Lazy, what)
    return Mixture(gathered.train), gathered.to_validate_on(), gathered


def _depth(recipe: Recipe, samples: int) -> Split:
    size = recipe.augment.canvas_px or (recipe.input.width_px, recipe.input.height_px)
    train, held, gathered = _from_rooms_and_sources(recipe, lambda rooms: depth_pictures(rooms, *size), "pictures")
    training, validation = DepthSamples(train, recipe, samples), DepthSamples(held, recipe, None)
    return Split(training, validation, gathered.counts, gathered.scenes)


def _self_depth(recipe: Recipe, samples: int, *, people: Finder | None) -> Split:
    """Footage: whole sequences are held out where there are enough, else the last part of each."""
    size = (recipe.input.width_px, recipe.input.height_px)
    if not recipe.data.sources:
        raise DataError("self_depth learns from footage: give --video FOLDER, or --source video=, stereo=, walks=, ...")
    entries: dict[Part, list[Entry[Footage]]] = {"train": [], "val": []}
    scenes = []
    for source in recipe.data.sources:
        parts = parts_of(recipe, source)
        if not parts["train"] or not parts["val"]:
            parts = {"train": [e for part in PARTS for e in parts[part]], "val": [], "test": []}
        scenes.append(splits.record(source.kind, str(source.path), parts))
        for part in entries:
            entries[part] += parts[part]
    splits.check_apart(scenes)
    train, held = (_studied(found, size, people) for found in entries.values())
    kept = [range(round(TRAINED_SHARE * len(s.images)) if not held else len(s.images)) for s in train]
    learnt = moments(train, kept)
    left = moments(held, [range(len(s.images)) for s in held]) if held else moments(train, _after(train, kept))
    if not learnt or not left:
        raise DataError("the footage has too few usable frames to learn from and to hold some out; give more")
    rooms, counts = None, {"frames": len(learnt), "validation_frames": len(left)}
    if recipe.data.rooms is not None and getattr(recipe.loss, "rooms", 0.0) > 0:
        rooms_split = _depth(
            recipe.model_copy(update={"data": recipe.data.model_copy(update={"sources": ()})}), samples
        )
        rooms, counts, scenes = rooms_split.training, counts | rooms_split.counts, scenes + rooms_split.scenes
    training = SelfDepthSamples(learnt, recipe, samples, rooms)
    step = -(-len(left) // MOST_VALIDATION)
    return Split(training, SelfDepthSamples(left[::step], recipe, None, None), counts, scenes)


def _studied(entries: list[Entry[Footage]], size_px: tuple[int, int], people: Finder | None) -> list[Studied]:
    """All clips that depth can be learnt from; one that it cannot be is named and left out, if others remain.

    Raises:
        DataError: it can be learnt from none of them.
    """
    out: list[Studied] = []
    refused: list[DataError] = []
    for entry in entries:
        try:
            out.append(studied(entry.read(), *size_px, people))
        except DataError as e:
            refused.append(e)
    if refused and not out:
        raise refused[0]
    for reason in refused:
        _LOG.warning("left out: %s", reason)
    return out


def _after(footage: list[Studied], kept: list[range]) -> list[range]:
    """Frames after those that are learnt from, but for a gap: neighbours are too alike."""
    return [range(k.stop + round(_GAP * len(s.images)), len(s.images)) for s, k in zip(footage, kept, strict=True)]


def _layout(recipe: Recipe, samples: int) -> Split:
    size, columns = (recipe.input.width_px, recipe.input.height_px), columns_of(recipe)
    train, held, gathered = _from_rooms_and_sources(recipe, lambda rooms: panorama_rooms(rooms, *size), "panoramas")
    training, validation = LayoutSamples(train, recipe, columns, samples), LayoutSamples(held, recipe, columns, None)
    return Split(training, validation, gathered.counts, gathered.scenes)


def _lighting(recipe: Recipe, samples: int) -> Split:
    data, spec = recipe.data, recipe.input
    size = (spec.width_px, spec.height_px)
    if data.hdri is None and not data.sources:
        raise DataError(
            "lighting learns from HDRIs: give --hdri, a folder of equirectangular .hdr files, or --source hdri=FOLDER"
        )
    maps, rooms = _Gathered[Radiance](), _Gathered[Radiance]()
    uses_rooms = data.rooms is not None and data.rooms_share > 0
    _add_sources(recipe, maps, lambda entries: [area_averaged(e.read(), *size) for e in entries], "environments")
    hidden = {*data.hold_out_hdri, *(scene for s in maps.scenes for scene in (*s["val"], *s["test"]))}
    if data.hdri is not None:
        found = environments(data.hdri, *size)
        elsewhere = {scene for s in maps.scenes for scene in s["val"]} - {place_of(name) for name in found}
        train, held = split_environments(found, tuple(n for n in data.hold_out_hdri if n not in elsewhere))
        maps.add(1 - data.rooms_share if uses_rooms else 1.0, train, held, "environments")
        maps.scenes.append(_environment_record(data.hdri, list(found), data.hold_out_hdri))
    if uses_rooms:
        seen, unseen, scenes = _room_parts(recipe, tuple(hidden))
        rooms.add(data.rooms_share, RoomRadiance(seen, *size), RoomRadiance(unseen[:_MOST_ROOMS], *size), "rooms")
        maps.scenes.append(scenes)
    validation: list[Samples] = [
        LightingValidation(list(gathered.to_validate_on()), spec, yaws)
        for gathered, yaws in ((maps, 8), (rooms, 2))
        if any(len(items) for _, items in gathered.held)
    ]
    if not validation:
        raise DataError("lighting has nothing to validate on: name maps in data.hold_out_hdri, or give --rooms")
    training = LightingTraining(Mixture(maps.train + rooms.train), spec, recipe.augment, samples)
    return Split(training, ConcatDataset(validation), maps.counts | rooms.counts, maps.scenes)


def _environment_record(folder: Path, names: list[str], hold_out: tuple[str, ...]) -> dict[str, Any]:
    entries = [Entry(n, place_of(n), partial(folder.joinpath, n)) for n in names]
    held = [e for e in entries if e.scene in hold_out]
    return splits.record("hdri", str(folder), {"train": [e for e in entries if e not in held], "val": held})


def _joint(recipe: Recipe, samples: int) -> Split:
    for source in recipe.data.sources:
        kind_of(recipe.task, source.kind)  # refuses: rooms alone show all of a scene
    training, validation, counts = joint_samples(recipe, rooms_folder(recipe), samples)
    return Split(training, validation, counts, [_room_parts(recipe, recipe.data.hold_out_hdri)[2]])


def _objects(recipe: Recipe, samples: int) -> Split:
    """Rendered things: the split by cluster that their folder came with."""
    folder = recipe.data.objects
    if folder is None:
        raise DataError(
            "things are learnt from renders: make some with `edge-train synthesize-objects`, give --objects"
        )
    found = RenderedObjects(folder)
    parts = {part: found.of(part) for part in PARTS}
    if not len(parts["train"]) or not len(parts["val"]):
        raise DataError(f"{folder}: nothing to learn from, or nothing to validate on; synthesize more models")
    entries = {
        part: [
            Entry(str(i), scene, partial(items.read, i)) for i, scene in zip(items.indices, items.clusters, strict=True)
        ]
        for part, items in parts.items()
    }
    counts = {"things": len(parts["train"]), "validation_things": len(parts["val"])}
    training = ObjectSamples(parts["train"], recipe, samples)
    validation = ObjectSamples(parts["val"], recipe, None, MOST_VALIDATION)
    return Split(training, validation, counts, [splits.record("objects", str(folder), entries)])


def datasets(recipe: Recipe, people: Finder | None = None) -> Split:
    """What a recipe learns from; `people` finds what footage is not learnt from.

    Raises:
        DataError: a folder that the recipe needs is not given, is laid out otherwise, or holds too little.
    """
    samples = recipe.optim.batch_size * recipe.optim.validate_every
    of_task: dict[str, Callable[[Recipe, int], Split]] = {
        "depth": _depth, "self_depth": partial(_self_depth, people=people), "layout": _layout, "lighting": _lighting,
        "joint": _joint, "objects": _objects,
    }  # fmt: skip
    return of_task[recipe.task](recipe, samples)
