"""A folder of analytic box rooms in the renderer's own file format: exact, and made without a renderer."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import torch

from edge.geometry.harmonics import project_panorama
from edge.geometry.panorama import longitudes, rays
from edge.geometry.pinhole import intrinsics_from_fov, rays_from_pixels
from edge.geometry.polygon import boundary_latitudes
from edge.geometry.rigid import rotation_room_camera
from training.arrays import Array
from training.config.file import load_recipe, recipe_from_mapping
from training.config.recipe import Recipe
from training.data.synthetic.shards import write_part
from training.fit import Hardware, Loading

SHARED = Path(__file__).parents[3] / "shared"
"""Beside the repository: the assets and evaluation data that docs/training.md lists, for those who have them."""
RECIPES = Path(__file__).parents[2] / "training" / "recipes"
CPU, ALONE = Hardware("cpu"), Loading(workers=0, threads=1)
"""For runs of `fit` inside a test's own process."""
CAMERA_HEIGHT_M, HEIGHT_M = 1.5, 2.6


def absent(folder: str) -> str:
    """Why a test of data that is not in the repository is skipped."""
    how = 'docs/training.md, "Folders of assets and evaluation data", says where to get it'
    return f"needs ../shared/{folder}, which is not in the repository; {how}"


def box_surface(directions: Array, half_w: float, half_d: float) -> tuple[Array, Array]:
    """Range to a box room along unit directions and the colour (linear) of the surface met."""
    d = np.where(np.abs(directions) < 1e-9, 1e-9, directions)
    bounds = np.where(d > 0, [half_w, half_d, HEIGHT_M - CAMERA_HEIGHT_M], [-half_w, -half_d, -CAMERA_HEIGHT_M])
    t = bounds / d
    side = t.argmin(axis=-1)
    colours = np.array([[0.5, 0.2, 0.2], [0.2, 0.3, 0.5], [0.1, 0.1, 0.1]])[side]
    colours[(side == 2) & (d[..., 2] > 0)] = [1.5, 1.5, 1.4]
    return t.min(axis=-1), colours


def _encoded(radiance: Array) -> npt.NDArray[np.uint8]:
    return np.rint(np.clip(radiance, 0, 1) ** (1 / 2.2) * 255).astype(np.uint8)


def box_item(index: int) -> dict[str, Any]:
    """The arrays of one box room, sizes depending on its index."""
    half_w, half_d = 1.4 + 0.13 * (index % 7), 1.2 + 0.21 * (index % 5)
    distance, radiance = box_surface(rays(128, 64), half_w, half_d)
    polygon = np.array([[-half_w, -half_d], [half_w, -half_d], [half_w, half_d], [-half_w, half_d]])
    ceiling, floor = boundary_latitudes(polygon, longitudes(128), CAMERA_HEIGHT_M, HEIGHT_M)
    k = intrinsics_from_fov(64, 64, np.radians(70 + index))
    rotation = rotation_room_camera(0.6 * index)
    camera = rays_from_pixels(k)
    norm = np.linalg.norm(camera, axis=-1)
    reach, seen = box_surface(camera / norm[..., None] @ rotation.T, half_w, half_d)
    return {
        "panorama": _encoded(radiance),
        "radiance": radiance.astype(np.float16),
        "range_m": distance.astype(np.float16),
        "sh": project_panorama(radiance).astype(np.float32),
        "polygon_m": polygon.astype(np.float32),
        "boundary_rad": -np.stack([ceiling, floor]).astype(np.float32),
        "view_image": _encoded(seen)[None],
        "view_depth_m": (reach / norm).astype(np.float16)[None],
        "view_intrinsics": np.array([[k.fx_px, k.fy_px, k.cx_px, k.cy_px]], np.float32),
        "attributes": {"index": index, "height_m": HEIGHT_M, "camera_height_m": CAMERA_HEIGHT_M, "exposure": 1.0},
    }


@pytest.fixture(scope="session")
def box_rooms(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """40 box rooms on disk."""
    folder = tmp_path_factory.mktemp("rooms")
    for index in range(40):
        write_part(folder, box_item(index), {"generator": "boxes"})
    return folder


def merged(base: dict[str, Any], change: dict[str, Any]) -> dict[str, Any]:
    """`base` with the leaves of `change` replaced."""
    out = dict(base)
    for key, value in change.items():
        out[key] = merged(out[key], value) if isinstance(value, dict) and isinstance(out.get(key), dict) else value
    return out


@pytest.fixture(scope="session")
def small_recipe() -> Callable[..., Recipe]:
    """A shipped recipe cut down to a size for tests."""
    sizes = {"depth": (64, 64), "layout": (128, 64), "lighting": (128, 64), "joint": (128, 64)}

    def make(task: str, **change: Any) -> Recipe:
        full = load_recipe(RECIPES / f"{'scene' if task == 'joint' else task}_edge.yaml").model_dump(mode="json")
        width, height = sizes[task]
        small = {
            "input": {"width_px": width, "height_px": height},
            "data": {"hold_out_hdri": []},
            "optim": {"steps": 4, "batch_size": 2, "validate_every": 2, "warmup_steps": 1, "freeze_blocks": 0},
        }
        return recipe_from_mapping(merged(merged(full, small), change), "test")

    return make


@pytest.fixture(autouse=True)
def _few_threads() -> None:
    """Tests share the machine."""
    torch.set_num_threads(1)
    torch.manual_seed(0)
