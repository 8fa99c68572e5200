"""Samples for the joint task: a rendered room's picture with its range, layout and light; an HDRI's with its light."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from torch.utils.data import Dataset

from edge.errors import DataError
from edge.geometry.panorama import rays
from edge.scene import BoolArray
from training.arrays import Array
from training.config.nets import JointConfig
from training.config.recipe import Recipe
from training.data.samples.hdri import (
    LightingSample,
    area_averaged,
    as_tensors,
    cells_of,
    coefficients_of,
    environments,
    protocol_picture,
    random_sample,
    split_environments,
    varied,
)
from training.data.samples.openings import (
    ITEM_NAMES,
    column_numbers,
    extended_boundary,
    level_ceiling,
    opening_sample,
    openings_in,
    says_openings,
)
from training.data.samples.rooms import split_rooms, without_skies
from training.data.sets.hdr_files import Radiance
from training.data.synthetic import RenderedRooms
from training.data.vary import panoramic
from training.data.vary.framing import nearest
from training.data.vary.panoramic import Openings, PanoramaRoom
from training.data.vary.perspective import halved_depth

Sample = dict[str, torch.Tensor]
Half = npt.NDArray[np.float16]


@dataclass(frozen=True)
class JointRoom:
    """A room as its camera sees it: linear radiance (H, W, 3), range in metres (H, W), and its shell."""

    radiance: Radiance
    range_m: npt.NDArray[np.float32]
    polygon_m: Array
    camera_height_m: float
    ceiling_height_m: float
    openings: Openings | None = None

    @property
    def shell(self) -> PanoramaRoom:
        """The room without its range, its picture black."""
        picture = np.zeros(self.radiance.shape, np.uint8)
        return PanoramaRoom(picture, self.polygon_m, self.camera_height_m, self.ceiling_height_m, self.openings)


def stretched(room: JointRoom, plane: Array) -> JointRoom:
    """The room after a linear map (2, 2) of its floor plane, which keeps the camera in its place."""
    h, w = room.range_m.shape
    inverse = np.eye(3)
    inverse[:2, :2] = np.linalg.inv(plane)
    back = rays(w, h) @ inverse.T
    moved = panoramic.moved_picture(room.range_m, plane, blend=False)
    return replace(
        room,
        radiance=panoramic.moved_picture(room.radiance, plane),
        range_m=(moved / np.linalg.norm(back, axis=-1)).astype(np.float32),
        polygon_m=panoramic.moved_polygon(room.polygon_m, plane),
        openings=panoramic.moved_openings(room.openings, plane),
    )


def mirrored(room: JointRoom) -> JointRoom:
    """The room with left and right exchanged: picture, range and polygon."""
    shell = panoramic.mirrored(room.shell)
    return replace(
        room,
        radiance=np.ascontiguousarray(room.radiance[:, ::-1]),
        range_m=np.ascontiguousarray(room.range_m[:, ::-1]),
        polygon_m=shell.polygon_m,
        openings=shell.openings,
    )


def turned(room: JointRoom, columns: int) -> JointRoom:
    """The picture moved to the right by whole columns."""
    shell = panoramic.turned(room.shell, columns)
    return replace(
        room,
        radiance=np.roll(room.radiance, columns, axis=1),
        range_m=np.roll(room.range_m, columns, axis=1),
        polygon_m=shell.polygon_m,
        openings=shell.openings,
    )


class JointRooms:
    """Rendered rooms at the network's size, in half precision."""

    def __init__(self, rooms: list[tuple[RenderedRooms, int]], width_px: int, height_px: int) -> None:
        """Read every room."""
        self._maps: list[tuple[Half, Half]] = []
        self._shells: list[tuple[Array, float, float, Openings | None]] = []
        for reader, index in rooms:
            item = reader.read(index, ("radiance", "range_m", "polygon_m", *ITEM_NAMES))
            radiance = area_averaged(item["radiance"].astype(np.float32), width_px, height_px).astype(np.float16)
            range_m = nearest(item["range_m"].astype(np.float32), width_px, height_px).astype(np.float16)
            polygon = np.asarray(item["polygon_m"], dtype=np.float64)
            self._maps.append((radiance, range_m))
            heights = float(item["camera_height_m"]), float(item["height_m"])
            self._shells.append((polygon, *heights, openings_in(item)))

    def __len__(self) -> int:
        """How many rooms."""
        return len(self._maps)

    def __getitem__(self, index: int) -> JointRoom:
        """In full precision."""
        radiance, range_m = self._maps[index]
        return JointRoom(radiance.astype(np.float32), range_m.astype(np.float32), *self._shells[index])


class _Targets:
    """The truth of the three nouns, in the sizes that a recipe's network gives."""

    def __init__(self, recipe: Recipe) -> None:
        assert isinstance(recipe.net, JointConfig)
        self.spec = recipe.input
        self.columns = recipe.input.width_px // 4 * recipe.net.layout.step_columns
        self.openings = says_openings(recipe)

    def of_room(self, light: LightingSample, room: JointRoom) -> Sample:
        """Range and edges where `light.mask` sees them, all light."""
        mask: BoolArray | None = light.mask
        shell = room.shell
        boundary = panoramic.boundary_target(shell, self.columns)
        known = room.range_m if mask is None else room.range_m * mask
        seen = panoramic.edge_weights(boundary, mask)
        seen[0] *= level_ceiling(shell, self.columns)
        rows = {
            "depth": halved_depth(known)[None],
            "boundary": boundary,
            "corners": panoramic.corner_target(room.polygon_m, self.columns),
            "seen": seen,
        }
        if self.openings:
            numbers, extended = column_numbers(shell, self.columns), extended_boundary(shell, self.columns)
            rows |= opening_sample(numbers, extended, boundary, mask)
        return as_tensors(light, self.spec) | {name: torch.from_numpy(row) for name, row in rows.items()}

    def of_light(self, light: LightingSample) -> Sample:
        """Light alone: no range is known, and no edge counts."""
        rows = {"boundary": 2, "corners": 1, "seen": 2}
        rows |= {"kinds": 3, "extended": 2, "extended_seen": 2} if self.openings else {}
        depth = torch.zeros(1, self.spec.height_px // 2, self.spec.width_px // 2)
        unknown = {name: torch.zeros(count, self.columns) for name, count in rows.items()}
        return as_tensors(light, self.spec) | {"depth": depth} | unknown


class JointTraining(Dataset[Sample]):
    """Endlessly varied rooms, with HDRIs among them where they are given.

    `image`, `depth` (1, H / 2, W / 2) range in metres (0 = unknown or out of view), `boundary` (2, W'), `corners`
    (1, W'), `seen` (2, W'), `coefficients` (9, 3), `cells`.
    """

    def __init__(self, rooms: JointRooms, maps: list[Radiance], recipe: Recipe, samples: int) -> None:
        """`samples`: how many make an epoch; each is drawn anew."""
        self._rooms, self._maps, self._samples = rooms, maps, samples
        self._augment, self._targets = recipe.augment, _Targets(recipe)
        self._light_only = self._augment.model_copy(update={"roll": False, "flip": False, "tilt_deg": 0.0})
        self._rooms_share = recipe.data.rooms_share if maps else 1.0

    def __len__(self) -> int:
        """Samples in an epoch."""
        return self._samples

    def _moved(self, room: JointRoom, rng: np.random.Generator) -> JointRoom:
        a = self._augment
        if a.stretch > 1 and rng.random() < 0.8:
            plane = panoramic.random_stretch_matrix(room.polygon_m, rng, a.stretch)
            room = room if plane is None else stretched(room, plane)
        if a.flip and rng.random() < 0.5:
            room = mirrored(room)
        return turned(room, int(rng.integers(room.range_m.shape[1]))) if a.roll else room

    def __getitem__(self, index: int) -> Sample:
        """A sample; `index` only bounds the epoch."""
        rng = np.random.default_rng(int(torch.randint(0, 2**62, ()).item()))
        if rng.random() >= self._rooms_share:
            radiance = varied(self._maps[int(rng.integers(len(self._maps)))], None, rng, self._augment)
            return self._targets.of_light(random_sample(radiance, rng, self._augment))
        room = self._moved(self._rooms[int(rng.integers(len(self._rooms)))], rng)
        radiance = varied(room.radiance, None, rng, self._light_only)
        return self._targets.of_room(random_sample(radiance, rng, self._augment), room)


class JointValidation(Dataset[Sample]):
    """Each room once, whole, exposed as the evaluation exposes environments."""

    def __init__(self, rooms: JointRooms, recipe: Recipe) -> None:
        """Take the rooms."""
        self._rooms, self._targets = rooms, _Targets(recipe)

    def __len__(self) -> int:
        """How many rooms."""
        return len(self._rooms)

    def __getitem__(self, index: int) -> Sample:
        """A sample, the same each time."""
        room = self._rooms[index]
        image, level = protocol_picture(room.radiance)
        scaled = room.radiance / np.float32(level)
        return self._targets.of_room(LightingSample(image, None, coefficients_of(scaled), cells_of(scaled)), room)


def joint_samples(recipe: Recipe, folder: Path, samples: int) -> tuple[JointTraining, JointValidation, dict[str, int]]:
    """What a joint network trains and validates on, and how many rooms and environments that is.

    Raises:
        DataError: the folder has too few rooms, or the HDRI folder is laid out otherwise.
    """
    data, size = recipe.data, (recipe.input.width_px, recipe.input.height_px)
    train, held = (
        without_skies(split_rooms(folder, part, data.split_seed, data.max_rooms), data.hold_out_hdri)
        for part in ("train", "val")
    )
    if not train or not held:
        raise DataError(f"{folder}: too few rooms to split for training and validation; synthesize at least 20")
    maps: list[Radiance] = []
    if data.hdri is not None and data.rooms_share < 1:
        maps = split_environments(environments(data.hdri, *size), data.hold_out_hdri)[0]
    counts = {"rooms": len(train), "validation_rooms": len(held)} | ({"environments": len(maps)} if maps else {})
    return (
        JointTraining(JointRooms(train, *size), maps, recipe, samples),
        JointValidation(JointRooms(held, *size), recipe),
        counts,
    )
