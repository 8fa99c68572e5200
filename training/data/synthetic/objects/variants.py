"""What is rendered of each thing: stretched and repainted copies, seen by random cameras in random lights."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from training.data.sets.hdr_files import read_environment
from training.data.synthetic.objects.clusters import Side
from training.data.synthetic.objects.models import Body, Thing
from training.data.synthetic.objects.studio import Orbit, Studio
from training.data.synthetic.objects.voxels import fitted, grids_of

Item = dict[str, Any]
DISTANCE, HFOV_RAD = 2.2, float(np.radians(35.0))
_STRETCH = 0.25
"""Largest change of a side's logarithm in a variant."""
_MEAN_RADIANCE = 0.7


@dataclass(frozen=True)
class Variant:
    """One copy of a thing to render; number 0 is the thing as it is."""

    thing: Thing
    number: int
    side: Side
    cluster: str
    views: int


@dataclass(frozen=True)
class Look:
    """How things are seen: elevations in degrees, paths a pixel, lights of learning and of the wild pictures."""

    elevation_deg: tuple[float, float] = (-10.0, 50.0)
    samples: int = 16
    lights: tuple[Path, ...] = ()
    wild_lights: tuple[Path, ...] = ()


def varied(body: Body, number: int, rng: np.random.Generator) -> tuple[Body, npt.NDArray[np.float64]]:
    """The body fitted into its cube; but for number 0 stretched and repainted first. And the stretch (3,)."""
    if number == 0:
        return replace(body, vertices=fitted(body.vertices)), np.ones(3)
    stretch = np.exp(rng.uniform(-_STRETCH, _STRETCH, 3))
    vertices = fitted(fitted(body.vertices) * stretch)
    count = len(body.colours)
    near = body.colours * rng.uniform(0.5, 1.5, (count, 1))
    painted = near if rng.random() < 0.5 else rng.uniform(0.03, 0.85, (count, 3)) * rng.uniform(0.4, 1.0, (count, 1))
    return replace(body, vertices=vertices, colours=np.clip(painted, 0.02, 0.92)), stretch


@lru_cache(maxsize=8)
def _light(path: Path) -> npt.NDArray[np.float32]:
    radiance = cv2.resize(read_environment(path), (128, 64), interpolation=cv2.INTER_AREA)
    return np.asarray(radiance * (_MEAN_RADIANCE / max(float(radiance.mean()), 1e-6)), dtype=np.float32)


def _disturbed(
    image: npt.NDArray[np.uint8], mask: npt.NDArray[np.uint8], rng: np.random.Generator
) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.uint8]]:
    """As another camera would give it: exposure, blur, noise, JPEG, and a mask that is a little off."""
    exposed = image.astype(np.float32) * rng.uniform(0.7, 1.25)
    soft = np.asarray(cv2.GaussianBlur(exposed, (0, 0), float(rng.uniform(0.2, 0.9))))
    picture = np.clip(soft + rng.normal(0, rng.uniform(1, 6), soft.shape), 0, 255).astype(np.uint8)
    quality = [cv2.IMWRITE_JPEG_QUALITY, int(rng.integers(60, 91))]
    decoded = cv2.imdecode(cv2.imencode(".jpg", picture, quality)[1], cv2.IMREAD_COLOR)
    steps = int(rng.integers(-2, 3))
    change = cv2.dilate if steps > 0 else cv2.erode
    moved = change(mask, np.ones((3, 3), np.uint8), iterations=abs(steps)) if steps else mask
    kept = moved if (moved > 127).mean() > 0.3 * (mask > 127).mean() else mask
    return np.asarray(decoded, np.uint8), np.asarray(kept, np.uint8)


def rendered(variant: Variant, look: Look, seed: int, index: int) -> Item:
    """The arrays and attributes of a variant, as the shards hold them; seed and index decide."""
    rng = np.random.default_rng([seed, index])
    body, stretch = varied(variant.thing.read(), variant.number, rng)
    grids = grids_of(body, int(rng.integers(2**31)))
    lights = look.wild_lights if variant.side == "wild" and look.wild_lights else look.lights
    low, high = np.radians(look.elevation_deg)
    pictures, masks, squares, cameras = [], [], [], []
    for first in range(0, variant.views, 2):  # two views in a light: loading it costs as much as a view
        light = _light(lights[int(rng.integers(len(lights)))]) if lights else None
        studio = Studio(body, light, float(rng.uniform(0, 2 * np.pi)))
        for _ in range(min(2, variant.views - first)):
            camera = Orbit(float(rng.uniform(-np.pi, np.pi)), float(rng.uniform(low, high)), DISTANCE, HFOV_RAD)
            image, mask, square = studio.picture(camera, look.samples, int(rng.integers(2**31)))
            if variant.side == "wild":
                image, mask = _disturbed(image, mask, rng)
            pictures.append(image)
            masks.append(mask)
            squares.append(square)
            cameras.append((camera.azimuth_rad, camera.elevation_rad, camera.distance, camera.hfov_rad))
    return {
        "image": np.stack(pictures), "mask": np.stack(masks), "crop": np.stack(squares),
        "camera": np.array(cameras, np.float32), "occupancy": grids.occupancy, "colour": grids.colour,
        "surface": grids.surface,
        "attributes": {
            "index": index, "category": variant.thing.category, "model": variant.thing.name,
            "source": variant.thing.source, "cluster": variant.cluster, "variant": variant.number,
            "scale": stretch, "seed": seed, "split": variant.side,
        },
    }  # fmt: skip
