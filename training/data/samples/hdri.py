"""Lighting samples made from environments.

A sample is what a camera would have shown of an environment (clipped, encoded, perhaps only part of it) and the
pre-scaled irradiance harmonics of the whole of it, unclipped, in units of the picture's white.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt
import torch
from torch.utils.data import Dataset

from edge.errors import DataError
from edge.geometry.harmonics import projection_weights
from edge.inference.manifest import InputSpec
from edge.perception.preprocess import tensor_from_image
from edge.scene import BoolArray, ImageArray
from training.config.data import AugmentConfig
from training.data.mix.mixture import Mixture
from training.data.sets.hdr_files import Radiance, environment_files, place_of, read_environment
from training.data.vary.masks import random_view_mask, view_masks
from training.data.vary.photometric import response_table, sensor
from training.data.vary.tilt import random_tilt, tilted_picture

CELL_PX = 16
"""Side of a cell of the coarse radiance map that the loss compares."""
_LEVELS = 4096


def area_averaged(radiance: Radiance, width_px: int, height_px: int) -> Radiance:
    """The environment at another size; mean radiance is kept."""
    out = cv2.resize(radiance, (width_px, height_px), interpolation=cv2.INTER_AREA)
    return np.asarray(out, dtype=np.float32)


def environments(folder: Path, width_px: int, height_px: int) -> dict[str, Radiance]:
    """Every environment of a folder, by file stem, at one size.

    Raises:
        DataError: there is none.
    """
    paths = environment_files(folder)
    return {p.stem: area_averaged(read_environment(p), width_px, height_px) for p in paths}


def split_environments(maps: dict[str, Radiance], hold_out: tuple[str, ...]) -> tuple[list[Radiance], list[Radiance]]:
    """(train, validation): a map whose name without its kind is in `hold_out` is for validation.

    Raises:
        DataError: a `hold_out` entry names no map, or nothing is left to train on.
    """
    places = {place_of(name) for name in maps}
    for entry in hold_out:
        if entry not in places:
            raise DataError(
                f"data.hold_out_hdri: {entry!r} is no file of the HDRI folder (its name without kind and ending); "
                "correct or remove it"
            )
    held = {name for name in maps if place_of(name) in hold_out}
    train = [m for name, m in maps.items() if name not in held]
    if not train:
        raise DataError("data.hold_out_hdri holds out every environment; leave some to train on")
    return train, [maps[name] for name in sorted(held)]


@lru_cache(maxsize=4)
def _weights(width_px: int, height_px: int) -> torch.Tensor:
    return torch.from_numpy(projection_weights(width_px, height_px).reshape(9, -1).astype(np.float32))


def coefficients_of(radiance: Radiance) -> npt.NDArray[np.float32]:
    """(9, 3) pre-scaled irradiance of an environment."""
    # torch and not numpy multiplies: in a loader's process it keeps to one thread.
    flat = torch.from_numpy(np.ascontiguousarray(radiance).reshape(-1, 3))
    return np.asarray((_weights(radiance.shape[1], radiance.shape[0]) @ flat).numpy())


def protocol_picture(radiance: Radiance, percentile: float = 99.0) -> tuple[ImageArray, float]:
    """The evaluation's picture of an environment (that percentile is white, gamma 2.2) and its white level."""
    level = max(float(np.percentile(radiance, percentile)), 1e-6)
    picture = np.round(np.clip(radiance / level, 0, 1) ** (1 / 2.2) * 255).astype(np.uint8)
    return picture, level


def varied(radiance: Radiance, other: Radiance | None, rng: np.random.Generator, augment: AugmentConfig) -> Radiance:
    """Another environment made from one (or a mix of two): yaw, mirror, tilt, tint, and how bright its lights are."""
    out = np.roll(radiance, int(rng.integers(radiance.shape[1])), axis=1) if augment.roll else radiance
    if other is not None:
        share = float(rng.uniform(0.1, 0.9))
        ratio = float(out.mean() / max(float(other.mean()), 1e-6))
        out = out * share + np.roll(other, int(rng.integers(other.shape[1])), axis=1) * (ratio * (1 - share))
    if augment.flip and rng.random() < 0.5:
        out = out[:, ::-1]
    if augment.tilt_deg > 0 and rng.random() < 0.3:
        out = tilted_picture(out, random_tilt(rng, augment.tilt_deg))
    out = out * np.exp(rng.normal(0, 0.12 * augment.photometric, 3)).astype(np.float32)
    limit = np.float32(np.quantile(out[::4, ::4], 0.985))
    strength = np.float32(np.exp(rng.normal(0, 0.35 * augment.photometric)))
    bright = out > limit
    out[bright] = limit + (out[bright] - limit) * strength
    return np.asarray(out, dtype=np.float32)


@dataclass(frozen=True)
class LightingSample:
    """One picture and its truth.

    `image` (H, W, 3) RGB; `mask` (H, W) of what is seen, None = all. In units of the picture's white:
    `coefficients` (9, 3) pre-scaled irradiance, `cells` (3, H / 16, W / 16) mean radiance.
    """

    image: ImageArray
    mask: BoolArray | None
    coefficients: npt.NDArray[np.float32]
    cells: Radiance


def _percentile(rng: np.random.Generator) -> float:
    return 99.0 if rng.random() < 0.5 else float(100 - np.exp(rng.uniform(np.log(0.05), np.log(20))))


def random_sample(radiance: Radiance, rng: np.random.Generator, augment: AugmentConfig) -> LightingSample:
    """What some camera would show of this environment, and the truth in units of that picture's white."""
    h, w = radiance.shape[:2]
    mask = random_view_mask(rng, w, h, centred=rng.random() < 0.7) if rng.random() < augment.perspective_share else None
    seen = radiance[::2, ::2] if mask is None else radiance[mask][::2]
    scaled = radiance * np.float32(1 / max(float(np.percentile(seen, _percentile(rng))), 1e-6))
    steps = (np.minimum(scaled, 1.0) * (_LEVELS - 1)).astype(np.int16)
    image = sensor(response_table(rng, _LEVELS)[steps], rng, augment.photometric, tone=False)
    return LightingSample(image, mask, coefficients_of(scaled), cells_of(scaled))


def cells_of(radiance: Radiance) -> Radiance:
    """(3, H / 16, W / 16) mean radiance of each cell."""
    h, w = radiance.shape[:2]
    return np.moveaxis(area_averaged(radiance, w // CELL_PX, h // CELL_PX), -1, 0)


def as_tensors(sample: LightingSample, spec: InputSpec) -> dict[str, torch.Tensor]:
    """`image` as the network takes it, `coefficients` and `cells`."""
    return {
        "image": torch.from_numpy(tensor_from_image(sample.image, spec, mask=sample.mask)),
        "coefficients": torch.from_numpy(sample.coefficients),
        "cells": torch.from_numpy(np.ascontiguousarray(sample.cells)),
    }


class LightingTraining(Dataset[dict[str, torch.Tensor]]):
    """Endlessly varied samples of environments and rendered rooms."""

    def __init__(
        self,
        maps: Mixture[Radiance],
        spec: InputSpec,
        augment: AugmentConfig,
        samples: int,
    ) -> None:
        """`samples`: how many make an epoch; each is drawn anew."""
        self._maps, self._spec, self._augment, self._samples = maps, spec, augment, samples

    def __len__(self) -> int:
        """Samples in an epoch."""
        return self._samples

    def __getitem__(self, index: int) -> dict[str, torch.Tensor]:
        """A sample; `index` only bounds the epoch."""
        rng = np.random.default_rng(int(torch.randint(0, 2**62, ()).item()))
        other = self._maps.draw(rng) if rng.random() < self._augment.blend_share else None
        radiance = varied(self._maps.draw(rng), other, rng, self._augment)
        return as_tensors(random_sample(radiance, rng, self._augment), self._spec)


class LightingValidation(Dataset[dict[str, torch.Tensor]]):
    """The evaluation's pictures of held-out environments at several yaws; every third as a fixed perspective camera."""

    def __init__(self, maps: list[Radiance], spec: InputSpec, yaws: int = 8) -> None:
        """`yaws`: evenly spaced turns of each environment."""
        self._maps, self._spec, self._yaws = maps, spec, yaws
        self._masks = view_masks(spec.width_px, spec.height_px)[:16]

    def __len__(self) -> int:
        """Maps times yaws."""
        return len(self._maps) * self._yaws

    def __getitem__(self, index: int) -> dict[str, torch.Tensor]:
        """A sample, the same each time."""
        radiance = self._maps[index // self._yaws]
        radiance = np.roll(radiance, radiance.shape[1] * (index % self._yaws) // self._yaws, axis=1)
        image, level = protocol_picture(radiance)
        mask = self._masks[index % len(self._masks)] if index % 3 == 2 else None
        scaled = radiance / level
        return as_tensors(LightingSample(image, mask, coefficients_of(scaled), cells_of(scaled)), self._spec)
