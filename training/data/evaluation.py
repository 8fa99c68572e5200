"""What models are measured on: pictures a device could have taken, the camera that took them, and the truth.

Rendered rooms come from the test split; real data from folders in the publishers' formats, or from any kind of data set
in `training.data.sets.readers`. Cases are entries: read when they are measured, so a set may be larger than memory.
Pictures are what the device's readers take: any size, uint8 RGB.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from edge.errors import DataError
from edge.geometry.pinhole import intrinsics_from_fov
from edge.scene import CameraModel, ImageArray, Intrinsics, Task
from training.arrays import Array
from training.config.data import SourceConfig
from training.data.mix.entries import Entry, Part
from training.data.mix.splits import parted
from training.data.samples.hdri import area_averaged, coefficients_of, environments, protocol_picture
from training.data.samples.rooms import split_rooms
from training.data.sets import horizonnet, rgbd
from training.data.sets.hdr_files import Radiance, environment_files, place_of
from training.data.sets.readers import kind_of
from training.data.synthetic import RenderedRooms
from training.data.vary.panoramic import PanoramaRoom, turned
from training.data.vary.perspective import DepthPicture, view_from_panorama

_PANORAMA = CameraModel("equirectangular")
_YAWS = 8
VIEW_HFOV_RAD = float(np.radians(90.0))
_VIEW_WH = (320, 240)
# Depth units and lens of sets without a K.txt, by folder name.
_LENSES = {
    "icl_nuim": (1000.0, (525.0, 525.0, 319.5, 239.5)),
    "dining_room": (1000.0, (518.0, 519.0, 325.5, 253.5)),
    "tum": (5000.0, (520.9, 521.0, 325.1, 249.7)),
}


@dataclass(frozen=True)
class DepthCase:
    """A picture and its depth (0 = unknown): z of a perspective camera, range of a panorama."""

    image: ImageArray
    camera: CameraModel
    depth_m: npt.NDArray[np.float32]


@dataclass(frozen=True)
class LayoutCase:
    """A panorama and its room, origin under the camera."""

    image: ImageArray
    camera: CameraModel
    polygon_m: Array
    ceiling_height_m: float
    ignored: tuple[horizonnet.Span, ...] = ()

    def counted_columns(self, columns: int) -> npt.NDArray[np.bool_]:
        """(2, columns): where the ceiling's and the floor's edge are known; spans are in the picture's px."""
        out = np.ones((2, columns), np.bool_)
        centre_px = (np.arange(columns) + 0.5) * self.image.shape[1] / columns
        for span in self.ignored:
            out[int(span.boundary == "floor")] &= (centre_px < span.x0_px) | (centre_px > span.x1_px + 1)
        return out


@dataclass(frozen=True)
class LightingCase:
    """A picture, its camera, and the coefficients (9, 3) in units of the picture's white."""

    image: ImageArray
    camera: CameraModel
    coefficients: npt.NDArray[np.float32]


def _lens(k: npt.NDArray[np.float32], image: ImageArray) -> CameraModel:
    h, w = image.shape[:2]
    fx, fy, cx, cy = map(float, k)
    return CameraModel("perspective", intrinsics=Intrinsics(w, h, fx, fy, cx, cy))


def _room_view(reader: RenderedRooms, index: int, view: int) -> DepthCase:
    item = reader.read(index, ("view_image", "view_depth_m", "view_intrinsics"))
    image = item["view_image"][view]
    return DepthCase(image, _lens(item["view_intrinsics"][view], image), item["view_depth_m"][view].astype(np.float32))


def _room_range(reader: RenderedRooms, index: int) -> DepthCase:
    item = reader.read(index, ("panorama", "range_m"))
    return DepthCase(item["panorama"], _PANORAMA, item["range_m"].astype(np.float32))


def _room_layout(reader: RenderedRooms, index: int) -> LayoutCase:
    item = reader.read(index, ("panorama", "polygon_m"))
    camera = CameraModel("equirectangular", camera_height_m=float(item["camera_height_m"]))
    polygon = np.asarray(item["polygon_m"], dtype=np.float64)
    return LayoutCase(item["panorama"], camera, polygon, float(item["height_m"]))


def _room_light(reader: RenderedRooms, index: int) -> npt.NDArray[np.float32]:
    item = reader.read(index, ("sh",))
    return np.asarray(item["sh"] * item["exposure"], dtype=np.float32)


def _room_lighting(reader: RenderedRooms, index: int) -> LightingCase:
    return LightingCase(reader.read(index, ("panorama",))["panorama"], _PANORAMA, _room_light(reader, index))


def room_depth_cases(rooms: Path, split: str = "test", seed: int = 0) -> list[Entry[DepthCase]]:
    """The perspective views of rendered rooms."""
    out = []
    for reader, index in split_rooms(rooms, split, seed):
        for view in range(len(reader.read(index, ("view_intrinsics",))["view_intrinsics"])):
            out.append(Entry(f"{index:06d}-{view}", str(index), partial(_room_view, reader, index, view)))
    return out


def room_range_cases(rooms: Path, split: str = "test", seed: int = 0) -> list[Entry[DepthCase]]:
    """The panoramas of rendered rooms with their range."""
    found = split_rooms(rooms, split, seed)
    return [Entry(f"{index:06d}", str(index), partial(_room_range, reader, index)) for reader, index in found]


def room_layout_cases(rooms: Path, split: str = "test", seed: int = 0) -> list[Entry[LayoutCase]]:
    """The level panorama of each room, with its polygon and heights."""
    found = split_rooms(rooms, split, seed)
    return [Entry(f"{index:06d}", str(index), partial(_room_layout, reader, index)) for reader, index in found]


def room_lighting_cases(rooms: Path, split: str = "test", seed: int = 0) -> list[Entry[LightingCase]]:
    """Panoramas of rendered rooms as exposed when rendered."""
    found = split_rooms(rooms, split, seed)
    return [Entry(f"{index:06d}", str(index), partial(_room_lighting, reader, index)) for reader, index in found]


def room_lights(rooms: Path, split: str, seed: int = 0) -> list[npt.NDArray[np.float32]]:
    """The coefficients of `room_lighting_cases` alone."""
    return [_room_light(reader, index) for reader, index in split_rooms(rooms, split, seed)]


def places_in(folder: Path) -> list[str]:
    """Names of a folder's environments without kind and ending."""
    return sorted(place_of(p.name) for p in environment_files(folder))


def view_of(panorama: ImageArray, camera_height_m: float | None) -> tuple[ImageArray, CameraModel]:
    """What a level perspective camera, `VIEW_HFOV_RAD` wide, sees looking forward from a panorama's place."""
    lens = intrinsics_from_fov(*_VIEW_WH, VIEW_HFOV_RAD)
    view = view_from_panorama(panorama.astype(np.float32), lens, 0.0)
    camera = CameraModel("perspective", hfov_rad=VIEW_HFOV_RAD, camera_height_m=camera_height_m)
    return np.rint(view).clip(0, 255).astype(np.uint8), camera


def view_case(case: LayoutCase, quarter: int) -> LayoutCase:
    """What a perspective camera sees that looks forward, left, back or right from the place of a panorama's."""
    room = PanoramaRoom(case.image, case.polygon_m, case.camera.camera_height_m or 1.0, case.ceiling_height_m)
    seen = turned(room, quarter * room.image.shape[1] // 4)
    image, camera = view_of(seen.image, case.camera.camera_height_m)
    return LayoutCase(image, camera, seen.polygon_m, seen.ceiling_height_m)


def view_longitudes(columns: int = 128) -> Array:
    """Longitudes (W,) of the columns of such a view's visible part."""
    return (np.arange(columns) + 0.5) / columns * VIEW_HFOV_RAD - VIEW_HFOV_RAD / 2


def _protocol_panorama(radiance: Radiance, yaw: int) -> LightingCase:
    small = area_averaged(np.roll(radiance, radiance.shape[1] * yaw // _YAWS, axis=1), 256, 128)
    image, level = protocol_picture(small)
    return LightingCase(image, _PANORAMA, coefficients_of(small) / np.float32(level))


def _protocol_view(radiance: Radiance, yaw: int) -> LightingCase:
    moved = np.roll(radiance, radiance.shape[1] * yaw // _YAWS, axis=1)
    image, level = protocol_picture(view_from_panorama(moved, intrinsics_from_fov(*_VIEW_WH, VIEW_HFOV_RAD), 0.0))
    camera = CameraModel("perspective", hfov_rad=VIEW_HFOV_RAD)
    return LightingCase(image, camera, coefficients_of(area_averaged(moved, 256, 128)) / np.float32(level))


def environment_cases(maps: dict[str, Radiance]) -> dict[str, list[Entry[LightingCase]]]:
    """By "<kind> panorama" and "<kind> 90° view": the lighting protocol, eight yaws an environment (H, 2H, 3).

    A view is exposed by its own 99th percentile, a panorama by the whole one's. A kind is what a name has before `__`.
    """
    out: dict[str, list[Entry[LightingCase]]] = {}
    for name, radiance in maps.items():
        kind = f"{name.split('__')[0]} " if "__" in name else ""
        for yaw in range(_YAWS):
            title = f"{name}-{360 * yaw // _YAWS}"
            for shape, case in (("panorama", _protocol_panorama), ("90° view", _protocol_view)):
                entry = Entry(title, place_of(name), partial(case, radiance, yaw))
                out.setdefault(f"{kind}{shape}", []).append(entry)
    return out


def hdri_cases(folder: Path, names: tuple[str, ...] | None = None) -> dict[str, list[Entry[LightingCase]]]:
    """`environment_cases` of a folder of environments, or of those `names` (kind and ending left out) alone.

    Raises:
        DataError: no file is left.
    """
    maps = environments(folder, 512, 256)
    chosen = {stem: m for stem, m in maps.items() if names is None or place_of(stem) in names}
    if not chosen:
        raise DataError(f"{folder}: no environment is named like {names}; correct data.hold_out_hdri")
    return environment_cases(chosen)


def real_depth_cases(folder: Path) -> dict[str, list[Entry[DepthCase]]]:
    """Each sub-folder with colour and depth pictures.

    Raises:
        DataError: a folder is laid out otherwise.
    """
    out = {}
    for sub in sorted(p for p in _existing(folder).iterdir() if p.is_dir()):
        units, lens = _LENSES.get(sub.name, (1000.0, None))
        entries = rgbd.read(sub, units_per_m=units, lens=lens)
        out[sub.name] = [Entry(e.name, e.scene, partial(_depth_case, e), e.part) for e in entries]
    return out


def real_layout_cases(folder: Path) -> list[Entry[LayoutCase]]:
    """Panoramas in HorizonNet's format.

    Raises:
        DataError: the folder is laid out otherwise.
    """
    spans = horizonnet.ignored_spans(_existing(folder))
    return [
        Entry(e.name, e.scene, partial(_layout_case, e, spans.get(e.name, ())), e.part) for e in horizonnet.read(folder)
    ]


def _existing(folder: Path) -> Path:
    if not folder.is_dir():
        raise DataError(f"{folder}: no such folder; --real takes a folder that holds depth/, layout/ or lighting/")
    return folder


def _depth_case(entry: Entry[DepthPicture]) -> DepthCase:
    p = entry.read()
    h, w = p.image.shape[:2]
    intrinsics = Intrinsics(w, h, p.fx_px, p.fy_px, w / 2, h / 2)
    return DepthCase(p.image, CameraModel("perspective", intrinsics=intrinsics), p.depth_m)


def _layout_case(entry: Entry[PanoramaRoom], ignored: tuple[horizonnet.Span, ...] = ()) -> LayoutCase:
    p = entry.read()
    camera = CameraModel("equirectangular", camera_height_m=p.camera_height_m)
    return LayoutCase(p.image, camera, p.polygon_m, p.ceiling_height_m, ignored)


@dataclass(frozen=True)
class Source:
    """A data set to measure on: which part of it, and how the model learnt from sets of its kind, if it did."""

    kind: str
    folder: Path
    part: Part = "test"
    learnt: SourceConfig | None = None
    seed: int = 0
    held: tuple[str, ...] = ()
    """Places that training validated lighting on."""

    @property
    def name(self) -> str:
        """As tables name it."""
        return f"{self.kind}: {self.folder.name}, {self.part}"

    def entries(self, task: Task) -> list[Entry[Any]]:
        """What its published protocol (see `training.data.sets.readers`) evaluates on.

        Of a set that the model learnt from, the part that the training left aside; else the publisher's part, or all
        where he made none.

        Raises:
            DataError: no such kind, the folder is laid out otherwise, or the part is empty.
        """
        reader = kind_of(task, self.kind)
        options = self.learnt.options if self.learnt is not None else {}
        entries = reader.entries(self.folder, {**options, **reader.protocol})
        if self.learnt is not None:
            held = self.held if task == "lighting" else ()
            chosen = parted(entries, self.seed, self.learnt.split, str(self.folder), held)[self.part]
        elif all(e.part is None for e in entries):
            chosen = entries
        else:
            chosen = [e for e in entries if e.part == self.part]
        if not chosen:
            raise DataError(f"{self.folder}: this {self.kind} set has no {self.part} part; give --split another")
        return chosen

    def depth_cases(self) -> list[Entry[DepthCase]]:
        """Its pictures with a lens and depth in metres; raises as `entries`."""
        return [Entry(e.name, e.scene, partial(_depth_case, e), e.part) for e in self.entries("depth")]

    def layout_cases(self) -> list[Entry[LayoutCase]]:
        """Its panoramas with a room each; raises as `entries`."""
        return [Entry(e.name, e.scene, partial(_layout_case, e), e.part) for e in self.entries("layout")]

    def lighting_cases(self) -> dict[str, list[Entry[LightingCase]]]:
        """`environment_cases` of its environments; raises as `entries`."""
        return environment_cases({e.name: area_averaged(e.read(), 512, 256) for e in self.entries("lighting")})
