"""Samples of each noun from rendered rooms, held in memory."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from torch.utils.data import Dataset

from edge.perception.preprocess import resize, tensor_from_image
from edge.scene import BoolArray
from training.arrays import Array
from training.config.recipe import Recipe
from training.data.mix.mixture import Mixture
from training.data.samples.hdri import area_averaged
from training.data.samples.openings import (
    ITEM_NAMES,
    column_numbers,
    extended_boundary,
    level_ceiling,
    opening_sample,
    openings_in,
    says_openings,
    tilted_numbers,
)
from training.data.samples.style import Style, style_of
from training.data.sets.hdr_files import Radiance, place_of
from training.data.synthetic import RenderedRooms
from training.data.synthetic.shards import about_of
from training.data.vary import framing, panoramic, perspective
from training.data.vary.masks import random_view_mask
from training.data.vary.panoramic import PanoramaRoom
from training.data.vary.perspective import DepthPicture
from training.data.vary.photometric import random_gamma, sensor
from training.data.vary.tilt import random_tilt, tilted_boundary, tilted_columns, tilted_picture

Sample = dict[str, torch.Tensor]


def split_rooms(folder: Path, split: str, seed: int = 0, limit: int | None = None) -> list[tuple[RenderedRooms, int]]:
    """Handles of the rooms of one split: (reader, room index).

    Raises:
        DataError: the folder holds no rooms.
    """
    part = RenderedRooms(folder).split(seed)[split]
    return [(part, index) for index in part.indices[:limit]]


def assets_of(folder: Path) -> dict[str, int]:
    """How many models, pictures and skies the rooms of a folder were made of; empty where their files do not say."""
    said = str(about_of(folder).get("assets", ""))
    return {what: int(n) for n, what in re.findall(r"(\d+) (models|pictures|skies)", said)}


def without_skies(rooms: list[tuple[RenderedRooms, int]], hold_out: tuple[str, ...]) -> list[tuple[RenderedRooms, int]]:
    """The rooms behind whose windows none of the held-out environments stands."""
    return [(reader, index) for reader, index in rooms if place_of(sky_of(reader, index) or "") not in hold_out]


def sky_of(reader: RenderedRooms, index: int) -> str | None:
    """File name of the environment behind a room's windows, where there is one."""
    description = reader.read(index, ()).get("description")
    sky = json.loads(description).get("sky") if description else None
    return None if sky is None else str(sky)


class RoomRadiance:
    """Linear radiance of rooms at the network's size, in half precision."""

    def __init__(self, rooms: list[tuple[RenderedRooms, int]], width_px: int, height_px: int) -> None:
        """Read every room."""
        maps = []
        for reader, index in rooms:
            radiance = reader.read(index, ("radiance",))["radiance"].astype(np.float32)
            maps.append(area_averaged(radiance, width_px, height_px).astype(np.float16))
        self._maps = maps

    def __len__(self) -> int:
        """How many rooms."""
        return len(self._maps)

    def __getitem__(self, index: int) -> Radiance:
        """(H, W, 3) float32."""
        return self._maps[index].astype(np.float32)


def panorama_rooms(rooms: list[tuple[RenderedRooms, int]], width_px: int, height_px: int) -> list[PanoramaRoom]:
    """Panoramas at the network's size with their layouts."""
    out = []
    for reader, index in rooms:
        item = reader.read(index, ("panorama", "polygon_m", *ITEM_NAMES))
        image = resize(np.asarray(item["panorama"]), width_px, height_px)
        polygon = np.asarray(item["polygon_m"], dtype=np.float64)
        camera_m, ceiling_m = float(item["camera_height_m"]), float(item["height_m"])
        out.append(PanoramaRoom(image, polygon, camera_m, ceiling_m, openings_in(item)))
    return out


def depth_pictures(rooms: list[tuple[RenderedRooms, int]], width_px: int, height_px: int) -> list[DepthPicture]:
    """The perspective views of rooms at the network's size."""
    out = []
    for reader, index in rooms:
        item = reader.read(index, ("view_image", "view_depth_m", "view_intrinsics"))
        for image, depth, k in zip(item["view_image"], item["view_depth_m"], item["view_intrinsics"], strict=True):
            picture = DepthPicture(image, depth.astype(np.float32), float(k[0]), float(k[1]))
            out.append(framing.resized(picture, width_px, height_px))
    return out


def _rng(index: int, fixed: bool) -> np.random.Generator:
    """A new generator for each training sample; the same one each time for validation."""
    return np.random.default_rng(index if fixed else int(torch.randint(0, 2**62, ()).item()))


def _style(recipe: Recipe, samples: int | None) -> Style:
    """The recipe's for training; none for validation, which reads no pictures for it."""
    return style_of(recipe) if samples is not None else Style([], 0.0)


class LayoutSamples(Dataset[Sample]):
    """`image`, `boundary` (2, W), `corners` (1, W), `seen` (2, W) 0..1, and for validation `index` of the room.

    For a network that says more of columns, what `opening_sample` gives too.
    """

    def __init__(self, rooms: Mixture[PanoramaRoom], recipe: Recipe, columns: int, samples: int | None) -> None:
        """`samples`: length of an epoch of random variations; None = each room once, unchanged, for validation."""
        self._rooms, self._spec, self._augment, self._columns = rooms, recipe.input, recipe.augment, columns
        self._samples, self._style, self._openings = samples, _style(recipe, samples), says_openings(recipe)

    def __len__(self) -> int:
        """Samples in an epoch."""
        return self._samples or len(self._rooms)

    def _varied(self, room: PanoramaRoom, rng: np.random.Generator) -> PanoramaRoom:
        a = self._augment
        if a.stretch > 1 and rng.random() < 0.8:
            room = panoramic.random_stretch(room, rng, a.stretch)
        if a.flip and rng.random() < 0.5:
            room = panoramic.mirrored(room)
        if a.roll:
            room = panoramic.turned(room, int(rng.integers(room.image.shape[1])))
        image = sensor(random_gamma(self._style.apply(room.image, rng), rng, a.gamma), rng, a.photometric)
        return replace(room, image=image)

    def __getitem__(self, index: int) -> Sample:
        """A sample."""
        fixed = self._samples is None
        rng = _rng(index, fixed)
        room = self._rooms[index] if fixed else self._rooms.draw(rng)
        room = replace(room, image=resize(room.image, self._spec.width_px, self._spec.height_px))
        mask = None
        if not fixed:
            room = self._varied(room, rng)
            if rng.random() < self._augment.perspective_share:
                size = (self._spec.width_px, self._spec.height_px)
                mask = random_view_mask(rng, *size, centred=rng.random() < 0.7)
        rotation = random_tilt(rng, self._augment.tilt_deg) if not fixed and self._augment.tilt_deg > 0 else None
        image = room.image if rotation is None else tilted_picture(room.image, rotation)
        tensor = torch.from_numpy(tensor_from_image(image, self._spec, mask=mask))
        return {"image": tensor, "index": torch.tensor(index), **self._edges(room, mask, rotation)}

    def _edges(self, room: PanoramaRoom, mask: BoolArray | None, rotation: Array | None) -> Sample:
        """All that is known of columns, as the picture that is turned by `rotation` shows it."""
        boundary = panoramic.boundary_target(room, self._columns)
        corners, level = panoramic.corner_columns(room.polygon_m, self._columns), level_ceiling(room, self._columns)
        numbers = extended = None
        if self._openings:
            numbers, extended = column_numbers(room, self._columns), extended_boundary(room, self._columns)
        if rotation is not None:
            corners = tilted_columns(corners, boundary, rotation)
            numbers = None if numbers is None else tilted_numbers(numbers, boundary, rotation)
            extended = None if extended is None else tilted_boundary(extended, rotation)
            boundary = tilted_boundary(boundary, rotation)
        seen = panoramic.edge_weights(boundary, mask) * panoramic.shown_edges(room, self._columns)
        seen[0] *= level
        rows = {"boundary": boundary, "corners": panoramic.corner_peaks(corners, self._columns), "seen": seen}
        if numbers is not None:
            rows |= opening_sample(numbers, extended, boundary, mask)
        return {name: torch.from_numpy(row) for name, row in rows.items()}


class DepthSamples(Dataset[Sample]):
    """`image`, `depth` (1, h, w) for the canonical lens if one is set (0 = unknown), `per_canonical`.

    h and w are those of the network's answer: half the picture's, or the picture's own.
    """

    def __init__(self, pictures: Mixture[DepthPicture], recipe: Recipe, samples: int | None) -> None:
        """`samples`: length of an epoch of random variations; None = each picture once, unchanged, for validation."""
        self._pictures, self._spec, self._augment, self._samples = pictures, recipe.input, recipe.augment, samples
        self._style = _style(recipe, samples)
        self._canonical_px = getattr(recipe.net, "canonical_focal_px", None)
        self._full = getattr(recipe.net, "answer", "half") == "full"

    def __len__(self) -> int:
        """Samples in an epoch."""
        return self._samples or len(self._pictures)

    def _varied(self, picture: DepthPicture, rng: np.random.Generator) -> DepthPicture:
        a, size = self._augment, (self._spec.width_px, self._spec.height_px)
        picture = framing.resized(picture, *(a.canvas_px or size))
        if a.scale > 1 or a.rotate_deg > 0:
            turn_rad = float(np.radians(rng.uniform(-a.rotate_deg, a.rotate_deg)))
            picture = framing.nearer(picture, float(rng.uniform(1, a.scale)), turn_rad)
        picture = framing.centre_cropped(picture, *size)
        if a.zoom > 1 and rng.random() < 0.8:
            picture = perspective.random_crop(picture, rng, a.zoom)
        if a.flip and rng.random() < 0.5:
            picture = perspective.mirrored(picture)
        image = framing.jittered(self._style.apply(picture.image, rng), rng, a.jitter)
        image = sensor(image, rng, a.photometric)
        return DepthPicture(image, picture.depth_m, picture.fx_px, picture.fy_px)

    def __getitem__(self, index: int) -> Sample:
        """A sample."""
        fixed = self._samples is None
        rng = _rng(index, fixed)
        if fixed:
            picture = framing.resized(self._pictures[index], self._spec.width_px, self._spec.height_px)
        else:
            picture = self._varied(self._pictures.draw(rng), rng)
        per_canonical = picture.focal_px / self._canonical_px if self._canonical_px else 1.0
        known = picture.depth_m if self._full else perspective.halved_depth(picture.depth_m)
        depth = known / per_canonical
        return {
            "image": torch.from_numpy(tensor_from_image(picture.image, self._spec)),
            "depth": torch.from_numpy(depth.astype(np.float32)[None]),
            "per_canonical": torch.tensor(per_canonical, dtype=torch.float32),
        }


def columns_of(recipe: Recipe) -> int:
    """How many columns a layout recipe's network answers for."""
    return recipe.input.width_px // 4 * int(getattr(recipe.net, "step_columns", 4))
