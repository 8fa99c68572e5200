"""Samples of the joint task: the labels of all nouns move together."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt
import pytest

from edge.geometry.harmonics import project_panorama
from edge.geometry.panorama import rays
from edge.geometry.polygon import wall_distances
from training.arrays import Array
from training.config.file import with_overrides
from training.config.recipe import Recipe
from training.data.samples.joint import JointRoom, JointRooms, JointTraining, joint_samples, mirrored, stretched, turned
from training.data.samples.rooms import split_rooms

HEIGHT_M, CAMERA_M = 2.6, 1.5
L_SHAPE = np.array([[-2.0, -2.0], [3.0, -2.0], [3.0, 3.0], [-0.8, 3.0], [-0.8, 1.2], [-2.0, 1.2]])


def shell_range_m(polygon: Array, width_px: int) -> npt.NDArray[np.float32]:
    """Exact range of an empty prism room along each pixel's ray."""
    d = rays(width_px, width_px // 2)
    wall = wall_distances(polygon, np.arctan2(d[..., 0], d[..., 1]).ravel()).reshape(d.shape[:2])
    up = np.where(d[..., 2] > 0, HEIGHT_M - CAMERA_M, -CAMERA_M)
    return np.minimum(wall / np.hypot(d[..., 0], d[..., 1]), up / d[..., 2]).astype(np.float32)


@pytest.fixture
def room() -> JointRoom:
    """An L-shaped room whose radiance is its height above the camera, in two colours, and 1."""
    range_m = shell_range_m(L_SHAPE, 512)
    height = range_m * rays(512, 256)[..., 2]
    radiance = np.stack([2 + height, 2 - height, np.ones_like(height)], axis=-1).astype(np.float32)
    return JointRoom(radiance, range_m, L_SHAPE, CAMERA_M, HEIGHT_M)


@pytest.mark.parametrize("plane", [[[1.5, 0.0], [0.0, 0.7]], [[0.9, 0.3], [-0.2, 1.2]], [[-1.0, 0.0], [0.0, 1.0]]])
def test_a_stretched_room_has_the_range_of_its_new_shape(room: JointRoom, plane: list[list[float]]) -> None:
    """Range and polygon of the moved room agree, but for pixels on edges; heights, and so the colours, are kept."""
    moved = stretched(room, np.array(plane))
    exact = shell_range_m(moved.polygon_m, 512)
    error = np.abs(moved.range_m / exact - 1)
    assert np.quantile(error, 0.95) < 0.02
    height = exact * rays(512, 256)[..., 2]
    assert np.quantile(np.abs(moved.radiance[..., 0] - 2 - height), 0.95) < 0.03


def test_turned_and_mirrored_rooms_keep_range_and_shell_together(room: JointRoom) -> None:
    """The range of the moved polygon is the moved range."""
    for moved in (turned(room, 100), mirrored(room), mirrored(turned(room, 37))):
        error = np.abs(moved.range_m / shell_range_m(moved.polygon_m, 512) - 1)
        assert np.quantile(error, 0.99) < 1e-3


def _training(folder: Path, recipe: Recipe, maps: list[npt.NDArray[np.float32]]) -> JointTraining:
    rooms = JointRooms(split_rooms(folder, "train"), recipe.input.width_px, recipe.input.height_px)
    return JointTraining(rooms, maps, recipe, 8)


def test_out_of_view_nothing_is_shown_and_no_range_is_known(
    box_rooms: Path, small_recipe: Callable[..., Recipe]
) -> None:
    """Seen through a camera, colours and range are 0 outside its view, and columns out of view do not count."""
    recipe = small_recipe("joint", augment={"perspective_share": 1.0})
    for sample in (_training(box_rooms, recipe, [])[i] for i in range(4)):
        mask = sample["image"][3].numpy()
        assert 0 < mask.mean() < 0.7
        assert not sample["image"][:3].numpy()[:, mask == 0].any()
        blocks = mask.reshape(32, 2, 64, 2).max(axis=(1, 3))
        np.testing.assert_array_equal(sample["depth"][0].numpy() > 0, blocks > 0)
        np.testing.assert_array_equal(sample["seen"].numpy().any(axis=0), mask.any(axis=0))
        assert np.isfinite(sample["coefficients"].numpy()).all()


def test_a_sample_of_an_environment_knows_light_alone(box_rooms: Path, small_recipe: Callable[..., Recipe]) -> None:
    """Where all samples come from HDRIs, no range is known and no edge counts, but light is."""
    recipe = small_recipe("joint", data={"rooms_share": 0.0})
    maps = [np.full((64, 128, 3), 0.5, np.float32)]
    sample = _training(box_rooms, recipe, maps)[0]
    assert not sample["depth"].any()
    assert not sample["seen"].any()
    assert float(sample["coefficients"][0].min()) > 0


def test_validation_shows_every_held_out_room_whole(box_rooms: Path, small_recipe: Callable[..., Recipe]) -> None:
    """Each once and alike every time; its light is that of the file, in units of the picture's white."""
    recipe = with_overrides(small_recipe("joint"), data={"rooms": box_rooms})
    train, held, counts = joint_samples(recipe, box_rooms, 4)
    rooms = split_rooms(box_rooms, "val")
    assert (len(train), len(held)) == (4, len(rooms))
    assert counts == {"rooms": len(split_rooms(box_rooms, "train")), "validation_rooms": len(rooms)}
    reader, index = rooms[1]
    radiance = reader.read(index, ("radiance",))["radiance"].astype(np.float32)
    found = held[1]["coefficients"].numpy()
    expected = project_panorama(cv2.resize(radiance, (128, 64)))
    np.testing.assert_allclose(found / found[0, 0], expected / expected[0, 0], atol=1e-3)
    assert bool((held[1]["image"][3] == 1).all())
    assert all(bool((held[1][k] == held[1][k]).all()) for k in held[1])
