"""A panorama that is not level: picture, edges and corners move together, exactly."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from edge.geometry.panorama import longitudes, rays
from training.config.recipe import Recipe
from training.data.sources import datasets
from training.data.vary.panoramic import PanoramaRoom, boundary_target, corner_columns
from training.data.vary.tilt import random_tilt, tilted_boundary, tilted_columns, tilted_picture

BOX = np.array([[-2.0, -1.5], [2.0, -1.5], [2.0, 3.0], [-2.0, 3.0]])
ROOM = PanoramaRoom(np.zeros((4, 8, 3), np.uint8), BOX, 1.5, 2.6)
TILT = random_tilt(np.random.default_rng(4), 5.0)


def _angles(points: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Longitudes and latitudes, positive down, of points (N, 3) in the turned camera's frame."""
    p = points @ TILT.T
    return np.arctan2(p[:, 0], p[:, 1]), -np.arctan2(p[:, 2], np.hypot(p[:, 0], p[:, 1]))


def test_the_picture_shows_what_the_turned_camera_sees() -> None:
    """A panorama whose colours are its directions: after the turn R, direction d shows what was seen along R^T d."""
    shown = tilted_picture(rays(256, 128).astype(np.float32), TILT)
    np.testing.assert_allclose(shown[8:-8], (rays(256, 128) @ TILT)[8:-8], atol=2e-3)


def test_edges_are_where_the_turned_walls_begin() -> None:
    """Points along the walls' lower and upper edges, turned in space, lie on the tilted boundary."""
    along = np.concatenate([np.linspace(a, b, 60) for a, b in zip(BOX, np.roll(BOX, -1, axis=0), strict=True)])
    tilted = tilted_boundary(boundary_target(ROOM, 1024), TILT)
    for edge, height_m in zip(tilted, (2.6 - 1.5, -1.5), strict=True):
        lon, down = _angles(np.column_stack([along, np.full(len(along), height_m)]))
        found = np.interp(lon, longitudes(1024), edge, period=2 * np.pi)
        np.testing.assert_allclose(found, down, atol=np.radians(0.2))


def test_corners_are_midway_between_their_turned_ends() -> None:
    """Each upright edge leans; its column is the mean of those of its two ends."""
    at = np.sort(tilted_columns(corner_columns(BOX, 1024), boundary_target(ROOM, 1024), TILT))
    ends = [_angles(np.column_stack([BOX, np.full(4, z)]))[0] for z in (1.1, -1.5)]
    np.testing.assert_allclose(at, np.sort((np.mean(ends, axis=0) / (2 * np.pi) + 0.5) * 1024), atol=0.6)


def test_no_tilt_changes_nothing() -> None:
    """Standard deviation 0: the same edges, corners and picture."""
    none = random_tilt(np.random.default_rng(0), 0.0)
    level = boundary_target(ROOM, 256)
    np.testing.assert_allclose(tilted_boundary(level, none), level, atol=1e-6)
    np.testing.assert_allclose(tilted_columns(corner_columns(BOX, 256), level, none), corner_columns(BOX, 256))
    picture = np.random.default_rng(1).integers(0, 255, (32, 64, 3)).astype(np.uint8)
    np.testing.assert_array_equal(tilted_picture(picture, none), picture)


@pytest.mark.parametrize("tilt_deg", [0.0, 3.0])
def test_only_what_is_learnt_from_is_tilted(
    tilt_deg: float, box_rooms: Path, small_recipe: Callable[..., Recipe]
) -> None:
    """Two draws of one room differ by their tilt alone; validation stays level."""
    plain = {"stretch": 1.0, "flip": False, "roll": False, "photometric": 0.0, "perspective_share": 0.0}
    data = {"rooms": str(box_rooms), "max_rooms": 1}
    parts, level = (
        datasets(small_recipe("layout", data=data, augment={**plain, "tilt_deg": tilt})) for tilt in (tilt_deg, 0.0)
    )
    torch.manual_seed(0)
    first, second = (parts.training[i]["boundary"] for i in range(2))
    assert torch.equal(first, second) == (tilt_deg == 0)
    assert torch.equal(parts.validation[0]["boundary"], level.validation[0]["boundary"])
