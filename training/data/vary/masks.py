"""Random perspective cameras: which part of a panorama they would have seen."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import numpy.typing as npt

from edge.perception.canvas import visible_mask
from edge.scene import BoolArray, CameraModel


def random_camera(rng: np.random.Generator) -> tuple[CameraModel, tuple[int, int]]:
    """A perspective camera as people mount them, facing forward, and its picture's size (width, height)."""
    aspect = float(rng.choice([4 / 3, 16 / 9, 3 / 2, 3 / 4]))
    model = CameraModel(
        "perspective",
        hfov_rad=np.radians(rng.uniform(50, 115) if aspect > 1 else rng.uniform(40, 75)),
        pitch_rad=np.radians(float(np.clip(rng.normal(-8, 12), -40, 20))),
        roll_rad=np.radians(rng.normal(0, 1.5)),
    )
    return model, (640, round(640 / aspect))


@lru_cache(maxsize=4)
def view_masks(width_px: int, height_px: int, count: int = 256, seed: int = 0) -> npt.NDArray[np.bool_]:
    """(count, H, W): where each of `count` random perspective cameras sees the panorama. Made once, read-only."""
    rng = np.random.default_rng(seed)
    masks = [visible_mask(*_flat(random_camera(rng)), width_px, height_px) for _ in range(count)]
    out = np.stack(masks)
    out.flags.writeable = False
    return out


def _flat(camera: tuple[CameraModel, tuple[int, int]]) -> tuple[CameraModel, int, int]:
    return camera[0], *camera[1]


def random_view_mask(rng: np.random.Generator, width_px: int, height_px: int, *, centred: bool = True) -> BoolArray:
    """(H, W) True where a random perspective camera sees the panorama; facing forward if `centred`, else anywhere."""
    masks = view_masks(width_px, height_px)
    mask = masks[int(rng.integers(len(masks)))]
    if rng.random() < 0.5:
        mask = mask[:, ::-1]
    return mask if centred else np.roll(mask, int(rng.integers(width_px)), axis=1)
