"""What models are measured on: pictures a device could have taken, the camera that took them, and the truth.

Rendered rooms come from the test split; real data from folders in the publishers' formats. Pictures are what
the device's readers take: any size, uint8 RGB.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from edge.errors import DataError
from edge.geometry.pinhole import intrinsics_from_fov
from edge.scene import CameraModel, ImageArray, Intrinsics
from training.data.hdri import area_averaged, coefficients_of, environments, place_of, protocol_picture
from training.data.horizonnet import Span, ignored_spans, read_labelled
from training.data.perspective import view_from_panorama
from training.data.rgbd import read_rgbd
from training.data.rooms import split_rooms

Array = npt.NDArray[np.float64]
_PANORAMA = CameraModel("equirectangular")
_YAWS = 8
_VIEW_HFOV_RAD = float(np.radians(90.0))
_VIEW_WH = (320, 240)
# Depth units and lens of sets without a K.txt, by folder name.
_LENSES = {
    "icl_nuim": (1000.0, (525.0, 525.0, 319.5, 239.5)),
    "dining_room": (1000.0, (518.0, 519.0, 325.5, 253.5)),
    "tum": (5000.0, (520.9, 521.0, 325.1, 249.7)),
}


@dataclass(frozen=True)
class DepthCase:
    """A perspective picture and its z-depth (0 = unknown)."""

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
    ignored: tuple[Span, ...] = ()

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


def room_depth_cases(rooms: Path, split: str = "test", seed: int = 0) -> list[DepthCase]:
    """The perspective views of rendered rooms."""
    out = []
    for reader, index in split_rooms(rooms, split, seed):
        item = reader.read(index, ("view_image", "view_depth_m", "view_intrinsics"))
        for image, depth, k in zip(item["view_image"], item["view_depth_m"], item["view_intrinsics"], strict=True):
            out.append(DepthCase(image, _lens(k, image), depth.astype(np.float32)))
    return out


def room_layout_cases(rooms: Path, split: str = "test", seed: int = 0) -> list[LayoutCase]:
    """Panoramas of rendered rooms."""
    out = []
    for reader, index in split_rooms(rooms, split, seed):
        item = reader.read(index, ("panorama", "polygon_m"))
        camera = CameraModel("equirectangular", camera_height_m=float(item["camera_height_m"]))
        polygon = np.asarray(item["polygon_m"], dtype=np.float64)
        out.append(LayoutCase(item["panorama"], camera, polygon, float(item["height_m"])))
    return out


def room_lighting_cases(rooms: Path, split: str = "test", seed: int = 0) -> list[LightingCase]:
    """Panoramas of rendered rooms as exposed when rendered."""
    out = []
    for reader, index in split_rooms(rooms, split, seed):
        item = reader.read(index, ("panorama", "sh"))
        truth = np.asarray(item["sh"], np.float32) * np.float32(item["exposure"])
        out.append(LightingCase(item["panorama"], _PANORAMA, truth))
    return out


def room_lights(rooms: Path, split: str, seed: int = 0) -> list[npt.NDArray[np.float32]]:
    """The coefficients of `room_lighting_cases` alone."""
    items = (reader.read(index, ("sh",)) for reader, index in split_rooms(rooms, split, seed))
    return [np.asarray(item["sh"], np.float32) * np.float32(item["exposure"]) for item in items]


def places_in(folder: Path) -> list[str]:
    """Names of a folder's environments without kind and ending."""
    return sorted(place_of(p.name) for p in folder.glob("*.hdr"))


def hdri_cases(folder: Path, names: tuple[str, ...] | None = None) -> dict[str, list[LightingCase]]:
    """By "<kind> panorama" and "<kind> 90-degree view": the lighting protocol, eight yaws an environment.

    A view is exposed by its own 99th percentile, a panorama by the whole one's.
    `names`: environments to take, without kind and ending; None = all.

    Raises:
        DataError: no file is left.
    """
    out: dict[str, list[LightingCase]] = {}
    for stem, radiance in environments(folder, 512, 256).items():
        if names is not None and place_of(stem) not in names:
            continue
        kind = stem.split("__")[0]
        for yaw in range(_YAWS):
            turned = np.roll(radiance, 512 * yaw // _YAWS, axis=1)
            small = area_averaged(turned, 256, 128)
            image, level = protocol_picture(small)
            truth = coefficients_of(small)
            out.setdefault(f"{kind} panorama", []).append(LightingCase(image, _PANORAMA, truth / np.float32(level)))
            view = view_from_panorama(turned, intrinsics_from_fov(*_VIEW_WH, _VIEW_HFOV_RAD), 0.0)
            image, level = protocol_picture(view)
            camera = CameraModel("perspective", hfov_rad=_VIEW_HFOV_RAD)
            out.setdefault(f"{kind} 90° view", []).append(LightingCase(image, camera, truth / np.float32(level)))
    if not out:
        raise DataError(f"{folder}: no environment is named like {names}; correct data.hold_out_hdri")
    return out


def real_depth_cases(folder: Path) -> dict[str, list[DepthCase]]:
    """Each sub-folder with colour and depth pictures."""
    out = {}
    for sub in sorted(p for p in folder.iterdir() if p.is_dir()):
        units, lens = _LENSES.get(sub.name, (1000.0, None))
        pictures = read_rgbd(sub, units_per_m=units, lens=lens)
        out[sub.name] = [
            DepthCase(p.image, CameraModel("perspective", intrinsics=p.intrinsics), p.depth_m) for p in pictures
        ]
    return out


def real_layout_cases(folder: Path) -> list[LayoutCase]:
    """Panoramas in HorizonNet's format."""
    spans = ignored_spans(folder)
    return [
        LayoutCase(
            p.image,
            CameraModel("equirectangular", camera_height_m=p.camera_height_m),
            p.polygon_m,
            p.ceiling_height_m,
            spans.get(p.name, ()),
        )
        for p in read_labelled(folder)
    ]
