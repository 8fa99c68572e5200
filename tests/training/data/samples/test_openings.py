"""Openings as samples have them: they move with the room, and what is not known counts for nothing."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from edge.geometry.panorama import longitudes
from edge.geometry.polygon import wall_distances
from training.config.file import with_overrides
from training.config.recipe import Recipe
from training.data.samples.openings import (
    column_numbers,
    extended_boundary,
    level_ceiling,
    opening_sample,
    openings_in,
    tilted_numbers,
)
from training.data.sources import datasets
from training.data.vary.panoramic import (
    Openings,
    PanoramaRoom,
    boundary_target,
    mirrored,
    transformed,
    turned,
)
from training.tasks.build import build_task

COLUMNS = 512
ROOM = np.array([[-2.0, -1.5], [2.0, -1.5], [2.0, 3.0], [-2.0, 3.0]])
FLOOR = np.array([[-2.0, -1.5], [2.0, -1.5], [2.0, 3.0], [0.8, 3.0], [0.8, 5.0], [-0.8, 5.0], [-0.8, 3.0], [-2.0, 3.0]])


@pytest.fixture
def room() -> PanoramaRoom:
    """A box with an opening of 1.6 m in its far wall to a floor 2 m deep, and a window in its right wall."""
    segments = np.array([[[0.8, 3.0], [-0.8, 3.0]], [[2.0, -0.5], [2.0, 0.5]]])
    slopes = np.array([[[-2.0, -1.5], [-1.5, -1.5], [-1.5, 3.0], [-2.0, 3.0]]])
    openings = Openings(segments, np.array([3, 2], np.uint8), FLOOR, ROOM, slopes)
    return PanoramaRoom(np.zeros((64, 128, 3), np.uint8), ROOM, 1.5, 2.6, openings)


def test_kinds_and_what_is_behind_are_where_they_are(room: PanoramaRoom) -> None:
    """The columns that look through are those between the opening's ends; there alone the extended edge is farther."""
    numbers, lon = column_numbers(room, COLUMNS), longitudes(COLUMNS)
    np.testing.assert_array_equal(numbers == 3, np.abs(lon) < np.arctan2(0.8, 3.0))
    np.testing.assert_array_equal(numbers == 2, np.abs(lon - np.pi / 2) < np.arctan2(0.5, 2.0))
    extended = extended_boundary(room, COLUMNS)
    assert extended is not None
    farther = boundary_target(room, COLUMNS)[1] - extended[1] > 1e-4
    np.testing.assert_array_equal(farther, numbers == 3)
    middle = np.abs(lon) < np.arctan2(0.8, 5.0) - 0.01
    np.testing.assert_allclose(extended[1, middle], np.arctan2(1.5, 5.0 / np.cos(lon[middle])), atol=1e-5)
    # The ceiling slopes down to the left wall: its level edge is hidden there.
    left = (lon < -np.arctan2(2.0, 3.0) - 0.02) & (lon > -np.pi + np.arctan2(2.0, 1.5) + 0.02)
    np.testing.assert_array_equal(level_ceiling(room, COLUMNS)[left], 0)


@pytest.mark.parametrize("name", ["turned", "mirrored", "stretched"])
def test_openings_move_with_the_room(room: PanoramaRoom, name: str) -> None:
    """Turned by columns and mirrored, so are the kinds; stretched, the ends of the opening are on the moved wall."""
    numbers = column_numbers(room, COLUMNS)
    if name == "turned":
        np.testing.assert_array_equal(column_numbers(turned(room, 32), COLUMNS), np.roll(numbers, 32 * COLUMNS // 128))
    elif name == "mirrored":
        np.testing.assert_array_equal(column_numbers(mirrored(room), COLUMNS), numbers[::-1])
    else:
        moved = transformed(room, np.array([[1.4, 0.2], [0.0, 0.8]]))
        assert moved.openings is not None
        ends = moved.openings.segments_m.reshape(-1, 2)
        reach = wall_distances(moved.polygon_m, np.arctan2(ends[:, 0], ends[:, 1]))
        np.testing.assert_allclose(np.hypot(*ends.T), reach, rtol=1e-6)
        assert (column_numbers(moved, COLUMNS) == 3).any()


def test_a_level_turn_moves_kinds_by_its_columns(room: PanoramaRoom) -> None:
    """A rotation about the vertical by whole columns rolls them; a tilt keeps all kinds."""
    numbers, boundary = column_numbers(room, COLUMNS), boundary_target(room, COLUMNS)
    angle = 2 * np.pi * 40 / COLUMNS
    c, s = np.cos(angle), np.sin(angle)
    yaw = np.array([[c, s, 0], [-s, c, 0], [0, 0, 1]])
    np.testing.assert_array_equal(tilted_numbers(numbers, boundary, yaw), np.roll(numbers, 40))
    ct, st = np.cos(0.05), np.sin(0.05)
    tilt = np.array([[1, 0, 0], [0, ct, -st], [0, st, ct]])
    assert set(np.unique(tilted_numbers(numbers, boundary, tilt))) == {0, 2, 3}


def test_what_is_not_known_counts_for_nothing() -> None:
    """A room of a data set without openings: the wall's own edges in their place, at weight 0."""
    plain = PanoramaRoom(np.zeros((64, 128, 3), np.uint8), ROOM, 1.5, 2.6)
    boundary = boundary_target(plain, COLUMNS)
    rows = opening_sample(column_numbers(plain, COLUMNS), extended_boundary(plain, COLUMNS), boundary, None)
    assert not rows["kinds"].any() and not rows["extended_seen"].any()
    np.testing.assert_array_equal(rows["extended"], boundary)
    assert openings_in({"polygon_m": ROOM, "height_m": 2.6}) is None


@pytest.mark.parametrize("task", ["layout", pytest.param("joint", marks=pytest.mark.slow)])
def test_two_samples_can_be_learnt_with_openings(
    task: str, box_rooms: Path, small_recipe: Callable[..., Recipe]
) -> None:
    """With every further term, the loss of two fixed samples falls well below what it was, and stays finite."""
    terms = {"distance": 0.3, "openings": 0.3, "extended": 0.4, "beyond": 0.2, "spread": 0.05}
    change = {"net": {"openings": True}, "loss": terms} if task == "layout" else {}
    recipe = with_overrides(small_recipe(task, **change), data={"rooms": box_rooms})
    learner, data = build_task(recipe).train(), datasets(recipe).validation
    batch = torch.utils.data.default_collate([data[i] for i in range(2)])
    assert {"kinds", "extended", "extended_seen"} <= set(batch)
    optimizer = torch.optim.AdamW(learner.net.parameters(), lr=3e-3)
    losses = []
    for _ in range(12):
        optimizer.zero_grad()
        loss = learner.loss_of(batch)
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert np.isfinite(losses).all()
    assert min(losses[-4:]) < losses[0] - 0.2
